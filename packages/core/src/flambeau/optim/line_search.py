"""A line search for the strong Wolfe conditions (Nocedal and Wright 2006, "Numerical Optimization", algorithms 3.5 and 3.6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """A place on the line: the step length, the value there, the gradient, and the slope along the line."""

    t: float
    f: float
    g: Any
    slope: float


def cubic_minimum(a: Point, b: Point, low: float | None = None, high: float | None = None) -> float:
    """Where the cubic through the values and slopes of two points is lowest, within bounds (the points themselves by default)."""
    if low is None or high is None:
        low, high = min(a.t, b.t), max(a.t, b.t)
    if a.t > b.t:
        a, b = b, a
    width = b.t - a.t
    if width > 0:
        mean = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
        square = mean * mean - a.slope * b.slope
        if square >= 0:
            root = math.sqrt(square)
            below = b.slope - a.slope + 2 * root
            best = b.t - width * ((b.slope + root - mean) / below) if below else math.nan
            if math.isfinite(best):
                return min(max(best, low), high)
    return (low + high) / 2


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    t: float,
    size: float,
    *,
    tolerance: float = 1e-9,
    limit: int = 25,
    c1: float = 1e-4,
    c2: float = 0.9,
) -> tuple[Point, int]:
    """A point that lowers the value enough (c1) and where the slope is flat enough (c2), and the number of evaluations.

    `evaluate(t)` gives the point at a step length; `start` is the point at 0 and `t` the first step to try; `size` is the largest element
    of the direction: a bracket that moves no element by more than `tolerance` is left alone.
    """

    def too_high(p: Point) -> bool:
        return p.f > start.f + c1 * p.t * start.slope

    def flat(p: Point) -> bool:
        return abs(p.slope) <= -c2 * start.slope

    last, new, tries = start, evaluate(t), 0
    bracket: list[Point] = []
    while tries < limit:  # go out until a bracket holds a good point
        if too_high(new) or (tries > 1 and new.f >= last.f):
            bracket = [last, new]
            break
        if flat(new):
            return new, tries + 1
        if new.slope >= 0:
            bracket = [last, new]
            break
        t = cubic_minimum(last, new, new.t + 0.01 * (new.t - last.t), new.t * 10)
        last, new, tries = new, evaluate(t), tries + 1
    if tries == limit:
        bracket = [start, new]
    return _zoom(evaluate, bracket, tries, limit, too_high, flat, tolerance / size if size else math.inf)


def _zoom(
    evaluate: Callable[[float], Point],
    bracket: list[Point],
    tries: int,
    limit: int,
    too_high: Callable[[Point], bool],
    flat: Callable[[Point], bool],
    narrow: float,
) -> tuple[Point, int]:
    """Shrink a bracket around a good point."""
    stuck = False
    low = 0 if bracket[0].f <= bracket[1].f else 1
    while tries < limit and abs(bracket[1].t - bracket[0].t) >= narrow:
        t, stuck = _inside(cubic_minimum(bracket[0], bracket[1]), bracket, stuck)
        new, tries = evaluate(t), tries + 1
        if too_high(new) or new.f >= bracket[low].f:
            bracket[1 - low] = new
            low = 0 if bracket[0].f <= bracket[1].f else 1
            continue
        good = flat(new)
        if not good and new.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = new
        if good:
            break
    return bracket[low], tries + 1


def _inside(t: float, bracket: list[Point], stuck: bool) -> tuple[float, bool]:
    """Keep a trial away from the ends of the bracket if the last one was near an end as well."""
    left, right = min(p.t for p in bracket), max(p.t for p in bracket)
    margin = 0.1 * (right - left)
    if min(right - t, t - left) >= margin:
        return t, False
    if stuck or t >= right or t <= left:
        return (right - margin if abs(t - right) < abs(t - left) else left + margin), False
    return t, True
