"""Capture: run a Python function once for real, and write down every primitive that it binds as a graph.

A value of the graph stands for an array. Which one a tensor holds now is known by storage: a write in place gives the storage a new
value (and makes values of older views stale; they are read again through their strides), so aliasing is right by construction. A tensor
that capture has not seen comes from outside: an argument, or an implicit input such as a parameter, a buffer or optimizer state. Outside
storages that were written are results of the graph, to be stored back after a run.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from flambeau.base.errors import DeviceError, FlambeauError
from flambeau.device.base import executors
from flambeau.graph.ir import Graph, Op, Scalar, Value
from flambeau.graph.memory import Place, contains, covers, geometry, place_of, root_of
from flambeau.graph.number import Expression, Number, RuntimeNumber, reads_of
from flambeau.primitives.bind import Interceptor, execute, intercept
from flambeau.primitives.elementwise import cast
from flambeau.primitives.movement import expand, put_strided, take_strided
from flambeau.primitives.source import make, random
from flambeau.primitives.value import Value as Tensorlike

CUTS = 32  # how often one run may come back to Python


class CannotCapture(FlambeauError, RuntimeError):
    """A function does something that a graph cannot hold."""


class Cut(NamedTuple):
    """A place where a run comes back to Python: after how many operations, the expression whose value chooses how to go on (None: the
    values that were read are needed as numbers), its value in this run, and the user's line."""

    position: int
    expression: Expression | None
    value: Any
    where: str


class Host(NamedTuple):
    """Host code of a program: what to call, in which segment, and what it gave."""

    call: Any
    segment: int
    given: Any
    what: str = ""

    def holds(self) -> bool:
        """Whether it still says what it said."""
        now = self.call()
        return now is self.given or bool(now == self.given)


class Memory:
    """One storage as capture sees it: the value of the array that lies at `owner`, and how often it was written. Of memory from outside
    there is the array too."""

    __slots__ = ("array", "owner", "value", "version", "written")

    def __init__(self, owner: Place, value: Value, array: Any = None) -> None:
        self.owner, self.value, self.array = owner, value, array
        self.version = 0
        self.written = False

    @property
    def outside(self) -> bool:
        """Whether it was there before the capture."""
        return self.array is not None


class Capture(Interceptor):
    """The interceptor that builds a graph. `outside` lists the arrays that were there before in the order of the graph's inputs.

    What is known of arrays that the run makes is keyed by their ids and goes when they do (`_when_gone`), so that a run under capture takes
    no more memory than any other.
    """

    def __init__(self, branches: bool = False) -> None:
        self.branches = branches  # whether what Python reads may choose how to go on; else it is noted in `reads`
        self.graph = Graph()
        self.memories: dict[int, Memory] = {}
        self.held: dict[int, tuple[Any, Value, int]] = {}  # id of an array -> a reference to it, its value, the version it belongs to
        self.outside: list[Any] = []
        self.shared: dict[int, int] = {}  # how many outside arrays lie in a memory
        self.homes: dict[int, tuple[Any, Any]] = {}  # id of a Storage -> a reference to it, the array that owns its memory
        self.roots: dict[int, Any] = {}  # id of an array that owns memory -> a reference to it
        self.grads: dict[Any, tuple[Any, bool]] = {}  # leaf nodes whose .grad changed: what it was, whether it was cleared first
        self.reads: list[str] = []
        self.storages: list[Any] = []  # of outside tensors that were written and are not arguments: their versions count on
        self.guards: list[Host] = []
        self.numbers: list[Host] = []  # for each optimizer step: computes the numbers of the next
        self.fetched: list[tuple[Value, int]] = []  # what Python read: the value, and in which segment it did
        self.cuts: list[Cut] = []
        self.scalars: dict[Expression, Scalar] = {}
        self.decided: list[tuple[Expression, Any, int]] = []  # values of expressions of host numbers that Python saw, and in which segment
        self.effects: list[Any] = []  # of schedulers: replays call them when they are done
        self.generators: list[Any] = []
        self.origins: list[Any] = []  # the outside tensors, in the order of `outside`
        self.borders: dict[Any, Any] = {}  # nodes of outside tensors -> the array of the tensor
        self.read_grads: dict[Any, Any] = {}  # leaf nodes whose `.grad` was read before it changed -> its array
        self.absent: dict[Any, None] = {}  # leaf nodes of which it was asked when there was none
        self.once: str | None = None  # why this run is unlike those that follow
        self.running = True

    # -- the interceptor ------------------------------------------------------------------------------------------------------------------
    def __call__(self, prim: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        for x in inputs:
            if isinstance(x, Tensorlike) and type(x._a) is not np.ndarray:
                return self._elsewhere(prim, inputs, params, x)
        inputs = tuple([x.as_operand() if type(x) is Number else x for x in inputs])
        values = tuple(self._operand(x) for x in inputs)
        if prim is random and params["generator"] not in self.generators:
            self.generators.append(params["generator"])
            self.guard(partial(_stream_of, params["generator"]), "the stream of a random generator")
        if any(type(x) in (RuntimeNumber, Number) for x in params.values()):
            params = {name: self._settled(x) for name, x in params.items()}
        if prim.inputs == () and not prim.variadic:
            out = make(prim, params["device"], **{k: v for k, v in params.items() if k != "device"})
            if type(out._a) is not np.ndarray:
                self.reads.append(f"a tensor on device {params['device']} at {_user_line()}")
                return out
        else:
            out = execute(
                prim, tuple([float(x) if type(x) is RuntimeNumber else x for x in inputs]), params
            )  # NumPy takes only floats as weak
        outs = out if type(out) is tuple else (out,)
        if prim.view and outs[0]._st is not None:  # a view lives in the memory of its input, whatever NumPy says is its base
            self._settle(outs[0]._st, self._home(inputs[0]))
        kept = {k: v for k, v in params.items() if k != "device"}
        op = self.graph.add(prim, values, kept, [(o._a.shape, o._a.dtype) for o in outs], _user_line())
        if _decides_shape(op):
            self.reads.append(f"the shape of the result of {prim.name}, which values decide, at {op.where}")
        for o, v in zip(outs, op.outputs, strict=True):
            self._hold_result(o, v)
        return out

    def _elsewhere(self, prim: Any, inputs: tuple[Any, ...], params: dict[str, Any], x: Any) -> Any:
        """A batch of vmap binds the primitives within, which are captured; other devices are not."""
        owner = executors[type(x._a)]
        if owner.priority == 0:
            self.reads.append(f"a tensor on device {owner.name!r} at {_user_line()}")
        return execute(prim, inputs, params)

    def _home(self, x: Any) -> Any:
        """The array that owns a tensor's memory."""
        st = x._st
        if st is None:
            return root_of(x._a)
        known = self.homes.get(id(st))
        return self._settle(st, root_of(x._a)) if known is None else known[1]

    def _settle(self, st: Any, root: Any) -> Any:
        """Note which array owns the memory of a storage."""
        self.homes[id(st)] = (self._when_gone(st, self.homes), root)
        return root

    def _when_gone(self, x: Any, *tables: dict[int, Any]) -> Any:
        """A reference to x; when x is gone, so is what the tables say of its id, before another may have the id."""

        def forget(_: Any, key: int = id(x)) -> None:
            for table in tables:
                table.pop(key, None)

        return weakref.ref(x, forget)

    def _hold(self, array: Any, value: Value, version: int) -> None:
        """Note the value of an array."""
        self.held[id(array)] = (self._when_gone(array, self.held), value, version)

    def _remember(self, root: Any, memory: Memory) -> Memory:
        """Note what is known of a memory."""
        self.roots[id(root)] = self._when_gone(root, self.roots, self.memories)
        self.memories[id(root)] = memory
        return memory

    def _operand(self, x: Any) -> Any:
        if isinstance(x, Tensorlike):
            return self.read(x)
        if type(x) is RuntimeNumber:
            if x.scalar not in self.graph.scalars:
                self.graph.scalars.append(x.scalar)
            if any(self.fetched[k][1] == len(self.cuts) for k in reads_of(x.scalar.name)):
                self._cut(None, None)
            return x.scalar
        return x

    def _settled(self, x: Any) -> Any:
        """A number that has to be known when the program is made: the program holds for this value."""
        if type(x) is RuntimeNumber and self.branches:
            return self.branch(x.scalar.name, float(x))
        if type(x) is RuntimeNumber:
            self.reads.append(f"a number that differs from run to run as a parameter at {_user_line()}")
            return float(x)
        return float(x) if type(x) is Number else x

    def _hold_result(self, x: Any, value: Value) -> None:
        array, root = x._a, self._home(x)
        memory = self.memories.get(id(root))
        if memory is None:
            memory = self._remember(root, Memory(place_of(array), value))
        self._hold(array, value, memory.version)

    def read(self, x: Any) -> Value:
        """The value that a tensor holds now."""
        array, root = x._a, self._home(x)
        known = self.held.get(id(array))
        memory = self.memories.get(id(root))
        if memory is not None and known is not None and known[0]() is array and known[2] == memory.version:
            return known[1]
        if memory is None:
            return self._from_outside(x, root)
        place = place_of(array)
        if place.layout == memory.owner.layout:
            value = memory.value
        elif memory.outside and not memory.written and not covers(memory.owner, place):
            return self._from_outside(x, root)
        else:
            if memory.outside and not contains(memory.owner, place):
                self.reads.append(f"tensors that share memory, of which one of shape {memory.owner.shape} was written, at {_user_line()}")
                return self._from_outside(x, root)
            if array.dtype != memory.owner.dtype:
                self.reads.append(f"views of one memory as {array.dtype} and {memory.owner.dtype} at {_user_line()}")
                return self._from_outside(x, root)
            params = {"shape": array.shape, **geometry(place, memory.owner)}
            op = self.graph.add(take_strided, (memory.value,), params, [(array.shape, array.dtype)], _user_line())
            value = op.outputs[0]
        self._hold(array, value, memory.version)
        return value

    def _from_outside(self, x: Any, root: Any) -> Value:
        array = x._a
        value = self.graph.input(array.shape, array.dtype)
        self.outside.append(array)
        self.origins.append(x)
        if x._node is not None:
            self.borders.setdefault(x._node, array)
        self.shared[id(root)] = self.shared.get(id(root), 0) + 1
        if id(root) not in self.memories:
            self._remember(root, Memory(place_of(array), value, array))
        self._hold(array, value, 0)
        return value

    # -- what happens besides primitives --------------------------------------------------------------------------------------------------
    def write(self, x: Any, value: Any) -> None:
        """x is about to be overwritten with `value` (broadcast and converted)."""
        array = x._a
        if type(array) is not np.ndarray:
            return
        if value._a.shape != array.shape:
            value = expand(value, shape=array.shape)
        if value._a.dtype != array.dtype:
            value = cast(value, dtype=array.dtype)
        new = self.read(value)
        self.read(x)
        if self.is_outside(x) and x._st is not None and x._st not in self.storages:
            self.storages.append(x._st)
        home = self._home(x)
        memory = self.memories[id(home)]
        if memory.outside and self.shared.get(id(home), 0) > 1:
            self.reads.append(f"several tensors that share the memory of one of shape {tuple(array.shape)}, which is written")
        place, owner = place_of(array), memory.owner
        if place.layout == owner.layout:
            memory.value = new
        else:
            kinds = [(owner.shape, owner.dtype)]
            memory.value = self.graph.add(put_strided, (memory.value, new), geometry(place, owner), kinds, _user_line()).outputs[0]
        memory.version += 1
        memory.written = True
        self._hold(array, new, memory.version)

    def observe(self, x: Any, how: str) -> None:
        """A value leaves for Python (`item()`, `bool()`, `numpy()`): what Python makes of it would stay as it is now."""
        self.reads.append(f"{how} of a tensor of shape {tuple(x._a.shape)} at {_user_line()}")

    def home(self, x: Any) -> Any:
        """What stands for the memory of a tensor: the same object for all tensors that share it."""
        return self._home(x)

    def is_outside(self, x: Any) -> bool:
        """Whether a tensor's memory was there before."""
        memory = self.memories.get(id(self._home(x)))
        return memory is None or memory.outside

    def guard(self, compute: Callable[[], Any], what: str) -> None:
        """The program holds while `compute()` gives what it gives now."""
        self.guards.append(Host(compute, len(self.cuts), compute(), what))

    def runtime(self, compute: Any) -> list[dict[str, Any]]:
        """Numbers that differ from run to run: `compute` gives them as tables; they come back as numbers that the graph takes as inputs."""
        tag = len(self.numbers)
        if self.effects:
            self.reads.append(f"an optimizer's step after a scheduler's at {_user_line()}")

        def marked(i: int, numbers: dict[str, Any]) -> dict[str, Any]:
            return {k: Number(self, ("table", tag, i, k), v) if type(v) is float else v for k, v in numbers.items()}

        with intercept(None):
            tables = compute()
        self.numbers.append(Host(compute, len(self.cuts), tables))
        return [marked(i, numbers) for i, numbers in enumerate(tables)]

    def effect(self, call: Callable[[], Any], what: str) -> None:
        """Host code that replays call when they are done."""
        self.effects.append(call)
        if what.endswith("with arguments"):
            self.reads.append(f"{what} at {_user_line()}")

    # -- what Python reads ----------------------------------------------------------------------------------------------------------------
    def item(self, x: Any, value: Any) -> Any:
        """The element of a tensor: floats become numbers of the program; on others it branches."""
        if not self.branches or type(x._a) is not np.ndarray or len(self.cuts) >= CUTS:
            self.observe(x, "item")
            return value
        self.fetched.append((self.read(x), len(self.cuts)))
        expression = ("read", len(self.fetched) - 1)
        return Number(self, expression, value) if type(value) is float else self.branch(expression, value)

    def branch(self, expression: Expression, value: Any) -> Any:
        """Python needs a value now: what follows holds for this value."""
        if reads_of(expression):
            self._cut(expression, value)
        else:
            self.decided.append((expression, value, len(self.cuts)))
        return value

    def _cut(self, expression: Expression | None, value: Any) -> None:
        self.cuts.append(Cut(len(self.graph.ops), expression, value, _user_line()))

    def scalar_of(self, expression: Expression) -> Scalar:
        """The input of the program that has an expression's value."""
        found = self.scalars.get(expression)
        if found is None:
            found = self.scalars[expression] = Scalar(expression)
        return found

    def touch_grad(self, node: Any, old: Any) -> None:
        """The `.grad` of a leaf was set."""
        if node not in self.grads:
            self.grads[node] = (old, node.grad is None)

    def read_grad(self, node: Any) -> None:
        """The `.grad` of a leaf is about to be looked at."""
        if node in self.grads or node in self.read_grads:
            return
        if node.grad is None:
            self.absent[node] = None
        else:
            self.read_grads[node] = node.grad._a

    def later(self, why: str) -> None:
        """What happens here happens only once: a program can be made of a later call."""
        self.once = why

    # -- the end -------------------------------------------------------------------------------------------------------------------------
    def written(self) -> list[tuple[Any, Value]]:
        """Outside arrays that were written, with their final values."""
        return [(m.array, m.value) for m in self.memories.values() if m.outside and m.written]


@contextmanager
def capturing(branches: bool = False) -> Iterator[Capture]:
    """Capture what happens in the block."""
    capture = Capture(branches)
    try:
        with intercept(capture):
            yield capture
    finally:
        capture.running = False


def _stream_of(generator: Any) -> str:
    return str(generator.stream.name)


def _decides_shape(op: Op) -> bool:
    """Whether values decide the shape of the result (nonzero, unique)."""
    try:
        op.prim.infer(*op.inputs, **op.params)
    except DeviceError:
        return True
    return False


def _user_line() -> str:
    """file:line of the innermost frame outside Flambeau."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "flambeau":
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""


def traced(fn: Callable[[], Any]) -> tuple[Any, Capture]:
    """Run `fn` under capture; its result and the capture."""
    with capturing() as capture:
        result = fn()
    return result, capture
