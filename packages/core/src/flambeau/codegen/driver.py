"""The flat functions that call kernels in order. Each takes one pointer, to a block of addresses: see `Block`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flambeau.codegen.loops import Kernel
from flambeau.codegen.nodes import Access, Buffer, Node


@dataclass
class Block:
    """The argument block: the arena, the numbers, the thread pool, then an address for each input, result and constant."""

    arena: dict[Buffer, int]  # offsets
    slots: dict[Buffer, int]  # positions in the block of buffers outside the arena

    ARENA = 0
    NUMBERS = 1
    POOL = 2
    FIRST = 3


class Driver:
    """Writes functions that take the block; `text()` is the module, which declares the kernels that they call."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.declared: dict[str, None] = {}
        self.functions: list[str] = []
        self.threads = False

    def add(self, name: str, steps: list[list[Kernel] | Node]) -> None:
        """A function that runs steps in order; a step of several kernels runs them on the pool. It gives 0, or the number (from 1) of
        the check among its steps that failed."""
        body = _Calls(self.block, self.declared)
        checks = 0
        for step in steps:
            if isinstance(step, Node):
                checks += 1
                body.leave(step.accesses()[0], checks)
                continue
            with body.unless_same(step[0].same):
                if len(step) == 1:
                    body.call(step[0])
                else:
                    self.threads = True
                    part = f"{name}_part{len(self.functions)}"
                    self._parts(part, step)
                    body.lines.append(f"  call void @parfor(ptr {body.pointer(Block.POOL)}, ptr @{part}, ptr %block, i64 {len(step)})")
        self.functions.append("\n".join([f"define i64 @{name}(ptr %block) #0 {{", *body.lines, "  ret i64 0", "}"]))

    def _parts(self, name: str, kernels: list[Kernel]) -> None:
        """A function that runs the kernel of a given number; shares of one kernel are one call, whose extent is computed."""
        runs = _runs(kernels)
        cases = " ".join(f"i64 {i}, label %case{r.start}" for r in runs for i in r)
        lines = [f"define internal void @{name}(ptr %block, i64 %i) #0 {{", f"  switch i64 %i, label %end [ {cases} ]"]
        for run in runs:
            body = _Calls(self.block, self.declared, f"c{run.start}_")
            lines.append(f"case{run.start}:")
            body.call(kernels[run.start], None if len(run) == 1 else body.extent(kernels[run.start], kernels[run.stop - 1], run))
            lines += [*body.lines, "  br label %end"]
        self.functions.append("\n".join([*lines, "end:", "  ret void", "}"]))

    def text(self) -> str:
        """The module."""
        if self.threads:
            self.declared["declare void @parfor(ptr, ptr, ptr, i64)"] = None
        return "\n".join([*self.declared, *self.functions, "attributes #0 = { nounwind }", ""])


class _Calls:
    """The calls of one block of code, with the addresses that they need."""

    def __init__(self, block: Block, declared: dict[str, None], prefix: str = "") -> None:
        self.block, self.declared, self.prefix = block, declared, prefix
        self.lines: list[str] = []
        self.known: dict[tuple[str, int, int], str] = {}
        self.count = 0

    def _let(self, key: tuple[str, int, int], *expressions: str) -> str:
        """The value of the last of some instructions, each using the one before as `@` (`$` is @); written once for each key."""
        if key not in self.known:
            name = ""
            self.count += 1
            for step, expression in enumerate(expressions):
                before, name = name, f"%{self.prefix}a{self.count}_{step}"
                self.lines.append(f"  {name} = {expression.replace('@', before).replace('$', '@')}")
            self.known[key] = name
        return self.known[key]

    def pointer(self, position: int) -> str:
        """An address in the block."""
        return self._let(("slot", position, 0), f"getelementptr ptr, ptr %block, i64 {position}", "load ptr, ptr @")

    def _address(self, buffer: Buffer, more: int) -> str:
        if buffer in self.block.slots:
            position = self.block.slots[buffer]
            base = self.pointer(position)
            return base if not more else self._let(("moved", position, more), f"getelementptr i8, ptr {base}, i64 {more}")
        offset = self.block.arena[buffer] + more
        base = self.pointer(Block.ARENA)
        return self._let(("arena", offset, 0), f"getelementptr i8, ptr {base}, i64 {offset}")

    def _number(self, index: int) -> str:
        base = self.pointer(Block.NUMBERS)
        return self._let(("number", index, 0), f"getelementptr double, ptr {base}, i64 {index}", "load double, ptr @")

    def leave(self, flag: Access, number: int) -> None:
        """Return `number` if the flag is set."""
        label = f"{self.prefix}check{number}"
        set_ = self._let(("flag", number, 0), f"load i8, ptr {self._address(flag.buffer, flag.layout.offset)}", "icmp ne i8 @, 0")
        self.lines += [f"  br i1 {set_}, label %{label}, label %{label}on", f"{label}:", f"  ret i64 {number}", f"{label}on:"]

    @contextmanager
    def unless_same(self, buffers: tuple[Buffer, Buffer] | None) -> Iterator[None]:
        """What is written in the block is passed over where both buffers lie in the same memory."""
        if buffers is None:
            yield
            return
        first, second = (self._address(b, 0) for b in buffers)
        label = f"{self.prefix}copy{len(self.lines)}"
        same = self._let(("same", len(self.lines), 0), f"icmp eq ptr {first}, {second}")
        self.lines += [f"  br i1 {same}, label %{label}end, label %{label}", f"{label}:"]
        known = dict(self.known)
        yield
        self.known = known  # what was named inside is not known outside
        self.lines += [f"  br label %{label}end", f"{label}end:"]

    def extent(self, first: Kernel, last: Kernel, run: range) -> tuple[str, str]:
        """The extent of share number i of a run of equal shares, of which the last may be smaller."""
        assert first.extent and last.extent
        (start, stop), limit = first.extent, last.extent[1]
        number = self._let(("number", run.start, 1), f"sub i64 %i, {run.start}")
        begin = self._let(("begin", run.start, 0), f"mul i64 {number}, {stop - start}", f"add i64 @, {start}")
        end = self._let(("end", run.start, 0), f"add i64 {begin}, {stop - start}", f"call i64 $llvm.umin.i64(i64 @, i64 {limit})")
        self.declared["declare i64 @llvm.umin.i64(i64, i64)"] = None
        return begin, end

    def call(self, kernel: Kernel, extent: tuple[str, str] | None = None) -> None:
        """Call a kernel on its buffers, numbers and extent (its own, if no other is given)."""
        arguments = [f"ptr {self._address(b, more)}" for b, more in zip(kernel.buffers, kernel.offsets or [0] * len(kernel.buffers))]
        arguments += [f"double {self._number(i)}" for i in kernel.scalars]
        arguments += [f"i64 {n}" for n in extent or kernel.extent or ()]
        self.declared[f"declare void @{kernel.name}({', '.join(a.split()[0] for a in arguments)})"] = None
        self.lines.append(f"  call void @{kernel.name}({', '.join(arguments)})")


def _runs(kernels: list[Kernel]) -> list[range]:
    """Neighbours that are equal shares of one kernel on the same memory."""
    runs: list[range] = []
    for i, kernel in enumerate(kernels):
        first = kernels[runs[-1].start] if runs else None
        if first and first.extent and kernel.extent and _alike(first, kernel):
            at = first.extent[0] + (i - runs[-1].start) * (first.extent[1] - first.extent[0])
            if kernel.extent[0] == at and kernels[i - 1].extent == (at - first.extent[1] + first.extent[0], at):
                runs[-1] = range(runs[-1].start, i + 1)
                continue
        runs.append(range(i, i + 1))
    return runs


def _alike(a: Kernel, b: Kernel) -> bool:
    return a.name == b.name and a.buffers == b.buffers and a.offsets == b.offsets and a.scalars == b.scalars
