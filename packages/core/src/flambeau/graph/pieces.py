"""Parts of a captured graph as graphs of their own, without what nobody needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flambeau.graph.ir import Graph, Op, Scalar, Value


@dataclass(eq=False)
class Piece:
    """Some operations of a whole graph as a graph; `inputs` and `results` say which values of the whole its own stand for, in order."""

    graph: Graph
    inputs: list[Value]
    results: list[Value]


def extract(whole: Graph, ops: Sequence[Op], results: Iterable[Value]) -> Piece:
    """The graph that computes `results` by the operations `ops`; values from elsewhere become inputs."""
    wanted = list(results)
    kept = _needed(ops, wanted)
    graph = Graph()
    inside = {v for op in kept for v in op.outputs}
    entering = dict.fromkeys(v for op in kept for v in op.values() if v not in inside)
    entering.update(dict.fromkeys(v for v in wanted if v not in inside))
    piece = Piece(graph, [], wanted)
    new: dict[Value, Value] = {}
    for v in sorted(entering, key=lambda v: v.number):
        if v in whole.constants:
            new[v] = graph.constant(whole.constants[v])
        else:
            new[v] = graph.input(v.shape, v.dtype)
            piece.inputs.append(v)
    for op in kept:
        inputs = tuple(new[x] if isinstance(x, Value) else x for x in op.inputs)
        made = graph.add(op.prim, inputs, op.params, [(v.shape, v.dtype) for v in op.outputs], op.where)
        new.update(zip(op.outputs, made.outputs))
        graph.scalars += [x for x in op.inputs if isinstance(x, Scalar) and x not in graph.scalars]
    graph.results = [new[v] for v in wanted]
    return piece


def _needed(ops: Sequence[Op], results: Iterable[Value]) -> list[Op]:
    """The operations that results need, and those that draw random numbers: later draws depend on them."""
    needed = set(results)
    kept = []
    for op in reversed(ops):
        if "generator" in op.params or not needed.isdisjoint(op.outputs):
            kept.append(op)
            needed.update(op.values())
    return kept[::-1]


def same_ops(a: Sequence[Op], b: Sequence[Op]) -> bool:
    """Whether two captures did the same here: values are compared by their numbers."""
    return len(a) == len(b) and all(_same_op(x, y) for x, y in zip(a, b))


def _same_op(a: Op, b: Op) -> bool:
    if a.prim is not b.prim or len(a.inputs) != len(b.inputs) or len(a.outputs) != len(b.outputs) or a.params.keys() != b.params.keys():
        return False
    same = all(x.number == y.number and x.shape == y.shape for x, y in zip(a.outputs, b.outputs))
    return same and all(map(_same, a.inputs, b.inputs)) and all(_same(v, b.params[k]) for k, v in a.params.items())


def _same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, Value):
        return a.number == b.number and a.shape == b.shape and a.dtype == b.dtype
    if isinstance(a, Scalar):
        return bool(a.name == b.name)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(_same, a, b))
    return a is b or bool(a == b) or (isinstance(a, float) and a != a and b != b)
