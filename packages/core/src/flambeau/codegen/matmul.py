"""Matrix products: how a product of given sizes and strides is blocked, packed and cut into tiles.

C[m, n] = sum over k of A[m, k] B[k, n], for each batch. Loops, outermost first: batches, blocks of k, of n and of m sized for the caches
(Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008), then tiles. Small products skip what they do not need:
A is read where it lies, and B too if its rows are contiguous. Operands may be transposed: packing reads them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from flambeau.base.switches import get_num_threads
from flambeau.codegen.block import offsets
from flambeau.codegen.layout import Layout
from flambeau.codegen.llvm import Target, digest
from flambeau.codegen.loops import NAME, Kernel
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.packing import write_copy, write_transpose
from flambeau.codegen.text import Code, Module, scalar_type
from flambeau.codegen.tile import GIVEN, Stored, Tile, shape_of_tile, write_tile

_L2 = 512 << 10  # bytes of cache that blocks are sized for; most processors have it or more
_LARGE = 1 << 21  # multiplications from which a product is worth several threads
_CUT = 32 << 10  # elements of an operand from which the summed axis is cut into blocks
_STEPS = 256  # of the summed axis in a block
_BATCHES = 16  # shares of a large number of batches, whatever the number of threads
_THIN = 2  # rows or columns of a result up to which a product is a map and a reduction
_PAD = 16  # elements between rows of a packed A, so that rows do not fall on the same cache lines


@dataclass(frozen=True)
class Sizes:
    """A product: sizes, the strides of the last two axes of both operands, and the batches (size, stride of A, of B)."""

    m: int
    n: int
    k: int
    a: tuple[int, int]
    b: tuple[int, int]
    batches: tuple[tuple[int, int, int], ...]
    c: int  # the distance between rows of C
    steps: int  # how much of k a block has: that of the whole product in its parts too, because it decides the order of summation


@dataclass(frozen=True)
class Part:
    """A part of a product: its sizes, and where its operands and its result begin."""

    sizes: Sizes
    a: int
    b: int
    c: int


def readable(x: Access) -> bool:
    """Whether a product can read an operand where it lies: one of its last two axes is contiguous."""
    rows, columns = x.layout.strides[-2:]
    return columns == 1 or rows == 1 or x.shape[-1] == 1 or x.shape[-2] == 1


def is_thin(m: int, n: int) -> bool:
    """Whether a product is better a sum of products, which reads each operand where it lies and fuses with what follows."""
    return min(m, n) <= _THIN


def write_matmul(node: Node, target: Target) -> list[Kernel]:
    """The kernels of a "matmul" node, whose operands are readable and have the batch axes of the result: one, or for a large product
    one for each thread, which compute different rows or columns; batches are shared out. Every element is summed in the same order."""
    a, b = node.accesses()
    sizes = _sizes(a.layout, b.layout)
    if sizes.batches:
        count = prod(n for n, _, _ in sizes.batches)
        parts = _BATCHES if count * sizes.m * sizes.n * sizes.k >= _LARGE else 1
        return _kernel(node, Part(sizes, 0, 0, 0), target).shares(count, -(-count // parts))
    return [_kernel(node, part, target) for part in _shares(sizes, target, node.outputs[0].dtype)]


def _kernel(node: Node, part: Part, target: Target) -> Kernel:
    a, b = node.accesses()
    out = node.outputs[0]
    writer = _Product(part.sizes, out.dtype, target)
    text = writer.text()
    name = f"k{digest(text)[:24]}"
    scratch = [Buffer((writer.scratch,), out.dtype)] if writer.scratch else []
    # three operands may be one buffer: each kernel is given its own address, so offsets belong to positions
    kernel = Kernel(text.replace(f"{NAME}(", f"@{name}("), name, [a.buffer, b.buffer, out, *scratch], [])
    kernel.reads, kernel.writes, kernel.scratch = {a.buffer: set(), b.buffer: set()}, [out], scratch
    item = out.dtype.itemsize
    kernel.offsets = [item * (a.layout.offset + part.a), item * (b.layout.offset + part.b), item * part.c, 0]
    return kernel


def _shares(sizes: Sizes, target: Target, dtype: np.dtype) -> list[Part]:
    """The product cut along its longer side into as many parts as there are threads, at whole tiles."""
    threads = get_num_threads()
    if threads == 1 or sizes.m * sizes.n * sizes.k < _LARGE:
        return [Part(sizes, 0, 0, 0)]
    rows, columns = shape_of_tile(target, dtype, sizes.m, sizes.n)
    along_m = sizes.m >= sizes.n
    size, tile = (sizes.m, rows) if along_m else (sizes.n, columns)
    share = -(-size // (threads * tile)) * tile
    parts = []
    for at in range(0, size, share):
        count = min(share, size - at)
        if along_m:
            parts.append(Part(replace(sizes, m=count), at * sizes.a[0], 0, at * sizes.c))
        else:
            parts.append(Part(replace(sizes, n=count), 0, at * sizes.b[1], at))
    return parts


def _sizes(a: Layout, b: Layout) -> Sizes:
    """Batch axes over which B stays the same become rows of A where A's strides allow it."""
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    lead = a.shape[:-2]
    if prod(lead) > 1 and all(s == 0 or size == 1 for s, size in zip(b.strides, lead)):
        flat = a.reshape((prod(lead) * m, k))
        if flat is not None and (flat.strides[1] in (0, 1) or flat.strides[0] == 1):
            a, m, lead = flat, prod(lead) * m, ()
    batches = tuple((size, sa, sb) for size, sa, sb in zip(lead, a.strides, b.strides) if size != 1)
    large = max(m, n) * k > _CUT and k > _STEPS * 3 // 2
    return Sizes(m, n, k, (a.strides[-2], a.strides[-1]), (b.strides[-2], b.strides[-1]), batches, n, _STEPS if large else k)


class _Product:
    def __init__(self, sizes: Sizes, dtype: np.dtype, target: Target) -> None:
        self.sizes, self.dtype, self.target = sizes, dtype, target
        self.element, self.lanes = scalar_type(dtype), target.lanes(dtype.itemsize)
        self.rows, self.columns = shape_of_tile(target, dtype, sizes.m, sizes.n)
        self.module = Module(target.level != "generic")
        self.code = Code(self.module)
        item = dtype.itemsize
        whole_b = sizes.k * sizes.n * item
        self.pack_b = (sizes.b[1] != 1 and sizes.n != 1) or whole_b > _L2 // 2
        self.pack_a = sizes.m * sizes.k * item > _L2 // 4 and sizes.n > self.columns
        self.kc = sizes.steps
        rows = max(_L2 // 2 // (self.kc * item) // self.rows, 1) * self.rows
        self.mc = rows if self.pack_a and sizes.m > rows else sizes.m
        columns = max((4 << 20) // (self.kc * item) // self.columns, 1) * self.columns
        self.nc = columns if self.pack_b and sizes.n > columns else sizes.n
        self.a_transposed = sizes.a[1] != 1 and sizes.a[0] == 1
        self.a_distance = (self.mc if self.a_transposed else self.kc) + _PAD  # between rows of a packed block of A
        packed = (1, self.a_distance) if self.a_transposed else (self.a_distance, 1)
        self.a_steps = packed if self.pack_a else sizes.a  # along rows and along the summed axis
        self.packed_b = -(-self.nc // self.columns) * self.columns * self.kc if self.pack_b else 0
        self.packed_a = (self.kc if self.a_transposed else self.mc) * self.a_distance if self.pack_a else 0
        self.scratch = self.packed_a + self.packed_b

    def text(self) -> str:
        """The module's text."""
        batches = self.sizes.batches
        parameters = ["ptr %p0", "ptr %p1", "ptr %p2"] + (["ptr %p3"] if self.scratch else [])
        if batches:
            with self.code.span("%end", start="%begin") as number:
                self._batch(number)
            parameters += ["i64 %begin", "i64 %end"]
        else:
            self._blocks("%p0", "%p1", "%p2")
        self.module.functions["kernel"] = self.code.function(NAME[1:], parameters)
        return self.module.render(8 * self.target.bytes)

    def _batch(self, number: str) -> None:
        axes, a_steps, b_steps = zip(*self.sizes.batches)
        a, b = offsets(self.code, number, axes, [a_steps, b_steps])
        c = self.code.arithmetic("mul", number, str(self.sizes.m * self.sizes.n))
        self._blocks(self._moved("%p0", a, 1), self._moved("%p1", b, 1), self._moved("%p2", c, 1))

    def _moved(self, pointer: str, index: str, step: int) -> str:
        return self.code.element(pointer, self.element, self.code.arithmetic("mul", index, str(step)))

    # -- blocks ---------------------------------------------------------------------------------------------------------------------------
    def _blocks(self, a: str, b: str, c: str) -> None:
        code, s = self.code, self.sizes
        for start, count in _parts(s.k, self.kc):  # the first block sets C, the others add to it
            with code.loop(count, start=str(start), step=self.kc) as k:
                steps = str(min(self.kc, s.k - start))
                for first, times in _parts(s.n, self.nc, split_first=False):
                    with code.loop(times, start=str(first), step=self.nc) as n:
                        width = min(self.nc, s.n - first)
                        at = self._moved(self._moved(b, k, s.b[0]), n, s.b[1])
                        panel = self._pack_b(at, steps, width) if self.pack_b else at
                        self._rows_of_blocks(a, panel, self._moved(c, n, 1), (k, steps), width, start > 0)

    def _rows_of_blocks(self, a: str, b: str, c: str, k: tuple[str, str], width: int, add: bool) -> None:
        code, s = self.code, self.sizes
        for first, times in _parts(s.m, self.mc, split_first=False):
            with code.loop(times, start=str(first), step=self.mc) as m:
                height = min(self.mc, s.m - first)
                at = self._moved(self._moved(a, m, s.a[0]), k[0], s.a[1])
                block = self._pack_a(at, height, k[1]) if self.pack_a else at
                self._tiles(block, b, self._moved(c, m, s.c), (height, width), k[1], add)

    def _tiles(self, a: str, b: str, c: str, size: tuple[int, int], steps: str, add: bool) -> None:
        """Columns of tiles outside, so that a panel of B stays in the nearest cache while A goes by."""
        for first, times, columns in _cut(size[1], self.columns):
            with self.code.loop(times, start=str(first), step=self.columns) as n:
                panel = self._moved(b, n, int(steps) if self.pack_b else self.sizes.b[1])
                for top, repeat, rows in _cut(size[0], self.rows):
                    tile = self._tile(rows, columns)
                    with self.code.loop(repeat, start=str(top), step=self.rows) as m:
                        place = self._moved(self._moved(c, m, self.sizes.c), n, 1)
                        name = write_tile(self.module, tile, Stored(self.sizes.c, add), self.dtype, self.lanes)
                        arguments = f"ptr {self._moved(a, m, self.a_steps[0])}, ptr {panel}, ptr {place}, i64 {steps}"
                        self.code.do(f"call void @{name}({arguments})")

    def _tile(self, rows: int, columns: int) -> Tile:
        a_row, a_step = self.a_steps
        b_step = self.columns if self.pack_b else self.sizes.b[0]
        return Tile(tuple(r * a_row for r in range(rows)), columns, ((GIVEN, a_step, b_step),), self.pack_b)

    # -- packing --------------------------------------------------------------------------------------------------------------------------
    def _pack_a(self, a: str, rows: int, steps: str) -> str:
        target = self.code.element("%p3", self.element, str(self.packed_b))
        across = self.sizes.a[1] if self.a_transposed else self.sizes.a[0]
        name = write_copy(self.module, self.dtype, self.lanes, across, self.a_distance)
        lines = (steps, str(rows)) if self.a_transposed else (str(rows), steps)
        self.code.do(f"call void @{name}(ptr {a}, ptr {target}, i64 {lines[0]}, i64 {lines[1]})")
        return target

    def _pack_b(self, b: str, steps: str, width: int) -> str:
        """Panels of as many columns as a tile has, one after the other; the last one is filled up with zeros."""
        s = self.sizes
        if width % self.columns:
            tail = self.code.element("%p3", self.element, str(width // self.columns * self.columns * int(steps)))
            size = self.columns * int(steps) * self.dtype.itemsize
            self.module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
            self.code.do(f"call void @llvm.memset.p0.i64(ptr {tail}, i8 0, i64 {size}, i1 false)")
        for first, times, columns in _cut(width, self.columns):
            with self.code.loop(times, start=str(first), step=self.columns) as n:
                source, target = self._moved(b, n, s.b[1]), self._moved("%p3", n, int(steps))
                if s.b[1] == 1 or s.n == 1:
                    name = write_copy(self.module, self.dtype, self.lanes, s.b[0], self.columns)
                    extent = f"i64 {steps}, i64 {columns}"
                else:
                    name = write_transpose(self.module, self.dtype, self.lanes, s.b[1], self.columns)
                    extent = f"i64 {columns}, i64 {steps}"
                self.code.do(f"call void @{name}(ptr {source}, ptr {target}, {extent})")
        return "%p3"


def _parts(size: int, block: int, split_first: bool = True) -> list[tuple[int, int]]:
    """(start, how many) of blocks that are alike: the first (which sets what the others add to), the whole ones, the rest."""
    whole = size // block
    parts = []
    if split_first and whole > 1:
        parts += [(0, 1), (block, whole - 1)]
    elif whole:
        parts.append((0, whole))
    if size % block:
        parts.append((whole * block, 1))
    return parts


def _cut(size: int, tile: int) -> list[tuple[int, int, int]]:
    """(start, how many, extent): whole tiles, then what is left."""
    whole, rest = divmod(size, tile)
    cuts = [(0, whole, tile)] if whole else []
    return [*cuts, (whole * tile, 1, rest)] if rest else cuts
