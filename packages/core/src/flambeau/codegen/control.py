"""Loops and branches in machine code: bodies are compiled as programs of their own, and a loop in machine code calls them.

A step reads the carry from one set of arrays and writes it to another; the next step has them exchanged. So there are two calls of the
body's program, with argument blocks in which only the addresses along the sequences change. A body with Python steps inside is called
from Python, and one with random numbers is interpreted.
"""

from __future__ import annotations

import ctypes
import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.codegen import llvm
from flambeau.codegen.cache import object_code
from flambeau.codegen.program import Call, Program, Segment
from flambeau.graph.control.rows import draws_inside
from flambeau.graph.ir import Graph, Op

if TYPE_CHECKING:
    from flambeau.codegen.lower import Lowering

# Run fn(block) n times, on two blocks in turn; before each, the addresses at m slots are base + t * stride. 0, or what a step returned.
_LOOP = """
define i64 @steps(ptr %fn, ptr %a, ptr %b, i64 %n, ptr %moves, i64 %m) {
entry:
  br label %next
next:
  %t = phi i64 [ 0, %entry ], [ %t1, %called ]
  %more = icmp slt i64 %t, %n
  br i1 %more, label %step, label %done
step:
  %odd = trunc i64 %t to i1
  %block = select i1 %odd, ptr %b, ptr %a
  br label %move
move:
  %j = phi i64 [ 0, %step ], [ %j1, %moving ]
  %left = icmp slt i64 %j, %m
  br i1 %left, label %moving, label %run
moving:
  %row = mul i64 %j, 3
  %p0 = getelementptr i64, ptr %moves, i64 %row
  %p1 = getelementptr i64, ptr %p0, i64 1
  %p2 = getelementptr i64, ptr %p0, i64 2
  %slot = load i64, ptr %p0
  %base = load i64, ptr %p1
  %stride = load i64, ptr %p2
  %ahead = mul i64 %t, %stride
  %address = add i64 %base, %ahead
  %where = getelementptr i64, ptr %block, i64 %slot
  store i64 %address, ptr %where
  %j1 = add i64 %j, 1
  br label %move
run:
  %status = call i64 %fn(ptr %block)
  %good = icmp eq i64 %status, 0
  br i1 %good, label %called, label %failed
called:
  %t1 = add i64 %t, 1
  br label %next
failed:
  ret i64 %status
done:
  ret i64 0
}

define i64 @until(ptr %test, ptr %ta, ptr %tb, ptr %answer, ptr %fn, ptr %a, ptr %b, ptr %count) {
entry:
  br label %next
next:
  %t = phi i64 [ 0, %entry ], [ %t1, %step ]
  store i64 %t, ptr %count
  %odd = trunc i64 %t to i1
  %asks = select i1 %odd, ptr %tb, ptr %ta
  %block = select i1 %odd, ptr %b, ptr %a
  %asked = call i64 %test(ptr %asks)
  %fine = icmp eq i64 %asked, 0
  br i1 %fine, label %look, label %failed
look:
  %byte = load i8, ptr %answer
  %again = icmp ne i8 %byte, 0
  br i1 %again, label %run, label %done
run:
  %status = call i64 %fn(ptr %block)
  %good = icmp eq i64 %status, 0
  %t1 = add i64 %t, 1
  br i1 %good, label %step, label %failed
step:
  br label %next
failed:
  ret i64 1
done:
  ret i64 0
}
"""
_P, _I = ctypes.c_void_p, ctypes.c_int64
_STEPS = ctypes.CFUNCTYPE(_I, _P, _P, _P, _I, _P, _I)
_UNTIL = ctypes.CFUNCTYPE(_I, *[_P] * 8)


@functools.cache
def _loops() -> tuple[Any, Any, Any]:
    """The two functions, and what keeps them loaded."""
    target = llvm.host()
    library = llvm.Library([object_code(_LOOP, target)], ["steps", "until"], target)
    return _STEPS(library.addresses["steps"]), _UNTIL(library.addresses["until"]), library


class Body:
    """A graph inside an operation as machine code. It can be called like a graph that is interpreted: arrays in, results out."""

    def __init__(self, graph: Graph) -> None:
        from flambeau.codegen.build import build  # lowering a graph may lower graphs inside

        self.graph = graph
        self.inputs, self.results = graph.inputs, graph.results
        self.program: Program = build(graph)
        self._calls: dict[int, tuple[Call, Call, list[list[np.ndarray]]]] = {}
        self._one: Call | None = None

    @property
    def native(self) -> bool:
        """Whether a step is one native call."""
        return self.program.native and not self.program.streams

    @property
    def address(self) -> int:
        """Of its function."""
        segment = self.program.segments[0]
        assert isinstance(segment, Segment)
        return segment.address

    def __call__(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """The results, in new arrays."""
        if self._one is None:
            self._one = self.program.bind(arrays)
        else:
            for i, array in enumerate(arrays):
                self._one.set(i, array)
        self._one()
        return [r.reshape(v.shape).copy() for r, v in zip(self._one.results, self.results)]

    def pair(self, carries: int, writes: bool = True) -> tuple[Call, Call, list[list[np.ndarray]]]:
        """Two calls, with the arrays that one reads the carry from and (with `writes`) the other writes it to."""
        if carries not in self._calls:
            blanks = [np.zeros(v.shape, v.dtype) for v in self.inputs[carries:]]
            sets = [[np.zeros(v.shape, v.dtype) for v in self.inputs[:carries]] for _ in range(2)]
            rest = [np.zeros(v.shape, v.dtype) for v in self.results[carries if writes else 0 :]]
            first, second = (self.program.bind([*sets[i], *blanks], [*(sets[1 - i] if writes else ()), *rest]) for i in range(2))
            self._calls[carries] = first, second, sets
        return self._calls[carries]


def _address(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def _slot(call: Call, buffer: Any) -> int:
    return call.program.block.slots[buffer]


def _start(sets: list[list[np.ndarray]], carry: tuple[np.ndarray, ...]) -> None:
    for into, array in zip(sets[0], carry, strict=True):
        np.copyto(into, array)


def scan(body: Body, arrays: tuple[np.ndarray, ...], carries: int, sequences: int, length: int, reverse: bool) -> Any:
    """What the row `scan` computes, or None if a step has failed: the interpreter then says why."""
    with body.program.lock:
        return _scan(body, arrays, carries, sequences, length, reverse)


def _scan(body: Body, arrays: tuple[np.ndarray, ...], carries: int, sequences: int, length: int, reverse: bool) -> Any:
    first, second, sets = body.pair(carries)
    xs = [np.ascontiguousarray(x) for x in arrays[carries : carries + sequences]]
    ys = [np.empty((length, *v.shape), v.dtype) for v in body.results[carries:]]
    _start(sets, arrays[:carries])
    for i, array in enumerate(arrays[carries + sequences :], carries + sequences):
        first.set(i, array)
        second.set(i, array)
    program = body.program
    buffers = [*program.inputs[carries : carries + sequences], *program.results[carries:]]
    moves = np.zeros((max(len(buffers), 1), 3), np.int64)
    for row, buffer, array in zip(moves, buffers, [*xs, *ys]):
        stride = array.strides[0] if length else 0
        row[:] = _slot(first, buffer), _address(array) + (length - 1) * stride * reverse, -stride if reverse else stride
    blocks = first._block.ctypes.data, second._block.ctypes.data
    status = _loops()[0](body.address, *blocks, length, moves.ctypes.data, len(buffers))
    return None if status else (*[c.copy() for c in sets[length % 2]], *ys)


def while_loop(test: Body, body: Body, arrays: tuple[np.ndarray, ...], carries: int) -> Any:
    """What the row `while_loop` computes, or None if a step has failed."""
    with test.program.lock, body.program.lock:
        return _while(test, body, arrays, carries)


def _while(test: Body, body: Body, arrays: tuple[np.ndarray, ...], carries: int) -> Any:
    first, second, sets = body.pair(carries)
    asks = test.pair(carries, writes=False)
    _start(sets, arrays[:carries])
    for call, own in zip(asks[:2], sets):
        for i, array in enumerate([*own, *arrays[carries:]]):
            call.set(i, array)
        call.results[0][...] = False
    for i, array in enumerate(arrays[carries:], carries):
        first.set(i, array)
        second.set(i, array)
    answer, count = np.zeros(1, np.uint8), np.zeros(1, np.int64)
    for call in asks[:2]:
        call._block[_slot(call, test.program.results[0])] = _address(answer)
    blocks = [call._block.ctypes.data for call in (*asks[:2], first, second)]
    status = _loops()[1](test.address, *blocks[:2], _address(answer), body.address, *blocks[2:], _address(count))
    return None if status else tuple(c.copy() for c in sets[int(count[0]) % 2])


# -- lowering -------------------------------------------------------------------------------------------------------------------------
class Compiled:
    """Stands for a control primitive in a node that Python runs: the row's kernel on compiled bodies, or its native loop."""

    def __init__(self, op: Op) -> None:
        self.prim, self.graphs = op.prim, op.params
        self.name = op.prim.name
        self.elementwise, self.variadic = False, True
        self.bodies = {k: Body(v) for k, v in op.params.items() if isinstance(v, Graph)}

    def on_numpy(self, *arrays: np.ndarray, **params: Any) -> Any:
        """The results."""
        found = None
        if self.name != "cond" and all(body.native for body in self.bodies.values()):
            numbers = {k: v for k, v in params.items() if k not in self.bodies}
            if self.name == "scan":
                found = scan(self.bodies["body"], arrays, **numbers)
            else:
                found = while_loop(self.bodies["test"], self.bodies["body"], arrays, **numbers)
            if found is None:
                return self.prim.on_numpy(*arrays, **self.graphs)
        return found if found is not None else self.prim.on_numpy(*arrays, **{**params, **self.bodies})


def rule(low: Lowering, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    """A node that Python calls, whose bodies are machine code unless they draw random numbers."""
    if draws_inside(op):
        return None
    outputs = low.python(op, params)
    low.nodes[-1].prim = Compiled(op)
    return outputs
