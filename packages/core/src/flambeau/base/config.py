"""Settings: one typed, context-local object, and the only place that reads environment variables.

Every setting has a default, an environment variable (`FLAMBEAU_` + its name in capitals), and a scoped override:

>>> with override(offline=True):
...     settings().offline
True

The environment is looked at anew on each call of `settings()`, so a variable set after import counts at once. A look costs a few
microseconds: read settings at set-up, never per operation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flambeau.base.errors import ArgumentError, did_you_mean, explain

PREFIX = "FLAMBEAU_"
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


def _flag(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError("1 or 0")


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text.strip() else None


def _setting(default: Any, parse: Callable[[str], Any], help: str) -> Any:
    return field(default=default, metadata={"parse": parse, "help": help})


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of Flambeau, as they hold in the current context.

    >>> Settings().offline
    False
    """

    home: Path | None = _setting(None, _path, "cache directory (default: the user's cache directory)")
    offline: bool = _setting(False, _flag, "1 = never touch the network")
    eager_kernels: bool = _setting(True, _flag, "0 = large operations run on NumPy, not as machine code, outside `compile`")
    debug: bool = _setting(False, _flag, "1 = the command line shows tracebacks")
    log: tuple[str, ...] = _setting((), _names, "comma-separated, what is told on stderr: recompiles = each capture, and why")
    plugins: tuple[str, ...] = _setting((), _names, "comma-separated plugins: only these third-party plugins are loaded")
    disable_plugins: tuple[str, ...] = _setting((), _names, "comma-separated plugins that are never loaded")
    plugin_autoload: bool = _setting(True, _flag, "0 = load no third-party plugin, except those in FLAMBEAU_PLUGINS")
    trace_plugins: bool = _setting(False, _flag, "1 = print each plugin load and hook call on stderr")

    @property
    def cache_home(self) -> Path:
        """The one cache directory: `home`, else `$XDG_CACHE_HOME/flambeau`, else the platform's place for caches."""
        if self.home is not None:
            return self.home
        root = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None)
        return (Path(root).expanduser() if root else Path.home() / ".cache") / "flambeau"

    @property
    def huggingface_cache(self) -> Path:
        """Where Hugging Face's programs keep downloads: `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else its default place. Only read here."""
        own, home = os.environ.get("HF_HUB_CACHE"), os.environ.get("HF_HOME")
        if own:
            return Path(own).expanduser()
        root = os.environ.get("XDG_CACHE_HOME")
        return (Path(home).expanduser() if home else (Path(root).expanduser() if root else Path.home() / ".cache") / "huggingface") / "hub"


_FIELDS = {PREFIX + f.name.upper(): f for f in fields(Settings)}
_OVERRIDES: ContextVar[MappingProxyType[str, Any]] = ContextVar("flambeau_settings", default=MappingProxyType({}))


def settings() -> Settings:
    """The settings of the current context: overrides, else environment, else defaults.

    Raises ArgumentError when a `FLAMBEAU_*` variable holds a value that cannot be read.
    """
    base = _parse(tuple(os.environ.get(variable) for variable in _FIELDS))
    overrides = _OVERRIDES.get()
    return replace(base, **overrides) if overrides else base


@contextmanager
def override(**values: Any) -> Iterator[Settings]:
    """Change settings inside a `with` block, for this thread or task only."""
    known = [f.name for f in _FIELDS.values()]
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known) or f"the settings are {', '.join(known)}"
            raise ArgumentError(explain("config.override", expected="a setting", got=repr(name), hint=hint))
    token = _OVERRIDES.set(MappingProxyType({**_OVERRIDES.get(), **values}))
    try:
        yield settings()
    finally:
        _OVERRIDES.reset(token)


def environment() -> dict[str, str]:
    """The `FLAMBEAU_*` variables that are set, known or not (for diagnostics)."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(PREFIX)}


def variables() -> dict[str, str]:
    """Every environment variable that Flambeau reads, with what it does."""
    return {variable: f.metadata["help"] for variable, f in _FIELDS.items()}


@lru_cache(maxsize=8)
def _parse(raw: tuple[str | None, ...]) -> Settings:
    values: dict[str, Any] = {}
    for (variable, f), text in zip(_FIELDS.items(), raw, strict=True):
        if text is None:
            continue
        try:
            values[f.name] = f.metadata["parse"](text)
        except ValueError as wrong:
            hint = f"export {variable}=1, or unset it"
            raise ArgumentError(explain(f"environment variable {variable}", expected=str(wrong), got=repr(text), hint=hint)) from None
    return Settings(**values)
