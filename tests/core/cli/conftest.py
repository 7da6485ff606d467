"""A plugin with recipes and a command, installed on `sys.path`, and the command line run inside this process."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from flambeau.base import config, hooks, registry
from flambeau.base.registry import KINDS, Registry
from flambeau.plugins import manager as plugin_manager
from flambeau.plugins.manager import PluginManager
from tests.core.plugins.support import install, see_only

PLUGIN = '''
from dataclasses import dataclass
from typing import Annotated
import click
from flambeau.plugins import Check, hookimpl
from flambeau.train.recipe import Recipe

@dataclass(frozen=True)
class Config:
    lr: Annotated[float, "step size"] = 0.1
    steps: Annotated[int, "how many steps"] = 3
    fail: str = ""

def run(config, context):
    first = context.checkpoints.latest().step if context.resume else 0
    for step in range(first, config.steps):
        context.report(step + 1, config.steps, loss=1 / (step + 1))
    if config.fail == "checkpoint":
        context.checkpoints.save(3, {"step": 3})
    if config.fail in ("interrupt", "checkpoint"):
        raise KeyboardInterrupt
    if config.fail:
        raise ValueError("it went wrong")
    return {"accuracy": config.lr, "seed": context.seed, "resumed": context.resume}

toy = Recipe("toy", Config, run, "A toy.", next_steps=["flambeau fit toy --set lr=0.5"])
number = 3

@click.command()
def hello():
    """Say hello."""
    click.echo("hello from the plugin")

@hookimpl
def flambeau_register(registry):
    registry.recipe("toy", __name__ + ":toy", domain="text", summary="A toy.")
    registry.recipe("not-a-recipe", __name__ + ":number", summary="A number.")
    registry.command("hello", __name__ + ":hello", summary="Say hello.")
    registry.command("not-a-command", __name__ + ":number")
    registry.command("absent", "no_such_module_here:command")

@hookimpl
def flambeau_doctor():
    return [Check("heart", "beats", "warn", "rest")]
'''


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A fresh plugin world: one good plugin, empty registries, a working directory of its own."""
    for name in config.environment():
        monkeypatch.delenv(name)
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    see_only(monkeypatch, folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_REGISTRIES", {kind: Registry(kind) for kind in KINDS})
    install(folder, "hello", PLUGIN, version="1.2", module="cli_fake_plugin")
    manager = PluginManager()
    monkeypatch.setattr(plugin_manager, "host", lambda: manager)
    before = hooks.install(manager)
    yield folder
    hooks.install(before)


@pytest.fixture
def flambeau(site, monkeypatch):
    """Run `flambeau ARGUMENTS`; gives click's result with exit_code, stdout and stderr."""
    from flambeau.cli import catalogue, doctor
    from flambeau.cli.main import cli

    for module in (catalogue, doctor):
        monkeypatch.setattr(module, "host", plugin_manager.host)
    return lambda *arguments: CliRunner().invoke(cli, list(arguments), prog_name="flambeau")
