"""`compile(check=True)`: every replay beside the function itself, on the same state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from flambeau.base import tree
from flambeau.base.errors import FlambeauError, explain
from flambeau.graph.ir import Value
from flambeau.graph.leaf import Leaf
from flambeau.graph.program import MISS, Program, Segment

_TOLERANCE = {"float64": 1e-8, "complex128": 1e-8, "float16": 2e-2, "bfloat16": 5e-2}


class CheckError(FlambeauError, RuntimeError):
    """A compiled function does something else than the function."""


class Before:
    """The state that a program may change, to go back to it: memory, random streams, counters and settings of optimizers, schedulers,
    `.grad`."""

    def __init__(self, program: Program, leaves: list[Any]) -> None:
        segments = list(_segments(program.root))
        arrays = [a for s in segments for a in s.arrays.values()] + [x._a for x in leaves if hasattr(x, "_a")]
        self.nodes = list({node: None for s in segments if s.leaf for node, _ in s.leaf.grads} | dict.fromkeys(_gradients(segments)))
        self.grads = [node.grad for node in self.nodes]
        arrays += [g._a for g in self.grads if g is not None]
        self.gradients = {id(g._a) for g in self.grads if g is not None}.union(*[s.gradients for s in segments])
        unique = list({id(a): a for a in arrays}.values())
        self.arrays = [(a, a.copy()) for a in unique]
        self.generators = [(g, g.get_state()) for g in program.generators]
        schedulers = [x for s in segments if s.leaf for effect in s.leaf.effects for x in _with_inner(effect.args[0])]
        self.tables = [(x.__dict__, dict(x.__dict__)) for x in schedulers]
        self.tables += [(group, dict(group)) for x in schedulers for group in x.optimizer.param_groups]
        self.numbers = [(h.call, h.call.save()) for s in segments for h in s.numbers]

    def back(self) -> None:
        """Restore it."""
        for array, old in self.arrays:
            if array.flags.writeable:
                np.copyto(array, old)
        for generator, old in self.generators:
            generator.set_state(old)
        for numbers, old in self.numbers:
            numbers.restore(old)
        for table, values in self.tables:
            table.update(values)
        for node, grad in zip(self.nodes, self.grads):
            node.grad = grad


def checked(program: Program, leaves: list[Any], call: Callable[[], Any], name: str) -> Any:
    """A replay, after the function itself was run on the same state. Raises CheckError where they differ."""
    before = Before(program, leaves)
    expected = tree.leaves(_copied(call()))
    written = [(array, array.copy()) for array, _ in before.arrays if id(array) not in before.gradients]
    grads = [None if node.grad is None else node.grad._a.copy() for node in before.nodes]
    before.back()
    result = program.replay(leaves)
    if result is MISS:
        return MISS
    leaf = program.ended
    assert leaf is not None
    found = tree.leaves(result)
    if len(found) != len(expected):
        raise CheckError(explain(name, expected=f"{len(expected)} results", got=f"{len(found)} of the program"))
    for i, (a, b) in enumerate(zip(found, expected)):
        _compare(name, f"result {i}", a._a if hasattr(a, "_a") else a, b, _op_of(leaf, i))
    for array, value in written:
        _compare(name, f"memory of shape {array.shape} that is written", array, value, _writer(leaf, array))
    for node, value in zip(before.nodes, grads):
        _compare(name, "a gradient", None if node.grad is None else node.grad._a, value, "")
    return result


def _with_inner(scheduler: Any) -> list[Any]:
    """A scheduler and those that it consists of."""
    return [scheduler, *[x for inner in getattr(scheduler, "_schedulers", ()) for x in _with_inner(inner)]]


def _copied(result: Any) -> Any:
    return tree.map(lambda x: x._a.copy() if hasattr(x, "_a") else x, result)


def _segments(segment: Segment) -> Iterator[Segment]:
    yield segment
    for child in segment.children.values():
        yield from _segments(child)


def _gradients(segments: list[Segment]) -> list[Any]:
    return [node for s in segments for node in s.gradients.values()]


def _compare(name: str, what: str, found: Any, expected: Any, op: str) -> None:
    if isinstance(expected, np.ndarray) and isinstance(found, np.ndarray):
        same = found.shape == expected.shape and found.dtype == expected.dtype and _close(found, expected)
    else:
        near = isinstance(found, float) and bool(np.isclose(found, expected, 1e-4, equal_nan=True))
        same = near or found is expected or bool(found == expected)
    if not same:
        hint = "does the function read Python objects that change, other than modules and optimizers?"
        raise CheckError(explain(name, expected=f"{what} to be {_short(expected)}", got=f"{_short(found)} of the program{op}", hint=hint))


def _close(a: Any, b: Any) -> bool:
    if not a.size or a.dtype.kind in "biu":
        return np.array_equal(a, b)
    rtol = _TOLERANCE.get(a.dtype.name, 1e-3)
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    x, y = a.astype(wide), b.astype(wide)
    scale = np.abs(y[np.isfinite(y)]).max(initial=0.0)
    return bool(np.allclose(x, y, rtol, rtol * 0.1 * float(scale), equal_nan=True))


def _op_of(leaf: Leaf, i: int) -> str:
    kind, place = leaf.returned[i]
    return _made(leaf.results[place]) if kind == "result" else ""


def _writer(leaf: Leaf, array: Any) -> str:
    return next((_made(leaf.results[at]) for _, a, at in leaf.writes if a is array), "")


def _made(value: Value) -> str:
    return f", made by {value.op.prim.name} at {value.op.where}" if value.op else ""


def _short(x: Any) -> str:
    text = " ".join(repr(x).split())
    return text if len(text) <= 120 else text[:117] + "..."
