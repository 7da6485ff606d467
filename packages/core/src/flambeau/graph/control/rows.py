"""Rows of control flow. Their parameters hold graphs; the kernels here, which interpret them, define what they mean.

A `body` may also be a function of a list of arrays, which is how machine code takes the place of a graph.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from flambeau.base.errors import ShapeError, explain
from flambeau.graph.interpret import interpret
from flambeau.graph.ir import Graph, Op
from flambeau.primitives.prim import primitive
from flambeau.primitives.source import random


def runner(body: Any) -> Any:
    """A function from a list of arrays to a list of results."""
    return partial(interpret, body) if isinstance(body, Graph) else body


def draws_inside(op: Op) -> list[Op]:
    """The random numbers in the graphs inside an operation."""
    return [x for body in op.bodies() for inner in body.ops for x in ([inner] if inner.prim is random else draws_inside(inner))]


def _types(body: Any) -> list[tuple[tuple[int, ...], np.dtype]]:
    return [(v.shape, v.dtype) for v in body.results]


def check_inputs(name: str, body: Any, given: list[Any]) -> None:
    """Raise unless a graph takes values of these shapes and dtypes."""
    wanted = [(v.shape, v.dtype) for v in body.inputs]
    if [(tuple(shape), d) for shape, d in given] != wanted:
        raise ShapeError(explain(name, expected=f"a body that takes {given}", got=f"one that takes {wanted}"))


def _scan(xp: Any, *arrays: Any, body: Any, carries: int, sequences: int, length: int, reverse: bool) -> tuple[Any, ...]:
    """Inputs: the carry, sequences along their first axis, what is the same for each step. Outputs: the carry, and stacked results."""
    run = runner(body)
    carry, xs, fixed = list(arrays[:carries]), arrays[carries : carries + sequences], arrays[carries + sequences :]
    ys = [xp.empty((length, *shape), d) for shape, d in _types(body)[carries:]]
    for t in range(length)[::-1] if reverse else range(length):
        results = run([*carry, *[x[t, ...] for x in xs], *fixed])
        carry = results[:carries]
        for y, r in zip(ys, results[carries:]):
            y[t] = r
    return (*[xp.array(c) for c in carry], *ys)


def _scan_rule(*xs: Any, body: Any, carries: int, sequences: int, length: int, reverse: bool) -> Any:
    types = _types(body)
    given = [(x.shape[1:] if carries <= i < carries + sequences else x.shape, x.dtype) for i, x in enumerate(xs)]
    check_inputs("scan", body, given)
    if types[:carries] != given[:carries] or any(x.shape[0] != length for x in xs[carries : carries + sequences]):
        raise ShapeError(explain("scan", expected=f"a carry that stays {given[:carries]}, and {length} steps", got=str(types[:carries])))
    return types[:carries] + [((length, *shape), d) for shape, d in types[carries:]]


scan = primitive("scan", "*xs", kernel=_scan, rule=_scan_rule, multi=True)


def _cond(xp: Any, pred: Any, *arrays: Any, true: Any, false: Any) -> tuple[Any, ...]:
    """The results of one of two graphs that take the same inputs and give the same types."""
    return tuple(xp.array(r) for r in runner(true if bool(pred) else false)(list(arrays)))


def _cond_rule(pred: Any, *xs: Any, true: Any, false: Any) -> Any:
    for body in (true, false):
        check_inputs("cond", body, [(x.shape, x.dtype) for x in xs])
    if _types(true) != _types(false) or pred.shape != ():
        raise ShapeError(explain("cond", expected="two graphs with the same results", got=f"{_types(true)} and {_types(false)}"))
    return _types(true)


cond = primitive("cond", "*xs", kernel=_cond, rule=_cond_rule, multi=True)


def _while(xp: Any, *arrays: Any, test: Any, body: Any, carries: int) -> tuple[Any, ...]:
    """The carry after as many steps as the test, on the carry and what is fixed, asks for."""
    again, run = runner(test), runner(body)
    carry, fixed = list(arrays[:carries]), list(arrays[carries:])
    while bool(again([*carry, *fixed])[0]):
        carry = run([*carry, *fixed])
    return tuple(xp.array(c) for c in carry)


def _while_rule(*xs: Any, test: Any, body: Any, carries: int) -> Any:
    given = [(x.shape, x.dtype) for x in xs]
    for graph in (test, body):
        check_inputs("while_loop", graph, given)
    if _types(body) != given[:carries] or _types(test) != [((), np.dtype(bool))]:
        raise ShapeError(explain("while_loop", expected=f"a carry that stays {given[:carries]}", got=str(_types(body))))
    return _types(body)


while_loop = primitive("while_loop", "*xs", kernel=_while, rule=_while_rule, multi=True)
