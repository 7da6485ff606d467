"""Numbers that change while an agent learns, as functions of what remains of the learning: 1 at the beginning, 0 at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flambeau.base.errors import ArgumentError, explain


class Schedule(Protocol):
    """`schedule(remaining)` is the number to use; `remaining` falls from 1 to 0."""

    def __call__(self, remaining: float) -> float: ...


@dataclass(frozen=True)
class Constant:
    """Always the same number."""

    value: float

    def __call__(self, remaining: float) -> float:
        return self.value


@dataclass(frozen=True)
class Linear:
    """Falls in a straight line from `value` to 0."""

    value: float

    def __call__(self, remaining: float) -> float:
        return self.value * remaining


def schedule(value: float | str | Schedule) -> Schedule:
    """A schedule from a number, or from text as in RL Baselines3 Zoo: `"lin_1e-3"` falls linearly from 0.001 to 0.

    Raises ArgumentError for other text.

    >>> schedule(3e-4)(0.5), schedule("lin_1e-3")(0.5)
    (0.0003, 0.0005)
    """
    if callable(value):
        return value
    kind, number = (Linear, value[4:]) if isinstance(value, str) and value.startswith("lin_") else (Constant, value)
    try:
        return kind(float(number))
    except (TypeError, ValueError):
        raise ArgumentError(explain("schedule", expected="a number, or text such as 'lin_1e-3'", got=repr(value))) from None
