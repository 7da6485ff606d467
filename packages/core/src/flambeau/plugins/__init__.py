"""Plugins: other pip packages that bring models, datasets, agents, recipes, commands and more.

A plugin is a module named by an entry point in the group `flambeau`. It registers lazy names with one hook:

    from flambeau.plugins import hookimpl

    @hookimpl
    def flambeau_register(registry):
        registry.model("tiny", "my_package.models:tiny")

The official domain packages are plugins of exactly this kind. `flambeau plugins` lists who registered what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.base import hooks
from flambeau.base.errors import PluginWarning

if TYPE_CHECKING:
    from flambeau.plugins.manager import Plugin, PluginManager, host
    from flambeau.plugins.register import Register
    from flambeau.plugins.specs import Check, hookimpl

__all__ = ["Check", "Plugin", "PluginManager", "PluginWarning", "Register", "hookimpl", "host"]

_HOMES = {
    "Check": "specs", "hookimpl": "specs", "Register": "register",
    "Plugin": "manager", "PluginManager": "manager", "host": "manager",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # pluggy is loaded only when plugins are looked at

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


class _LazyHost:
    """Stands in the seam of layer 0 and makes the plugin manager when it is first needed."""

    def load(self) -> None:
        from flambeau.plugins.manager import host

        host().load()

    def call(self, hook: str, /, **arguments: Any) -> Any:
        from flambeau.plugins.manager import host

        return host().call(hook, **arguments)


hooks.install(_LazyHost())
