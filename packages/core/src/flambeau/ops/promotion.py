"""PyTorch's type promotion, done once in front of the primitives.

Tensors with axes decide first, then zero-dimensional tensors, then Python numbers: a lower group changes the dtype only if its category
(bool < integer < float < complex) is higher.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base import dtypes
from flambeau.base.dtypes import dtype as DType
from flambeau.base.errors import ArgumentTypeError, explain
from flambeau.primitives.elementwise import cast
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.transfer import meet

_COMPARISONS = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))
_NUMBERS = (int, float, complex, bool)


def result_type(*values: Any) -> DType:
    """The dtype of an operation on tensors and numbers.

    >>> import flambeau as fb
    >>> fb.result_type(fb.tensor([1, 2]), 1.5)
    flambeau.float32
    """
    groups: list[DType | None] = [None, None, None]
    for v in values:
        if isinstance(v, Tensor):
            level, d = (0 if v._a.ndim else 1), v.dtype
        else:
            level, d = 2, dtypes.scalar_dtype(v)
        have = groups[level]
        groups[level] = d if have is None else dtypes.promote(have, d)
    result: DType | None = None
    for d in groups:  # type: ignore[assignment]
        if d is None or result is None:
            result = result or d
        elif d.category > result.category:
            result = result.to_complex() if d.is_complex and result.is_floating_point else dtypes.promote(result, d)
    assert result is not None
    return result


def number(x: Any, op: str) -> Any:
    """A tensor or Python number from what a user may pass as an operand; None for what is not an operand."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, np.generic):  # before Python's numbers: np.float64 is a float too, and would turn float32 tensors into float64
        return x.item()
    if isinstance(x, _NUMBERS):
        return x
    if isinstance(x, np.ndarray):
        return as_tensor(x)
    if hasattr(x, "as_operand"):  # a number that a captured function has read
        return x.as_operand()
    raise ArgumentTypeError(explain(op, expected="a tensor or a number", got=f"{type(x).__name__} {str(x)[:40]}"))


def only_tensors(op: str, *xs: Any) -> None:
    """Refuse arguments that are not tensors."""
    for k, x in enumerate(xs):
        if not isinstance(x, Tensor):
            hint = "flambeau.as_tensor"
            raise ArgumentTypeError(explain(op, expected="tensors", got=f"{type(x).__name__} as number {k + 1} of them", hint=hint))


def to_dtype(x: Tensor, d: DType) -> Tensor:
    """x converted, or x itself where it has that dtype."""
    wanted = d.numpy
    return x if x._a.dtype == wanted else cast(x, dtype=wanted)


def operands(op: str, *xs: Any, floating: bool = False) -> tuple[Any, ...]:
    """Operands in their common dtype: tensors converted, numbers kept (one becomes a tensor if there is none).

    `floating` turns integers into the default float."""
    values = tuple(number(x, op) for x in xs)
    tensors = [v for v in values if isinstance(v, Tensor)]
    d = result_type(*values)
    if floating and d.category < 2:
        d = dtypes.default_dtype()
    if not tensors:
        values = (as_tensor(values[0]), *values[1:])
        tensors = [values[0]]
    where = next((t.device for t in tensors if t._a.ndim), tensors[0].device)
    values = tuple(_operand(v, d, where) if isinstance(v, Tensor) else _weak(v, d) for v in values)
    if d.category == 1 and op not in _COMPARISONS:
        values = tuple(_wrapped(v, d) if isinstance(v, int) else v for v in values)
    return values


def _operand(t: Tensor, d: DType, where: Any) -> Tensor:
    return to_dtype(meet(t, where) if where.type != "cpu" else t, d)


def _weak(v: Any, d: DType) -> Any:
    """A number in the category of d, so that NumPy does not see, e.g., a bool where a float is meant."""
    if d is dtypes.bfloat16:
        return d.numpy.type(v)  # ml_dtypes does not treat Python numbers as weak
    if d.category >= 2 and isinstance(v, int):
        return float(v)
    return int(v) if d.category == 1 and isinstance(v, bool) else v


def _wrapped(v: int, d: DType) -> int:
    """A number outside the range of an integer dtype counts modulo its size, as in PyTorch (and C)."""
    bits = 8 * d.itemsize
    low = -(1 << (bits - 1)) if d.is_signed else 0
    return v if low <= v < low + (1 << bits) else (v - low) % (1 << bits) + low
