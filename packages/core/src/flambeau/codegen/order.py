"""Sorting short lines by counting: the rank of an element is how many come before it. All comparisons of a line are one fused reduction.
And binary search.

NaN counts as the largest value, equal values keep their order: the rules of primitives/kernels/sort.py. Longer lines are left to NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.codegen import expr
from flambeau.codegen.llvm import Target
from flambeau.codegen.loops import Kernel
from flambeau.codegen.nest import LARGE, Nest
from flambeau.codegen.nodes import Node, Uniform
from flambeau.codegen.pick import positions
from flambeau.codegen.value import BOOL, I64, V
from flambeau.graph.ir import Op

if TYPE_CHECKING:
    from flambeau.codegen.lower import Lowering

LONGEST = 128  # elements of a line: the work grows with the square
_RANK = np.dtype("i4")


def _split(x_shape: tuple[int, ...], axis: int, first: bool) -> tuple[int, ...]:
    """The shape with an axis of size 1 beside the sorted one: before it (`first`) or behind it."""
    n = x_shape[axis]
    return (*x_shape[:axis], *((1, n) if first else (n, 1)), *x_shape[axis + 1 :])


def _ranks(low: Lowering, x: Any, axis: int, descending: bool) -> Any:
    """Where each element goes, int32."""
    mine, others = low.reshape(x, _split(x.shape, axis, False)), low.reshape(x, _split(x.shape, axis, True))
    before = low.map("gt" if descending else "lt", others, mine, result=BOOL)
    same = low.map("eq", others, mine, result=BOOL)
    if x.dtype.kind == "f":
        nan = [low.map("isnan", t, result=BOOL) for t in (others, mine)]
        larger, smaller = nan if descending else nan[::-1]
        only = low.map("logical_and", larger, low.map("logical_not", smaller, result=BOOL), result=BOOL)
        before = low.map("logical_or", before, only, result=BOOL)
        same = low.map("logical_or", same, low.map("logical_and", *nan, result=BOOL), result=BOOL)
    shape = (*x.shape[: axis + 1], x.shape[axis], *x.shape[axis + 1 :])
    earlier = low.map("lt", positions(low, shape, axis + 1), positions(low, shape, axis), result=BOOL)
    ahead = low.map("logical_or", before, low.map("logical_and", same, earlier, result=BOOL), result=BOOL)
    count = low.map("cast", ahead, result=_RANK, dtype=_RANK)
    return low.materialise(low.reduce("sum", count, (axis + 1,), keepdim=False))


def _first(low: Lowering, x: Any, axis: int, descending: bool, start: int, stop: int) -> tuple[Any, Any]:
    """The elements of rank start to stop, and where they came from (int64)."""
    ranks = low.reshape(_ranks(low, x, axis, descending), _split(x.shape, axis, True))
    shape = (*x.shape[:axis], stop - start, *x.shape[axis:])
    wanted = positions(low, shape, axis)
    if start:
        wanted = low.map("add", wanted, start)
    hit = low.map("eq", ranks, wanted, result=BOOL)
    values = low.map("where", hit, low.reshape(x, _split(x.shape, axis, True)), Uniform(x.dtype.type(0), x.dtype, ()))
    places = low.map("where", hit, positions(low, shape, axis + 1), Uniform(_RANK.type(0), _RANK, ()))
    index = low.reduce("pick", places, (axis + 1,), keepdim=False)
    return low.reduce("pick", values, (axis + 1,), keepdim=False), low.map("cast", index, result=np.dtype("i8"), dtype=np.dtype("i8"))


def order(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """sort, argsort, topk and kthvalue."""
    x, name = low.memory(handles[0]), op.prim.name
    axis = params["axis"] % max(len(x.shape), 1)
    if x.dtype not in expr.DTYPES or not x.shape or not 1 < x.shape[axis] <= LONGEST:
        return None
    if name in ("topk", "kthvalue") and (x.dtype.itemsize == 8 or not params.get("in_order", True)):
        return None  # which of equal values NumPy takes there is its own affair
    x = low.materialise(x)
    start, stop = {"topk": (0, params.get("k")), "kthvalue": (params.get("k", 1) - 1, params.get("k"))}.get(name, (0, x.shape[axis]))
    if not 0 <= start < stop <= x.shape[axis]:
        return None
    values, index = _first(low, x, axis, params.get("largest", params.get("descending", False)), start, stop)
    if name == "argsort":
        return index
    if name == "kthvalue":
        values, index = (low.reshape(t, v.shape) for t, v in zip((values, index), op.outputs))
    low.ranges[index.buffer] = (0, x.shape[axis], [])
    return values, index


def searchsorted(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """Where values go in a vector of ascending boundaries."""
    sequence, x = (low.materialise(h) for h in handles)
    if len(sequence.shape) != 1 or sequence.dtype != x.dtype or x.dtype not in expr.DTYPES or x.dtype.kind == "b":
        return None
    node = Node("native", "searchsorted", (sequence, x), x.shape, params={**params, "write": _write_search})
    result = low.node(node, op.outputs[0].shape, op.outputs[0].dtype)
    low.ranges[result.buffer] = (0, sequence.shape[0] + 1, [])
    return result


def _less(x: V, y: V) -> V:
    """x before y, with NaN as the largest value."""
    return (x < y) | (y.is_nan() & ~x.is_nan()) if x.is_float else x < y


def _write_search(node: Node, target: Target) -> list[list[Kernel]]:
    """For each value, halves without branches: `first` boundaries lie before it."""
    sequence, x = (a.buffer for a in node.accesses())
    nest = Nest(target)

    def behind(position: str, value: V) -> V:
        boundary = nest.load(sequence, position)
        return ~_less(value, boundary) if node.params["right"] else _less(boundary, value)

    shared = x.size * max(sequence.size.bit_length(), 1) >= LARGE and x.size > 1
    with nest.loops([x.size], shared) as (at,):
        value, first, left = nest.load(x, at), V(nest.code, "0", I64, 0), sequence.size
        while left > 1:
            half = left // 2
            first = behind((first + (half - 1)).text, value).choose(first + half, first)
            left -= half
        first = behind(first.text, value).choose(first + 1, first)
        nest.store(node.outputs[0], at, first)
    return [nest.finish(list(node.outputs), shared=x.size if shared else 0)]
