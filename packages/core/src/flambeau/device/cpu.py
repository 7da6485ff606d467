"""The CPU: arrays are NumPy's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from flambeau.device.base import Memory, device, register_backend, register_executor

NEVER = 1 << 62  # more elements than there are
LEAST = {  # the rows that are quicker as machine code, and from how many elements on (benchmarks/eager.py); sums and products of arrays
    # wait for memory, whoever computes them
    **dict.fromkeys("relu clamp hardtanh where maximum minimum".split(), 1 << 20),
    **dict.fromkeys("exp expm1 log log1p tanh sigmoid rsqrt reciprocal".split(), 1 << 18),
    **dict.fromkeys("erf sum amax amin softmax softmax_grad log_softmax log_softmax_grad".split(), 1 << 16),
    **dict.fromkeys("standardize standardize_grad scale_shift product_sum nll_grad".split(), 1 << 16),
    **dict.fromkeys("conv conv_input_grad conv_weight_grad max_pool unpool attention attention_grad ctc ctc_grad".split(), 1 << 14),
}


class CpuBackend(Memory):
    """Runs each primitive's kernel on NumPy arrays, or, from `large` elements on, as machine code where there is a compiler."""

    name = "cpu"
    priority = 0
    xp: Any = np
    large = NEVER
    _load: Callable[[], Any] | None = None
    _compiled: Callable[..., Any] | None = None

    def accelerate(self, large: int, load: Callable[[], Any]) -> None:
        """Let `load()`, called at the first operation on that many elements, give what runs large ones: a function (fn, arguments, params,
        positions of arguments that fn writes to) that gives fn's arrays, or NotImplemented."""
        self.large, self._load, self._compiled = large, load, None

    def compiled(self, fn: Any, given: Sequence[Any], params: dict[str, Any], written: Sequence[int] = ()) -> Any:
        """The arrays of `fn(*given, **params)`, computed by machine code, or NotImplemented."""
        if self._compiled is None:
            load, self._load = self._load, None
            self._compiled = load() if load is not None else None
            if self._compiled is None:
                self.large = NEVER
                return NotImplemented
        return self._compiled(fn, given, params, written)

    def run_large(self, prim: Any, arrays: list[Any], params: dict[str, Any]) -> Any:
        """A primitive on large arrays."""
        if max([x.size for x in arrays if isinstance(x, np.ndarray)]) >= LEAST.get(prim.name, NEVER):
            found = self.compiled(prim, arrays, params)
            if found is not NotImplemented:
                return found
        return prim.on_numpy(*arrays, **params)

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
