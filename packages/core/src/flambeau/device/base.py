"""What a device is: a name for users (`device`), and a `Backend` that owns arrays of one type.

The type of an array decides who executes an operation on it: `executors` maps array types to executors. Backends of devices are
executors; so are the batching of vmap and graph capture. A third party adds a device by registering a Backend.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from flambeau.base.errors import ArgumentTypeError, DeviceError, did_you_mean, explain


class Executor(Protocol):
    """Runs a primitive on arrays of the type it is registered for."""

    priority: int

    def run(self, prim: Any, arrays: list[Any], inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """The array (or tuple of arrays) that the primitive computes."""
        ...

    def detach(self, array: Any) -> Any:
        """The same elements without the history that an array of this kind may hold inside."""
        ...

    def alias(self, array: Any) -> Any:
        """The same memory, for somebody who keeps the value while what the array holds inside moves on."""
        ...

    def store(self, array: Any, value: Any) -> None:
        """Write the elements of a tensor (of a shape that broadcasts) into an array."""
        ...

    def adopt(self, array: Any, x: Any) -> Any:
        """A new tensor x as one that goes with `array`: what the array needs of its own, x gets too."""
        ...


class Backend(Executor, Protocol):
    """An executor that also owns memory."""

    name: str
    xp: Any

    def device_of(self, array: Any) -> device:
        """Where the array lives."""
        ...

    def from_numpy(self, array: np.ndarray, where: device) -> Any:
        """A copy of (or, on the CPU, the same) NumPy array on the device."""
        ...

    def to_numpy(self, array: Any) -> np.ndarray:
        """The array in host memory; shared on the CPU."""
        ...

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, where: device) -> Any:
        """Uninitialised memory."""
        ...

    def scope(self, where: device) -> contextlib.AbstractContextManager[Any]:
        """Makes the device current while new arrays are made."""
        ...

    def synchronize(self, where: device) -> None:
        """Wait until all queued work is done."""
        ...


class Memory:
    """What executors share whose arrays are plain memory."""

    def detach(self, array: Any) -> Any:
        """The array itself: its history is in the tensor."""
        return array

    def alias(self, array: Any) -> Any:
        """The array itself."""
        return array

    def store(self, array: Any, value: Any) -> None:
        """Write the elements of a tensor into an array."""
        array[...] = value._a

    def adopt(self, array: Any, x: Any) -> Any:
        """x itself."""
        return x


class device:
    """Where a tensor lives: `device("cpu")`, `device("cuda", 1)`, `device("cuda:1")`.

    As a context manager it is the default device of new tensors.

    >>> device("cuda:1").index
    1
    """

    __slots__ = ("_entered", "index", "type")
    type: str
    index: int | None
    _entered: list[device]

    def __init__(self, type: Any, index: Any = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index if index is None else index
        elif isinstance(type, int) and not isinstance(type, bool):
            type, index = "cuda", type
        elif not isinstance(type, str):
            raise ArgumentTypeError(explain("device", expected="a name such as 'cpu' or 'cuda:0'", got=repr(type)))
        name, _, number = type.partition(":")
        if number:
            if index is not None or not number.isdigit():
                raise DeviceError(explain("device", expected="'type' or 'type:index'", got=repr(type)))
            index = int(number)
        if name not in _loaders:
            raise DeviceError(
                explain("device", expected="one of " + ", ".join(sorted(_loaders)), got=repr(name), hint=did_you_mean(name, _loaders))
            )
        self.type, self.index, self._entered = name, index, []

    def __eq__(self, other: object) -> bool:
        if isinstance(other, device):
            return self.type == other.type and (self.index == other.index or {self.index, other.index} == {None, 0})
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.type, self.index or 0))

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + ("" if self.index is None else f", index={self.index}") + ")"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (device, (str(self),))

    def __enter__(self) -> device:
        self._entered.append(default_device())
        set_default_device(self)
        return self

    def __exit__(self, *exc: object) -> None:
        set_default_device(self._entered.pop())


executors: dict[type, Any] = {}
_loaders: dict[str, Callable[[], Any]] = {}
_backends: dict[str, Any] = {}


def register_backend(name: str, load: Callable[[], Any]) -> None:
    """Make a device type known. `load` imports what it needs and returns the Backend, at first use."""
    _loaders[name] = load
    _backends.pop(name, None)


def register_executor(array_type: type, executor: Executor) -> None:
    """Let `executor` run the primitives whose inputs are arrays of that type."""
    executors[array_type] = executor


def backend(where: device) -> Any:
    """The backend of a device, loaded at first use."""
    found = _backends.get(where.type)
    if found is None:
        found = _backends[where.type] = _loaders[where.type]()
    return found


def executor_for(op: str, types: set[type]) -> Any:
    """The executor for inputs of mixed array types: the one that wraps the others, else an error about devices."""
    found = [executors[t] for t in types]
    first = max(found, key=lambda e: e.priority)
    if first.priority == 0 or sum(e.priority == 0 for e in found) > 1:
        names = sorted(e.name for e in found if e.priority == 0)
        raise DeviceError(explain(op, expected="tensors on one device", got=" and ".join(names), hint="move one of them with .to(device)"))
    return first


def device_types() -> list[str]:
    """Known device types."""
    return sorted(_loaders)


_default: list[device] = []


def default_device() -> device:
    """The device of new tensors."""
    return _default[-1] if _default else device("cpu")


def set_default_device(where: Any) -> None:
    """Set the device of new tensors; None means the CPU."""
    _default[:] = [] if where is None else [device(where)]
