"""What the core itself registers, through the same hooks as everybody else."""

from __future__ import annotations

from flambeau.cli.commands import COMMANDS
from flambeau.plugins.register import Register
from flambeau.plugins.specs import hookimpl


@hookimpl
def flambeau_register(registry: Register) -> None:
    """The core's commands."""
    for name, (target, summary) in COMMANDS.items():
        registry.command(name, target, summary=summary)
