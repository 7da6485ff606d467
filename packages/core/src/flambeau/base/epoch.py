"""The configuration epoch: a number that changes whenever Python state that a captured program may have read changes.

Modules count it up when an attribute is bound to another object, in `train()` and `eval()`, and when their tensors are replaced; so do
tensors that get other memory, and tables of hooks. A program captured in one epoch is known to be current while the number stays the same.

A journal of the latest changes says what was there before each. A program of an older epoch is still current if everything that changed
since is again what it was: a model that goes to `eval()` and back to `train()` keeps both its programs.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

LIMIT = 8192  # changes that the journal holds
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


class Change(NamedTuple):
    """One change: when, of what (a weak reference where possible), how to look, what it was, its key and name, and the array that it is
    about, if only programs that use that array need to care."""

    at: int
    owner: Callable[[], Any]
    look: Callable[[Any], Any]
    old: Callable[[], Any]
    key: Any
    name: str
    memory: Callable[[], Any] | None


class Epoch:
    """A counter that every layer can reach, with the journal. `watched`: whether there is anybody for whom to keep the journal."""

    __slots__ = ("count", "journal", "unknown", "watched")

    def __init__(self) -> None:
        self.count = 0
        self.unknown = 0  # the count after the last change of which the journal knows nothing
        self.journal: deque[Change] = deque()
        self.watched = False

    def bump(self) -> None:
        """Something changed, and there is no going back."""
        self.count += 1
        self.unknown = self.count
        self.journal.clear()

    def changed(self, owner: Any, name: str, look: Callable[[Any], Any], old: Any, key: Any = None, memory: Any = None) -> None:
        """`look(owner)` was `old`; `key` tells apart what an owner has several of, `memory` is an array that the change is about."""
        self.count += 1
        if not self.watched:
            self.unknown = self.count
            return
        if len(self.journal) >= LIMIT:
            self.unknown = self.journal.popleft().at
        about = None if memory is None else _reference(memory)
        self.journal.append(Change(self.count, _reference(owner), look, _reference(old), (id(owner), name, key), name, about))

    def difference(self, since: int, uses: Callable[[Any], bool]) -> str | None:
        """What is not as it was in epoch `since`; None if everything is. `uses` says whether an array matters."""
        if since < self.unknown:
            return "modules, parameters or hooks changed"
        seen = set()
        for change in self.journal:
            if change.at <= since or change.key in seen:
                continue
            seen.add(change.key)
            array = None if change.memory is None else change.memory()
            if change.memory is not None and (array is None or not uses(array)):
                continue
            owner = change.owner()
            if owner is not None and not _same(change.look(owner), change.old()):
                return f"{change.name} of {_described(owner)} changed"
        return None


def _reference(x: Any) -> Callable[[], Any]:
    """How to get at an object later, without keeping it alive where that is possible."""
    if not isinstance(x, _PLAIN):
        try:
            return weakref.ref(x)
        except TypeError:
            pass
    return lambda: x


def _same(now: Any, old: Any) -> bool:
    if now is old:
        return True
    if type(now) is tuple and type(old) is tuple:
        return len(now) == len(old) and all(a is b for a, b in zip(now, old))
    return isinstance(old, _PLAIN) and type(now) is type(old) and bool(now == old)


def _described(owner: Any) -> str:
    return "a module or tensor" if isinstance(owner, dict) else f"a {type(owner).__name__}"


def entries(table: dict[Any, Any]) -> tuple[Any, ...]:
    """The values of a table, to compare it later with what it was."""
    return tuple(table.values())


epoch = Epoch()


def moves(x: Any, array: Any) -> None:
    """A tensor's elements are about to be somewhere else."""
    if array is not x._a:
        epoch.changed(x, "memory", _memory, x._a, None, x._a)


_memory = attrgetter("_a")
