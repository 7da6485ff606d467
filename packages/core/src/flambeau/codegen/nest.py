"""Kernels that go their own way through memory (gather, scatter, scans, random numbers): loops, addresses, loads and stores by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from flambeau.codegen.layout import Ints
from flambeau.codegen.llvm import Target, digest
from flambeau.codegen.loops import NAME, Kernel
from flambeau.codegen.nodes import Buffer
from flambeau.codegen.text import Code, Module, memory_type, vector
from flambeau.codegen.value import V

LARGE = 1 << 16  # element visits from which a kernel is worth several threads
SHARES = 16  # how many shares a large kernel is cut into, whatever the number of threads


def merge(shape: Ints, columns: Sequence[Ints]) -> tuple[Ints, list[Ints]]:
    """A shape with neighbouring axes joined where all walks (strides over the shape) allow it, and the walks over that."""
    sizes: list[int] = []
    steps: list[list[int]] = []
    for i, n in enumerate(shape):
        here = [s[i] for s in columns]
        if n == 1:
            continue
        if sizes and all(before == n * s for before, s in zip(steps[-1], here)):
            sizes[-1] *= n
            steps[-1] = here
        else:
            sizes.append(n)
            steps.append(here)
    return tuple(sizes), [tuple(s[k] for s in steps) for k in range(len(columns))]


class Nest:
    """A kernel being written."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.module = Module(target.level != "generic")
        self.code = Code(self.module)
        self.buffers: dict[Buffer, str] = {}

    def base(self, buffer: Buffer) -> str:
        """The pointer to a buffer."""
        return self.buffers.setdefault(buffer, f"%p{len(self.buffers)}")

    def offset(self, indices: Sequence[str], strides: Sequence[int], start: int = 0) -> str:
        """The position of an element, as an i64."""
        total = str(start)
        for at, stride in zip(indices, strides, strict=True):
            if stride:
                total = (
                    self.code.arithmetic("add", total, self.code.arithmetic("mul", at, str(stride)))
                    if stride > 0
                    else self._less(total, at, -stride)
                )
        return total

    def _less(self, total: str, at: str, stride: int) -> str:
        return self.code.let(f"sub i64 {total}, {self.code.arithmetic('mul', at, str(stride))}")

    def plus(self, x: str, y: str) -> str:
        """The sum of two i64."""
        return y if x == "0" else self.code.arithmetic("add", x, y)

    def load(self, buffer: Buffer, position: str, lanes: int = 0) -> V:
        """An element, or `lanes` neighbours."""
        d = buffer.dtype
        pointer = self.code.element(self.base(buffer), memory_type(d), position)
        raw = self.code.let(f"load {vector(memory_type(d), lanes)}, ptr {pointer}, align {d.itemsize}")
        if d.kind != "b":
            return V(self.code, raw, d, lanes)
        return V(self.code, raw, np.dtype("u1"), lanes).differs(0)

    def store(self, buffer: Buffer, position: str, value: V) -> None:
        """Write an element, or as many neighbours as the value has lanes."""
        if value.dtype.kind == "b":
            value = value.of(f"zext {value.type} {value.text} to {vector('i8', value.lanes)}", np.dtype("u1"))
        pointer = self.code.element(self.base(buffer), memory_type(value.dtype), position)
        self.code.do(f"store {value.type} {value.text}, ptr {pointer}, align {value.dtype.itemsize}")

    @contextmanager
    def loops(self, sizes: Sequence[int], shared: bool) -> Iterator[list[str]]:
        """Loops over axes, the first outermost (over the part %begin to %end of it, if the kernel is shared); gives the indices."""
        if not sizes:
            yield []
        elif shared:
            with self.code.span("%end", start="%begin") as at, self.loops(sizes[1:], False) as rest:
                yield [at, *rest]
        else:
            with self.code.loop(sizes[0]) as at, self.loops(sizes[1:], False) as rest:
                yield [at, *rest]

    def runs(self, count: int, lanes: int) -> Iterator[tuple[str, int]]:
        """Cover an axis with vectors: (position, lanes) of each, the last one shorter."""
        if count >= lanes:
            with self.code.loop(count // lanes, step=lanes) as at:
                yield at, lanes
        if count % lanes:
            yield str(count - count % lanes), count % lanes

    def finish(self, writes: list[Buffer], heirs: dict[Buffer, set[Buffer]] | None = None, shared: int = 0) -> list[Kernel]:
        """The kernel; with `shared` rounds of its outermost loop, in shares. `heirs`: for buffers read, who may take their memory."""
        parameters = [f"ptr {p}" for p in self.buffers.values()] + (["i64 %begin", "i64 %end"] if shared else [])
        self.module.functions["kernel"] = self.code.function(NAME[1:], parameters)
        text = self.module.render(8 * self.target.bytes)
        name = f"k{digest(text)[:24]}"
        kernel = Kernel(text.replace(f"{NAME}(", f"@{name}("), name, list(self.buffers), [], list(self.module.imports))
        kernel.writes = writes
        kernel.reads = {b: (heirs or {}).get(b, set()) for b in self.buffers if b not in writes}
        return kernel.shares(shared, -(-shared // SHARES)) if shared else [kernel]
