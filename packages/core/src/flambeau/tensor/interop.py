"""Exchange with NumPy and other array libraries: `__array__`, the array interfaces, DLPack, the Python array API."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from flambeau.base.dtypes import as_dtype
from flambeau.base.errors import ArgumentError, DeviceError, DtypeError, GradientError, explain
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor, wrap


def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """For `numpy.asarray(tensor)`; shares memory where it can."""
    array = self.numpy()
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


def __array_wrap__(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    """NumPy functions of tensors give tensors."""
    return as_tensor(np.asarray(array))


def array_interface(self: Tensor) -> dict[str, Any]:
    """NumPy's array protocol (version 3)."""
    return _plain(self).__array_interface__


def cuda_array_interface(self: Tensor) -> dict[str, Any]:
    """The CUDA array protocol; an attribute of GPU tensors only."""
    if not self.is_cuda:
        raise AttributeError("__cuda_array_interface__: this tensor is not on a GPU")
    return self._a.__cuda_array_interface__


def _plain(x: Tensor) -> Any:
    if x._node is not None:
        raise GradientError(explain("export", expected="a tensor without gradient", got="one that requires grad", hint=".detach()"))
    if x.is_meta:
        raise DeviceError(explain("export", expected="a tensor with data", got="a tensor on device 'meta'"))
    return x._a


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A one-dimensional tensor on the memory of an object with the buffer protocol (bytes, bytearray, memoryview, mmap, array).

    `count` elements are taken (-1: all that are left) from byte `offset` on. Raises ArgumentError where they do not fit. Writing to the
    tensor writes to the buffer, if that may be written.

    >>> import flambeau as fb
    >>> fb.frombuffer(bytearray(b"abc"), dtype=fb.uint8, offset=1)
    tensor([98, 99], dtype=uint8)
    """
    wanted = as_dtype(dtype, "frombuffer").numpy
    size = memoryview(buffer).nbytes
    left = size - offset
    if offset < 0 or left <= 0 or count == 0 or count < -1 or (count < 0 and left % wanted.itemsize) or count * wanted.itemsize > left:
        got = f"count={count}, offset={offset} of {size} bytes"
        raise ArgumentError(explain("frombuffer", expected=f"elements of {wanted.itemsize} bytes inside the buffer", got=got))
    made = as_tensor(np.frombuffer(buffer, wanted, count, offset))
    return made.requires_grad_() if requires_grad else made


def __dlpack__(self: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None) -> Any:
    """A DLPack capsule of the memory."""
    array = _plain(self)
    if array.dtype.kind == "V":
        raise DtypeError(
            explain("dlpack", expected="a dtype that the array library exports", got=repr(self.dtype), hint=".view(flambeau.int16)")
        )
    options = {k: v for k, v in (("max_version", max_version), ("dl_device", dl_device), ("copy", copy)) if v is not None}
    if stream is not None:
        options["stream"] = stream
    return array.__dlpack__(**options)


def __dlpack_device__(self: Tensor) -> tuple[int, int]:
    """(device type, number) as DLPack counts them."""
    return self._a.__dlpack_device__()


def from_dlpack(x: Any) -> Tensor:
    """A tensor that shares the memory of another library's array.

    >>> import numpy as np, flambeau as fb
    >>> fb.from_dlpack(np.arange(3.0))
    tensor([0., 1., 2.], dtype=float64)
    """
    if hasattr(x, "__dlpack_device__") and x.__dlpack_device__()[0] in (2, 13):
        from flambeau.device.base import backend, device

        return wrap(backend(device("cuda")).xp.from_dlpack(x))
    array = np.from_dlpack(x)
    return wrap(array) if array.flags.writeable else wrap(array.copy())


def __array_namespace__(self: Tensor, *, api_version: str | None = None) -> Any:
    """The module that offers the Python array API for tensors."""
    return sys.modules["flambeau"]


METHODS = {
    "__array__": __array__,
    "__array_wrap__": __array_wrap__,
    "__array_interface__": property(array_interface),
    "__cuda_array_interface__": property(cuda_array_interface),
    "__dlpack__": __dlpack__,
    "__dlpack_device__": __dlpack_device__,
    "__array_namespace__": __array_namespace__,
}
