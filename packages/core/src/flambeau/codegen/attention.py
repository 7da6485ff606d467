"""Attention forward and backward in machine code (the rows of primitives/attention.py): no array of all scores.

A task is a head of k and v (forward, where there are few, with a part of the rows). k lies transposed in panels as wide as a tile. Blocks
of rows meet blocks of sources: scores, softmax as far as it is known, product with v; what came before is scaled when a larger score
turns up. Backward makes the probabilities again from the logarithms of their sums. Dao et al. 2022, "FlashAttention".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from flambeau.codegen import vecmath
from flambeau.codegen.block import Blocks, Left, Right, offsets, with_rows
from flambeau.codegen.layout import Layout
from flambeau.codegen.llvm import Target, digest
from flambeau.codegen.loops import NAME, Kernel
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.text import Module, memory_type, vector
from flambeau.codegen.value import I32, V, fold
from flambeau.graph.ir import Op

_ROWS = 48  # rows of q in a block
_FORWARD, _BACKWARD = 256, 128  # sources in a block
_SHARES = 16


def attention(low: Any, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """The rule of both rows."""
    dtype, grad = op.outputs[0].dtype, op.prim.name == "attention_grad"
    count = 6 if grad else 3
    if dtype not in (np.dtype("f4"), np.dtype("f8")) or any(h.dtype != dtype for h in handles[:count]):
        return None
    xs = [low.memory(h) for h in handles]
    wide = (0, 1, 2, 4) if grad else (0, 1, 2)
    operands = [with_rows(low, x) if i in wide else low.materialise(x) if i < count else x for i, x in enumerate(xs)]
    for i in range(count, len(operands)):
        m = operands[i]
        m = m if m.dtype.kind == "b" or m.dtype == dtype else low.map("cast", m, result=dtype, dtype=dtype)
        m = m if m.layout.strides[-1] in (0, 1) else low.copied(m)
        operands[i] = Access(m.buffer, m.layout.expand((*op.inputs[0].shape[:-1], op.inputs[1].shape[-2])))
    node = Node("native", op.prim.name, tuple(operands), (), params={**params, "write": _backward if grad else _forward})
    node.outputs = tuple(Buffer(v.shape, v.dtype, node) for v in op.outputs)
    low.nodes.append(node)
    return tuple(low.whole(b) for b in node.outputs)


def _forward(node: Node, target: Target) -> list[list[Kernel]]:
    return [_Forward(node, target).kernels()]


def _backward(node: Node, target: Target) -> list[list[Kernel]]:
    return [_Backward(node, target).kernels()]


RULES: dict[str, Callable[..., Any]] = {"attention": attention, "attention_grad": attention}


class _Attention:
    """What both directions share: sizes, operands, the treatment of scores."""

    sources: int  # in a block

    def __init__(self, node: Node, target: Target) -> None:
        self.node, self.target = node, target
        self.dtype = node.outputs[0].dtype
        self.scale, self.causal = node.params["scale"], node.params["causal"]
        operands = node.accesses()
        q, k, v = operands[:3]
        self.lead = k.shape[:-2] or (1,)
        self.group = (q.shape[-3] if len(q.shape) > 2 else 1) // self.lead[-1]
        self.length, self.source, self.e, self.d = q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1]
        count = 6 if node.name == "attention_grad" else 3
        self.mask = operands[count] if len(operands) > count else None
        self.module = Module(target.level != "generic", target.level)
        self.main = Blocks(self.module, target, self.dtype)
        self.panel = self.main.width(self.source)
        self.rows = min(_ROWS, self.length)
        self.block = min(self.sources // self.panel * self.panel, -(-self.source // self.panel) * self.panel)
        self.tail = self.causal or self.source % self.main.lanes != 0  # whether some lanes are beyond the sources that are seen

    def kernels(self) -> list[Kernel]:
        """The finished kernel, in shares."""
        operands = [*self.node.accesses(), *(Access(b, Layout.contiguous(b.shape)) for b in self.node.outputs)]
        tasks = self.body()
        scratch = Buffer((self.scratch(),), self.dtype)
        names = [f"ptr %p{i}" for i in range(len(operands))]
        text = self.main.code.function(NAME[1:], [*names, "ptr %work", "i64 %begin", "i64 %end"])
        self.module.functions["kernel"] = text
        text = self.module.render(8 * self.target.bytes)
        name = f"k{digest(text)[:24]}"
        buffers = [*(x.buffer for x in operands), scratch]
        kernel = Kernel(text.replace(f"{NAME}(", f"@{name}("), name, buffers, [], list(self.module.imports))
        kernel.offsets = [*(x.layout.offset * x.dtype.itemsize for x in operands), 0]
        kernel.reads = {x.buffer: set() for x in self.node.accesses()}
        kernel.writes, kernel.scratch = list(self.node.outputs), [scratch]
        return kernel.shares(tasks, -(-tasks // _SHARES))

    def body(self) -> int:
        """Write the kernel; how many tasks there are."""
        raise NotImplementedError

    def scratch(self) -> int:
        """Elements of working memory."""
        raise NotImplementedError

    def strides(self, x: Access, tail: int) -> tuple[int, ...]:
        """Of the axes in front, the last of them in steps of a head of k and v."""
        strides = x.layout.strides[: len(x.shape) - tail] or (0,)
        times = self.group if len(x.shape) > tail and x.shape[-tail - 1] != self.lead[-1] else 1
        return (*strides[:-1], strides[-1] * times)

    def head(self, x: Access, tail: int) -> int:
        """How far it is to the next head of q that shares k and v."""
        return x.layout.strides[-tail - 1] if len(x.shape) > tail and self.group > 1 else 0

    def starts(self, number: str, places: list[tuple[Access, int]]) -> list[str]:
        """Where a task's part of each operand begins, as a position."""
        return offsets(self.main.code, number, self.lead, [self.strides(x, tail) for x, tail in places])

    def output(self, i: int) -> Access:
        """An output as an operand."""
        buffer = self.node.outputs[i]
        return Access(buffer, Layout.contiguous(buffer.shape))

    # -- scores ---------------------------------------------------------------------------------------------------------------------------
    def vectors(self, w: Blocks, width: str) -> str:
        """Positions of whole vectors that cover `width` sources."""
        lanes = str(w.lanes)
        return w.code.arithmetic("mul", w.code.arithmetic("udiv", w.code.arithmetic("add", width, str(w.lanes - 1)), lanes), lanes)

    def seen(self, w: Blocks, width: str, row: str, first: str) -> str:
        """How many of a block's sources row `row` of q sees, maybe less than none; they begin at `first`."""
        if not self.causal:
            return width
        own = w.code.let(f"sub i64 {w.code.let(f'add i64 {row}, 1')}, {first}")
        return w.code.call("llvm.smin.i64", "i64", [("i64", own), ("i64", width)])

    def scores(self, w: Blocks, place: str, at: str, seen: str, mask: str) -> V:
        """A vector of scores, scaled and masked: minus infinity beyond what is seen."""
        x = w.load(w.at(place, at), w.lanes) * self.scale
        inside: V | None = None
        if self.tail:
            limit = V(w.code, w.code.let(f"trunc i64 {seen} to i32"), I32, 0).spread(w.lanes)
            inside = w.numbers_from(at) < limit
        if self.mask is not None:
            m = self._mask(w, mask, at, inside)
            x = m.choose(x, -math.inf) if m.dtype.kind == "b" else x + m
        return x if inside is None else inside.choose(x, -math.inf)

    def _mask(self, w: Blocks, pointer: str, at: str, inside: V | None) -> V:
        assert self.mask is not None
        d, code = self.mask.dtype, w.code
        element = memory_type(d)
        if self.mask.layout.strides[-1] == 0 and self.mask.shape[-1] != 1:
            raw = V(code, code.let(f"load {element}, ptr {pointer}"), np.dtype("u1") if d.kind == "b" else d, 0)
            return (raw.differs(0) if d.kind == "b" else raw).spread(w.lanes)
        place, kind = code.element(pointer, element, at), vector(element, w.lanes)
        if inside is None:
            text = code.let(f"load {kind}, ptr {place}, align {d.itemsize}")
        else:
            short = {"float": "f32", "double": "f64"}.get(element, element)
            name, bits = f"llvm.masked.load.v{w.lanes}{short}.p0", f"<{w.lanes} x i1>"
            self.module.declare(f"declare {kind} @{name}(ptr, {bits}, {kind})")
            text = code.let(f"call {kind} @{name}(ptr align {d.itemsize} {place}, {bits} {inside.text}, {kind} zeroinitializer)")
        return V(code, text, np.dtype("u1"), w.lanes).differs(0) if d.kind == "b" else V(code, text, d, w.lanes)

    def mask_at(self, w: Blocks, pointer: str, row: str, first: str) -> str:
        """The address of the mask's number for a row and a source."""
        if self.mask is None:
            return pointer
        down, across = self.mask.layout.strides[-2:]
        element = memory_type(self.mask.dtype)
        moved = w.code.element(pointer, element, w.code.arithmetic("mul", row, str(down)))
        return w.code.element(moved, element, w.code.arithmetic("mul", first, str(across)))

    def called(self, name: str, parameters: list[str], rows: int, write: Callable[[Blocks, int], None]) -> str:
        """A function for blocks of so many rows, written once."""
        full = f"{name}{rows}"
        if full not in self.module.functions:
            self.module.functions[full] = ""
            w = Blocks(self.module, self.target, self.dtype)
            write(w, rows)
            self.module.functions[full] = w.code.function(full, parameters, "internal ").replace(") #0 {", ") #0 noinline {", 1)
        return full

    def each_block(self, first: str, end: str, call: Callable[[str, int], None]) -> None:
        """Whole blocks of rows from `first` on, then what is left of all rows if `end` is there."""
        code, whole = self.main.code, self.length // self.rows * self.rows
        with code.span(code.smaller(end, str(whole)), start=first, step=str(self.rows)) as row:
            call(row, self.rows)
        if self.length > whole:
            with code.span(end, start=code.call("llvm.umax.i64", "i64", [("i64", first), ("i64", str(whole))]), step=str(self.rows)) as row:
                call(row, self.length - whole)


class _Forward(_Attention):
    sources = _FORWARD

    def scratch(self) -> int:
        """Transposed k, scores, results not yet divided, and for each row the largest score and the sum."""
        padded = -(-self.source // self.panel) * self.panel
        return padded * self.e + self.rows * (self.block + self.main.lanes + self.d + 2) + 2 * self.main.lanes

    def body(self) -> int:
        w, code = self.main, self.main.code
        q, k, v = self.node.accesses()[:3]
        heads = prod(self.lead)
        blocks = -(-self.length // self.rows)
        parts = min(-(-_SHARES // heads), blocks)
        rows = -(-blocks // parts) * self.rows
        places = [(q, 2), (k, 2), (v, 2), (self.output(0), 2), (self.output(1), 1)] + ([(self.mask, 2)] if self.mask is not None else [])
        with code.span("%end", start="%begin") as task:
            number, part = code.arithmetic("udiv", task, str(parts)), code.arithmetic("urem", task, str(parts))
            at = self.starts(number, places)
            w.transposed(w.at("%p1", at[1]), "%work", (str(self.source), self.e), k.layout.strides[-2], self.panel)
            first = code.arithmetic("mul", part, str(rows))
            end = code.smaller(code.arithmetic("add", first, str(rows)), str(self.length))
            with code.loop(self.group) as g:

                def pointer(i: int, at: list[str] = at, g: str = g) -> str:
                    x, tail = places[i]
                    name = {0: "%p0", 2: "%p2", 5: "%p3"}.get(i, f"%p{i + len(places) - 5}")
                    moved = code.element(name, memory_type(x.dtype), at[i])
                    return code.element(moved, memory_type(x.dtype), code.arithmetic("mul", g, str(self.head(x, tail) if i != 2 else 0)))

                q_at, v_at, out, lse = (pointer(i) for i in (0, 2, 3, 4))
                mask = pointer(5) if self.mask is not None else "%work"

                def block(row: str, count: int) -> None:
                    name = self.called("rows", _FORWARD_PARAMETERS, count, self._rows)
                    arguments = [w.at(q_at, row, q.layout.strides[-2]), v_at, w.at(out, row, self.d), w.at(lse, row)]
                    text = ", ".join(f"ptr {a}" for a in (*arguments, self.mask_at(w, mask, row, "0"), "%work"))
                    code.do(f"call void @{name}({text}, i64 {row})")

                self.each_block(first, end, block)
        return heads * parts

    def _rows(self, w: Blocks, rows: int) -> None:
        """One block of rows with all sources that it sees."""
        code = w.code
        q, _, v = self.node.accesses()[:3]
        padded = -(-self.source // self.panel) * self.panel
        scores = w.at("%work", str(padded * self.e))
        sums = w.at(scores, str(self.rows * self.block))
        peaks = w.at(sums, str(self.rows + w.lanes))
        result = w.at(peaks, str(self.rows + w.lanes))
        w.zero(result, rows * self.d)
        w.zero(sums, rows)
        with code.loop(rows) as r:
            w.store(w.at(peaks, r), w.number(-math.inf))
        limit = code.smaller(code.arithmetic("add", "%row", str(rows)), str(self.source)) if self.causal else str(self.source)
        with code.span(limit, step=str(self.block)) as first:
            width = code.smaller(code.arithmetic("sub", limit, first), str(self.block))
            with code.span(width, step=str(self.panel)) as p:
                at = w.at("%work", code.arithmetic("add", first, p), self.e)
                w.product(
                    Left("%q", q.layout.strides[-2], 1),
                    Right(at, self.panel, padded=True),
                    (w.at(scores, p), self.block),
                    (rows, self.panel),
                    str(self.e),
                )
            with code.loop(rows) as r:
                self._softmax(w, (w.at(scores, r, self.block), w.at(sums, r), w.at(peaks, r), w.at(result, r, self.d)), r, (first, width))
            right = Right(w.at("%v", first, v.layout.strides[-2]), v.layout.strides[-2])
            w.product(Left(scores, self.block, 1), right, (result, self.d), (rows, self.d), width, add=True)
        with code.loop(rows) as r:
            self._finish(w, r, w.at(sums, r), w.at(peaks, r), w.at(result, r, self.d))

    def _softmax(self, w: Blocks, places: tuple[str, str, str, str], r: str, block: tuple[str, str]) -> None:
        """Turn a row of scores into exponentials, relative to the largest score so far."""
        code = w.code
        scores, sums, peaks, result = places
        first, width = block
        row = code.arithmetic("add", "%row", r)
        seen, end = self.seen(w, width, row, first), self.vectors(w, width)
        mask = self.mask_at(w, "%m", r, first)
        slot = code.slot(vector(w.element, w.lanes))
        w.store(slot, w.number(-math.inf, w.lanes))
        with code.span(end, step=str(w.lanes)) as at:
            x = self.scores(w, scores, at, seen, mask)
            w.store(w.at(scores, at), x)
            w.store(slot, _larger(w.load(slot, w.lanes), x))
        before = w.load(peaks, 0)
        peak = _larger(before, fold(w.load(slot, w.lanes), _larger, -math.inf))
        w.store(peaks, peak)
        shift = peak.equals(-math.inf).choose(0.0, peak)
        wide = shift.spread(w.lanes)
        w.store(slot, w.number(0.0, w.lanes))
        with code.span(end, step=str(w.lanes)) as at:
            e = vecmath.function("exp", w.load(w.at(scores, at), w.lanes) - wide)
            w.store(w.at(scores, at), e)
            w.store(slot, w.load(slot, w.lanes) + e)
        total = fold(w.load(slot, w.lanes), lambda x, y: x + y, 0)
        differs = code.let(f"zext i1 {before.differs(peak).text} to i64")
        with code.span(differs):  # at most once
            factor = vecmath.function("exp", before - shift)
            w.store(sums, w.load(sums, 0) * factor)
            for start, count, lanes in w.pieces(self.d):
                with code.loop(count, start=str(start), step=max(lanes, 1)) as at:
                    w.store(w.at(result, at), w.load(w.at(result, at), lanes) * factor.spread(lanes))
        w.store(sums, w.load(sums, 0) + total)

    def _finish(self, w: Blocks, r: str, sums: str, peaks: str, result: str) -> None:
        """Divide by the sum; zeros where nothing is seen."""
        code = w.code
        total, peak = w.load(sums, 0), w.load(peaks, 0)
        blind = total.equals(0)
        factor = 1 / blind.choose(1.0, total)
        w.store(w.at("%lse", r), blind.choose(math.inf, vecmath.function("log", total) + peak))
        for start, count, lanes in w.pieces(self.d):
            with code.loop(count, start=str(start), step=max(lanes, 1)) as at:
                value = w.load(w.at(result, at), lanes) * factor.spread(lanes)
                w.store(w.at(w.at("%out", r, self.d), at), value)


_FORWARD_PARAMETERS = ["ptr noalias %q", "ptr noalias %v", "ptr noalias %out", "ptr noalias %lse", "ptr %m", "ptr %work", "i64 %row"]


def _larger(x: V, y: V) -> V:
    return (y > x).choose(y, x)


class _Backward(_Attention):
    sources = _BACKWARD

    def scratch(self) -> int:
        """Transposed k and v of a block, probabilities, and gradients of scores."""
        return self.block * (self.e + self.d + 2 * self.rows)

    def body(self) -> int:
        w, code = self.main, self.main.code
        q, k, v, lse, g, delta = self.node.accesses()[:6]
        first_out = len(self.node.accesses())
        places = [(q, 2), (k, 2), (v, 2), (lse, 1), (g, 2), (delta, 1), *((self.output(i), 2) for i in range(3))]
        names = [f"%p{i}" for i in (*range(6), *range(first_out, first_out + 3))]
        if self.mask is not None:
            places, names = [*places, (self.mask, 2)], [*names, "%p6"]
        heads = prod(self.lead)
        with code.span("%end", start="%begin") as task:
            at = self.starts(task, places)
            base = [code.element(name, memory_type(x.dtype), p) for name, (x, _), p in zip(names, places, at)]
            w.zero(base[6], self.group * self.length * self.e)
            w.zero(base[7], self.source * self.e)
            w.zero(base[8], self.source * self.d)
            with code.span(str(self.source), step=str(self.block)) as first:
                width = code.smaller(code.arithmetic("sub", str(self.source), first), str(self.block))
                k_at, v_at = w.at(base[1], first, k.layout.strides[-2]), w.at(base[2], first, v.layout.strides[-2])
                w.transposed(k_at, "%work", (width, self.e), k.layout.strides[-2], self.panel)
                w.transposed(v_at, w.at("%work", str(self.block * self.e)), (width, self.d), v.layout.strides[-2], self.panel)
                with code.loop(self.group) as head:
                    moved = [
                        code.element(
                            p, memory_type(x.dtype), code.arithmetic("mul", head, str(self.head(x, tail) if i not in (1, 2, 7, 8) else 0))
                        )
                        for i, (p, (x, tail)) in enumerate(zip(base, places))
                    ]

                    def block(
                        row: str, count: int, moved: list[str] = moved, k_at: str = k_at, first: str = first, width: str = width
                    ) -> None:
                        name = self.called("rows", _BACKWARD_PARAMETERS, count, self._rows)
                        mask = self.mask_at(w, moved[9], row, first) if self.mask is not None else "%work"
                        arguments = [w.at(moved[0], row, q.layout.strides[-2]), k_at, w.at(moved[3], row)]
                        arguments += [w.at(moved[4], row, g.layout.strides[-2]), w.at(moved[5], row), w.at(moved[6], row, self.e)]
                        arguments += [w.at(moved[7], first, self.e), w.at(moved[8], first, self.d), mask, "%work"]
                        text = ", ".join(f"ptr {a}" for a in arguments)
                        code.do(f"call void @{name}({text}, i64 {row}, i64 {first}, i64 {width})")

                    start = code.arithmetic("mul", code.arithmetic("udiv", first, str(self.rows)), str(self.rows)) if self.causal else "0"
                    self.each_block(start, str(self.length), block)
        return heads

    def _rows(self, w: Blocks, rows: int) -> None:
        """One block of rows with one block of sources."""
        code = w.code
        q, k, _, _, g, _ = self.node.accesses()[:6]
        width = "%width"
        if self.causal:
            width = code.smaller("%width", code.arithmetic("sub", code.arithmetic("add", "%row", str(rows)), "%first"))
        scores = w.at("%work", str(self.block * (self.e + self.d)))
        slopes = w.at(scores, str(self.rows * self.block))
        with code.span(width, step=str(self.panel)) as p:
            for x, panels, target, steps in (("%q", "0", scores, self.e), ("%g", str(self.block * self.e), slopes, self.d)):
                stride = (q if x == "%q" else g).layout.strides[-2]
                right = Right(w.at(w.at("%work", panels), p, steps), self.panel, padded=True)
                w.product(Left(x, stride, 1), right, (w.at(target, p), self.block), (rows, self.panel), str(steps))
        with code.loop(rows) as r:
            self._slopes(w, r, width, w.at(scores, r, self.block), w.at(slopes, r, self.block))
        w.product(Left(scores, 1, self.block), Right("%g", g.layout.strides[-2]), ("%dv", self.d), (width, self.d), str(rows), add=True)
        w.product(Left(slopes, 1, self.block), Right("%q", q.layout.strides[-2]), ("%dk", self.e), (width, self.e), str(rows), add=True)
        w.product(Left(slopes, self.block, 1), Right("%k", k.layout.strides[-2]), ("%dq", self.e), (rows, self.e), width, add=True)

    def _slopes(self, w: Blocks, r: str, width: str, scores: str, slopes: str) -> None:
        """A row of probabilities, and of gradients of scores."""
        code = w.code
        seen, end = self.seen(w, width, code.arithmetic("add", "%row", r), "%first"), self.vectors(w, width)
        lse, delta = (w.load(w.at(name, r), 0).spread(w.lanes) for name in ("%lse", "%delta"))
        mask = self.mask_at(w, "%m", r, "0")
        with code.span(end, step=str(w.lanes)) as at:
            p = vecmath.function("exp", self.scores(w, scores, at, seen, mask) - lse)
            w.store(w.at(scores, at), p)
            w.store(w.at(slopes, at), p * (w.load(w.at(slopes, at), w.lanes) - delta) * self.scale)


_BACKWARD_PARAMETERS = [
    *(f"ptr noalias %{name}" for name in ("q", "k", "lse", "g", "delta", "dq", "dk", "dv")),
    *("ptr %m", "ptr %work", "i64 %row", "i64 %first", "i64 %width"),
]
