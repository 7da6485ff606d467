"""Sliding windows over images whose channels lie last: maxima with and without their positions, sums, and the gradients of both.

Along each spatial axis a table says which positions of the source an output has: where they begin and how many there are. Padding,
dilation, adaptive windows and the gradient of sums differ in the tables only. The lanes run along the channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

from flambeau.codegen.image import five
from flambeau.codegen.layout import Ints
from flambeau.codegen.llvm import Target, digest
from flambeau.codegen.loops import NAME, Kernel
from flambeau.codegen.memory_access import load, store
from flambeau.codegen.nodes import Buffer, Node
from flambeau.codegen.text import Code, Module, scalar_type
from flambeau.codegen.value import I32, I64, V
from flambeau.primitives.kernels.layout import as_pairs
from flambeau.primitives.kernels.window import adaptive_ranges

_LARGE = 1 << 14  # elements of the result from which pooling is worth several threads
_SHARES = 16
_BLOCK = 4  # vectors of channels that are worked on together

ROWS = ("max_pool", "max_pool_values", "adaptive_max_pool", "sum_pool", "sum_pool_grad")


@dataclass(frozen=True)
class Table:
    """The windows along one axis: first position and number of positions of each, and the distance between positions."""

    first: Ints
    count: Ints
    step: int = 1

    @property
    def is_regular(self) -> bool:
        """Whether every window has as many positions."""
        return len(set(self.count)) == 1


def windows(size: int, out: int, kernel: int, stride: int, low: int, dilation: int = 1) -> Table:
    """Positions i * stride + k * dilation - low that lie inside the source."""
    first, count = [], []
    for i in range(out):
        inside = [p for k in range(kernel) if 0 <= (p := i * stride + k * dilation - low) < size]
        first.append(inside[0] if inside else 0)
        count.append(len(inside))
    return Table(tuple(first), tuple(count), dilation)


def seen_by(size: int, out: int, kernel: int, stride: int, low: int) -> Table:
    """For each position of the source, the windows that contain it."""
    first = [max(-((kernel - 1 - low - p) // stride), 0) for p in range(size)]
    count = [max(min((p + low) // stride + 1, out) - f, 0) for p, f in enumerate(first)]
    return Table(tuple(f if c else 0 for f, c in zip(first, count)), tuple(count))


def adaptive(size: int, out: int) -> Table:
    """Windows that divide the source into `out` parts."""
    start, end = adaptive_ranges(size, out)
    return Table(tuple(map(int, start)), tuple(map(int, end - start)))


def tables_of(name: str, source: Ints, result: Ints, params: dict[str, Any]) -> list[Table]:
    """The tables of a pooling row, along its spatial axes."""
    source, result = source[2:], result[2:]
    if name == "adaptive_max_pool":
        return [adaptive(n, m) for n, m in zip(source, result)]
    options = zip(source, result, params["kernel"], params["stride"], (lo for lo, _ in as_pairs(params["padding"])))
    if name == "sum_pool_grad":
        return [seen_by(m, n, k, s, lo) for n, m, k, s, lo in options]
    spread = params.get("dilation") or (1,) * len(source)
    return [windows(n, m, k, s, lo, d) for (n, m, k, s, lo), d in zip(options, spread)]


def write_pooling(node: Node, target: Target) -> list[list[Kernel]]:
    """The kernels of a window node, with the values and maybe their positions as outputs."""
    (x,) = node.accesses()
    writer = _Pooling(node, target)
    return [_kernel(writer.text(), [x.buffer, *node.outputs], x.layout.offset, writer.tasks)]


def write_unpool(node: Node, target: Target) -> list[list[Kernel]]:
    """The kernels that add values at the positions that a maximum was found at."""
    values, at = node.accesses()
    writer = _Unpooling(node, target)
    kernels = _kernel(writer.text(), [values.buffer, at.buffer, *node.outputs], 0, writer.tasks)
    for k in kernels:
        k.reads = {values.buffer: set(), at.buffer: set()}
        k.writes = list(node.outputs)
        k.offsets = [a.layout.offset * a.dtype.itemsize for a in (values, at)] + [0]
    return [kernels]


def _kernel(text: str, buffers: list[Buffer], offset: int, tasks: int) -> list[Kernel]:
    name = f"k{digest(text)[:24]}"
    kernel = Kernel(text.replace(f"{NAME}(", f"@{name}("), name, buffers, [])
    kernel.reads, kernel.writes = {buffers[0]: set()}, buffers[1:]
    kernel.offsets = [offset * buffers[0].dtype.itemsize] + [0] * (len(buffers) - 1)
    large = max(b.size for b in buffers) >= _LARGE
    return kernel.shares(tasks, -(-tasks // (_SHARES if large else 1)))


class _Pooling:
    def __init__(self, node: Node, target: Target) -> None:
        (x,) = node.accesses()
        self.wide, self.dtype = five(x.layout), x.dtype
        self.maximum = "max" in node.name
        self.positions = len(node.outputs) == 2
        self.lanes, self.element = target.lanes(x.dtype.itemsize), scalar_type(x.dtype)
        shape = node.params["result"]
        missing = 5 - len(shape)
        self.out = (*(1,) * missing, *shape[2:])
        self.channels = shape[1]
        found = tables_of(node.name, x.shape, shape, node.params)
        self.tables = [*(Table((0,), (1,)) for _ in range(missing)), *found]
        self.tasks = shape[0] * self.out[0] * self.out[1]
        self.module = Module(target.level != "generic")
        self.bits = 8 * target.bytes
        self.code = Code(self.module)
        self.index = I32 if x.dtype.itemsize == 4 else I64

    def text(self) -> str:
        """A row of the result after the other."""
        code = self.code
        for axis, table in enumerate(self.tables):
            pairs = ", ".join(f"i64 {n}" for pair in zip(table.first, table.count) for n in pair)
            self.module.declare(f"@table{axis} = private constant [{2 * len(table.first)} x i64] [{pairs}]")
        with code.span("%end", start="%begin") as task:
            h, rest = code.arithmetic("urem", task, str(self.out[1])), code.arithmetic("udiv", task, str(self.out[1]))
            d, n = code.arithmetic("urem", rest, str(self.out[0])), code.arithmetic("udiv", rest, str(self.out[0]))
            source = self._moved("%p0", n, self.wide.strides[0])
            row = code.arithmetic("mul", task, str(self.out[2] * self.channels))
            with code.span(str(self.out[2])) as w:
                spans = [self._look(axis, at) for axis, at in enumerate((d, h, w))]
                place = code.arithmetic("add", row, code.arithmetic("mul", w, str(self.channels)))
                self._channels(source, spans, place)
        parameters = ["ptr %p0", "ptr %p1", *(["ptr %p2"] if self.positions else []), "i64 %begin", "i64 %end"]
        self.module.functions["kernel"] = code.function(NAME[1:], parameters)
        return self.module.render(self.bits)

    def _moved(self, pointer: str, index: str, step: int) -> str:
        return self.code.element(pointer, self.element, self.code.arithmetic("mul", index, str(step)))

    def _look(self, axis: int, at: str) -> tuple[str, str]:
        """First position and number of positions of a window."""
        code, table = self.code, self.tables[axis]
        if len(table.first) == 1:
            return str(table.first[0]), str(table.count[0])
        pair = code.element(f"@table{axis}", "i64", code.arithmetic("mul", at, "2"))
        first = code.let(f"load i64, ptr {pair}, align 8")
        if table.is_regular:
            return first, str(table.count[0])
        return first, code.let(f"load i64, ptr {code.element(pair, 'i64', '1')}, align 8")

    def _channels(self, source: str, spans: list[tuple[str, str]], place: str) -> None:
        """Blocks of vectors of channels, then what is left of them."""
        code, block = self.code, self.lanes * _BLOCK
        whole = self.channels // block
        if whole:
            with code.loop(whole, step=block) as c:
                self._window(code.element(source, self.element, c), spans, code.arithmetic("add", place, c), block)
        if self.channels % block:
            c = str(whole * block)
            self._window(code.element(source, self.element, c), spans, code.arithmetic("add", place, c), self.channels % block)

    def _window(self, source: str, spans: list[tuple[str, str]], place: str, channels: int) -> None:
        code = self.code
        vectors, rest = -(-channels // self.lanes), channels % self.lanes
        start = -math.inf if self.maximum else 0.0
        like, number = V(code, "", self.dtype, self.lanes), V(code, "", self.index, self.lanes)
        best = [code.slot(like.type) for _ in range(vectors)]
        where = [code.slot(number.type) for _ in range(vectors)] if self.positions else []
        for slot in best:
            code.do(f"store {like.type} {like.const(start).text}, ptr {slot}")
        if where:
            first = self._position([f for f, _ in spans])
            for slot in where:
                code.do(f"store {first.type} {first.text}, ptr {slot}")
        with self._positions(spans, [], source) as (at, pointer):
            here = self._position(at) if where else None
            for v in range(vectors):
                x = load(code, code.element(pointer, self.element, str(v * self.lanes)), self.dtype, self.lanes, self._part(v, channels))
                old = V(code, code.let(f"load {like.type}, ptr {best[v]}"), self.dtype, self.lanes)
                better = (x > old) | x.is_nan() if self.maximum else None
                new = better.choose(x, old) if better else old + x
                code.do(f"store {new.type} {new.text}, ptr {best[v]}")
                if better and here:
                    known = V(code, code.let(f"load {number.type}, ptr {where[v]}"), self.index, self.lanes)
                    code.do(f"store {number.type} {better.choose(here, known).text}, ptr {where[v]}")
        for v in range(vectors):
            count = rest if v == vectors - 1 else 0
            at_ = code.arithmetic("add", place, str(v * self.lanes))
            value = V(code, code.let(f"load {like.type}, ptr {best[v]}"), self.dtype, self.lanes)
            store(code, code.element("%p1", self.element, at_), value, count)
            if where:
                known = V(code, code.let(f"load {number.type}, ptr {where[v]}"), self.index, self.lanes).to(I64)
                store(code, code.element("%p2", "i64", at_), known, count)

    def _part(self, v: int, channels: int) -> int:
        return channels % self.lanes if v == -(-channels // self.lanes) - 1 else 0

    @contextmanager
    def _positions(self, spans: list[tuple[str, str]], done: list[str], pointer: str) -> Iterator[tuple[list[str], str]]:
        """Loops over the positions of a window: the position along each axis, and its address."""
        if not spans:
            yield done, pointer
            return
        axis, (first, count) = len(done), spans[0]
        step = self.tables[axis].step
        with self.code.span(count) as k:
            at = self.code.arithmetic("add", first, self.code.arithmetic("mul", k, str(step)))
            with self._positions(spans[1:], [*done, at], self._moved(pointer, at, self.wide.strides[2 + axis])) as found:
                yield found

    def _position(self, at: list[str]) -> V:
        """The number of a position among the spatial axes, in every lane."""
        code, total = self.code, "0"
        for index, size in zip(at, self.wide.shape[2:]):
            total = code.arithmetic("add", code.arithmetic("mul", total, str(size)), index)
        one = V(code, total, I64, 0)
        if total.isdigit():
            return V(code, "", self.index, self.lanes).const(int(total))
        return (one.to(I32) if self.index == I32 else one).spread(self.lanes)


class _Unpooling:
    """Zeros, then values added channel by channel: several windows may have found one position."""

    def __init__(self, node: Node, target: Target) -> None:
        self.values, self.at = (five(a.layout) for a in node.accesses())
        self.dtype = node.accesses()[0].dtype
        self.element = scalar_type(self.dtype)
        shape = node.params["result"]
        self.tasks, self.channels, self.size = shape[0], shape[1], prod(shape[2:])
        self.module = Module(target.level != "generic")
        self.bits = 8 * target.bytes
        self.code = Code(self.module)

    def text(self) -> str:
        """One image after the other."""
        code, all_ = self.code, self.size * self.channels
        self.module.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        with code.span("%end", start="%begin") as n:
            into = code.element("%p2", self.element, code.arithmetic("mul", n, str(all_)))
            code.do(f"call void @llvm.memset.p0.i64(ptr {into}, i8 0, i64 {all_ * self.dtype.itemsize}, i1 false)")
            values = code.element("%p0", self.element, code.arithmetic("mul", n, str(self.values.strides[0])))
            at = code.element("%p1", "i64", code.arithmetic("mul", n, str(self.at.strides[0])))
            self._axis(2, values, at, into)
        self.module.functions["kernel"] = code.function(NAME[1:], ["ptr %p0", "ptr %p1", "ptr %p2", "i64 %begin", "i64 %end"])
        return self.module.render(self.bits)

    def _axis(self, axis: int, values: str, at: str, into: str) -> None:
        code = self.code
        if axis == 5:
            with code.span(str(self.channels)) as c:
                self._add(
                    code.element(values, self.element, code.arithmetic("mul", c, str(self.values.strides[1]))),
                    code.element(at, "i64", code.arithmetic("mul", c, str(self.at.strides[1]))),
                    code.element(into, self.element, c),
                )
            return
        with code.loop(self.values.shape[axis]) as i:
            self._axis(
                axis + 1,
                code.element(values, self.element, code.arithmetic("mul", i, str(self.values.strides[axis]))),
                code.element(at, "i64", code.arithmetic("mul", i, str(self.at.strides[axis]))),
                into,
            )

    def _add(self, value: str, at: str, into: str) -> None:
        code, align = self.code, self.dtype.itemsize
        position = code.let(f"load i64, ptr {at}, align 8")
        place = code.element(into, self.element, code.arithmetic("mul", position, str(self.channels)))
        total = code.let(
            f"fadd {self.element} {code.let(f'load {self.element}, ptr {place}, align {align}')}, "
            f"{code.let(f'load {self.element}, ptr {value}, align {align}')}"
        )
        code.do(f"store {self.element} {total}, ptr {place}, align {align}")
