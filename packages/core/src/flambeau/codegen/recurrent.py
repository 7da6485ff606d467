"""LSTM layers over whole sequences in machine code: the loop over time is inside, rows of the batch are shared between threads.

The recurrent weight lies in panels. Forward, a panel has the four gates of a vector of hidden units side by side, so that a tile of the
product is finished in registers: gates, cell and output of these units. Backward, a panel has a vector or more of hidden units; the
gradient of h of these is finished to the gradients of their gates. Rows do not depend on each other, nor results on their sharing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from flambeau.base.switches import get_num_threads
from flambeau.codegen import vecmath
from flambeau.codegen.block import Blocks, with_rows
from flambeau.codegen.layout import Layout
from flambeau.codegen.llvm import Target, digest
from flambeau.codegen.loops import NAME, Kernel
from flambeau.codegen.memory_access import load, store
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.packing import write_copy, write_transpose
from flambeau.codegen.text import Code, Module
from flambeau.codegen.tile import GIVEN, Finish, Stored, Tile, rows_of_tile, widest_tile, write_tile
from flambeau.codegen.value import V
from flambeau.graph.ir import Op

GATES = 4


def lstm(low: Any, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """The rule of both rows."""
    dtype = op.outputs[0].dtype
    if dtype not in (np.dtype("f4"), np.dtype("f8")) or any(h.dtype != dtype for h in handles):
        return None
    xs = [low.memory(h) for h in handles]
    strided = (0,) if op.prim.name == "lstm" else (0, 3)
    operands = [with_rows(low, x) if i in strided or i == len(xs) - 1 else low.materialise(x) for i, x in enumerate(xs)]
    write = _forward if op.prim.name == "lstm" else _backward
    node = Node("native", op.prim.name, tuple(operands), (), params={"write": write})
    node.outputs = tuple(Buffer(v.shape, v.dtype, node) for v in op.outputs)
    low.nodes.append(node)
    return tuple(low.whole(b) for b in node.outputs)


RULES = {"lstm": lstm, "lstm_grad": lstm}


def _forward(node: Node, target: Target) -> list[list[Kernel]]:
    made = _Forward(node, target)
    return [[made.pack()], made.kernels()]


def _backward(node: Node, target: Target) -> list[list[Kernel]]:
    made = _Backward(node, target)
    return [[made.pack()], made.kernels()]


@dataclass(frozen=True)
class Cell:
    """Finishes a tile of the four gates of some hidden units. Strides are in elements."""

    hidden: int
    x_row: int
    count: int  # hidden units in the vector; 0: all
    apart = False

    def parameters(self) -> list[str]:
        return [f"ptr noalias %{name}" for name in ("X", "C0", "H1", "C1", "G")]

    def row(self, code: Code, r: int, values: list[V], rest: int) -> None:
        lanes, dtype = values[0].lanes, values[0].dtype
        gates = []
        for k, (value, name) in enumerate(zip(values, ("sigmoid", "sigmoid", "tanh", "sigmoid"), strict=True)):
            x = load(code, code.element("%X", value.element, str(r * self.x_row + k * self.hidden)), dtype, lanes, self.count)
            gates.append(vecmath.function(name, value + x))
            store(code, code.element("%G", value.element, str(r * GATES * self.hidden + k * self.hidden)), gates[-1], self.count)
        i, f, n, o = gates
        at = [code.element(name, i.element, str(r * self.hidden)) for name in ("%C0", "%C1", "%H1")]
        c = f.fma(load(code, at[0], dtype, lanes, self.count), i * n)
        store(code, at[1], c, self.count)
        store(code, at[2], o * vecmath.function("tanh", c), self.count)


@dataclass(frozen=True)
class CellGrad:
    """Finishes a tile of gradients of h to gradients of the gates, and of c before the step (in place)."""

    hidden: int
    g_row: int
    gates_row: int
    lanes: int
    apart = False

    def parameters(self) -> list[str]:
        return [f"ptr noalias %{name}" for name in ("DH", "G", "C0", "C1", "DC", "DX")]

    def row(self, code: Code, r: int, values: list[V], rest: int) -> None:
        for v, value in enumerate(values):
            self._units(code, r, v * self.lanes, value, rest if v == len(values) - 1 else 0)

    def _units(self, code: Code, r: int, first: int, value: V, count: int) -> None:
        dtype, lanes = value.dtype, value.lanes

        def read(name: str, position: int) -> V:
            return load(code, code.element(name, value.element, str(position + first)), dtype, lanes, count)

        i, f, n, o = (read("%G", r * self.gates_row + k * self.hidden) for k in range(GATES))
        dh = value + read("%DH", r * self.g_row)
        height = vecmath.function("tanh", read("%C1", r * self.hidden))
        dc = read("%DC", r * self.hidden) + dh * o * (1 - height * height)
        parts = (dc * n * i * (1 - i), dc * read("%C0", r * self.hidden) * f * (1 - f), dc * i * (1 - n * n), dh * height * o * (1 - o))
        for k, part in enumerate(parts):
            store(code, code.element("%DX", value.element, str(r * GATES * self.hidden + k * self.hidden + first)), part, count)
        store(code, code.element("%DC", value.element, str(r * self.hidden + first)), dc * f, count)


class _Layer:
    """What both directions share."""

    def __init__(self, node: Node, target: Target) -> None:
        self.node, self.target = node, target
        self.dtype = node.outputs[0].dtype
        self.steps, self.batch, self.hidden = self._sizes()
        self.module = Module(target.level != "generic", target.level)
        self.w = Blocks(self.module, target, self.dtype)
        self.lanes = self.w.lanes
        self.vectors = self._vectors()
        self.packed = Buffer((self._panels() * self._panel(),), self.dtype)
        self.rows = self._rows(rows_of_tile(target, self.vectors))

    def _sizes(self) -> tuple[int, int, int]:
        """Steps, rows of the batch, hidden units."""
        raise NotImplementedError

    def _vectors(self) -> int:
        """Vectors in a row of a tile."""
        raise NotImplementedError

    def _panels(self) -> int:
        """How many panels the weight has."""
        raise NotImplementedError

    def _panel(self) -> int:
        """Elements of a panel."""
        raise NotImplementedError

    def _write_panel(self, w: Blocks, source: str, weight: Access) -> None:
        raise NotImplementedError

    def _loop(self) -> None:
        """Write the loop over time."""
        raise NotImplementedError

    def _rows(self, most: int) -> int:
        """Rows of a tile, so that threads get equal parts."""
        threads = get_num_threads()
        possible = range(min(most, self.batch), max(min(most, self.batch) * 2 // 3 - 1, 0), -1)
        return min(possible, key=lambda r: (ceil(ceil(self.batch / r) / threads) * r, -r))

    def pack(self) -> Kernel:
        """The kernel that lays out the recurrent weight in panels."""
        module = Module(self.target.level != "generic", self.target.level)
        w = Blocks(module, self.target, self.dtype)
        weight = self.node.accesses()[-1]
        self._write_panel(w, "%p0", weight)
        return self._kernel(module, w, [weight], [self.packed], [])

    def kernels(self) -> list[Kernel]:
        """The loop over time, for rows in shares."""
        outputs = [Access(b, Layout.contiguous(b.shape)) for b in self.node.outputs]
        self._loop()
        operands = [*self.node.accesses()[:-1], Access(self.packed, Layout.contiguous(self.packed.shape))]
        kernel = self._kernel(self.module, self.w, operands, [x.buffer for x in outputs], ["i64 %begin", "i64 %end"])
        blocks = -(-self.batch // self.rows)
        large = self.steps * self.batch * GATES * self.hidden**2 > 1 << 19
        return kernel.shares(blocks, -(-blocks // (get_num_threads() if large else 1)))

    def _kernel(self, module: Module, w: Blocks, operands: list[Access], outputs: list[Buffer], more: list[str]) -> Kernel:
        buffers = [*(x.buffer for x in operands), *outputs]
        module.functions["kernel"] = w.code.function(NAME[1:], [*(f"ptr %p{i}" for i in range(len(buffers))), *more])
        text = module.render(8 * self.target.bytes)
        name = f"k{digest(text)[:24]}"
        kernel = Kernel(text.replace(f"{NAME}(", f"@{name}("), name, buffers, [], list(module.imports))
        kernel.offsets = [*(x.layout.offset * x.dtype.itemsize for x in operands), *(0 for _ in outputs)]
        kernel.reads, kernel.writes = {x.buffer: set() for x in operands}, outputs
        return kernel

    # -- loops ----------------------------------------------------------------------------------------------------------------------------
    def each_block(self, call: Any) -> None:
        """Blocks of rows of this share: call(first row, how many)."""
        code, whole = self.w.code, self.batch // self.rows
        with code.span(code.smaller("%end", str(whole)), start="%begin") as block:
            call(code.arithmetic("mul", block, str(self.rows)), self.rows)
        if self.batch % self.rows:
            with code.span("%end", start=code.call("llvm.umax.i64", "i64", [("i64", "%begin"), ("i64", str(whole))])):
                call(str(whole * self.rows), self.batch % self.rows)

    def tile(self, rows: int, columns: int, a: tuple[int, int], finish: Finish) -> str:
        """The function of a tile of the product with a panel: `a` are the strides of the left operand."""
        shape = Tile(tuple(r * a[0] for r in range(rows)), columns, ((GIVEN, a[1], self.vectors * self.lanes),), True)
        return write_tile(self.module, shape, finish, self.dtype, self.lanes)

    def before(self, first: str, whole: str, t: str, size: int) -> str:
        """The address of an array of the step before, which the initial one stands for at the start."""
        code = self.w.code
        earlier = self.w.at(whole, code.let(f"sub i64 {t}, 1"), size)
        start = code.let(f"icmp eq i64 {t}, 0")
        return code.let(f"select i1 {start}, ptr {first}, ptr {earlier}")


class _Forward(_Layer):
    """Operands x, h, c, w; results hs, last c, cs, gates."""

    def _sizes(self) -> tuple[int, int, int]:
        x, h, _, _ = self.node.accesses()
        return x.shape[0], x.shape[1], h.shape[1]

    def _vectors(self) -> int:
        return GATES

    def _panels(self) -> int:
        return -(-self.hidden // self.lanes)

    def _panel(self) -> int:
        return GATES * self.lanes * self.hidden

    def _write_panel(self, w: Blocks, source: str, weight: Access) -> None:
        row, code, width = weight.layout.strides[0], w.code, GATES * w.lanes
        w.zero("%p1", self._panels() * self._panel())
        name = write_transpose(w.module, self.dtype, w.lanes, row, width)
        for first, times, units in ((0, self.hidden // w.lanes, w.lanes), (self.hidden // w.lanes * w.lanes, 1, self.hidden % w.lanes)):
            if times and units:
                with code.loop(times, start=str(first), step=w.lanes) as at:
                    for k in range(GATES):
                        here = w.at(w.at(source, str(k * self.hidden), row), at, row)
                        there = w.at(w.at("%p1", at, GATES * self.hidden), str(k * w.lanes))
                        code.do(f"call void @{name}(ptr {here}, ptr {there}, i64 {units}, i64 {self.hidden})")

    def _loop(self) -> None:
        w, code, hidden = self.w, self.w.code, self.hidden
        x = self.node.accesses()[0]
        x_step, x_row, _ = x.layout.strides
        size = self.batch * hidden
        with code.loop(self.steps) as t:
            h0, c0 = self.before("%p1", "%p4", t, size), self.before("%p2", "%p6", t, size)
            x_t, h1, c1, g = w.at("%p0", t, x_step), w.at("%p4", t, size), w.at("%p6", t, size), w.at("%p7", t, GATES * size)
            for first, times, count in ((0, hidden // w.lanes, 0), (hidden // w.lanes * w.lanes, 1, hidden % w.lanes)):
                if (not times) or (first and not count):
                    continue
                with code.loop(times, start=str(first), step=w.lanes) as at:
                    panel = w.at("%p3", at, GATES * hidden)

                    def block(row: str, rows: int, at: str = at, panel: str = panel, count: int = count) -> None:
                        name = self.tile(rows, GATES * w.lanes, (hidden, 1), Cell(hidden, x_row, count))
                        places = [
                            w.at(w.at(p, row, s), at)
                            for p, s in ((x_t, x_row), (c0, hidden), (h1, hidden), (c1, hidden), (g, GATES * hidden))
                        ]
                        arguments = ", ".join(f"ptr {p}" for p in (w.at(h0, row, hidden), panel, *places))
                        code.do(f"call void @{name}({arguments}, i64 {hidden})")

                    self.each_block(block)
        last = w.at("%p6", str((self.steps - 1) * size))
        self._copied(last, "%p5")

    def _copied(self, source: str, target: str) -> None:
        """Rows of this share from one (N, H) array to another."""
        w, code = self.w, self.w.code
        name = write_copy(self.module, self.dtype, w.lanes, self.hidden, self.hidden)

        def block(row: str, rows: int) -> None:
            a, b = w.at(source, row, self.hidden), w.at(target, row, self.hidden)
            code.do(f"call void @{name}(ptr {a}, ptr {b}, i64 {rows}, i64 {self.hidden})")

        self.each_block(block)


class _Backward(_Forward):
    """Operands dhs, dc, cs, gates, c, w; results dx, dh, dc."""

    def _sizes(self) -> tuple[int, int, int]:
        return self.node.accesses()[2].shape  # type: ignore[return-value]

    def _vectors(self) -> int:
        return min(widest_tile(self.target), -(-self.hidden // self.lanes))

    def _panels(self) -> int:
        return -(-self.hidden // (self.vectors * self.lanes))

    def _panel(self) -> int:
        return self.vectors * self.lanes * GATES * self.hidden

    def _write_panel(self, w: Blocks, source: str, weight: Access) -> None:
        width, row = self.vectors * w.lanes, weight.layout.strides[0]
        if self.hidden % width:
            w.zero("%p1", self._panels() * self._panel())
        name = write_copy(w.module, self.dtype, w.lanes, row, width)
        for at in range(0, self.hidden, width):
            here, there = w.at(source, str(at)), w.at("%p1", str(at * GATES * self.hidden))
            w.code.do(f"call void @{name}(ptr {here}, ptr {there}, i64 {GATES * self.hidden}, i64 {min(width, self.hidden - at)})")

    def _loop(self) -> None:
        w, code, hidden = self.w, self.w.code, self.hidden
        g, _, _, gates, _, _ = self.node.accesses()
        size = self.batch * hidden
        self._copied("%p1", "%p8")
        with code.loop(self.steps) as back:
            t = code.arithmetic("sub", str(self.steps - 1), back)
            started = code.let(f"icmp ne i64 {back}, 0")
            sums = code.let(f"select i1 {started}, i64 {GATES * hidden}, i64 0")
            c0 = self.before("%p4", "%p2", t, size)
            moved = [
                (w.at("%p0", t, g.layout.strides[0]), g.layout.strides[1]),
                (w.at("%p3", t, gates.layout.strides[0]), gates.layout.strides[1]),
            ]
            moved += [(c0, hidden), (w.at("%p2", t, size), hidden), ("%p8", hidden), (w.at("%p6", t, GATES * size), GATES * hidden)]
            after = w.at("%p6", code.arithmetic("add", t, "1"), GATES * size)
            after = code.let(f"select i1 {started}, ptr {after}, ptr %p6")
            self._product(after, sums, CellGrad(hidden, g.layout.strides[1], gates.layout.strides[1], w.lanes), moved)
        self._product("%p6", str(GATES * hidden), Stored(hidden, False), [("%p7", hidden)])

    def _product(self, a: str, sums: str, finish: Finish, places: list[tuple[str, int]]) -> None:
        """Rows of gradients of gates times the weight, finished."""
        w, code, hidden = self.w, self.w.code, self.hidden
        width = self.vectors * w.lanes
        for first, times, columns in ((0, hidden // width, width), (hidden // width * width, 1, hidden % width)):
            if not (times and columns):
                continue
            with code.loop(times, start=str(first), step=width) as at:
                panel = w.at("%p5", at, GATES * hidden)

                def block(row: str, rows: int, at: str = at, panel: str = panel, columns: int = columns) -> None:
                    name = self.tile(rows, columns, (GATES * hidden, 1), finish)
                    arguments = [w.at(a, row, GATES * hidden), panel, *(w.at(w.at(p, row, s), at) for p, s in places)]
                    code.do(f"call void @{name}({', '.join(f'ptr {p}' for p in arguments)}, i64 {sums})")

                self.each_block(block)
