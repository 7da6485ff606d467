"""A compiled program: calls of its native segments, with Python's kernels between them where there are any."""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.codegen.checks import failure
from flambeau.codegen.driver import Block
from flambeau.codegen.layout import Layout
from flambeau.codegen.llvm import Library
from flambeau.codegen.loops import Kernel
from flambeau.codegen.nodes import Access, Buffer, Node, Parameter
from flambeau.codegen.pool import pool
from flambeau.codegen.random import Stream
from flambeau.codegen.scratch import BLOCKS, NOTHING, OWN, aligned
from flambeau.device.cpu import CPU_BACKEND
from flambeau.graph.ir import Graph
from flambeau.primitives.bind import run_kernel

_CALL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)  # other Python threads may run meanwhile


@dataclass(eq=False)
class Segment:
    """Steps that run in one native call, each of one kernel or of several side by side, or a check."""

    steps: list[list[Kernel] | Node]
    name: str = ""
    address: int = 0
    threads: bool = False  # whether the program uses the pool


class Program:
    """A graph as machine code. `run` gives results for arrays; `bind` prepares calls on the same memory again and again.

    Runs of one program share its argument blocks, so they take turns.
    """

    def __init__(
        self,
        graph: Graph,
        block: Block,
        arena: int,
        inputs: list[Buffer],
        results: list[Buffer],
        constants: list[Buffer],
        segments: list[Segment | Node],
        library: Library | None,
        streams: Sequence[Stream] = (),
    ) -> None:
        self.block, self.inputs, self.results, self.constants, self.segments = block, inputs, results, constants, segments
        self.streams = streams
        self.numbers = len(graph.scalars)
        self.shapes = [v.shape for v in graph.results]
        self.working = arena  # bytes of working memory
        self.lock = threading.Lock()
        self._library = library  # keeps the code loaded

    @property
    def native(self) -> bool:
        """Whether a run is one native call."""
        return len(self.segments) == 1 and isinstance(self.segments[0], Segment)

    @property
    def sealed(self) -> bool:
        """Whether a run is one native call that cannot fail, so that nothing but addresses is needed."""
        return self.native and not any(isinstance(step, Node) for s in self.segments if isinstance(s, Segment) for step in s.steps)

    def run(self, arrays: Sequence[np.ndarray], scalars: Sequence[float] = ()) -> list[np.ndarray]:
        """The results for these inputs, in new arrays."""
        call = self.bind(arrays)
        call.scalars[:] = scalars
        call()
        return call.results

    def bind(self, arrays: Sequence[np.ndarray], results: Sequence[np.ndarray | None] | None = None) -> Call:
        """A call on these inputs. A result is stored in the array given for it, which may be an input that was donated to it."""
        if len(arrays) != len(self.inputs):
            raise ArgumentError(explain("program", expected=f"{len(self.inputs)} inputs", got=str(len(arrays))))
        return Call(self, list(arrays), list(results) if results is not None else [None] * len(self.results))


class Call:
    """A program with its arguments: calling it runs the program. `scalars` and the inputs (`set`) may be changed between calls."""

    def __init__(self, program: Program, arrays: list[np.ndarray], results: list[np.ndarray | None]) -> None:
        self.program = program
        self.scalars = np.zeros(max(program.numbers, 1))[: program.numbers]
        self._numbers = self.scalars if program.numbers else np.zeros(1)
        self._block = np.zeros(Block.FIRST + len(program.block.slots), np.uint64)
        self._words = memoryview(self._block)  # type: ignore[arg-type]
        self._arena = aligned(program.working) if program.working <= OWN else NOTHING
        self._block[Block.ARENA] = self._arena.ctypes.data
        self._block[Block.NUMBERS] = self._numbers.ctypes.data
        if any(isinstance(s, Segment) and s.threads for s in program.segments):
            pool().start()
            self._block[Block.POOL] = pool().address
        self._arrays: dict[Buffer, np.ndarray] = {}
        for i, array in enumerate(arrays):
            self.set(i, array)
        self.results: list[np.ndarray] = []
        for j, (b, shape, r) in enumerate(zip(program.results, program.shapes, results)):
            self.results.append(np.empty(shape, b.dtype))
            self.place(j, self.results[j] if r is None else r)
        for b in program.constants:
            assert b.constant is not None
            self._keep(b, b.constant)
        self._steps = [self._native(s) if isinstance(s, Segment) else _PythonStep(s, self) for s in program.segments]
        if program.streams:
            self._steps[0] = self._drawing(self._steps[0])
        self.run: Callable[[], Any] = self._steps[0] if program.native else self._run_steps
        if program.working > OWN:
            self.run = functools.partial(self._borrowing, self.run)

    def set(self, i: int, array: np.ndarray) -> None:
        """Give another array for input i; one that is not contiguous is copied now."""
        buffer = self.program.inputs[i]
        _check(array, buffer.shape, buffer.dtype, f"input {i}")
        self._keep(buffer, np.ascontiguousarray(array).reshape(array.shape))

    def entering(self, inputs: list[int], strided: frozenset[int]) -> Callable[[Sequence[np.ndarray]], None]:
        """A function that gives these inputs arrays, which are known to fit, and to be contiguous unless `strided`. The caller keeps the
        arrays alive."""
        if strided or not self.program.sealed:

            def copy(arrays: Sequence[np.ndarray]) -> None:
                for i, array in zip(inputs, arrays):
                    self.set(i, array)

            return copy
        words, address, slots = self._words, address_of, [self.program.block.slots[self.program.inputs[i]] for i in inputs]

        def enter(arrays: Sequence[np.ndarray]) -> None:
            for slot, array in zip(slots, arrays):
                words[slot] = address(array)

        return enter

    def place(self, j: int, array: np.ndarray) -> None:
        """Store result j in an array from now on."""
        buffer, shape = self.program.results[j], self.program.shapes[j]
        _check(array, shape, buffer.dtype, "result")
        if not array.flags.c_contiguous:
            raise ArgumentError(explain("program", expected="results in contiguous memory", got=f"strides {array.strides}"))
        self.results[j] = array
        self._keep(buffer, array.reshape(buffer.shape))

    def renew(self, j: int) -> None:
        """Store result j in a new array."""
        old = self.results[j]
        new = self.results[j] = np.empty(old.shape, old.dtype)
        self._keep(self.program.results[j], new.reshape(self.program.results[j].shape))

    def __call__(self) -> list[np.ndarray]:
        """Run; the results are in `results`."""
        with self.program.lock:
            self.run()
        return self.results

    def _borrowing(self, run: Callable[[], Any]) -> None:
        """A run on working memory that is borrowed for it."""
        block = self._arena = BLOCKS.take(self.program.working)
        self._words[Block.ARENA] = address_of(block)
        try:
            run()
        finally:
            self._arena = NOTHING  # a call that waits for its next run must not keep a block that was let go for a larger one
            BLOCKS.give(block)

    def _run_steps(self) -> None:
        for step in self._steps:
            step()

    def array(self, buffer: Buffer) -> np.ndarray:
        """The memory of a buffer in this call."""
        if buffer in self._arrays:
            return self._arrays[buffer]
        start = self.program.block.arena[buffer]
        return self._arena[start : start + buffer.nbytes].view(buffer.dtype).reshape(buffer.shape)

    def _keep(self, buffer: Buffer, array: np.ndarray) -> None:
        self._arrays[buffer] = array
        self._words[self.program.block.slots[buffer]] = address_of(array)

    def _drawing(self, step: Callable[[], Any]) -> Callable[[], Any]:
        """The first step, before which the generators give what the whole run draws."""
        states = [(stream, np.zeros(2, np.uint64)) for stream in self.program.streams]
        for stream, state in states:
            self._keep(stream.state, state)

        def run() -> None:
            for stream, state in states:
                stream.reserve(state)
            step()

        return run

    def _native(self, segment: Segment) -> Callable[[], Any]:
        function, address = _CALL(segment.address), ctypes.c_void_p(self._block.ctypes.data)
        checks = [step for step in segment.steps if isinstance(step, Node)]
        if not checks:
            return functools.partial(function, address)

        def run() -> None:
            failed = function(address)
            if failed:
                _, index = checks[failed - 1].accesses()
                raise failure(checks[failed - 1], index.layout.view(self.array(index.buffer)))

        return run


class _PythonStep:
    """One primitive on NumPy arrays; its results are copied to where the program expects them."""

    def __init__(self, node: Node, call: Call) -> None:
        self.node, self.call = node, call

    def __call__(self) -> None:
        node, call = self.node, self.call
        operands = [self._operand(x) for x in node.numbers]
        out = run_kernel(CPU_BACKEND, node.prim, operands, tuple(operands), node.params)
        for buffer, array in zip(node.outputs, out if isinstance(out, tuple) else (out,)):
            _check(array, buffer.shape, buffer.dtype, f"output of {node.name}")
            np.copyto(call.array(buffer), array)

    def _operand(self, x: Any) -> Any:
        if isinstance(x, Access):
            memory = self.call.array(x.buffer)
            return memory if x.layout == Layout.contiguous(memory.shape) else x.layout.view(memory)
        return float(self.call.scalars[x.index]) if isinstance(x, Parameter) else x


def _check(array: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, what: str) -> None:
    if array.shape != shape or array.dtype != dtype:
        expected, got = f"{what} of {dtype}{list(shape)}", f"{array.dtype}{list(array.shape)}"
        raise ShapeError(explain("program", expected=expected, got=got))


def _fast_address(array: np.ndarray) -> int:
    """Where the elements lie, read from the array object: `array.ctypes.data` takes seven times as long."""
    return _WORD(id(array) + _POINTER).value


def _slow_address(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def _choose_address() -> Callable[[np.ndarray], int]:
    """The fast way, where NumPy and Python lay out the object as expected."""
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return _slow_address
    probes: list[Any] = [np.zeros(3), np.zeros((2, 2), np.int8)[1:, 1:], np.zeros(()), np.zeros(0, np.float32)]
    return _fast_address if all(_fast_address(p) == _slow_address(p) for p in probes) else _slow_address


_WORD = ctypes.c_size_t.from_address
_POINTER = object.__basicsize__  # the pointer is the first field after the header of every object
address_of = _choose_address()
