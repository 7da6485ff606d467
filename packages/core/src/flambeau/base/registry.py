"""Names to objects, lazily: a registered object is a string `"package.module:attr"` that is imported when someone asks for it.

Every object has a full name `owner/name`; the bare `name` works when one owner has it, or when an official package has it. Plugins fill
the registries at the first name that is not there (see `flambeau.base.hooks`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import Any

from flambeau.base import hooks
from flambeau.base.errors import MissingExtra, NameNotFound, PluginError, did_you_mean, explain
from flambeau.base.known import FIRST_PARTY, known_names, provider

KINDS = (
    "models", "weights", "datasets", "transforms", "tokenizers", "agents", "environments", "ops", "devices", "losses", "metrics",
    "optimizers", "callbacks", "loggers", "recipes", "commands", "formats", "converters",
)  # fmt: skip

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered object: what it is called, who brought it, and where it is."""

    kind: str
    name: str
    owner: str  # the plugin that registered it
    target: str  # "package.module:attr"
    source: str = ""  # the distribution that the plugin came in
    domain: str = ""
    meta: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def full_name(self) -> str:
        """`owner/name`, which is never ambiguous."""
        return f"{self.owner}/{self.name}"

    @property
    def first_party(self) -> bool:
        """Whether an official package brought it."""
        return self.source in FIRST_PARTY

    def load(self) -> Any:
        """Import the object. Raises PluginError, naming the owner, when that does not work."""
        hint = f"pip install --upgrade {self.source}, or report it to its authors" if self.source else ""
        return load_target(self.target, f"{self.kind} {self.full_name!r}", hint)


def load_target(target: str, what: str, hint: str = "") -> Any:
    """The object at "package.module:attr". Raises PluginError, beginning with `what`, when it cannot be imported.

    >>> load_target("collections:OrderedDict", "an example").__name__
    'OrderedDict'
    """
    module, _, attribute = target.partition(":")
    try:
        value: Any = import_module(module)
        for part in attribute.split("."):
            value = getattr(value, part)
    except MissingExtra:
        raise
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise PluginError(explain(what, expected=f"{target} to be importable", got=got, hint=hint)) from error
    return value


def describe_owner(entry: Entry) -> str:
    """How an entry's owner is named in messages."""
    return f"{entry.full_name} (from {entry.source or 'this session'})"


class Registry:
    """The registered objects of one kind.

    >>> models = Registry("models")
    >>> _ = models.add("ordered", "collections:OrderedDict", "demo")
    >>> models.get("ordered") is models.get("demo/ordered")
    True
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def add(
        self, name: str, target: str, owner: str, *, source: str = "", domain: str = "", meta: Mapping[str, Any] | None = None,
        exist_ok: bool = False,
    ) -> Entry:  # fmt: skip
        """Register `target` ("package.module:attr") as `owner/name`. PluginError when that name is taken (unless `exist_ok`)."""
        op = f"register {self.kind} {owner}/{name}"
        for text in (owner, name):
            if not _NAME.fullmatch(text):
                raise PluginError(explain(op, expected="a name of letters, digits, '_', '-', '.' or '+'", got=repr(text)))
        if not isinstance(target, str) or not _TARGET.fullmatch(target):
            hint = "give the place as text, so that it is imported only when used"
            raise PluginError(explain(op, expected="a target like 'package.module:attr'", got=repr(target), hint=hint))
        entry = Entry(self.kind, name, owner, target, source, domain, MappingProxyType(dict(meta or {})))
        old = self._entries.get(entry.full_name)
        if old is not None and not exist_ok:
            got = f"one registered by {source or 'this session'} ({target}), the other by {old.source or 'this session'} ({old.target})"
            raise PluginError(explain(op, expected="a name that is free", got=got, hint="rename one of them"))
        self._entries = {**self._entries, entry.full_name: entry}  # a new dict, so that other threads may be reading the old one
        return entry

    def remove_owner(self, owner: str) -> None:
        """Forget everything that `owner` registered."""
        self._entries = {key: entry for key, entry in self._entries.items() if entry.owner != owner}

    def entry(self, name: str) -> Entry:
        """The entry of `name` (bare or `owner/name`). Raises NameNotFound when it is unknown or ambiguous."""
        found = self._candidates(name)
        if len(found) != 1 or not found[0].first_party:
            hooks.load_plugins()  # an official name needs nobody else; any other may be ambiguous
            found = self._candidates(name)
        if len(found) == 1:
            return found[0]
        if found:
            names = " and ".join(describe_owner(entry) for entry in found)
            raise NameNotFound(
                explain(f"{self.kind} {name!r}", expected="a name that one plugin has", got=names, hint=f"{found[0].full_name!r}")
            )
        raise NameNotFound(self._unknown(name))

    def get(self, name: str) -> Any:
        """The object called `name`, imported now. Raises NameNotFound, or PluginError when it cannot be imported."""
        return self.entry(name).load()

    def entries(self) -> list[Entry]:
        """Every entry, plugins included, sorted by name."""
        hooks.load_plugins()
        return sorted(self._entries.values(), key=lambda entry: (entry.name.lower(), entry.full_name))

    def names(self) -> list[str]:
        """The shortest unambiguous name of every entry."""
        entries = self.entries()
        return [entry.name if self._candidates(entry.name) == [entry] else entry.full_name for entry in entries]

    def __contains__(self, name: str) -> bool:
        if not self._candidates(name):
            hooks.load_plugins()
        return bool(self._candidates(name))

    def _candidates(self, name: str) -> list[Entry]:
        if "/" in name:
            entry = self._entries.get(name)
            return [] if entry is None else [entry]
        found = [entry for entry in self._entries.values() if entry.name == name]
        official = [entry for entry in found if entry.first_party]
        return official or found

    def _unknown(self, name: str) -> str:
        package = provider(self.kind, name)
        if package:
            return explain(
                f"{self.kind} {name!r}", expected=f"the package {package}", got="an environment without it", hint=f"pip install {package}"
            )
        known = [entry.full_name for entry in self._entries.values()] if "/" in name else self.names()
        absent = {other: owner for other, owner in known_names(self.kind).items() if other not in known}
        hint = did_you_mean(name, [*known, *absent])
        installs = sorted({owner for other, owner in absent.items() if repr(other) in hint})
        if installs:
            hint += f" (pip install {' '.join(installs)})"
        if not hint:
            hint = f"flambeau list {self.kind}"
        return explain(f"{self.kind} {name!r}", expected="a registered name", got="one that no installed package has", hint=hint)


_REGISTRIES = {kind: Registry(kind) for kind in KINDS}


def registry(kind: str) -> Registry:
    """The registry of a kind of object; `KINDS` lists them."""
    found = _REGISTRIES.get(kind)
    if found is None:
        hint = did_you_mean(kind, KINDS) or f"one of {', '.join(KINDS)}"
        raise NameNotFound(explain("registry", expected="a kind of object", got=repr(kind), hint=hint))
    return found


def get(kind: str, name: str) -> Any:
    """The registered object: `get("agents", "ppo")` is the class. Raises NameNotFound with the pip command that would bring it."""
    return registry(kind).get(name)


def query(kind: str | None = None, *, domain: str | None = None, source: str | None = None) -> list[Entry]:
    """What is registered, as `flambeau.list`: rows with kind, name, owner, source and target, sorted by kind and name.

    Args:
        kind: one of `KINDS`, or None for all.
        domain: only this domain ("vision", "audio", "text", "rl", ...).
        source: only this distribution or plugin.
    """
    wanted: Iterable[Registry] = _REGISTRIES.values() if kind is None else (registry(kind),)
    rows = [entry for each in wanted for entry in each.entries()]
    if domain is not None:
        rows = [entry for entry in rows if entry.domain == domain]
    if source is not None:
        rows = [entry for entry in rows if source in (entry.source, entry.owner)]
    return rows
