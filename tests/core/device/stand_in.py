"""A module with CuPy's interface on NumPy's arrays, strict in CuPy's way: NumPy arrays and CuPy arrays do not mix, and results are always
arrays.

It lets every branch for CUDA devices run on a machine without a GPU.
"""

from __future__ import annotations

import types
import weakref
from typing import Any

import numpy as np


class Device:
    """Two pretended GPUs."""

    current = 0

    def __init__(self, id: int | None = None) -> None:
        self.id = Device.current if id is None else id
        self._before: list[int] = []

    def __enter__(self) -> Device:
        self._before.append(Device.current)
        Device.current = self.id
        return self

    def __exit__(self, *exc: object) -> None:
        Device.current = self._before.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def use(self) -> None:
        Device.current = self.id

    def synchronize(self) -> None:
        pass

    mem_info = (1 << 30, 2 << 30)


class ndarray(np.ndarray):
    """An array on a pretended GPU."""

    _device = 0

    def __array_finalize__(self, source: Any) -> None:
        self._device = getattr(source, "_device", Device.current)

    @property
    def device(self) -> Device:  # type: ignore[override]
        return Device(self._device)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return guarded(getattr(ufunc, method))(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return guarded(function)(*args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        _refuse(key if isinstance(key, tuple) else (key,))
        return _up(np.ndarray.__getitem__(self.view(np.ndarray), _down(key)), self._device)

    def __setitem__(self, key: Any, value: Any) -> None:
        _refuse((*(key if isinstance(key, tuple) else (key,)), value))
        np.ndarray.__setitem__(self.view(np.ndarray), _down(key), _down(value))

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        return _up(self.view(np.ndarray).astype(dtype, *args, **kwargs), self._device)

    def get(self) -> np.ndarray:
        return self.view(np.ndarray).copy()

    @property
    def base(self) -> Any:
        """The array that owns the memory, None for that array itself (as CuPy has it)."""
        root: Any = self
        node: Any = self
        while node is not None:  # between strided views there are helpers that are no arrays
            root = node if isinstance(node, np.ndarray) else root
            node = np.ndarray.base.__get__(node) if isinstance(node, np.ndarray) else getattr(node, "base", None)  # type: ignore[attr-defined]
        if isinstance(root, ndarray):
            return None if root is self else root
        owner = _owners.get(id(root))
        if owner is None:  # never a part of the memory, whichever of its views asks first
            whole = (self.shape, self.strides, self.ctypes.data) == (root.shape, root.strides, root.ctypes.data)
            owner = _owners[id(root)] = self if whole else _up(root, self._device)
        return None if owner is self else owner


_owners: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


for _name in ("sum", "prod", "max", "min", "any", "all", "mean", "argmax", "argmin", "cumsum", "round"):

    def _method(self: Any, *args: Any, __name: str = _name, **kwargs: Any) -> Any:
        return _up(getattr(self.view(np.ndarray), __name)(*args, **kwargs), self._device)

    setattr(ndarray, _name, _method)


def _refuse(values: Any) -> None:
    for v in values:
        if isinstance(v, (tuple, list)):
            _refuse(v)
        elif isinstance(v, np.ndarray) and not isinstance(v, ndarray) and v.ndim:
            raise TypeError(f"Unsupported type {type(v)}: a NumPy array where a CuPy array is needed")


def _down(v: Any) -> Any:
    if isinstance(v, ndarray):
        return v.view(np.ndarray)
    if isinstance(v, tuple):
        return tuple(_down(x) for x in v)
    return [_down(x) for x in v] if isinstance(v, list) else v


def _up(v: Any, where: int) -> Any:
    if isinstance(v, tuple) and not hasattr(v, "_fields"):
        return tuple(_up(x, where) for x in v)
    if hasattr(v, "_fields"):
        return type(v)(*[_up(x, where) for x in v])
    if isinstance(v, (np.ndarray, np.generic)):
        made = np.asarray(v).view(ndarray)
        made._device = where
        _ = made.base  # the first view of a new memory is its owner
        return made
    return [_up(x, where) for x in v] if isinstance(v, list) else v


def guarded(function: Any) -> Any:
    """The NumPy function as CuPy has it: refuses NumPy arrays, returns arrays."""

    def call(*args: Any, **kwargs: Any) -> Any:
        _refuse((*args, *kwargs.values()))
        return _up(function(*_down(args), **{k: _down(v) for k, v in kwargs.items()}), Device.current)

    for name in ("at", "reduce", "reduceat", "accumulate", "outer"):
        if hasattr(function, name):
            setattr(call, name, _ufunc_method(getattr(function, name)))
    return call


def _ufunc_method(method: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        _refuse(args)
        return _up(method(*_down(args), **kwargs), Device.current)

    return call


class Module(types.ModuleType):
    """NumPy's functions, guarded."""

    def __init__(self, name: str, source: Any) -> None:
        super().__init__(name)
        self._source = source

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(self._source, name)
        if isinstance(value, types.ModuleType):
            value = Module(f"{self.__name__}.{name}", value)
        elif callable(value) and not isinstance(value, type):
            value = guarded(value)
        setattr(self, name, value)
        return value


def module() -> Any:
    """A fresh pretended CuPy."""
    xp = Module("cupy", np)
    xp.ndarray = ndarray
    xp.asarray = lambda a, dtype=None: _up(
        np.array(a, dtype) if not isinstance(a, ndarray) else np.asarray(a.view(np.ndarray), dtype), Device.current
    )
    xp.array = lambda a, dtype=None, copy=True, order="K": _up(np.array(_down(a), dtype, order=order), Device.current)
    xp.asnumpy = lambda a: np.asarray(a).view(np.ndarray).copy()
    xp.linalg, xp.fft, xp.lib = (Module(f"cupy.{n}", getattr(np, n)) for n in ("linalg", "fft", "lib"))
    runtime = types.SimpleNamespace(
        getDeviceCount=lambda: 2,
        getDevice=lambda: Device.current,
        getDeviceProperties=lambda i: {
            "name": b"Pretended GPU",
            "major": 9,
            "minor": 0,
            "totalGlobalMem": 2 << 30,
            "multiProcessorCount": 4,
        },
    )
    xp.cuda = types.SimpleNamespace(
        Device=Device,
        runtime=runtime,
        alloc_pinned_memory=bytearray,
        Stream=Stream,
        Event=Event,
        get_current_stream=Stream,
        get_elapsed_time=lambda a, b: 0.0,
    )
    pool = types.SimpleNamespace(used_bytes=lambda: 512, total_bytes=lambda: 1024, free_all_blocks=lambda: None)
    xp.get_default_memory_pool = lambda: pool
    return xp


class Stream:
    """A queue whose work is always done."""

    done = True

    def __init__(self, non_blocking: bool = False) -> None:
        pass

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def wait_event(self, event: Any) -> None:
        pass


class Event:
    """A point that is always reached."""

    done = True

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        pass

    def synchronize(self) -> None:
        pass
