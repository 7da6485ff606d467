"""Conversions between dtypes and devices."""

from __future__ import annotations

from typing import Any

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentTypeError, FlambeauError, did_you_mean, explain
from flambeau.device.base import backend, device, device_types
from flambeau.ops.promotion import to_dtype
from flambeau.primitives import elementwise
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.transfer import to_device


def to(
    input: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    copy: bool = False,
    non_blocking: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Converted to a dtype and/or device: `x.to(fb.float64)`, `x.to("cuda")`, `x.to(other)`, `x.to("cuda", fb.float16)`.

    >>> import flambeau as fb
    >>> fb.tensor([1, 2]).to(fb.float32)
    tensor([1., 2.])
    """
    for a in args:
        if isinstance(a, Tensor):
            dtype, device = a.dtype, a.device
        elif isinstance(a, dtypes.dtype) or a in (float, int, bool, complex):
            dtype = a
        elif a is not None and not isinstance(a, bool):  # a bool is non_blocking: copies are queued anyway
            device = a
    out = input
    if device is not None:
        out = to_device(out, _device(device))
    if dtype is not None:
        out = to_dtype(out, dtypes.as_dtype(dtype, "to"))
    return elementwise.copy(out) if copy and out is input else out


def _device(value: Any) -> device:
    try:
        return value if isinstance(value, device) else device(value)
    except FlambeauError:
        if isinstance(value, str) and did_you_mean(value.partition(":")[0], device_types()):
            raise
        raise ArgumentTypeError(explain("to", expected="a dtype, a device or a tensor", got=repr(value))) from None


def cpu(input: Tensor) -> Tensor:
    """On the CPU."""
    return to_device(input, device("cpu"))


def cuda(input: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """On an NVIDIA GPU."""
    return to_device(input, _device("cuda" if device is None else device))


def type_as(input: Tensor, other: Tensor) -> Tensor:
    """In the dtype of `other`, on its device."""
    return to_dtype(to_device(input, other.device), other.dtype)


def _caster(d: dtypes.dtype, name: str) -> Any:
    def method(input: Tensor, memory_format: Any = None) -> Tensor:
        return to_dtype(input, d)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"Converted to {d.name}."
    return method


CASTS = {
    "float": dtypes.float32,
    "double": dtypes.float64,
    "half": dtypes.float16,
    "bfloat16": dtypes.bfloat16,
    "long": dtypes.int64,
    "int": dtypes.int32,
    "short": dtypes.int16,
    "char": dtypes.int8,
    "byte": dtypes.uint8,
    "bool": dtypes.bool_,
    "cfloat": dtypes.complex64,
    "cdouble": dtypes.complex128,
}
casts = {name: _caster(d, name) for name, d in CASTS.items()}


_TITLES = {"bfloat16": "BFloat16", "cfloat": "ComplexFloat", "cdouble": "ComplexDouble"}
_TYPE_NAMES = {d: f"{_TITLES.get(name, name.capitalize())}Tensor" for name, d in CASTS.items()}
_TYPES = {name: d for d, name in _TYPE_NAMES.items()} | {"Tensor": None}


def type_(input: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type, or the tensor converted to a dtype, or to a type such as `FloatTensor` and its device.

    >>> import flambeau as fb
    >>> fb.ones(1).type(), fb.ones(1).type("torch.LongTensor").type(fb.HalfTensor).type()
    ('flambeau.FloatTensor', 'flambeau.HalfTensor')
    """
    if dtype is None:
        prefix = "" if input.device.type == "cpu" else f"{input.device.type}."
        return f"flambeau.{prefix}{_TYPE_NAMES.get(input.dtype, f'{input.dtype.name.capitalize()}Tensor')}"
    if dtype is Tensor:
        dtype = "Tensor"
    if isinstance(dtype, str) and dtype.endswith("Tensor"):
        home, _, name = dtype.rpartition(".")
        if name not in _TYPES:
            hint = did_you_mean(name, _TYPES) or "a dtype"
            raise ArgumentTypeError(explain("type", expected="the name of a tensor type", got=repr(dtype), hint=hint))
        return to_dtype(_on(input, "cuda" if home.endswith("cuda") else "cpu"), _TYPES[name] or dtypes.default_dtype())
    where = getattr(dtype, "where", None)  # of FloatTensor and its like
    return to_dtype(input, dtypes.as_dtype(dtype)) if where is None else to_dtype(_on(input, where), dtype.dtype)


def _on(input: Tensor, where: str) -> Tensor:
    """On a device of this type; nothing moves between devices of one type."""
    return input if input.device.type == where else to_device(input, device(where))


def pin_memory(input: Tensor, device: Any = None) -> Tensor:
    """A page-locked copy in host memory, from which copies to a GPU overlap with work."""
    from flambeau.device.base import _backends

    owner = _backends.get("cuda") or backend(input.device)
    return wrap(owner.pin(input._a)) if hasattr(owner, "pin") else input
