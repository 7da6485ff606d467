"""The CPU: arrays are NumPy's."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from flambeau.device.base import Memory, device, register_backend, register_executor


class CpuBackend(Memory):
    """Runs each primitive's kernel on NumPy arrays."""

    name = "cpu"
    priority = 0
    xp: Any = np

    def run(self, prim: Any, arrays: list[Any], inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Call the kernel; NumPy turns zero-dimensional results into scalars, which become arrays again."""
        return as_arrays(prim.on_numpy(*arrays, **params))

    def store(self, array: np.ndarray, value: Any) -> None:
        """Write the elements of a tensor into an array, converting them."""
        np.copyto(array, value._a, casting="unsafe")

    def device_of(self, array: Any) -> device:
        """Always the CPU."""
        return CPU

    def from_numpy(self, array: np.ndarray, where: device) -> np.ndarray:
        """The same array."""
        return array

    def to_numpy(self, array: np.ndarray) -> np.ndarray:
        """The same array."""
        return array

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, where: device) -> np.ndarray:
        """Uninitialised memory."""
        return np.empty(shape, dtype)

    def scope(self, where: device) -> AbstractContextManager[Any]:
        """Nothing to switch."""
        return nullcontext()

    def synchronize(self, where: device) -> None:
        """NumPy has finished when it returns."""

    def pin(self, array: np.ndarray) -> np.ndarray:
        """Host memory needs no pinning without a GPU."""
        return array


def as_arrays(result: Any) -> Any:
    """Scalars of the array library as zero-dimensional arrays."""
    if type(result) is np.ndarray:
        return result
    if type(result) is tuple:
        return tuple(as_arrays(r) for r in result)
    return np.asarray(result)


CPU = device.__new__(device)
CPU.type, CPU.index, CPU._entered = "cpu", None, []
CPU_BACKEND = CpuBackend()
register_backend("cpu", lambda: CPU_BACKEND)
register_executor(np.ndarray, CPU_BACKEND)
