"""Storages of PyTorch's files: runs of elements of one dtype, which tensors are views of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.base.dtypes import dtype as DType
from flambeau.base.errors import DeviceError, MissingExtra, explain
from flambeau.serialization import arrays
from flambeau.serialization.pth.opcodes import refuse

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class StorageType:
    """The class of a storage as a file names it; `dtype` is None for one of bytes, whose tensors say what they are."""

    def __init__(self, name: str, dtype: DType | None) -> None:
        self.name, self.dtype = name, dtype

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return 1 if self.dtype is None else self.dtype.itemsize


class Storage:
    """One storage. `read` gives its bytes when a tensor first needs them; None while only the structure of a file is looked at."""

    def __init__(self, source: str, kind: StorageType, location: str, count: int, read: Callable[[], Bytes] | None) -> None:
        self.source, self.kind, self.location, self.count = source, kind, location, count
        self._read = read
        self._bytes: Bytes | None = None
        self._tensors: dict[Any, Any] = {}

    @property
    def known(self) -> bool:
        """Whether tensors can be made."""
        return self._read is not None

    def bytes(self) -> Bytes:
        """The bytes, read once."""
        if self._bytes is None:
            assert self._read is not None
            self._bytes = self._read()
        return self._bytes

    def tensor(self, dtype: DType | None, offset: int, size: tuple[int, ...], stride: tuple[int, ...], map_location: Any) -> Any:
        """The tensor that is a view of this storage; all tensors of one storage share memory."""
        dtype = dtype or self.kind.dtype
        if dtype is None or (self.kind.dtype or dtype) is not dtype:
            refuse(self.source, f"a tensor of the dtype of its {self.kind.name}", repr(dtype))
        key = (dtype, offset, size, stride)
        if key in self._tensors and not self._tensors[key].is_cpu:
            return self._tensors[key].detach()
        array = self._view(dtype, offset, size, stride)
        try:
            made = arrays.tensor_of(array, {"device": self.location}, map_location)
        except (DeviceError, MissingExtra) as error:
            hint = 'map_location="cpu"'
            expected = f"the device {self.location!r}, on which it was saved"
            raise DeviceError(explain(f"PyTorch file {self.source}", expected=expected, got=str(error), hint=hint)) from None
        if made.is_cpu and self._tensors:
            arrays.share([next(iter(self._tensors.values())), made])
        self._tensors.setdefault(key, made)
        return made

    def _view(self, dtype: DType, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> np.ndarray[Any, Any]:
        item = dtype.itemsize
        room = self.count * self.kind.itemsize // item
        empty = 0 in size
        last = offset + (0 if empty else sum((n - 1) * step for n, step in zip(size, stride, strict=True)))
        if last > room or (last == room and not empty):
            refuse(self.source, f"tensors inside their storage of {room} elements", f"offset {offset}, size {size}, stride {stride}")
        if empty:
            return np.zeros(size, dtype.numpy)
        steps = tuple(step * item for step in stride)
        return np.ndarray(size, dtype.numpy, buffer=self.bytes().data, offset=offset * item, strides=steps)
