"""A machine for pickle instructions that cannot call anything: names are looked up in a table of ours, and nothing is imported.

What REDUCE and NEWOBJ may apply are `Global` records of that table (see names.py). Any other name is refused, or on request becomes an
`Opaque`: an inert record of what the file says about the object.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from flambeau.base.errors import FlambeauError
from flambeau.serialization.pth.numpy_values import ArrayType, set_state
from flambeau.serialization.pth.opcodes import Instructions, refuse

_KEY_PARTS = 1000


@dataclass(frozen=True)
class Global:
    """A name that files may apply: `build(machine, arguments)` makes the object, from checked arguments only."""

    name: str
    build: Callable[[Machine, tuple[Any, ...]], Any]


@dataclass(eq=False)
class Opaque:
    """An object of a class that is not read: its name and the data that came with it. Nothing of it was executed.

    Attributes:
        name: "module.Class".
        args: what it would have been made from.
        state: what its attributes would have been set from.
        items: what it held as a list or (as pairs) as a dict.
    """

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: list[Any] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<{self.name}, not read>"


class Machine:
    """Interprets one pickle.

    `persistent` turns a persistent id into a storage; `names` is the table of allowed names; `opaque` says whether unknown ones become
    `Opaque` records. Raises FileFormatError, and nothing else, for whatever bytes come.
    """

    def __init__(self, source: str, names: Mapping[str, Any], persistent: Callable[[Any], Any] | None = None, opaque: bool = False) -> None:
        self.source, self.names, self.persistent, self.opaque = source, names, persistent, opaque
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, instructions: Instructions) -> Any:
        """The object that the pickle describes."""
        try:
            for name, argument in instructions:
                if name == "PUSH":
                    self.stack.append(argument)
                elif name == "STOP":
                    return self.stack.pop()
                else:
                    _STEPS[name](self, argument)
        except FlambeauError:
            raise
        except IndexError:
            refuse(self.source, "a pickle whose instructions fit together", "an instruction that finds nothing on the stack")
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError, MemoryError) as error:
            refuse(self.source, "a pickle as PyTorch writes it", f"{type(error).__name__}: {error}")
        raise AssertionError("instructions end with STOP or an error")

    def look_up(self, module: Any, name: Any) -> Any:
        """What a name of the file stands for."""
        if type(module) is not str or type(name) is not str:
            refuse(self.source, "names that are text", f"{type(module).__name__} and {type(name).__name__}")
        full = f"{module}.{name}"
        if full in self.names:
            return self.names[full]
        if not self.opaque:
            refuse(
                self.source,
                "names that a file of weights needs",
                f"the name {full!r}, which is not run",
                "save the state_dict() alone, or load(..., opaque=True), which leaves such objects out as inert records",
            )
        return Global(full, lambda machine, args: Opaque(full, args))

    def apply(self, target: Any, args: Any) -> Any:
        """What REDUCE and NEWOBJ make."""
        if not isinstance(target, Global):
            refuse(self.source, "only known names to be applied", f"a {type(target).__name__}")
        if type(args) is not tuple:
            refuse(self.source, f"a tuple of arguments for {target.name}", type(args).__name__)
        return target.build(self, args)

    def items(self) -> list[Any]:
        """What is on the stack above the last mark."""
        above, self.stack = self.stack, self.marks.pop()
        return above

    def need(self, holds: bool, expected: str, got: Any) -> None:
        """Refuse the file unless something holds."""
        if not holds:
            refuse(self.source, expected, repr(got))

    def key(self, value: Any) -> Any:
        """A value that may be a key of a dict: hashing it takes neither long nor deep recursion."""
        parts = [value]
        for number, part in enumerate(parts):
            if number > _KEY_PARTS:
                refuse(self.source, f"keys of at most {_KEY_PARTS} parts", "a larger tuple")
            if isinstance(part, tuple):
                parts.extend(part[: _KEY_PARTS + 1])
        return value

    def put_items(self, target: Any, values: list[Any]) -> None:
        """SETITEMS."""
        if len(values) % 2:
            refuse(self.source, "keys with values", "a key alone")
        pairs = list(zip(values[::2], values[1::2]))
        if isinstance(target, dict):
            for key, value in pairs:
                target[self.key(key)] = value
        elif isinstance(target, Opaque):
            target.items.extend(pairs)
        else:
            refuse(self.source, "a dict to set items of", type(target).__name__)

    def append(self, target: Any, values: list[Any]) -> None:
        """APPENDS and ADDITEMS."""
        if type(target) is list:
            target.extend(values)
        elif type(target) is set:
            target.update(self.key(value) for value in values)
        elif isinstance(target, Opaque):
            target.items.extend(values)
        else:
            refuse(self.source, "a list or set to add to", type(target).__name__)

    def build(self, target: Any, state: Any) -> None:
        """BUILD."""
        if isinstance(target, Opaque):
            target.state = state
        elif isinstance(target, OrderedDict) and isinstance(state, dict):
            if isinstance(state.get("_metadata"), dict):  # the versions of modules that a state_dict carries
                target._metadata = state["_metadata"]  # type: ignore[attr-defined]
        elif isinstance(target, (np.ndarray, ArrayType)):
            set_state(self.source, target, state)
        elif type(target) is SimpleNamespace and type(state) is dict and all(type(key) is str for key in state):
            vars(target).update(state)  # the arguments of a program, which checkpoints often carry
        else:
            refuse(self.source, "an object with a state", type(target).__name__)


def _memo(machine: Machine, number: int) -> None:
    machine.memo[number] = machine.stack[-1]


def _recall(machine: Machine, number: int) -> None:
    machine.stack.append(machine.memo[number])


def _mark(machine: Machine, _: Any) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _pop(machine: Machine, _: Any) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.items()


def _pop_mark(machine: Machine, _: Any) -> None:
    machine.items()


def _tuple(size: int) -> Callable[[Machine, Any], None]:
    def step(machine: Machine, _: Any) -> None:
        values = tuple(machine.stack.pop() for _ in range(size))
        machine.stack.append(values[::-1])

    return step


def _from_items(make: Callable[[Machine, list[Any]], Any]) -> Callable[[Machine, Any], None]:
    def step(machine: Machine, _: Any) -> None:
        made = make(machine, machine.items())  # first: it puts the stack below the mark back
        machine.stack.append(made)

    return step


def _make_dict(machine: Machine, values: list[Any]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    machine.put_items(made, values)
    return made


def _one_item(machine: Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.put_items(machine.stack[-1], [key, value])


def _many_items(machine: Machine, _: Any) -> None:
    values = machine.items()
    machine.put_items(machine.stack[-1], values)


def _one_value(machine: Machine, _: Any) -> None:
    value = machine.stack.pop()
    machine.append(machine.stack[-1], [value])


def _many_values(machine: Machine, _: Any) -> None:
    values = machine.items()
    machine.append(machine.stack[-1], values)


def _global(machine: Machine, names: tuple[str, str]) -> None:
    machine.stack.append(machine.look_up(*names))


def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(machine.look_up(module, name))


def _apply(machine: Machine, _: Any) -> None:
    args = machine.stack.pop()
    machine.stack[-1] = machine.apply(machine.stack[-1], args)


def _persistent(machine: Machine, _: Any) -> None:
    if machine.persistent is None:
        refuse(machine.source, "a pickle without storages here", "a persistent id")
    machine.stack[-1] = machine.persistent(machine.stack[-1])


def _build(machine: Machine, _: Any) -> None:
    state = machine.stack.pop()
    machine.build(machine.stack[-1], state)


_STEPS: dict[str, Callable[[Machine, Any], None]] = {
    "PUT": _memo,
    "MEMOIZE": lambda machine, _: _memo(machine, len(machine.memo)),
    "GET": _recall,
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_SET": lambda machine, _: machine.stack.append(set()),
    "TUPLE": _from_items(lambda machine, values: tuple(values)),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "LIST": _from_items(lambda machine, values: values),
    "DICT": _from_items(_make_dict),
    "FROZENSET": _from_items(lambda machine, values: frozenset(machine.key(value) for value in values)),
    "SETITEM": _one_item,
    "SETITEMS": _many_items,
    "APPEND": _one_value,
    "APPENDS": _many_values,
    "ADDITEMS": _many_values,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _apply,
    "NEWOBJ": _apply,
    "PERSISTENT": _persistent,
    "BUILD": _build,
}
