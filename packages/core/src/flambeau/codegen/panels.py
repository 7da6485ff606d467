"""Packing one operand of a contraction into panels: steps of the sum one after the other, each as wide as a tile, filled up with zeros."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flambeau.codegen.llvm import Target, digest
from flambeau.codegen.loops import NAME, Kernel
from flambeau.codegen.memory_access import load, store
from flambeau.codegen.nodes import Buffer
from flambeau.codegen.packing import square
from flambeau.codegen.text import Code, Module, scalar_type
from flambeau.codegen.value import V

_LARGE = 1 << 15  # elements from which packing is worth several threads
_SHARES = 16


@dataclass(frozen=True)
class Source:
    """A matrix for each of `groups`, `group` elements apart: steps of a sum by columns. Either `step` or `column` is 1, or there is one
    step. `repeat` times the same many steps follow, `again` elements apart: (kernel positions for each of many channels)."""

    start: int
    steps: int
    columns: int
    step: int
    column: int
    groups: int = 1
    group: int = 0
    repeat: int = 1
    again: int = 0

    @property
    def total(self) -> int:
        """Steps in all."""
        return self.steps * self.repeat


def panels_of(source: Source, width: int) -> int:
    """How many panels a group has."""
    return -(-source.columns // width)


def write_panels(buffer: Buffer, source: Source, vectors: int, target: Target) -> tuple[Buffer, list[Kernel]]:
    """A new buffer [groups, panels, steps, width] and the kernels that fill it."""
    dtype, lanes = buffer.dtype, target.lanes(buffer.dtype.itemsize)
    width = vectors * lanes
    count = panels_of(source, width)
    packed = Buffer((source.groups, count, source.total, width), dtype)
    writer = _Writer(source, vectors, target, dtype)
    text = writer.text()
    name = f"k{digest(text)[:24]}"
    kernel = Kernel(text.replace(f"{NAME}(", f"@{name}("), name, [buffer, packed], [])
    kernel.offsets = [source.start * dtype.itemsize, 0]
    kernel.reads, kernel.writes = {buffer: set()}, [packed]
    tasks = writer.tasks
    return packed, kernel.shares(tasks, -(-tasks // (_SHARES if packed.size >= _LARGE else 1)))


class _Writer:
    def __init__(self, source: Source, vectors: int, target: Target, dtype: np.dtype) -> None:
        self.source, self.vectors, self.dtype = source, vectors, dtype
        self.lanes, self.element = target.lanes(dtype.itemsize), scalar_type(dtype)
        self.width = vectors * self.lanes
        self.count = panels_of(source, self.width)
        self.copies = source.column == 1 or source.columns == 1
        self.module = Module(target.level != "generic")
        self.bits = 8 * target.bytes
        self.code = Code(self.module)
        # what a task has: a panel, or a slice of its steps if there are few panels
        long = source.repeat if source.repeat > 1 else source.steps // self.lanes
        self.slices = min(max(16 // (self.count * source.groups), 1), max(long, 1))
        self.tasks = source.groups * self.count * self.slices

    def text(self) -> str:
        code, s = self.code, self.source
        with code.span("%end", start="%begin") as task:
            part = code.arithmetic("urem", task, str(self.slices))
            number = code.arithmetic("udiv", task, str(self.slices))
            panel, group = code.arithmetic("urem", number, str(self.count)), code.arithmetic("udiv", number, str(self.count))
            source = self._moved(self._moved("%p0", group, s.group), panel, self.width * s.column)
            target = self._moved("%p1", number, s.total * self.width)
            whole, rest = divmod(s.columns, self.width)
            for columns, how, there in ((self.width, "icmp ult", whole), (rest, "icmp uge", rest)):
                if there:
                    with code.span(code.let(f"zext i1 {code.let(f'{how} i64 {panel}, {whole}')} to i64")):
                        self._slice(source, target, part, columns)
        self.module.functions["kernel"] = code.function(NAME[1:], ["ptr %p0", "ptr %p1", "i64 %begin", "i64 %end"])
        return self.module.render(self.bits)

    def _moved(self, pointer: str, index: str, step: int) -> str:
        return self.code.element(pointer, self.element, self.code.arithmetic("mul", index, str(step)))

    def _slice(self, source: str, target: str, part: str, columns: int) -> None:
        """A share of the repeats, or of the steps."""
        code, s = self.code, self.source
        block = 1 if s.repeat > 1 else self.lanes
        blocks = s.repeat if s.repeat > 1 else s.steps // block
        each = -(-blocks // self.slices)
        start = code.arithmetic("mul", part, str(each))
        stop = code.smaller(code.arithmetic("add", start, str(each)), str(blocks))
        with code.span(stop, start=start) as i:
            if s.repeat > 1:
                self._steps(self._moved(source, i, s.again), self._moved(target, i, s.steps * self.width), s.steps, columns)
            else:
                self._some(self._moved(source, i, block * s.step), self._moved(target, i, block * self.width), block, columns)
        if s.repeat == 1 and s.steps % block:
            with code.span(code.let(f"zext i1 {code.let(f'icmp eq i64 {part}, 0')} to i64")):
                done = str(blocks * block)
                self._some(self._moved(source, done, s.step), self._moved(target, done, self.width), s.steps % block, columns)

    def _steps(self, source: str, target: str, steps: int, columns: int) -> None:
        for start, times, count in ((0, steps // self.lanes, self.lanes), (steps - steps % self.lanes, 1, steps % self.lanes)):
            if times and count:
                with self.code.loop(times, start=str(start), step=self.lanes) as i:
                    self._some(self._moved(source, i, self.source.step), self._moved(target, i, self.width), count, columns)

    def _some(self, source: str, target: str, steps: int, columns: int) -> None:
        """A few steps, at most as many as a vector has lanes."""
        code, s = self.code, self.source
        for v in range(self.vectors):
            there = min(max(columns - v * self.lanes, 0), self.lanes)
            place = code.element(target, self.element, str(v * self.lanes))
            if not self.copies and there:
                begin = code.element(source, self.element, str(v * self.lanes * s.column))
                square(code, self.dtype, self.lanes, (begin, s.column, there), (place, self.width, steps), fill=True)
                continue
            for k in range(steps):
                begin = code.element(source, self.element, str(k * s.step + v * self.lanes))
                value = V(code, "zeroinitializer", self.dtype, self.lanes)
                if there:
                    value = load(code, begin, self.dtype, self.lanes, 0 if there == self.lanes else there)
                store(code, code.element(place, self.element, str(k * self.width)), value)
