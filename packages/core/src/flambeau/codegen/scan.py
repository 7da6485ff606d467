"""Running sums, products, extremes and log-sum-exps along an axis, element after element as NumPy does; other axes fill the lanes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.codegen import expr
from flambeau.codegen.layout import row_major
from flambeau.codegen.llvm import Target
from flambeau.codegen.loops import Kernel
from flambeau.codegen.nest import LARGE, Nest, merge
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.text import scalar_type, splat, vector
from flambeau.codegen.value import I64, V
from flambeau.graph.ir import Op

if TYPE_CHECKING:
    from flambeau.codegen.lower import Lowering

_COMBINE: dict[str, tuple[str, Callable[[V, V], V]]] = {
    "cumsum": ("sum", lambda c, x: c + x),
    "cumprod": ("prod", lambda c, x: c * x),
    "cummax": ("amax", expr.COMBINE["amax"]),
    "cummin": ("amin", expr.COMBINE["amin"]),
    "logcumsumexp": ("amax", expr.logaddexp),
}


def scan(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """The row."""
    x, name = low.memory(handles[0]), op.prim.name
    kinds = {"cumsum": "fiu", "cumprod": "fiu", "logcumsumexp": "f"}.get(name, "fiub")
    if x.dtype not in expr.DTYPES or x.dtype.kind not in kinds or not x.shape:
        return None
    node = Node("native", name, (x,), x.shape, params={"axis": params["axis"] % len(x.shape), "write": _write_scan})
    node.outputs = tuple(Buffer(v.shape, v.dtype, node) for v in op.outputs)
    low.nodes.append(node)
    return tuple(low.whole(b) for b in node.outputs)


def _write_scan(node: Node, target: Target) -> list[list[Kernel]]:
    """For each vector of lines along the axis: a carry, combined with element after element."""
    x, axis = node.operands[0], node.params["axis"]
    assert isinstance(x, Access)
    others = [k for k in range(len(x.shape)) if k != axis]
    here, there = x.layout.strides, row_major(node.outputs[0].shape)
    sizes, (walk, goal) = merge(tuple(x.shape[k] for k in others), [tuple(s[k] for k in others) for s in (here, there)])
    nest = Nest(target)
    lines = _Lines(nest, node, x, (here[axis], there[axis]), x.shape[axis])
    lanes = target.lanes(max(4, *(b.dtype.itemsize for b in node.outputs)))
    shared = len(sizes) > 1 and prod(x.shape) >= LARGE
    with nest.loops(sizes[:-1], shared) as at:
        start, stop = nest.offset(at, walk[:-1], x.layout.offset), nest.offset(at, goal[:-1])
        if not sizes:
            lines.write(start, stop, (0, 0), 0)
        else:
            for k, n in nest.runs(sizes[-1], lanes):
                steps = walk[-1], goal[-1]
                lines.write(nest.plus(start, nest.offset([k], steps[:1])), nest.plus(stop, nest.offset([k], steps[1:])), steps, n)
    return [nest.finish(list(node.outputs), shared=sizes[0] if shared else 0)]


class _Lines:
    """Writes the scan of several lines at once, one in each lane."""

    def __init__(self, nest: Nest, node: Node, x: Access, steps: tuple[int, int], count: int) -> None:
        self.nest, self.node, self.x, self.steps, self.count = nest, node, x, steps, count

    def write(self, start: str, stop: str, across: tuple[int, int], lanes: int) -> None:
        """Lines that begin at these positions; neighbours lie `across` apart in the input and in the results."""
        nest, code, d = self.nest, self.nest.code, self.x.dtype
        kind, combine = _COMBINE[self.node.name]
        carry = self._slot(d, expr.neutral(kind, d), lanes)
        place = self._slot(I64, 0, lanes) if len(self.node.outputs) > 1 else ""
        with code.loop(self.count) as i:
            value = self._load(nest.plus(start, nest.offset([i], self.steps[:1])), across[0], lanes)
            goal = nest.plus(stop, nest.offset([i], self.steps[1:]))
            total = combine(self._read(carry, d, lanes), value)
            code.do(f"store {total.type} {total.text}, ptr {carry}")
            self._store(self.node.outputs[0], goal, across[1], total)
            if place:
                hit = value.equals(total)
                hit = hit | value.is_nan() if value.is_float else hit
                position = hit.choose(V(code, i, I64, 0).spread(lanes), self._read(place, I64, lanes))
                code.do(f"store {position.type} {position.text}, ptr {place}")
                self._store(self.node.outputs[1], goal, across[1], position)

    def _slot(self, d: np.dtype, number: Any, lanes: int) -> str:
        kind = vector(scalar_type(d), lanes)
        slot = self.nest.code.slot(kind)
        self.nest.code.do(f"store {kind} {splat(number, scalar_type(d), lanes)}, ptr {slot}")
        return slot

    def _read(self, slot: str, d: np.dtype, lanes: int) -> V:
        code = self.nest.code
        return V(code, code.let(f"load {vector(scalar_type(d), lanes)}, ptr {slot}"), d, lanes)

    def _load(self, position: str, across: int, lanes: int) -> V:
        nest, d = self.nest, self.x.dtype
        if across == 1 or not lanes:
            return nest.load(self.x.buffer, position, lanes)
        kind, text = vector(scalar_type(d), lanes), "poison"
        for k in range(lanes):
            one = nest.load(self.x.buffer, self._beside(position, k * across))
            text = nest.code.let(f"insertelement {kind} {text}, {one.type} {one.text}, i32 {k}")
        return V(nest.code, text, d, lanes)

    def _store(self, buffer: Buffer, position: str, across: int, value: V) -> None:
        if across == 1 or not value.lanes:
            self.nest.store(buffer, position, value)
            return
        for k in range(value.lanes):
            self.nest.store(buffer, self._beside(position, k * across), value.lane(k))

    def _beside(self, position: str, more: int) -> str:
        return self.nest.code.let(f"add i64 {position}, {more}") if more else position
