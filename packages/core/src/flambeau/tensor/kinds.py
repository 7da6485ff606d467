"""PyTorch's tensor types (`FloatTensor`, `LongTensor`, ...), which make tensors and answer `isinstance`; memory formats and layouts."""

from __future__ import annotations

from typing import Any

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, explain
from flambeau.device.base import device, set_default_device
from flambeau.tensor.creation import legacy
from flambeau.tensor.tensor import Tensor


class TensorKind(type):
    """A type whose instances are the tensors of one dtype on one type of device."""

    dtype: dtypes.dtype
    where: str

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, Tensor) and value.dtype is cls.dtype and value.device.type == cls.where

    def __subclasscheck__(cls, subclass: type) -> bool:
        return subclass is cls

    def __call__(cls, *args: Any, **kwargs: Any) -> Tensor:
        """As `Tensor(...)`: sizes give uninitialised values, a sequence its numbers."""
        return legacy(args, cls.dtype, device(kwargs.get("device", cls.where)))


def kind(name: str, d: dtypes.dtype, where: str = "cpu") -> TensorKind:
    """The type `name` of tensors of a dtype."""
    module = "flambeau" if where == "cpu" else f"flambeau.{where}"
    return TensorKind(
        name,
        (),
        {"dtype": d, "where": where, "__module__": module, "__doc__": f"Tensors of dtype {d.name} on {where}.", "is_cuda": where == "cuda"},
    )


NAMES = {
    "FloatTensor": dtypes.float32,
    "DoubleTensor": dtypes.float64,
    "HalfTensor": dtypes.float16,
    "BFloat16Tensor": dtypes.bfloat16,
    "ByteTensor": dtypes.uint8,
    "CharTensor": dtypes.int8,
    "ShortTensor": dtypes.int16,
    "IntTensor": dtypes.int32,
    "LongTensor": dtypes.int64,
    "BoolTensor": dtypes.bool_,
}


def kinds(where: str = "cpu") -> dict[str, TensorKind]:
    """All of them for a device."""
    return {name: kind(name, d, where) for name, d in NAMES.items()}


class _Named:
    """A constant with a name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"flambeau.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_named, (type(self).__name__, self.name))

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class memory_format(_Named):
    """The order of a tensor's axes in memory that an operation is asked for."""


class layout(_Named):
    """How a tensor's elements are stored: `strided`, or `sparse_coo` (see `flambeau.sparse`)."""


contiguous_format, preserve_format = memory_format("contiguous_format"), memory_format("preserve_format")
channels_last, channels_last_3d = memory_format("channels_last"), memory_format("channels_last_3d")
strided, sparse_coo = layout("strided"), layout("sparse_coo")


def _named(kind: str, name: str) -> Any:
    return globals()[name]


globals().update(kinds())


def set_default_tensor_type(t: Any) -> None:
    """Set the dtype (and device) of new floating-point tensors by a type such as `FloatTensor` or its name."""
    if isinstance(t, str):
        short = t.rpartition(".")[2]
        where = "cuda" if ".cuda." in t else "cpu"
        if short not in NAMES:
            raise ArgumentError(explain("set_default_tensor_type", expected="one of " + ", ".join(NAMES), got=repr(t)))
        d = NAMES[short]
    elif isinstance(t, TensorKind):
        d, where = t.dtype, t.where
    else:
        raise ArgumentError(explain("set_default_tensor_type", expected="a type such as flambeau.FloatTensor", got=repr(t)))
    dtypes.set_default_dtype(d)
    set_default_device(None if where == "cpu" else where)


__all__ = [
    *NAMES,
    "channels_last",
    "channels_last_3d",
    "contiguous_format",
    "layout",
    "memory_format",
    "preserve_format",
    "set_default_tensor_type",
    "sparse_coo",
    "strided",
]
