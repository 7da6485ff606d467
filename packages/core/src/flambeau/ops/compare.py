"""Comparison of whole tensors, and questions about tensors and dtypes."""

from __future__ import annotations

from typing import Any

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.ops.pointwise import abs, eq_op, isfinite, isnan, le_op, mul_op, sub_op
from flambeau.ops.reduction import all as all_of
from flambeau.primitives import elementwise
from flambeau.tensor.tensor import Tensor


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol * |other|, elementwise; infinities are close to themselves.

    >>> import flambeau as fb
    >>> fb.isclose(fb.tensor([1.0, 2.0]), fb.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    if input._a.dtype != other._a.dtype:
        raise DtypeError(
            explain("isclose", expected="operands of one dtype", got=f"{input.dtype!r} and {other.dtype!r}", hint="convert one of them")
        )
    if rtol < 0 or atol < 0:
        raise ArgumentError(explain("isclose", expected="rtol and atol >= 0", got=f"rtol={rtol}, atol={atol}"))
    x, y = input.detach(), other.detach()
    close = eq_op(x, y)
    if equal_nan and input.dtype.category >= 2:
        close = close | (isnan(x) & isnan(y))
    if rtol == 0 and atol == 0:
        return close
    if input.dtype.category < 2:
        x, y = x.to(dtypes.float64), y.to(dtypes.float64)
    distance = abs(sub_op(x, y))
    return close | (isfinite(distance) & le_op(distance, mul_op(abs(y), rtol) + atol))


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close (see `isclose`)."""
    return bool(all_of(isclose(input, other, rtol, atol, equal_nan)))


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have one shape and equal elements."""
    if input._a.shape != other._a.shape:
        return False
    return bool(all_of(eq_op(input.detach(), other.detach())))


def is_tensor(obj: Any) -> bool:
    """Whether it is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a float."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    return input.is_complex()


def is_signed(input: Tensor) -> bool:
    """Whether the dtype can be negative."""
    return input.is_signed()


def is_nonzero(input: Tensor) -> bool:
    """Whether the single element is not zero."""
    if input._a.size != 1:
        raise ShapeError(explain("is_nonzero", expected="a tensor with one element", got=f"shape {tuple(input.shape)}"))
    return bool(input)


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether both have one shape."""
    return bool(input._a.shape == other._a.shape)


def is_inference(input: Tensor) -> bool:
    """Whether inference mode is on."""
    return input.is_inference()


def is_conj(input: Tensor) -> bool:
    """False: conjugates are computed at once, there is no lazy bit."""
    return False


is_neg = is_conj


def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: conjugates are computed at once."""
    return input


resolve_neg = resolve_conj


def conj_physical(input: Tensor) -> Tensor:
    """The complex conjugate; a copy for real tensors."""
    return elementwise.cj(input) if input.is_complex() else elementwise.copy(input)


def numel(input: Tensor) -> int:
    """The number of elements."""
    return int(input._a.size)


def detach(input: Tensor) -> Tensor:
    """The same memory without gradient."""
    return input.detach()


def get_device(input: Tensor) -> int:
    """The number of the GPU; -1 on the CPU."""
    return input.get_device()


def can_cast(from_: dtypes.dtype, to: dtypes.dtype) -> bool:
    """Whether a dtype converts to another without going down a category (bool < integer < float < complex).

    >>> import flambeau as fb
    >>> fb.can_cast(fb.int32, fb.float32), fb.can_cast(fb.float32, fb.int64)
    (True, False)
    """
    return from_.category <= to.category


def typename(obj: Any) -> str:
    """The full name of the type of an object; of a tensor, with its dtype."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    return kind.__qualname__ if kind.__module__ in ("", "builtins") else f"{kind.__module__}.{kind.__qualname__}"


def _assert(condition: Any, message: str = "") -> None:
    """Raise AssertionError unless the condition (a bool or a tensor) holds."""
    if not bool(condition):
        raise AssertionError(message)


__all__ = """
_assert allclose can_cast conj_physical detach equal get_device is_complex is_conj is_floating_point is_inference is_neg is_nonzero
is_same_size is_signed is_tensor isclose numel resolve_conj resolve_neg typename
""".split()
