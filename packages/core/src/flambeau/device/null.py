"""A device without data: operations compute shapes and dtypes only (`device("meta")`, PyTorch's name for it).

It runs models of any size without their memory, and lets capture and scheduling be tested without hardware.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Any

import numpy as np

from flambeau.base.errors import DeviceError, explain
from flambeau.base.shapes import contiguous_strides
from flambeau.device.base import Memory, device, register_backend, register_executor


class NullArray:
    """A shape and a dtype."""

    __slots__ = ("base", "dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any, base: Any = None) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.base = base

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes an element would take."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes the data would take."""
        return self.size * self.dtype.itemsize

    def copy(self) -> NullArray:
        """Another shape and dtype."""
        return NullArray(self.shape, self.dtype)

    def __setitem__(self, key: Any, value: Any) -> None:
        """Nothing to write."""

    @property
    def offset(self) -> int:
        """Where it begins: there is no memory, so at its start."""
        return 0

    @property
    def strides(self) -> tuple[int, ...]:
        """Row-major strides in bytes: there is no layout without data."""
        return tuple(s * self.dtype.itemsize for s in contiguous_strides(self.shape))


class NullBackend(Memory):
    """Runs each primitive's shape rule."""

    name = "meta"
    priority = 0
    xp: Any = None

    def run(self, prim: Any, arrays: list[Any], inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Shapes and dtypes of the outputs."""
        result = prim.infer(*arrays, **params)
        if isinstance(result, list):
            return tuple(NullArray(*r) for r in result)
        shape, dtype = result
        return NullArray(shape, dtype, arrays[0] if prim.view else None)

    def device_of(self, array: Any) -> device:
        """The one device of this type."""
        return META

    def from_numpy(self, array: np.ndarray, where: device) -> NullArray:
        """Forget the data."""
        return NullArray(array.shape, array.dtype)

    def to_numpy(self, array: Any) -> np.ndarray:
        """There is nothing to give."""
        raise DeviceError(
            explain(
                "numpy",
                expected="a tensor with data",
                got="a tensor on device 'meta'",
                hint="build it on 'cpu', or module.to_empty(device='cpu')",
            )
        )

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, where: device) -> NullArray:
        """A shape and a dtype."""
        return NullArray(shape, dtype)

    def scope(self, where: device) -> AbstractContextManager[Any]:
        """Nothing to switch."""
        return nullcontext()

    def synchronize(self, where: device) -> None:
        """Nothing runs."""


META = device.__new__(device)
META.type, META.index, META._entered = "meta", None, []
NULL_BACKEND = NullBackend()
register_backend("meta", lambda: NULL_BACKEND)
register_executor(NullArray, NULL_BACKEND)
