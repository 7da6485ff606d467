"""Elementwise operations under PyTorch's names. How they reach their primitives is in `ops/lanes.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, DtypeError, explain
from flambeau.ops.casting import casting
from flambeau.ops.lanes import (
    answered,
    binary,
    bool_power,
    check_divisor,
    divides,
    function,
    integers,
    into,
    logical,
    no_bool,
    ordered,
    unary,
)
from flambeau.ops.promotion import number, operands, to_dtype
from flambeau.primitives import elementwise as rows
from flambeau.primitives.prim import Prim
from flambeau.primitives.reduce import is_half
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.transfer import meet

_FLOAT = np.dtype(np.float32)


# -- operators ------------------------------------------------------------------------------------------------------------------------
add_op, mul_op, div_op = (binary(p, floating=p is rows.div, dunder=True) for p in (rows.add, rows.mul, rows.div))
sub_op, pow_op = binary(rows.sub, dunder=True, check=no_bool), binary(rows.pow_, dunder=True, check=bool_power)
remainder_op, floordiv_op = (binary(p, dunder=True, check=divides) for p in (rows.remainder, rows.floor_divide))
eq_op, ne_op = binary(rows.eq, dunder=True), binary(rows.ne, dunder=True)
lt_op, le_op, gt_op, ge_op = (binary(p, dunder=True, check=ordered) for p in (rows.lt, rows.le, rows.gt, rows.ge))


def in_float32(op: Callable[..., Any]) -> Callable[..., Any]:
    """Half-precision operands are computed in float32 and rounded once, as PyTorch does."""

    def call(input: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_half(getattr(getattr(input, "_a", None), "dtype", _FLOAT)):
            return op(input, *args, **kwargs)
        d = input.dtype
        tensors = [x for x in args if isinstance(x, Tensor)]
        if any(t.dtype is not d and t._a.ndim for t in tensors):
            return op(input, *args, **kwargs)
        wide = [to_dtype(x, dtypes.float32) if isinstance(x, Tensor) else x for x in (input, *args)]
        return to_dtype(op(*wide, **kwargs), d)

    call.__name__ = call.__qualname__ = op.__name__
    call.__doc__ = op.__doc__
    return call


def _with_alpha(op: Callable[..., Any], doc: str) -> Callable[..., Any]:
    @in_float32
    def scaled(input: Any, other: Any, *, alpha: Any) -> Any:
        return op(input, mul_op(other, alpha) if isinstance(other, Tensor) else other * alpha)

    def call(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
        result = answered(op(input, other) if alpha == 1 else scaled(input, other, alpha=alpha), op.__name__, input, other)
        return result if out is None else into(out, result)

    call.__name__ = call.__qualname__ = op.__name__
    call.__doc__ = doc
    return call


add = _with_alpha(add_op, "input + alpha * other, elementwise with broadcasting.")
sub = subtract = _with_alpha(sub_op, "input - alpha * other, elementwise with broadcasting.")


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other - alpha * input."""
    return sub(other if isinstance(other, Tensor) else number(other, "rsub"), input, alpha=alpha)


mul = multiply = function(mul_op, "input * other, elementwise with broadcasting.")


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """input / other; integers give the default float dtype. `rounding_mode` "trunc" rounds towards zero, "floor" down (both keep integers).

    >>> import flambeau as fb
    >>> fb.div(fb.tensor([7, -7]), 2, rounding_mode="floor")
    tensor([ 3, -4])
    """
    if rounding_mode is None:
        result = answered(div_op(input, other), "div", input, other)
    elif rounding_mode == "floor":
        result = answered(floordiv_op(input, other), "div", input, other)
    elif rounding_mode == "trunc":
        x, y = operands("div", input, other)
        d = next(p for p in (x, y) if isinstance(p, Tensor))._a.dtype
        check_divisor("div", x, y)
        result = rows.trunc(rows.div(x, y)) if d.kind in "fcV" else _int_trunc(x, y)
    else:
        raise ArgumentError(explain("div", expected="rounding_mode None, 'trunc' or 'floor'", got=repr(rounding_mode)))
    return result if out is None else into(out, result)


def _int_trunc(x: Any, y: Any) -> Any:
    """Integer division towards zero, exact for large values."""
    return rows.floor_divide(rows.sub(x, rows.fmod(x, y)), y)


divide = true_divide = div
remainder = function(remainder_op, "The remainder of a division, with the sign of the divisor (as Python's %).")
floor_divide = function(floordiv_op, "input / other rounded down.", "floor_divide")


def pow(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """input to the power exponent."""
    result = answered(pow_op(input, exponent), "pow", input, exponent)
    return result if out is None else into(out, result)


def float_power(input: Any, exponent: Any) -> Any:
    """A power computed in float64 (complex128 for complex operands)."""
    x, y = operands("float_power", input, exponent)
    wide = dtypes.complex128 if any(rows.is_complex(v) for v in (x, y)) else dtypes.float64
    return pow_op(*(to_dtype(v, wide) if isinstance(v, Tensor) else v for v in (x, y)))


eq, ne, lt, le, gt, ge = (
    function(op, f"Whether input {sign} other, elementwise, as bool.")
    for op, sign in ((eq_op, "=="), (ne_op, "!="), (lt_op, "<"), (le_op, "<="), (gt_op, ">"), (ge_op, ">="))
)
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
maximum = function(binary(rows.maximum, check=ordered), "The larger of each pair; NaN where either is NaN.")
minimum = function(binary(rows.minimum, check=ordered), "The smaller of each pair; NaN where either is NaN.")
fmax = function(binary(rows.fmax, check=ordered), "The larger of each pair; a number wins over NaN.")
fmin = function(binary(rows.fmin, check=ordered), "The smaller of each pair; a number wins over NaN.")
fmod = function(binary(rows.fmod, check=divides), "The remainder of a division, with the sign of the dividend.")
atan2 = arctan2 = function(binary(rows.atan2, floating=True), "The angle of the point (other, input), in (-pi, pi].")
hypot = function(binary(rows.hypot, floating=True), "The length of the vector (input, other).")
logaddexp = function(binary(rows.logaddexp, floating=True), "log(exp(input) + exp(other)) without overflow.")
logaddexp2 = function(binary(rows.logaddexp2, floating=True), "log2(2**input + 2**other) without overflow.")
copysign = function(binary(rows.copysign, floating=True), "The size of input with the sign of other.")
nextafter = function(binary(rows.nextafter, floating=True), "The next number after input in the direction of other.")
xlogy = function(binary(rows.xlogy, floating=True), "input * log(other), and 0 where input is 0.")
ldexp = function(binary(rows.ldexp, floating=True), "input * 2**other.")
gcd = function(integers(rows.gcd), "The greatest common divisor.")
lcm = function(integers(rows.lcm), "The least common multiple.")
bitwise_and, bitwise_or, bitwise_xor = (
    function(integers(p), f"{p.name} of bools or integers.") for p in (rows.bitwise_and, rows.bitwise_or, rows.bitwise_xor)
)
bitwise_left_shift = function(integers(rows.shift_left), "input shifted left by other bits.", "bitwise_left_shift")
bitwise_right_shift = function(integers(rows.shift_right), "input shifted right by other bits.", "bitwise_right_shift")
logical_and, logical_or, logical_xor = (logical(p) for p in (rows.logical_and, rows.logical_or, rows.logical_xor))

# -- one operand ----------------------------------------------------------------------------------------------------------------------
exp, exp2, expm1, log, log2, log10, log1p, sqrt, rsqrt, sin, cos, tan, sinh, cosh, tanh, sigmoid = (
    unary(getattr(rows, n)) for n in "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt sin cos tan sinh cosh tanh sigmoid".split()
)
asin, acos, atan, asinh, acosh, atanh, reciprocal, erf, erfc, erfinv, lgamma, digamma, i0 = (
    unary(getattr(rows, n)) for n in "asin acos atan asinh acosh atanh reciprocal erf erfc erfinv lgamma digamma i0".split()
)
arcsin, arccos, arctan, arcsinh, arccosh, arctanh = asin, acos, atan, asinh, acosh, atanh
_ANY = "biufc"
neg = negative = unary(rows.neg, floating=False, kinds="iufc")
abs = absolute = unary(rows.abs_, floating=False, kinds=_ANY)
sign, sgn = unary(rows.sign, floating=False, kinds="iuf"), unary(rows.sign, floating=False, kinds="iufc")
square = unary(rows.square, floating=False, kinds="iufc")
relu = unary(rows.relu, floating=False, kinds="iuf")
isnan, isinf, isfinite = (unary(p, floating=False, kinds=_ANY) for p in (rows.isnan, rows.isinf, rows.isfinite))
signbit = unary(rows.signbit, floating=False, kinds="f")
logical_not = unary(rows.logical_not, floating=False, kinds=_ANY)


def bitwise_not(input: Tensor, *, out: Any = None) -> Tensor:
    """The opposite bits of integers, the opposite of bools (`~x`)."""
    if input._a.dtype.kind not in "biu":
        raise DtypeError(explain("bitwise_not", expected="a bool or integer tensor", got=repr(input.dtype), hint="logical_not"))
    result = rows.bitwise_not(input)
    return result if out is None else into(out, result)


angle = unary(rows.angle, floating=True)


def _rounding(prim: Prim) -> Callable[..., Any]:
    """Integers are returned as they are."""

    def op(input: Tensor, *, out: Any = None) -> Tensor:
        result = prim(input) if input._a.dtype.kind in "fcV" else rows.copy(input)
        return result if out is None else into(out, result)

    op.__name__ = op.__qualname__ = prim.name
    op.__doc__ = f"{prim.name} of each element, in the same dtype."
    return op


floor, ceil, trunc = _rounding(rows.floor), _rounding(rows.ceil), _rounding(rows.trunc)
fix = trunc


def round(input: Tensor, *, decimals: int = 0, out: Any = None) -> Tensor:
    """Round to the nearest value with so many decimals; halves go to the even neighbour."""
    result = rows.round_(input, decimals=decimals) if input._a.dtype.kind in "fcV" else rows.copy(input)
    return result if out is None else into(out, result)


def frac(input: Tensor) -> Tensor:
    """The part behind the point, with the sign of input."""
    return sub_op(input, trunc(input))


def conj(input: Tensor) -> Tensor:
    """The complex conjugate; a real tensor is returned as it is."""
    return rows.cj(input)


def real(input: Tensor) -> Tensor:
    """The real part: for complex tensors a view of it."""
    return _part(input, 0) if input.is_complex() else input


def imag(input: Tensor) -> Tensor:
    """The imaginary part of a complex tensor, as a view."""
    if not input.is_complex():
        raise DtypeError(explain("imag", expected="a complex tensor", got=repr(input.dtype)))
    return _part(input, 1)


def _part(x: Tensor, i: int) -> Tensor:
    from flambeau.primitives.movement import slice_, view_as_real

    return slice_(view_as_real(x), key=(..., i))


def complex(real: Tensor, imag: Tensor) -> Tensor:
    """A complex tensor from its parts."""
    return rows.complex_(*operands("complex", real, imag, floating=True))


def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """A complex tensor from length and angle."""
    return complex(mul_op(abs, cos(angle)), mul_op(abs, sin(angle)))


def where(condition: Tensor, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """Elements of `input` where the condition holds, else of `other`. With the condition alone: its nonzero positions as a tuple.

    >>> import flambeau as fb
    >>> fb.where(fb.tensor([True, False]), 1.0, 0.0)
    tensor([1., 0.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if condition._a.dtype.kind not in "bu":
        raise DtypeError(explain("where", expected="a bool condition", got=repr(condition.dtype), hint="condition != 0"))
    x, y = operands("where", input, other)
    c = condition if condition._a.dtype.kind == "b" else rows.ne(condition, 0)
    if type(c._a) is not np.ndarray:  # numbers alone were made into a tensor on the CPU
        x, y = (meet(t, c.device) if isinstance(t, Tensor) else t for t in (x, y))
    if isinstance(x, Tensor) or isinstance(y, Tensor):
        result = rows.where(c, x, y)
    return result if out is None else into(out, result)


def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Any = None) -> Tensor:
    """Limit elements to [min, max]; either may be left out, both may be numbers or tensors."""
    if min is None and max is None:
        raise ArgumentError(explain("clamp", expected="min or max", got="neither"))
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        result = input
        if min is not None:
            result = where(lt_op(result, min), min, result)
        if max is not None:
            result = where(gt_op(result, max), max, result)
    else:
        lo, hi = (b.item() if isinstance(b, np.generic) else b for b in (min, max))
        bounds = [b for b in (lo, hi) if b is not None]
        x = operands("clamp", input, *bounds)[0]
        result = rows.clamp(x, lo=lo, hi=hi)
    return result if out is None else into(out, result)


clip = clamp


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Limit elements from below."""
    return clamp(input, min=min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Limit elements from above."""
    return clamp(input, max=max)


def nan_to_num(input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Replace NaN (by 0) and infinities (by the largest and smallest finite numbers)."""
    if not input.is_floating_point():
        return rows.copy(input)
    info = dtypes.finfo(input.dtype)
    x = where(isnan(input), 0.0 if nan is None else nan, input)
    x = where(eq_op(input, float("inf")), info.max if posinf is None else posinf, x)
    return where(eq_op(input, float("-inf")), info.min if neginf is None else neginf, x)


@in_float32
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""
    return add_op(input, mul_op(tensor1 if value == 1 else mul_op(tensor1, value), tensor2))


@in_float32
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """input + value * tensor1 / tensor2."""
    return add_op(input, div_op(tensor1 if value == 1 else mul_op(tensor1, value), tensor2))


@in_float32
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight * (end - input), exact at both ends."""
    span = sub_op(end, input)
    if isinstance(weight, Tensor):
        near = lt_op(abs(weight), 0.5)
        return where(near, add_op(input, mul_op(weight, span)), sub_op(end, mul_op(span, rsub(weight, 1))))
    return add_op(input, mul_op(span, weight)) if weight < 0.5 else sub_op(end, mul_op(span, 1 - weight))


def deg2rad(input: Tensor) -> Tensor:
    """Degrees to radians."""
    return mul_op(input, np.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians to degrees."""
    return mul_op(input, 180 / np.pi)


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below zero, 1 above, `values` at zero."""
    step = to_dtype(gt_op(input, 0), input.dtype)
    return where(eq_op(input, 0), values, step)


def isposinf(input: Tensor) -> Tensor:
    """Whether an element is +infinity."""
    return eq_op(input, float("inf"))


def isneginf(input: Tensor) -> Tensor:
    """Whether an element is -infinity."""
    return eq_op(input, float("-inf"))


def isreal(input: Tensor) -> Tensor:
    """Whether the imaginary part is zero."""
    return eq_op(imag(input), 0) if input.is_complex() else rows.fill(eq_op(input, input), value=True)


def positive(input: Tensor) -> Tensor:
    """input itself."""
    return input


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)); with eps, x is limited to [eps, 1 - eps] first."""
    x = input if eps is None else clamp(input, eps, 1 - eps)
    return log(div_op(x, rsub(x, 1)))


def sinc(input: Tensor) -> Tensor:
    """sin(pi x) / (pi x), and 1 at 0."""
    x = mul_op(operands("sinc", input, floating=True)[0], np.pi)
    nought = eq_op(x, 0)
    safe = where(nought, 1.0, x)
    return where(nought, 1.0, div_op(sin(safe), safe))


def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma."""
    x = operands("polygamma", input, floating=True)[0]
    return rows.polygamma(x, n=int(n)) if n else digamma(x)


def mvlgamma(input: Tensor, p: int) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p."""
    total = lgamma(input)
    for i in range(1, p):
        total = add_op(total, lgamma(sub_op(input, i / 2)))
    return add_op(total, p * (p - 1) / 4 * float(np.log(np.pi)))


__all__ = """
abs absolute acos acosh add addcdiv addcmul angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh
bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp clamp_max clamp_min clip complex conj
copysign cos cosh deg2rad digamma div divide eq erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide fmax fmin fmod frac
gcd ge greater greater_equal gt heaviside hypot i0 imag isfinite isinf isnan isneginf isposinf isreal lcm ldexp le lerp less less_equal
lgamma log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logit lt maximum minimum mul multiply
mvlgamma nan_to_num ne neg negative nextafter not_equal polar polygamma positive pow rad2deg real reciprocal relu remainder round rsqrt
rsub sgn sigmoid sign signbit sin sinc sinh sqrt square sub subtract tan tanh true_divide trunc where xlogy
""".split()

casting(globals())
