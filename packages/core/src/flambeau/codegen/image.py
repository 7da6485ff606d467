"""Images as contractions read them: channels last, with the padding that windows reach into, copied only where that is needed."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from flambeau.codegen.layout import Ints, Layout
from flambeau.codegen.llvm import Target, digest
from flambeau.codegen.loops import NAME, Kernel
from flambeau.codegen.nodes import Access, Buffer
from flambeau.codegen.packing import write_copy, write_transpose
from flambeau.codegen.text import Code, Module, scalar_type

_LARGE = 1 << 15  # elements from which copying is worth several threads
_SHARES = 16
_ALIAS = 2048  # pixels so many bytes apart fall on the same few cache lines


def five(layout: Layout) -> Layout:
    """(N, C, *spatial) as (N, C, D, H, W)."""
    missing = 5 - len(layout.shape)
    shape, strides = layout.shape, layout.strides
    return Layout((*shape[:2], *(1,) * missing, *shape[2:]), (*strides[:2], *(0,) * missing, *strides[2:]), layout.offset)


def is_readable(layout: Layout) -> bool:
    """Whether an image can be copied row by row: its channels or its columns are contiguous."""
    wide = five(layout)
    return wide.strides[1] == 1 or wide.shape[1] == 1 or wide.strides[4] == 1 or wide.shape[4] == 1


@dataclass(frozen=True)
class Image:
    """Where the elements (N, C, D, H, W) of an image lie; position 0 of an axis is `low` elements before the first real one."""

    buffer: Buffer
    start: int
    strides: Ints


def _step(wide: Layout) -> int | None:
    """The distance between pixels, if they follow one another at one distance."""
    step, expected = None, 0
    for axis in (4, 3, 2, 0):
        n, stride = wide.shape[axis], wide.strides[axis]
        if n > 1:
            if step is None:
                step = expected = stride
            if stride != expected:
                return None
        expected *= n
    return wide.shape[1] if step is None else step


def image(x: Access, low: Ints, high: Ints, target: Target, dense: bool = False) -> tuple[list[list[Kernel]], Image]:
    """An image with zeros around it (in place if there are none), and the steps that make it. `dense`: its channels must be contiguous,
    and its pixels at one distance."""
    wide = five(x.layout)
    item, channels = x.dtype.itemsize, wide.shape[1]
    adjacent = wide.strides[1] == 1 or channels == 1
    pixels = next((wide.strides[a] for a in (4, 3, 2, 0) if wide.shape[a] > 1), channels)
    usable = adjacent and _step(wide) is not None if dense else pixels * item % _ALIAS != 0
    if not any(low) and not any(high) and usable:
        return [], Image(x.buffer, wide.offset, wide.strides)
    pitch = channels + (64 // item if channels * item % _ALIAS == 0 else 0)
    sizes = tuple(n + lo + hi for n, lo, hi in zip(wide.shape[2:], low, high))
    out = Buffer((wide.shape[0], *sizes, pitch), x.dtype)
    strides = (prod(sizes) * pitch, 1, sizes[1] * sizes[2] * pitch, sizes[2] * pitch, pitch)
    text = _Copy(wide, low, high, strides, x.dtype, target).text()
    name = f"k{digest(text)[:24]}"
    kernel = Kernel(text.replace(f"{NAME}(", f"@{name}("), name, [x.buffer, out], [])
    kernel.offsets = [wide.offset * item, 0]
    kernel.reads, kernel.writes = {x.buffer: set()}, [out]
    tasks = wide.shape[0]
    return [kernel.shares(tasks, -(-tasks // (_SHARES if out.size >= _LARGE else 1)))], Image(out, 0, strides)


class _Copy:
    def __init__(self, wide: Layout, low: Ints, high: Ints, strides: Ints, dtype: np.dtype, target: Target) -> None:
        self.wide, self.low, self.high, self.strides, self.dtype = wide, low, high, strides, dtype
        self.lanes, self.element = target.lanes(dtype.itemsize), scalar_type(dtype)
        self.module = Module(target.level != "generic")
        self.module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        self.code = Code(self.module)
        self.bits = 8 * target.bytes

    def text(self) -> str:
        """One image after the other."""
        with self.code.span("%end", start="%begin") as n:
            self._axis(2, self._moved("%p0", n, self.wide.strides[0]), self._moved("%p1", n, self.strides[0]))
        self.module.functions["kernel"] = self.code.function(NAME[1:], ["ptr %p0", "ptr %p1", "i64 %begin", "i64 %end"])
        return self.module.render(self.bits)

    def _moved(self, pointer: str, index: str, step: int) -> str:
        return self.code.element(pointer, self.element, self.code.arithmetic("mul", index, str(step)))

    def _axis(self, axis: int, source: str, target: str) -> None:
        """Planes, then their rows, with zeros before and behind; rows are copied with their columns."""
        low, high, step, count = self.low[axis - 2], self.high[axis - 2], self.strides[axis], self.wide.shape[axis]
        self._clear(target, low * step)
        inside = self.code.element(target, self.element, str(low * step))
        if axis == 4:
            self._row(source, inside)
        else:
            with self.code.loop(count) as i:
                self._axis(axis + 1, self._moved(source, i, self.wide.strides[axis]), self._moved(inside, i, step))
        self._clear(self.code.element(inside, self.element, str(count * step)), high * step)

    def _clear(self, place: str, count: int) -> None:
        if count:
            self.code.do(f"call void @llvm.memset.p0.i64(ptr {place}, i8 0, i64 {count * self.dtype.itemsize}, i1 false)")

    def _row(self, source: str, target: str) -> None:
        channels, columns, across, pitch = self.wide.shape[1], self.wide.shape[4], self.wide.strides[4], self.strides[4]
        apart = self.wide.strides[1]
        if apart == 1 or channels == 1:
            together = across == channels == pitch or columns == 1
            name = write_copy(self.module, self.dtype, self.lanes, across, pitch)
            lines = f"i64 1, i64 {channels * columns}" if together else f"i64 {columns}, i64 {channels}"
        else:
            name = write_transpose(self.module, self.dtype, self.lanes, apart, pitch)
            lines = f"i64 {channels}, i64 {columns}"
        self.code.do(f"call void @{name}(ptr {source}, ptr {target}, {lines})")
