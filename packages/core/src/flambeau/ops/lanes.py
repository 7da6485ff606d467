"""The ways into elementwise primitives: type promotion, `out=`, and the hot path.

For CPU tensors of one dtype the closures made here call the NumPy function at once. Everything else (promotion, other devices, numbers of
another category) goes the longer way through the primitive.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd.node import record, record_pair
from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, DtypeError, explain
from flambeau.device.cpu import CPU_BACKEND
from flambeau.ops.promotion import number, operands, to_dtype
from flambeau.primitives import elementwise as rows
from flambeau.primitives.bind import state
from flambeau.primitives.prim import Prim
from flambeau.tensor.tensor import Tensor

ndarray = np.ndarray
_new = object.__new__
_OPERANDS = (Tensor, int, float, complex, np.generic, ndarray)
_NOTHING: dict[str, Any] = {}


def binary(prim: Prim, *, floating: bool = False, dunder: bool = False, check: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """An operation on two operands. As an operator (`dunder`) it returns NotImplemented for operands it does not know.

    `check(name, x, y)` sees operands other than floats, and may refuse or replace them.
    """
    name = prim.name
    kernel: Any = None
    kinds = frozenset("fc" if floating else "biufc") - frozenset("biuc" if check is divides else "bc" if check else "")
    recorded = prim.rules is not None
    assert prim.rules is None or None not in prim.rules, name

    def op(input: Any, other: Any) -> Any:
        nonlocal kernel
        if isinstance(other, Tensor) and isinstance(input, Tensor):
            a = input._a
            b = other._a
            if (
                type(a) is ndarray
                and type(b) is ndarray
                and a.dtype is b.dtype
                and a.dtype.kind in kinds
                and state.interceptor is None
                and a.size < CPU_BACKEND.large
            ):
                if kernel is None:
                    kernel = prim.on(np)
                try:
                    r = kernel(a, b)
                except (ValueError, TypeError):
                    return prim(input, other)  # fails again, with our message
                if type(r) is not ndarray:
                    r = np.asarray(r)
                t = _new(Tensor)
                t._a = r
                t._node = t._st = t._base = None
                if recorded and (input._node is not None or other._node is not None):
                    record_pair(prim, input, other, t)
                return t
        elif (
            type(other) is float
            and type(input) is Tensor
            and type(input._a) is ndarray
            and input._a.dtype.kind == "f"
            and state.interceptor is None
            and input._a.size < CPU_BACKEND.large
        ):
            if kernel is None:
                kernel = prim.on(np)
            t = _new(Tensor)
            t._a = np.asarray(kernel(input._a, other))
            t._node = t._st = t._base = None
            if recorded and input._node is not None:
                record_pair(prim, input, other, t)
            return t
        if dunder and not isinstance(other, _OPERANDS):
            if not hasattr(other, "as_operand"):
                return NotImplemented
            other = other.as_operand()  # a number that a captured function has read
        x, y = operands(name, input, other, floating=floating)
        return prim(x, y) if check is None else check(prim, input, other, x, y)

    op.__name__ = op.__qualname__ = name
    return op


def ordered(prim: Any, input: Any, other: Any, x: Any, y: Any) -> Any:
    """Complex numbers have no order."""
    if rows.is_complex(x) or rows.is_complex(y):
        raise DtypeError(explain(prim.name, expected="real operands", got="a complex one", hint=".abs() or .real"))
    return prim(x, y)


def divides(prim: Any, input: Any, other: Any, x: Any, y: Any) -> Any:
    """Rounded division is for real numbers."""
    check_divisor(prim.name, x, y)
    return ordered(prim, input, other, x, y)


def check_divisor(op: str, x: Any, y: Any) -> None:
    """Refuse the rounded division of bools, and of integers by zero."""
    kind = next(v for v in (x, y) if isinstance(v, Tensor))._a.dtype.kind
    if kind == "b":
        raise DtypeError(explain(op, expected="numbers", got="bool operands", hint=".int()"))
    if kind in "iu" and _has_zero(y):
        raise ArgumentError(explain(op, expected="no zero among integer divisors", got="one", hint="divide floats"))


def _has_zero(divisor: Any) -> bool:
    """Arrays on other devices and arrays without values are not looked at."""
    if not isinstance(divisor, Tensor):
        return divisor == 0
    return type(divisor._a) is ndarray and not divisor._a.all()


def no_bool(prim: Prim, input: Any, other: Any, x: Any, y: Any) -> Any:
    for v in (input, other):
        if isinstance(v, builtins.bool) or (isinstance(v, Tensor) and v._a.dtype.kind == "b"):
            raise DtypeError(explain("sub", expected="numbers", got="a bool operand", hint="^ (logical_xor) or ~ (logical_not)"))
    return prim(x, y)


def bool_power(prim: Prim, input: Any, other: Any, x: Any, y: Any) -> Any:
    """For bools: true unless false to the power true."""
    if isinstance(x, Tensor) and x._a.dtype.kind == "b":
        return rows.logical_or(x, rows.logical_not(y) if isinstance(y, Tensor) else not y)
    return prim(x, y)


def unary(prim: Prim, *, floating: bool = True, kinds: str = "fc") -> Callable[..., Any]:
    """An operation on one operand; `floating` turns integers into the default float."""
    name = prim.name
    fast = frozenset(kinds)
    kernel: Any = None

    def op(input: Any, *, out: Any = None) -> Any:
        nonlocal kernel
        if type(input) is not Tensor and not isinstance(input, Tensor):
            input = number(input, name)
            input = operands(name, input)[0]
        a = input._a
        if type(a) is ndarray and a.dtype.kind in fast and state.interceptor is None and a.size < CPU_BACKEND.large:
            if kernel is None:
                kernel = prim.on(np)
            r = kernel(a)
            t = _new(Tensor)
            t._a = r if type(r) is ndarray else np.asarray(r)
            t._node = t._st = t._base = None
            if input._node is not None and prim.rules is not None:
                record(prim, (input,), _NOTHING, t)
        else:
            if floating and input._a.dtype.kind in "biu":
                input = to_dtype(input, dtypes.default_dtype())
            t = prim(input)
        return t if out is None else into(out, t)

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"`{name}` of each element. Integer inputs give the default float dtype." if floating else f"`{name}` of each element."
    return op


def into(out: Tensor, value: Tensor) -> Tensor:
    """Serve an `out=` argument."""
    if value.dtype.category > out.dtype.category:
        raise DtypeError(explain("out=", expected=f"a result that converts to {out.dtype!r}", got=repr(value.dtype)))
    if out._a.shape != value._a.shape:
        out.resize_(value.shape)
    return out.copy_(value)


def answered(result: Any, name: str, *given: Any) -> Any:
    """The result of an operator that was called as a function: nobody else can be asked where it knows no answer."""
    if result is NotImplemented:
        for x in given:
            number(x, name)  # names the operand that is none
    return result


def function(op: Callable[..., Any], doc: str, name: str = "") -> Callable[..., Any]:
    """The public function of a binary operation, which takes `out=`."""

    def call(input: Any, other: Any, *, out: Any = None) -> Any:
        result = answered(op(input, other), op.__name__, input, other)
        return result if out is None else into(out, result)

    call.__name__ = call.__qualname__ = name or op.__name__
    call.__doc__ = doc
    return call


def integers(prim: Prim) -> Callable[..., Any]:
    """Bit operations: bool or integer operands."""

    def op(input: Any, other: Any) -> Any:
        pair = operands(prim.name, input, other)
        if next(p for p in pair if isinstance(p, Tensor))._a.dtype.kind not in "biu":
            got = " and ".join(repr(p.dtype) if isinstance(p, Tensor) else repr(p) for p in pair)
            raise DtypeError(explain(prim.name, expected="bool or integer operands", got=got))
        return prim(*pair)

    op.__name__ = prim.name
    return op


def logical(prim: Prim) -> Callable[..., Any]:
    def op(input: Any, other: Any, *, out: Any = None) -> Any:
        result = prim(*operands(prim.name, input, other))
        return result if out is None else into(out, result)

    op.__name__ = op.__qualname__ = prim.name
    op.__doc__ = f"`{prim.name}` of each pair of elements (non-zero counts as true), as bool."
    return op
