"""The host half of an optimizer's step in a compiled program: its numbers, computed before every replay.

What decides the form of an update (switches, which numbers are zero) is checked; the numbers themselves are inputs of the program, so a
scheduler changes them and nothing is compiled again. Parameters of one group whose counters agree share one table of numbers, and the
counters of a group lie in one array, so that counting for all of them is one operation.
"""

from __future__ import annotations

from operator import is_
from typing import Any

import numpy as np

from flambeau.optim.state import COUNTERS
from flambeau.tensor.tensor import Tensor

State = dict[str, Any]


class Bank:
    """The counters of all states of a group: a row for each kind of counter. The tensors in the states are views of it."""

    def __init__(self, states: list[State]) -> None:
        tensors = [_counters(s) for s in states]
        self.values = np.array([[t._a.item() for t in column] for column in zip(*tensors)], tensors[0][0]._a.dtype)
        self.views: list[Any] = []
        for i, row in enumerate(tensors):
            for k, t in enumerate(row):
                t._a = self.values[k, i : i + 1].reshape(())
                self.views.append(t._a)
        self.rows = [(self.values[k], self.views[k]) for k in range(len(self.values))]
        self.seen = b""

    def holds(self, states: list[State]) -> bool:
        """Whether these are still the states whose counters lie here."""
        found = [t._a for s in states for t in _counters(s)]
        return len(found) == len(self.views) and all(map(is_, found, self.views))

    def together(self) -> bool:
        """Whether all states have counted as often."""
        return self.values.tobytes() == self.seen or bool((self.values == self.values[:, :1]).all())

    def follow(self) -> None:
        """Let all states have the counters of the first."""
        for row, first in self.rows:
            row.fill(first.item())
        self.seen = self.values.tobytes()


class Table:
    """The numbers of one parameter, or of all parameters of a group that count together."""

    def __init__(self, group: State, state: State, bank: Bank | None = None) -> None:
        self.group, self.state, self.bank = group, state, bank
        self.counters = [t._a for t in _counters(state)]
        self.before: list[Any] = []
        self.plain = [k for k, v in state.items() if not isinstance(v, Tensor)]

    def advance(self, scalars: Any) -> dict[str, Any]:
        """Count the step, and return the numbers."""
        self.before = [a.item() for a in self.counters]
        if self.plain:
            self.before += [self.state[k] for k in self.plain]
        found: dict[str, Any] = scalars(self.group, self.state)
        if self.bank is not None:
            self.bank.follow()
        return found

    def undo(self) -> None:
        """Counters as they were before the last `advance`."""
        for a, value in zip(self.counters, self.before):
            a[()] = value
        self.state.update(zip(self.plain, self.before[len(self.counters) :]))
        if self.bank is not None:
            self.bank.follow()


class Numbers:
    """The numbers of a step of these parameters, as tables; `place[i]` is the table of parameter i."""

    def __init__(self, optimizer: Any, live: list[tuple[State, Any, State]]) -> None:
        self.optimizer, self.scalars = optimizer, optimizer.scalars
        self.tables: list[Table] = []
        self.place: list[int] = []
        self.banks: dict[int, Bank] = {}
        optimizer.banks = {k: b for k, b in optimizer.banks.items() if k in {id(g) for g in optimizer.param_groups}}
        groups: dict[int, list[State]] = {}
        for group, _, state in live:
            groups.setdefault(id(group), []).append(state)
        first: dict[int, int] = {}
        for group, _, state in live:
            bank = self._bank(group, groups[id(group)])
            if bank is None or id(group) not in first:
                first[id(group)] = len(self.tables)
                self.tables.append(Table(group, state, bank))
            self.place.append(first[id(group)])

    def _bank(self, group: State, states: list[State]) -> Bank | None:
        """The bank of a group, if its states may share a table."""
        owner = next(c for c in type(self.optimizer).__mro__ if "scalars" in c.__dict__)
        if not owner.__dict__.get("by_counters", False):  # said by whoever wrote the numbers, not by a base
            return None
        banks = self.optimizer.banks
        bank = banks.get(id(group))
        if bank is None or not bank.holds(states):
            counters = [_counters(s) for s in states]
            kinds = {tuple(t._a.dtype for t in row) for row in counters}
            if len(kinds) != 1 or len(set(kinds.pop())) != 1 or len(states) != sum(p in self.optimizer.state for p in group["params"]):
                return None
            bank = banks[id(group)] = Bank(states)
        self.banks[id(group)] = bank
        return bank if bank.together() else None

    def __call__(self) -> list[dict[str, Any]]:
        """Count the step; the numbers of each table."""
        scalars = self.scalars
        return [t.advance(scalars) for t in self.tables]

    def undo(self) -> None:
        """Take the last step's counting back."""
        for t in self.tables:
            t.undo()

    def save(self) -> list[Any]:
        """The counters of now, for `restore`."""
        banks = [bank.values.copy() for bank in self.banks.values()]
        return [banks, [([a.item() for a in t.counters], {k: t.state[k] for k in t.plain}) for t in self.tables]]

    def restore(self, saved: list[Any]) -> None:
        """Counters as they were."""
        for bank, values in zip(self.banks.values(), saved[0]):
            bank.values[...] = values
        for t, (values, plain) in zip(self.tables, saved[1]):
            for a, value in zip(t.counters, values):
                a[()] = value
            t.state.update(plain)


class Settings:
    """What decides the form of an update; cheap to ask while nobody has touched the groups."""

    def __init__(self, optimizer: Any, numbers: Numbers) -> None:
        self.optimizer = optimizer
        self.state = optimizer.state
        self.banks = [t.bank for t in numbers.tables if t.bank is not None]
        self.owned = list(numbers.banks.items())
        self._look()

    def __call__(self) -> Any:
        optimizer = self.optimizer
        groups = optimizer.param_groups
        if len(groups) != len(self.seen):
            self._look()
        for group, seen in zip(groups, self.seen):
            if tuple(group.values()) != seen:
                self._look()
                break
        if optimizer.state is not self.state:
            return object()  # like nothing before
        for key, bank in self.owned:
            if optimizer.banks.get(key) is not bank:
                return object()
        for bank in self.banks:
            if not bank.together():
                return object()
        return self.form

    def _look(self) -> None:
        self.seen = [tuple(g.values()) for g in self.optimizer.param_groups]
        self.form = [_form(g) for g in self.optimizer.param_groups]


def _form(group: State) -> list[Any]:
    options = [(k, _option(v)) for k, v in group.items() if k not in ("params", "param_names", "initial_lr")]
    return [[id(p) for p in group["params"]], *options]


def _option(value: Any) -> Any:
    if isinstance(value, (float, Tensor)):
        return bool(value != 0)
    return [_option(v) for v in value] if isinstance(value, (tuple, list)) else value


def _counters(state: State) -> list[Any]:
    """The counters of a state, as tensors."""
    return [v for k, v in state.items() if k in COUNTERS and isinstance(v, Tensor)]
