"""The steps of a convolution by tiles: tiles and filters are transformed, multiplied at each point, and transformed back.

A transformed operand lies as [points, rows, channels]. Products are computed for a block of rows and one panel of columns, for all points
after each other; what they make stays in the near cache until it is transformed back, finished by the epilogue and stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flambeau.codegen.bilinear import Matrix, square
from flambeau.codegen.epilogue import Epilogue
from flambeau.codegen.image import Image
from flambeau.codegen.layout import Ints
from flambeau.codegen.llvm import Target, digest
from flambeau.codegen.loops import NAME, Kernel
from flambeau.codegen.memory_access import load, store
from flambeau.codegen.nodes import Buffer
from flambeau.codegen.text import Code, Module, scalar_type
from flambeau.codegen.tile import Stored, Tile, write_tile
from flambeau.codegen.value import V

_SHARES = 16


@dataclass(frozen=True)
class Grid:
    """Tiles of an image: how many along batch, height and width, how far it is along both from one to the next, and the height and width
    beyond which no result is stored."""

    counts: Ints
    step: int
    limits: Ints

    @property
    def total(self) -> int:
        """Tiles in all."""
        return self.counts[0] * self.counts[1] * self.counts[2]

    @property
    def is_ragged(self) -> bool:
        """Whether some tiles go beyond the limits."""
        return any(n * self.step != size for n, size in zip(self.counts[1:], self.limits))


class _Body:
    """A kernel being written."""

    def __init__(self, target: Target, dtype: np.dtype) -> None:
        self.target, self.dtype = target, dtype
        self.lanes, self.kind = target.lanes(dtype.itemsize), scalar_type(dtype)
        self.module = Module(target.level != "generic")
        self.code = Code(self.module)

    def moved(self, pointer: str, index: str, step: int, kind: str = "") -> str:
        return self.code.element(pointer, kind or self.kind, self.code.arithmetic("mul", index, str(step)))

    def place(self, number: str, grid: Grid) -> list[str]:
        """Batch, row and column of a tile."""
        code, (_, down, across) = self.code, grid.counts
        line, column = code.arithmetic("udiv", number, str(across)), code.arithmetic("urem", number, str(across))
        return [code.arithmetic("udiv", line, str(down)), code.arithmetic("urem", line, str(down)), column]

    def each_vector(self, channels: int) -> Iterator[tuple[str, int]]:
        """(first channel, how many if not a whole vector): a loop, and what is left."""
        whole, rest = divmod(channels, self.lanes)
        if whole:
            with self.code.loop(whole, step=self.lanes) as c:
                yield c, 0
        if rest:
            yield str(whole * self.lanes), rest

    def kernel(self, buffers: list[Buffer], writes: list[Buffer], offsets: Ints, parameters: list[str], scalars: list[int]) -> Kernel:
        """The finished kernel; its offsets are in elements."""
        names = [f"ptr %p{i}" for i in range(len(buffers))]
        self.module.functions["kernel"] = self.code.function(NAME[1:], [*names, *parameters, "i64 %begin", "i64 %end"])
        text = self.module.render(8 * self.target.bytes)
        name = f"k{digest(text)[:24]}"
        kernel = Kernel(text.replace(f"{NAME}(", f"@{name}("), name, buffers, scalars, list(self.module.imports))
        kernel.offsets = [n * b.dtype.itemsize for n, b in zip(offsets, buffers, strict=True)]
        kernel.reads, kernel.writes = {b: set() for b in buffers if b not in writes}, writes
        return kernel


def shares(kernel: Kernel, begin: int, end: int, moves: Sequence[int] = ()) -> list[Kernel]:
    """The kernel for tasks from `begin` to `end`, in shares, with its first buffers given from so many elements further on."""
    by = [n * b.dtype.itemsize for n, b in zip(moves, kernel.buffers)] + [0] * (len(kernel.buffers) - len(moves))
    moved = replace(kernel, offsets=[n + more for n, more in zip(kernel.offsets, by)])
    parts = moved.shares(end - begin, -(-(end - begin) // _SHARES))
    return [replace(k, extent=(begin + k.extent[0], begin + k.extent[1])) for k in parts if k.extent]


def write_tiles(img: Image, channels: int, grid: Grid, matrix: Matrix, target: Buffer, to: Target) -> Kernel:
    """Transform tiles of an image into a buffer [points, tiles, pitch]. A task is a tile."""
    body = _Body(to, target.dtype)
    code, (_, count, pitch), size = body.code, target.shape, len(matrix[0])
    with code.span("%end", start="%begin") as t:
        batch, y, x = body.place(t, grid)
        source = body.moved("%p0", batch, img.strides[0])
        source = body.moved(body.moved(source, y, grid.step * img.strides[3]), x, grid.step * img.strides[4])
        place = body.moved("%p1", t, pitch)
        for c, there in body.each_vector(channels):
            a, b = code.element(source, body.kind, c), code.element(place, body.kind, c)
            at = [[i * img.strides[3] + j * img.strides[4] for j in range(size)] for i in range(size)]
            values = [[load(code, code.element(a, body.kind, str(n)), body.dtype, body.lanes, there) for n in row] for row in at]
            _store_points(body, square(code, matrix, values), b, count * pitch)
    return body.kernel([img.buffer, target], [target], (img.start, 0), [], [])


def _store_points(body: _Body, values: list[list[V]], place: str, step: int) -> None:
    for i, value in enumerate(x for row in values for x in row):
        store(body.code, body.code.element(place, body.kind, str(i * step)), value)


def write_filters(panels: Buffer, made: Buffer, taps: int, turned: bool, matrix: Matrix, to: Target) -> Kernel:
    """Transform filters in panels [1, panels, channels * taps * taps, width], turned by half a turn or not, into [panels, points,
    channels, width]. A task is a channel of a panel."""
    body = _Body(to, panels.dtype)
    code, (_, points, channels, width) = body.code, made.shape
    with code.span("%end", start="%begin") as task:
        panel, channel = code.arithmetic("udiv", task, str(channels)), code.arithmetic("urem", task, str(channels))
        source = body.moved("%p0", task, taps**2 * width)
        place = body.moved(body.moved("%p1", panel, points * channels * width), channel, width)
        for c, _ in body.each_vector(width):
            a, b = code.element(source, body.kind, c), code.element(place, body.kind, c)
            at = [taps**2 - 1 - k if turned else k for k in range(taps**2)]
            found = [load(code, code.element(a, body.kind, str(k * width)), body.dtype, body.lanes) for k in at]
            values = [found[i * taps : (i + 1) * taps] for i in range(taps)]
            _store_points(body, square(code, matrix, values), b, channels * width)
    return body.kernel([panels, made], [made], (0, 0), [], [])


@dataclass(frozen=True)
class Products:
    """Products at all points: `rows` by `columns`, sums of `steps` terms. `a`: distances in A between points, rows and steps; `b`: in B
    between points, panels and steps. A panel is `vectors` vectors wide, a strip of rows `strip` high. `matrix` transforms back. `grid` says
    where a row's results belong in the places of the epilogue, `strides` the steps there from tile to tile along batch, height and width,
    then those within a tile along height and width. `add`: to what is in the first place."""

    columns: int
    steps: int
    a: Ints
    b: Ints
    vectors: int
    strip: int
    block: int
    matrix: Matrix
    grid: Grid
    strides: list[Ints]
    add: bool = False

    @property
    def points(self) -> int:
        """How many products there are."""
        return len(self.matrix[0]) ** 2


def write_products(p: Products, a: Buffer, b: Buffer, epilogue: Epilogue, to: Target) -> Kernel:
    """The products, finished. A task is a block of rows and a panel of columns."""
    writer = _Products(p, epilogue, to, a.dtype)
    writer.write()
    work = Buffer((p.points, p.block, writer.width), a.dtype)
    buffers = [a, b, work, *(x.buffer for x in epilogue.places)]
    offsets = (0, 0, 0, *(x.layout.offset for x in epilogue.places))
    results = [x.buffer for x in epilogue.results]
    numbers = [f"double %n{i}" for i in range(len(epilogue.scalars))]
    kernel = writer.kernel(buffers, [*results, work], offsets, numbers, epilogue.scalars)
    kernel.reads = {**epilogue.reads(), a: set(), b: set(), **({results[0]: set()} if p.add else {})}
    kernel.writes, kernel.scratch = results, [work]
    return kernel


class _Products(_Body):
    def __init__(self, p: Products, epilogue: Epilogue, target: Target, dtype: np.dtype) -> None:
        super().__init__(target, dtype)
        self.p, self.epilogue = p, epilogue
        self.width = p.vectors * self.lanes
        self.panels = -(-p.columns // self.width)

    def write(self) -> None:
        """A task is a block of rows and a panel."""
        code, p = self.code, self.p
        whole, rest = divmod(p.columns, self.width)
        with code.span("%end", start="%begin") as task:
            block, panel = code.arithmetic("udiv", task, str(self.panels)), code.arithmetic("urem", task, str(self.panels))
            first = code.arithmetic("mul", block, str(p.block))
            count = code.smaller(code.let(f"sub i64 {p.grid.total}, {first}"), str(p.block))
            a, b = self.moved("%p0", first, p.a[1]), self.moved("%p1", panel, p.b[1])
            for columns, how, there in ((self.width, "icmp ult", whole), (rest, "icmp uge", rest)):
                if there:
                    with code.span(code.let(f"zext i1 {code.let(f'{how} i64 {panel}, {whole}')} to i64")):
                        self._multiply(a, b, count, -(-columns // self.lanes) * self.lanes)
                        self._finish(first, count, panel, columns)

    def _multiply(self, a: str, b: str, count: str, columns: int) -> None:
        """Point after point, strips of rows."""
        code, p = self.code, self.p
        tail = p.grid.total % p.block % p.strip
        main = code.arithmetic("sub", count, code.arithmetic("urem", count, str(p.strip)))
        with code.loop(p.points) as k:
            sources = [self.moved(x, k, step) for x, step in ((a, p.a[0]), (b, p.b[0]))]
            made = self.moved("%p2", k, p.block * self.width)
            with code.span(main, step=str(p.strip)) as r:
                self._strip(sources, made, r, p.strip, columns)
            if tail:
                with code.span(count, start=main, step=str(p.strip)) as r:
                    self._strip(sources, made, r, tail, columns)

    def _strip(self, sources: list[str], made: str, r: str, rows: int, columns: int) -> None:
        p = self.p
        tile = Tile(tuple(i * p.a[1] for i in range(rows)), columns, ((p.steps, p.a[2], p.b[2]),), padded=True)
        name = write_tile(self.module, tile, Stored(self.width, False), self.dtype, self.lanes)
        a, c = self.moved(sources[0], r, p.a[1]), self.moved(made, r, self.width)
        self.code.do(f"call void @{name}(ptr {a}, ptr {sources[1]}, ptr {c})")

    def _finish(self, first: str, count: str, panel: str, columns: int) -> None:
        """Transform back and store, row by row."""
        code, e, grid = self.code, self.epilogue, self.p.grid
        inside = range(len(e.places))
        begin = [self.moved(f"%p{3 + i}", panel, self.width * e.column(x), x.item) for i, x in enumerate(e.places)]
        with code.span(count) as r:
            at = self.place(code.arithmetic("add", r, first), grid)
            places = list(begin)
            for index, strides in zip(at, self.p.strides):
                places = [self.moved(places[i], index, strides[i], e.places[i].item) for i in inside]
            left = [code.let(f"sub i64 {n}, {code.arithmetic('mul', i, str(grid.step))}") for n, i in zip(grid.limits, at[1:])]
            for c, rest in self.each_vector(columns):
                source = code.element(self.moved("%p2", r, self.width), self.kind, c)
                here = [self.moved(places[i], c, e.column(e.places[i]), e.places[i].item) for i in inside]
                self._vector(source, here, left, rest)

    def _vector(self, source: str, places: list[str], left: list[str], rest: int) -> None:
        """One vector of columns of the results of one row."""
        code, p, size = self.code, self.p, len(self.p.matrix[0])
        step = p.block * self.width
        values = [
            [load(code, code.element(source, self.kind, str((i * size + j) * step)), self.dtype, self.lanes) for j in range(size)]
            for i in range(size)
        ]
        results = square(code, p.matrix, values)
        if not p.grid.is_ragged:
            for n, value in enumerate(x for row in results for x in row):
                self._store(value, places, str(n // p.grid.step), str(n % p.grid.step), rest)
            return
        inner, kind = p.grid.step, results[0][0].type
        kept = code.slot(f"[{inner * inner} x {kind}]", self.target.bytes)
        for n, value in enumerate(x for row in results for x in row):
            code.do(f"store {kind} {value.text}, ptr {code.element(kept, kind, str(n))}")
        with code.span(code.smaller(left[0], str(inner))) as i, code.span(code.smaller(left[1], str(inner))) as j:
            place = code.element(kept, kind, code.arithmetic("add", code.arithmetic("mul", i, str(inner)), j))
            self._store(V(code, code.let(f"load {kind}, ptr {place}"), self.dtype, self.lanes), places, i, j, rest)

    def _store(self, value: V, places: list[str], i: str, j: str, rest: int) -> None:
        """Finish the result at position i, j of a tile."""
        code, e, (down, across) = self.code, self.epilogue, self.p.strides[3:]
        here = [self.moved(self.moved(x, i, down[n], e.places[n].item), j, across[n], e.places[n].item) for n, x in enumerate(places)]
        if self.p.add:
            value = load(code, here[0], self.dtype, self.lanes, rest) + value
        name = e.write(code, [value], rest)
        arguments = [f"{value.type} {value.text}", *(f"ptr {x}" for x in here), *(f"double %n{n}" for n in range(len(e.scalars)))]
        code.do(f"call void @{name}({', '.join(arguments)})")
