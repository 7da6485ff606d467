"""NVIDIA GPUs through CuPy, which is imported at the first use of a CUDA device."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from flambeau.base.errors import DeviceError, explain, missing_extra
from flambeau.device.base import Memory, device, register_backend, register_executor


class CudaBackend(Memory):
    """Runs each primitive's kernel on CuPy arrays. `xp` may be any module with CuPy's interface (tests pass a stand-in)."""

    name = "cuda"
    priority = 0

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        register_executor(xp.ndarray, self)

    def run(self, prim: Any, arrays: list[Any], inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Call the kernel on the device where the arrays are."""
        first = None
        for array in arrays:
            if isinstance(array, self.xp.ndarray):
                if first is None:
                    first = array.device
                elif array.device != first:
                    got = f"cuda:{first.id} and cuda:{array.device.id}"
                    raise DeviceError(
                        explain(prim.name, expected="tensors on one device", got=got, hint="move one of them with .to(device)")
                    )
        with first if first is not None else self.xp.cuda.Device():
            return prim.on(self.xp)(*arrays, **params)

    def device_of(self, array: Any) -> device:
        """The GPU that holds the array."""
        return device("cuda", int(array.device.id))

    def from_numpy(self, array: np.ndarray, where: device) -> Any:
        """Copy to the GPU."""
        with self.scope(where):
            return self.xp.asarray(array)

    def to_numpy(self, array: Any) -> np.ndarray:
        """Copy to the host; waits for the result."""
        return self.xp.asnumpy(array)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, where: device) -> Any:
        """Uninitialised memory from CuPy's pool."""
        with self.scope(where):
            return self.xp.empty(shape, dtype)

    def scope(self, where: device) -> AbstractContextManager[Any]:
        """Make the GPU current."""
        return self.xp.cuda.Device(self.index(where))

    def synchronize(self, where: device) -> None:
        """Wait for the GPU."""
        with self.scope(where) as current:
            current.synchronize()

    def pin(self, array: np.ndarray) -> np.ndarray:
        """A page-locked copy, from which transfers overlap with work."""
        memory = self.xp.cuda.alloc_pinned_memory(max(array.nbytes, 1))
        pinned = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
        pinned[...] = array
        return pinned

    def index(self, where: device) -> int:
        """The GPU's number; without one, the current GPU."""
        count = self.xp.cuda.runtime.getDeviceCount()
        index = self.xp.cuda.runtime.getDevice() if where.index is None else where.index
        if index >= count:
            raise DeviceError(explain("device", expected=f"cuda:0 to cuda:{count - 1}", got=str(where)))
        return index


def load() -> CudaBackend:
    """Import CuPy and check that there is a GPU."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        raise missing_extra("device 'cuda'", "cupy", 'flambeau[cuda13]" or "flambeau[cuda12]') from None
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise DeviceError(explain("device 'cuda'", expected="an NVIDIA GPU with its driver", got=str(error), hint="device='cpu'")) from None
    if count == 0:
        raise DeviceError(explain("device 'cuda'", expected="an NVIDIA GPU", got="none", hint="device='cpu'"))
    return CudaBackend(cupy)


register_backend("cuda", load)
