"""Compiled kernels for eager code: large operations on the CPU run as machine code, on all threads, small ones stay with NumPy.

A kernel is made of a Python function of tensors (a primitive, a composition of elementwise ones, the update of an optimizer): the function
is captured for one signature, that is the shapes and dtypes of its arrays and the numbers that decide its form; other numbers are inputs
of the kernel. The first call compiles it (the cache on disk keeps the code), because a result must not depend on how often something was
computed before: NumPy and machine code differ in the last bits. A signature that has no code of its own stays with NumPy, and so does a
function that comes in ever new shapes, from its FORMS-th on, since each takes longer to compile than it may ever save.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flambeau.base.config import settings
from flambeau.base.errors import FlambeauError
from flambeau.base.switches import are_deterministic_algorithms_enabled
from flambeau.codegen import llvm
from flambeau.codegen.build import build
from flambeau.codegen.pool import pool
from flambeau.codegen.program import Program, Segment, address_of
from flambeau.graph.capture import capturing
from flambeau.graph.ir import Graph, Scalar
from flambeau.graph.number import function_of
from flambeau.graph.verify import verify
from flambeau.primitives.bind import state
from flambeau.primitives.movement import expand
from flambeau.primitives.prim import Prim

FORMS = 32  # signatures of a function (with these dtypes) that get kernels, unless `use_deterministic_algorithms(True)` wants all
MOST = 512  # kernels that are kept in memory; those used longest ago go first, and come back from the cache on disk
_SMALL = 1 << 12  # elements up to which an array in some other layout is copied first
_ARENA = 64 << 20  # bytes of working memory beyond which there is no kernel

Arguments = Sequence[Any]  # arrays and numbers


class Kernel:
    """A compiled signature. `inputs` are positions of arguments, `written` of arrays that results replace; `scalars` compute numbers."""

    def __init__(
        self, program: Program, inputs: list[int], scalars: list[Any], written: list[int], given: Arguments, several: bool
    ) -> None:
        self.inputs, self.scalars, self.written, self.several = inputs, scalars, written, several
        self.made = list(zip(program.results, program.shapes))[: len(program.results) - len(written)]
        arrays = [given[i] for i in inputs]
        self.call = program.bind(arrays, [None] * len(self.made) + [given[i] for i in written])
        self.call.results.clear()  # arrays are given at each run; none is kept
        self.call._arrays.clear()
        self.block: Any = memoryview(self.call._block)  # type: ignore[arg-type]
        self.slots = [program.block.slots[b] for b in program.inputs]
        self.places = [program.block.slots[b] for b in program.results]
        self.threads = any(isinstance(s, Segment) and s.threads for s in program.segments)
        self.lock = threading.Lock()

    def run(self, given: Arguments) -> Any:
        """The results. Arrays that are written are written in place."""
        results = [np.empty(shape, buffer.dtype) for buffer, shape in self.made]
        with self.lock:
            block = self.block
            for slot, i in zip(self.slots, self.inputs):
                block[slot] = address_of(given[i])
            for slot, array in zip(self.places, (*results, *[given[i] for i in self.written])):
                block[slot] = address_of(array)
            if self.scalars:
                run = _Run([[given]])
                self.call.scalars[:] = [compute(run) for compute in self.scalars]
            if self.threads:
                pool().start()
            self.call()
        return tuple(results) if self.several else results[0] if results else None


class Kernels:
    """The signatures seen, with their kernels. What computes one, NumPy or a kernel, is decided when it is first seen, and stays."""

    def __init__(self) -> None:
        self.seen: dict[Any, bool] = {}  # whether a signature is computed by a kernel
        self.forms: Counter[Any] = Counter()
        self.kernels: OrderedDict[Any, Kernel] = OrderedDict()
        self.building = threading.local()
        self.lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._unlock)

    def _unlock(self) -> None:
        """In a forked child: who held a lock is not there."""
        self.lock = threading.Lock()
        for kernel in self.kernels.values():
            kernel.lock = threading.Lock()
            kernel.call.program.lock = threading.Lock()

    def __call__(self, fn: Callable[..., Any], given: Arguments, params: dict[str, Any], written: Sequence[int] = ()) -> Any:
        """What `fn(*given, **params)` computes, as arrays; NotImplemented if NumPy is to do it. `written`: arguments that fn writes to."""
        signature, arguments = _signature(fn, given, params)
        if signature is None or getattr(self.building, "now", False):
            return NotImplemented
        kernel = self.kernels.get(signature)
        if kernel is None:
            if self.seen.get(signature) is False:
                return NotImplemented
            kernel = self._made(signature, fn, arguments, params, written)
            if kernel is None:
                return NotImplemented
        else:
            self.kernels.move_to_end(signature)
        return kernel.run(arguments)

    def _made(self, signature: Any, fn: Any, given: Arguments, params: Any, written: Sequence[int]) -> Kernel | None:
        kind = (signature[0], tuple(k[1] if isinstance(k, tuple) else k for k in signature[1]))
        with self.lock:
            if signature not in self.seen:
                if self.forms[kind] >= FORMS and not are_deterministic_algorithms_enabled():
                    return None
                self.forms[kind] += 1
            self.building.now = True
            try:
                kernel = _compiled(fn, given, params, written, [None if n is None else n[0] for n in signature[3]])
            except (FlambeauError, NotImplementedError):
                kernel = None
            finally:
                self.building.now = False
            self.seen[signature] = kernel is not None
            if kernel is not None:
                self.kernels[signature] = kernel
                self._forget()
            return kernel

    def _forget(self) -> None:
        while len(self.kernels) > MOST:
            self.kernels.popitem(last=False)


def _signature(fn: Any, given: Arguments, params: dict[str, Any]) -> tuple[Any, list[Any]]:
    """What a kernel is made for, and the arguments as it takes them. None: not a case for a kernel.

    The last part of a signature has a shape for each array that is spread over it from one element, and a place for each number.
    """
    kinds: list[Any] = []
    spread: list[Any] = []
    arguments = list(given)
    full = False
    for i, x in enumerate(given):
        shape = None
        if isinstance(x, np.ndarray):
            if x.flags.c_contiguous:
                full = True
            elif not any(x.strides):
                shape, arguments[i] = (x.shape,), x[(slice(0, 1),) * x.ndim]
            elif x.size <= _SMALL:
                arguments[i] = np.ascontiguousarray(x)
            else:
                return None, arguments
            kinds.append((arguments[i].shape, x.dtype))
        else:
            kinds.append(float if type(x) is float else (type(x), x))
        spread.append(shape)
    try:
        signature = (getattr(fn, "key", fn), tuple(kinds), tuple(params.items()), tuple(spread))
        hash(signature)
    except TypeError:
        return None, arguments
    return (signature if full else None), arguments


def _compiled(fn: Any, given: Arguments, params: Any, written: Sequence[int], spread: list[Any]) -> Kernel | None:
    """A kernel for these arguments, whose arrays stay as they are."""
    arrays = [x.copy() if isinstance(x, np.ndarray) else x for x in given]  # each in memory of its own: another call may differ there
    made = _row(fn, arrays, params, spread) if isinstance(fn, Prim) else _captured(fn, arrays, params, written, spread)
    if made is None:
        return None
    graph, inputs, stored = made
    several = isinstance(fn, Prim) and fn.multi
    first = len(graph.results) - len(stored)
    donated = {first + j: inputs.index(i) for j, i in enumerate(stored) if i in inputs}
    program = build(verify(graph), donated)
    if not program.native or program.working > _ARENA:
        return None
    return Kernel(program, inputs, [function_of(scalar.name) for scalar in graph.scalars], stored, arrays, several)


Made = tuple[Graph, list[int], list[int]]  # a graph, the arguments that its inputs are, and those that its last results replace


def _row(prim: Prim, arrays: list[Any], params: Any, spread: list[Any]) -> Made:
    """The graph of one primitive, which need not run for that."""
    graph, operands = Graph(), list(arrays)
    inputs = [i for i, x in enumerate(arrays) if isinstance(x, np.ndarray)]
    for i, x in enumerate(arrays):
        if isinstance(x, np.ndarray):
            operands[i] = graph.input(x.shape, x.dtype)
            if spread[i] is not None:
                (operands[i],) = graph.add(expand, (operands[i],), {"shape": spread[i]}, [(spread[i], x.dtype)]).outputs
        elif type(x) is float:
            operands[i] = Scalar(("table", 0, 0, i))
            graph.scalars.append(operands[i])
    inferred = prim.infer(*[1.0 if isinstance(x, Scalar) else x for x in operands], **params)
    graph.results = list(graph.add(prim, tuple(operands), params, inferred if isinstance(inferred, list) else [inferred]).outputs)
    return graph, inputs, []


def _captured(fn: Any, arrays: list[Any], params: Any, written: Sequence[int], spread: list[Any]) -> Made | None:
    """The graph of a function that gives one tensor or writes to its arguments."""
    with capturing() as capture:
        numbers: dict[Any, Any] = capture.runtime(_Numbers(arrays))[0]
        out = fn(*[_argument(x, spread[i], numbers.get(i)) for i, x in enumerate(arrays)], **params)
    results = [] if out is None else [capture.read(out)]
    positions = {id(a): i for i, a in enumerate(arrays)}
    if capture.reads or any(id(a) not in positions for a in capture.outside):
        return None
    stored = {positions[id(a)]: value for a, value in capture.written()}
    if set(stored) - set(written):
        return None
    capture.graph.results = results + list(stored.values())
    return capture.graph, [positions[id(a)] for a in capture.outside], list(stored)


class _Numbers:
    """The floats among the arguments, by position: a table of numbers that differ from run to run."""

    def __init__(self, arguments: Arguments) -> None:
        self.arguments = arguments

    def __call__(self) -> list[dict[int, float]]:
        return [{i: x for i, x in enumerate(self.arguments) if type(x) is float}]

    def undo(self) -> None:
        """Nothing was counted."""


@dataclass(frozen=True)
class _Run:
    """What expressions of numbers are computed with: the arguments are the one table."""

    tables: list[list[Arguments]]


def _argument(x: Any, shape: tuple[int, ...] | None, number: Any) -> Any:
    if not isinstance(x, np.ndarray):
        return x if number is None else number
    return state.wrap(x) if shape is None else expand(state.wrap(x), shape=shape)


def kernels() -> Kernels | None:
    """A new table; None where there is no compiler, or nobody wants it."""
    return Kernels() if settings().eager_kernels and llvm.available() else None
