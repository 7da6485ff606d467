"""The `flambeau` command: finds subcommands without importing the others, and turns exceptions into messages and exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any, TextIO

import click

import flambeau.plugins  # noqa: F401  (lets the registries find plugins)
from flambeau.__about__ import __version__
from flambeau.base.config import settings
from flambeau.base.errors import FlambeauError, PluginError, PluginWarning, did_you_mean, explain
from flambeau.base.registry import registry
from flambeau.cli.commands import COMMANDS
from flambeau.cli.output import DEBUG_KEY, debug_option


class Cli(click.Group):
    """A group whose commands are places in modules: the core's, and those that plugins register under the kind `commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The core's commands in their order, then the plugins'."""
        return [*COMMANDS, *(name for name in registry("commands").names() if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command; None when there is no such name."""
        if name in COMMANDS:
            module, _, attribute = COMMANDS[name][0].partition(":")
            command = getattr(import_module(module), attribute)
        elif name in registry("commands"):
            command = registry("commands").get(name)
        else:
            return None
        if not isinstance(command, click.Command):
            raise PluginError(explain(f"command {name!r}", expected="a click command", got=f"a {type(command).__name__}"))
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown name gets a suggestion."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            known = self.list_commands(ctx)
            hint = did_you_mean(name, known) or f"one of {', '.join(known)}"
            ctx.fail(explain(f"flambeau {name}", expected="a command", got=repr(name), hint=hint))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, from their registered summaries: printing help imports no command."""
        summaries = {name: summary for name, (_, summary) in COMMANDS.items()}
        for name in self.list_commands(ctx)[len(COMMANDS) :]:
            entry = registry("commands").entry(name)
            summaries[name] = f"{entry.meta.get('summary', '')} [{entry.source}]".strip()
        with formatter.section("Commands"):
            formatter.write_dl(list(summaries.items()))

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; warnings are shown as one line each."""
        with warnings.catch_warnings():
            warnings.simplefilter("default", PluginWarning)  # shown, even where the user makes other warnings errors
            warnings.showwarning = _show_warning
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; failures become a message and an exit code, with the traceback only on request."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(130)
        except BrokenPipeError:  # the reader of a pipe has seen enough: `flambeau list | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)
        except Exception as error:
            report_failure(error, ctx.meta)
            ctx.exit(1)


def report_failure(error: Exception, meta: Mapping[str, Any]) -> None:
    """Say what went wrong on stderr; `--debug` or `FLAMBEAU_DEBUG=1` adds the traceback."""
    debug = meta.get(DEBUG_KEY, False) or _debug_setting()
    if debug:
        traceback.print_exception(error)
    ours = isinstance(error, FlambeauError)
    click.echo(f"Error: {error}" if ours else f"Error: {type(error).__name__}: {error}", err=True)
    if not debug and not ours:
        click.echo("Run it again with --debug to see where.", err=True)


def _debug_setting() -> bool:
    try:
        return settings().debug
    except FlambeauError:  # a setting that cannot be read may be the very error to report
        return False


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None, line: str | None = None
) -> None:
    click.echo(f"Warning: {message}", err=True)


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flambeau")
@debug_option
def cli() -> None:
    """Deep learning in pure Python: train, look around, and check an installation."""


def main() -> None:
    """The console script."""
    cli(prog_name="flambeau")
