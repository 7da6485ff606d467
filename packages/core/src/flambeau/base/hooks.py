"""The seam through which lower layers reach plugins without knowing them.

The plugin host (layer 9) installs itself here; the registry asks it to load plugins on a miss, the hub asks it to fetch addresses that
it does not understand. Without a host both do nothing.
"""

from __future__ import annotations

from typing import Any, Protocol


class Host(Protocol):
    """What loads plugins and calls their hooks."""

    def load(self) -> None:
        """Load every plugin that may be loaded; later calls do nothing."""

    def call(self, hook: str, /, **arguments: Any) -> Any:
        """Call a hook of all plugins and return what they answer."""


_host: Host | None = None


def install(host: Host | None) -> Host | None:
    """Make `host` the plugin host; returns the one before."""
    global _host
    before, _host = _host, host
    return before


def load_plugins() -> None:
    """Load the plugins, once."""
    if _host is not None:
        _host.load()


def call_hook(hook: str, /, **arguments: Any) -> Any:
    """Call a hook; None when there is no host or nobody answers."""
    return None if _host is None else _host.call(hook, **arguments)
