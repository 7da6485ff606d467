"""Contractions of any shape: sums of products over some axes, computed tile by tile and finished in registers.

C[rows, columns] = finish(sum over loops of A[rows, loops] B[loops, columns]), for each batch. A product of matrices has one axis of rows
and one of sums; a convolution has rows along batch and space and sums along channels and kernel. The caller packs B into panels as wide as
a tile (or has it lie so), and A where reading it in place would be slow. No sum is cut into parts, so a result is finished once, and it
does not depend on how many threads compute it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from flambeau.codegen.epilogue import Epilogue, Finished
from flambeau.codegen.layout import Ints
from flambeau.codegen.llvm import Target, digest
from flambeau.codegen.loops import NAME, Kernel
from flambeau.codegen.nodes import Buffer
from flambeau.codegen.text import Code, Module, scalar_type
from flambeau.codegen.tile import Tile, rows_of_tile, widest_tile, write_tile

_NEAR = 256 << 10  # bytes of B up to which it stays near while rows go by
_LARGE = 1 << 19  # multiplications from which a contraction is worth several threads
_TASKS = 32  # how finely a large contraction is cut, whatever the number of threads
_SHARES = 16
_WIDEST = 3  # vectors in a panel: with 4, rows of B are a power of two apart, and fall on the lines of A in some processors' first cache
_IDLE = 6.0  # the cost of a step of a tile so small that its sums wait for each other


@dataclass(frozen=True)
class Axis:
    """An axis of rows or batches: its size, its strides in A and B, and in each place of the epilogue."""

    size: int
    a: int
    b: int
    out: Ints


@dataclass(frozen=True)
class Contraction:
    """See above. `starts` are where A, B and the places of the epilogue begin. A panel is `vectors` vectors wide; `panel` is how far A and
    B go from one to the next. `loops`, `padded` and `paired` are those of a `Tile`. `blocks` are outer summed axes, (count, step in A, step
    in B): the sums of each are added to what is in memory, so that a block of B stays near; nothing but storing may follow then."""

    columns: int
    vectors: int
    rows: tuple[Axis, ...]
    loops: tuple[tuple[int, int, int], ...]
    panel: tuple[int, int]
    batches: tuple[Axis, ...] = ()
    starts: Ints = ()
    padded: bool = True
    paired: bool = False
    blocks: tuple[tuple[int, int, int], ...] = ()


def merged(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """Neighbouring axes that are walked through as one are one; axes of size 1 go."""
    result: list[Axis] = []
    for x in axes:
        before = result[-1] if result else None
        if x.size == 1:
            continue
        if before and (before.a, before.b, *before.out) == tuple(x.size * s for s in (x.a, x.b, *x.out)):
            result[-1] = Axis(before.size * x.size, x.a, x.b, x.out)
        else:
            result.append(x)
    return tuple(result) or (Axis(1, 0, 0, axes[0].out if axes else ()),)


def shape_of_tiles(target: Target, dtype: np.dtype, sizes: Ints, columns: int) -> int:
    """How many vectors wide a panel is best, for axes of rows of these sizes."""
    needed = -(-columns // target.lanes(dtype.itemsize))
    return min(range(min(widest_tile(target), _WIDEST, needed), 0, -1), key=lambda v: _cost(target, sizes, needed, v))


def _blocked(target: Target, sizes: Ints, vectors: int) -> tuple[int, int]:
    """The axis along which rows are cut (inner ones are whole), and how many of its elements a tile has."""
    most, at, inner = rows_of_tile(target, vectors), len(sizes) - 1, 1
    while at > 0 and inner * sizes[at] * 2 <= most:
        inner *= sizes[at]
        at -= 1
    fit = max(most // inner, 1)
    return at, -(-sizes[at] // -(-sizes[at] // fit))


def _cost(target: Target, sizes: Ints, needed: int, vectors: int) -> float:
    """A measure of the time of one step along the sums: multiplications, and loads beside them."""
    at, chunk = _blocked(target, sizes, vectors)
    inner = prod(sizes[at + 1 :])
    whole, rest = divmod(sizes[at], chunk)
    widths = [(needed // vectors, vectors), (1, needed % vectors)]
    heights = [(whole, chunk * inner), (1, rest * inner)]
    total = sum(n * m * max(r * v + 0.3 * (r + v), _IDLE) for (n, r), (m, v) in product(heights, widths) if r and v)
    return total * prod(sizes[:at])


def write_contraction(c: Contraction, a: Buffer, b: Buffer, epilogue: Epilogue, target: Target) -> list[Kernel]:
    """The kernels of a contraction of two buffers, which may run side by side."""
    dtype = a.dtype
    writer = _Writer(c, epilogue, target, dtype)
    text = writer.text()
    name = f"k{digest(text)[:24]}"
    buffers = [a, b, *(p.buffer for p in epilogue.places)]
    kernel = Kernel(text.replace(f"{NAME}(", f"@{name}("), name, buffers, epilogue.scalars, list(writer.module.imports))
    kernel.offsets = [n * x.dtype.itemsize for n, x in zip(writer.starts, buffers, strict=True)]
    kernel.reads = {**epilogue.reads(), a: set(), b: set()}
    kernel.writes = [p.buffer for p in epilogue.results]
    work = prod(x.size for x in (*c.rows, *c.batches)) * c.columns * prod(n for n, _, _ in (*c.loops, *c.blocks))
    return kernel.shares(writer.tasks, -(-writer.tasks // (_SHARES if work >= _LARGE else 1)))


class _Writer:
    def __init__(self, c: Contraction, epilogue: Epilogue, target: Target, dtype: np.dtype) -> None:
        self.c, self.epilogue, self.dtype = c, epilogue, dtype
        self.lanes = target.lanes(dtype.itemsize)
        self.width = c.vectors * self.lanes
        self.panels = -(-c.columns // self.width)
        rows = merged(c.rows)
        at, self.chunk = _blocked(target, tuple(x.size for x in rows), c.vectors)
        self.cut, self.inner = rows[at], rows[at + 1 :]
        self.outer = (*merged(c.batches), *rows[:at]) if c.batches else rows[:at]
        self.chunks = -(-self.cut.size // self.chunk)
        others = prod(x.size for x in self.outer) * self.panels
        self.each = -(-self.chunks // min(-(-_TASKS // others), self.chunks))  # chunks in a task
        self.parts = -(-self.chunks // self.each)
        self.tasks = others * self.parts
        self.starts = c.starts or (0,) * (2 + len(epilogue.places))
        self.module = Module(target.level != "generic")
        self.bits = 8 * target.bytes
        self.code = Code(self.module)
        self.kinds = [scalar_type(dtype)] * 2 + [p.item for p in epilogue.places]

    def text(self) -> str:
        """The module's text."""
        code = self.code
        pointers = [f"%p{i}" for i in range(len(self.kinds))]
        with code.span("%end", start="%begin") as task:
            self._task(task, pointers)
        numbers = [f"double %n{i}" for i in range(len(self.epilogue.scalars))]
        self.module.functions["kernel"] = code.function(NAME[1:], [*(f"ptr {p}" for p in pointers), *numbers, "i64 %begin", "i64 %end"])
        return self.module.render(self.bits)

    def _task(self, task: str, pointers: list[str]) -> None:
        """Some chunks of rows of one panel of one batch: panels outermost unless all of B stays near."""
        code, c = self.code, self.c
        near = self.panels * self.width * prod(n for n, _, _ in c.loops) * self.dtype.itemsize <= _NEAR
        panels = Axis(self.panels, *c.panel, tuple(self.width * self.epilogue.column(p) for p in self.epilogue.places))
        parts = Axis(self.parts, 0, 0, ())
        axes = [*self.outer, parts, panels] if near else [panels, *self.outer, parts]
        index: dict[int, str] = {}
        for axis in reversed(axes):
            index[id(axis)] = code.arithmetic("urem", task, str(axis.size)) if axis.size > 1 else "0"
            task = code.arithmetic("udiv", task, str(axis.size)) if axis.size > 1 else task
        for axis in axes:
            if axis is not parts:
                pointers = self._moved(pointers, axis, index[id(axis)])
        whole, rest = divmod(c.columns, self.width)
        last = index[id(panels)]
        if whole:
            with self._when("icmp ult", last, whole, always=not rest):
                self._rows(pointers, index[id(parts)], self.width)
        if rest:
            with self._when("icmp uge", last, whole, always=not whole):
                self._rows(pointers, index[id(parts)], rest)

    @contextmanager
    def _when(self, how: str, x: str, y: int, always: bool) -> Iterator[None]:
        """A block that runs if x compares so with y."""
        if always:
            yield
            return
        with self.code.span(self.code.let(f"zext i1 {self.code.let(f'{how} i64 {x}, {y}')} to i64")):
            yield

    def _moved(self, pointers: list[str], axis: Axis, index: str) -> list[str]:
        code = self.code
        steps = (axis.a, axis.b, *axis.out)
        return [code.element(p, k, code.arithmetic("mul", index, str(s))) for p, k, s in zip(pointers, self.kinds, steps, strict=True)]

    def _rows(self, pointers: list[str], part: str, columns: int) -> None:
        """The chunks of a part; once for each block of the sum."""
        code, count = self.code, prod(n for n, _, _ in self.c.blocks)
        self._chunks(pointers, part, columns, False)
        if count == 1:
            return
        with code.loop(count - 1, start="1") as i:
            a, b = pointers[:2]
            for size, across, down in reversed(self.c.blocks):
                index = code.arithmetic("urem", i, str(size))
                i = code.arithmetic("udiv", i, str(size))
                a = code.element(a, self.kinds[0], code.arithmetic("mul", index, str(across)))
                b = code.element(b, self.kinds[1], code.arithmetic("mul", index, str(down)))
            self._chunks([a, b, *pointers[2:]], part, columns, True)

    def _chunks(self, pointers: list[str], part: str, columns: int, add: bool) -> None:
        code = self.code
        whole, rest = divmod(self.cut.size, self.chunk)
        start = code.arithmetic("mul", part, str(self.each))
        stop = code.smaller(code.let(f"add i64 {start}, {self.each}"), str(whole)) if self.parts > 1 else str(whole)
        if whole:
            with code.span(stop, start=start) as i:
                self._tile(self._moved(pointers, self.cut, code.arithmetic("mul", i, str(self.chunk))), self.chunk, columns, add)
        if rest:
            with self._when("icmp eq", part, self.parts - 1, always=self.parts == 1):
                self._tile(self._moved(pointers, self.cut, str(whole * self.chunk)), rest, columns, add)

    def _tile(self, pointers: list[str], count: int, columns: int, add: bool) -> None:
        axes = [Axis(count, self.cut.a, 0, self.cut.out), *self.inner]
        points = list(product(*(range(x.size) for x in axes)))
        rows = tuple(sum(i * x.a for i, x in zip(p, axes)) for p in points)
        places = range(len(self.epilogue.places))
        out = tuple(tuple(sum(i * x.out[e] for i, x in zip(p, axes)) for e in places) for p in points)
        tile = Tile(rows, columns, self.c.loops, self.c.padded, self.c.paired)
        name = write_tile(self.module, tile, Finished(self.epilogue, out, add), self.dtype, self.lanes)
        arguments = [f"ptr {p}" for p in pointers] + [f"double %n{i}" for i in range(len(self.epilogue.scalars))]
        self.code.do(f"call void @{name}({', '.join(arguments)})")
