"""Rows of the elementwise primitives. `cj(x)` is the conjugate, free for real values: gradients of complex functions are conjugate
Wirtinger derivatives, as in PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.base.errors import GradientError, explain
from flambeau.base.shapes import broadcast
from flambeau.primitives.prim import binary, elementwise, primitive, unary
from flambeau.primitives.value import Value


def _real_of(d: np.dtype) -> np.dtype:
    return np.dtype(f"f{d.itemsize // 2}") if d.kind == "c" else d


def _complex_of(d: np.dtype) -> np.dtype:
    return np.dtype(f"c{2 * d.itemsize}")


def is_complex(x: Any) -> bool:
    """Whether a tensor or a number is complex."""
    return x._a.dtype.kind == "c" if isinstance(x, Value) else isinstance(x, complex)


def cj(x: Any) -> Any:
    """The conjugate; a real value is returned as it is."""
    if not is_complex(x):
        return x
    return conj(x) if isinstance(x, Value) else x.conjugate()


BOOL = np.dtype(bool)

# -- signs, rounding, parts ---------------------------------------------------------------------------------------------------------
neg = unary("neg", kernel="negative", vjp=lambda g: neg(g))
sign = unary("sign", kernel="sign", vjp=lambda g, x, out: _sign_vjp(g, x, out))
abs_ = unary("abs", kernel="abs", vjp=lambda g, x: mul(g, sign(x)), result=_real_of)
floor = unary("floor", kernel="floor", vjp=lambda g: zero(g))
ceil = unary("ceil", kernel="ceil", vjp=lambda g: zero(g))
trunc = unary("trunc", kernel="trunc", vjp=lambda g: zero(g))
round_ = unary("round", kernel=lambda xp, x, decimals=0: xp.round(x, decimals) if decimals else xp.rint(x), vjp=lambda g: zero(g))
conj = unary("conj", kernel="conjugate", vjp=lambda g: cj(g))
real = unary("real", kernel=lambda xp, x: x.real.copy(), vjp=lambda g: complex_(g, zero(g)), result=_real_of)
imag = unary("imag", kernel=lambda xp, x: x.imag.copy(), vjp=lambda g: complex_(zero(g), g), result=_real_of)
angle = unary("angle", kernel=lambda xp, x: xp.angle(x).astype(_real_of(x.dtype)), vjp=lambda g, x: _angle_vjp(g, x), result=_real_of)


def _make_complex(xp: Any, x: Any, y: Any) -> Any:
    out = xp.empty(np.broadcast_shapes(x.shape, y.shape), _complex_of(x.dtype))
    out.real, out.imag = x, y
    return out


complex_ = binary("complex", kernel=_make_complex, vjp=(lambda g: real(g), lambda g: imag(g)), result=_complex_of)


def zero(x: Any) -> Any:
    """Zeros of the shape of x, on its device, without a gradient."""
    return fill(x, value=0)


def _sign_vjp(g: Any, x: Any, out: Any) -> Any:
    if not is_complex(x):
        return zero(g)
    size = abs_(x)
    radial = mul(real(mul(g, conj(out))), out)
    return div(sub(g, radial), where(eq(size, 0), fill(size, value=1), size))


def _angle_vjp(g: Any, x: Any) -> Any:
    if not is_complex(x):
        return zero(g)
    square = add(mul(real(x), real(x)), mul(imag(x), imag(x)))
    safe = where(eq(square, 0), fill(square, value=1), square)
    return complex_(neg(div(mul(g, imag(x)), safe)), div(mul(g, real(x)), safe))


# -- exponentials and powers --------------------------------------------------------------------------------------------------------
exp = unary("exp", kernel="exp", vjp=lambda g, out: mul(g, cj(out)))
exp2 = unary("exp2", kernel="exp2", vjp=lambda g, out: mul(g, mul(cj(out), math.log(2))))
expm1 = unary("expm1", kernel="expm1", vjp=lambda g, out: mul(g, cj(add(out, 1))))
log = unary("log", kernel="log", vjp=lambda g, x: div(g, cj(x)))
log2 = unary("log2", kernel="log2", vjp=lambda g, x: div(g, mul(cj(x), math.log(2))))
log10 = unary("log10", kernel="log10", vjp=lambda g, x: div(g, mul(cj(x), math.log(10))))
log1p = unary("log1p", kernel="log1p", vjp=lambda g, x: div(g, cj(add(x, 1))))
sqrt = unary("sqrt", kernel="sqrt", vjp=lambda g, out: div(g, mul(cj(out), 2)))
rsqrt = unary("rsqrt", kernel=lambda xp, x: 1 / xp.sqrt(x), vjp=lambda g, out: mul(mul(g, -0.5), cj(mul(mul(out, out), out))))
reciprocal = unary("reciprocal", kernel=lambda xp, x: 1 / x, vjp=lambda g, out: neg(mul(g, cj(mul(out, out)))))
square = unary("square", kernel="square", vjp=lambda g, x: mul(g, mul(cj(x), 2)))

# -- trigonometric and hyperbolic ---------------------------------------------------------------------------------------------------
sin = unary("sin", kernel="sin", vjp=lambda g, x: mul(g, cj(cos(x))))
cos = unary("cos", kernel="cos", vjp=lambda g, x: neg(mul(g, cj(sin(x)))))
tan = unary("tan", kernel="tan", vjp=lambda g, out: mul(g, cj(add(mul(out, out), 1))))
asin = unary("asin", kernel="arcsin", vjp=lambda g, x: mul(g, cj(rsqrt(sub(1, mul(x, x))))))
acos = unary("acos", kernel="arccos", vjp=lambda g, x: neg(mul(g, cj(rsqrt(sub(1, mul(x, x)))))))
atan = unary("atan", kernel="arctan", vjp=lambda g, x: div(g, cj(add(mul(x, x), 1))))
sinh = unary("sinh", kernel="sinh", vjp=lambda g, x: mul(g, cj(cosh(x))))
cosh = unary("cosh", kernel="cosh", vjp=lambda g, x: mul(g, cj(sinh(x))))
tanh = unary("tanh", kernel="tanh", vjp=lambda g, out: mul(g, cj(sub(1, mul(out, out)))))
asinh = unary("asinh", kernel="arcsinh", vjp=lambda g, x: mul(g, cj(rsqrt(add(mul(x, x), 1)))))
acosh = unary("acosh", kernel="arccosh", vjp=lambda g, x: mul(g, cj(mul(rsqrt(sub(x, 1)), rsqrt(add(x, 1))))))
atanh = unary("atanh", kernel="arctanh", vjp=lambda g, x: div(g, cj(sub(1, mul(x, x)))))


sigmoid = unary("sigmoid", kernel="activation.sigmoid", vjp=lambda g, out: mul(g, cj(mul(out, sub(1, out)))))
relu = unary("relu", kernel=lambda xp, x: xp.maximum(x, 0), vjp=lambda g, out: mul(g, cast(gt(out, 0), dtype=g._a.dtype)))

# -- special functions (kernels/special.py) -----------------------------------------------------------------------------------------
erf = unary("erf", kernel="special.erf", vjp=lambda g, x: mul(g, mul(exp(neg(mul(x, x))), 2 / math.sqrt(math.pi))))
erfc = unary("erfc", kernel="special.erfc", vjp=lambda g, x: mul(g, mul(exp(neg(mul(x, x))), -2 / math.sqrt(math.pi))))
erfinv = unary("erfinv", kernel="special.erfinv", vjp=lambda g, out: mul(g, mul(exp(mul(out, out)), math.sqrt(math.pi) / 2)))
lgamma = unary("lgamma", kernel="special.lgamma", vjp=lambda g, x: mul(g, digamma(x)))
digamma = unary("digamma", kernel="special.digamma", vjp=lambda g, x: mul(g, polygamma(x, n=1)))
polygamma = unary("polygamma", kernel=lambda xp, x, n: _special().polygamma(xp, n, x), vjp=lambda g, x, n: mul(g, polygamma(x, n=n + 1)))
i0 = unary("i0", kernel="special.i0", vjp=lambda g, x: mul(g, i1(x)))
i0e = unary("i0e", kernel="special.i0e", vjp=lambda g, x, out: mul(g, sub(i1e(x), mul(sign(x), out))))
i1 = unary("i1", kernel="special.i1", vjp=lambda g, x, out: mul(g, _i1_slope(i0(x), x, out)))
i1e = unary("i1e", kernel="special.i1e", vjp=lambda g, x, out: mul(g, sub(_i1_slope(i0e(x), x, out), mul(sign(x), out))))
ndtri = unary("ndtri", kernel="special.ndtri", vjp=lambda g, out: mul(g, mul(exp(mul(mul(out, out), 0.5)), math.sqrt(2 * math.pi))))
log_ndtr = unary(
    "log_ndtr",
    kernel="special.log_ndtr",
    vjp=lambda g, x, out: mul(g, mul(exp(sub(mul(mul(x, x), -0.5), out)), 1 / math.sqrt(2 * math.pi))),
)
zeta = binary("zeta", kernel="special.zeta", vjp=(None, lambda g, x, y: mul(g, neg(mul(x, zeta(add(x, 1), y))))))
igamma = binary("igamma", kernel="special.igamma", vjp=(None, lambda g, x, y: mul(g, exp(sub(sub(mul(sub(x, 1), log(y)), y), lgamma(x))))))
igammac = binary(
    "igammac", kernel="special.igammac", vjp=(None, lambda g, x, y: neg(mul(g, exp(sub(sub(mul(sub(x, 1), log(y)), y), lgamma(x))))))
)
# a draw y of the gamma distribution of shape x, as a function of x: the quantile stays the same when x moves
gamma_sample = binary(
    "gamma_sample",
    kernel=lambda xp, x, y: xp.broadcast_to(y, np.broadcast_shapes(x.shape, y.shape)).copy(),
    vjp=(lambda g, x, y: mul(g, gamma_slope(x, y)), None),
)
gamma_slope = binary("gamma_slope", kernel="special.gamma_slope", vjp=(lambda g: _once(), lambda g: _once()))


def _once() -> Any:
    message = explain("Gamma.rsample", expected="gradients of first order", got="a second derivative", hint="detach the first gradient")
    raise GradientError(message)


ndtr = unary("ndtr", kernel="special.ndtr", vjp=lambda g, x: mul(g, mul(exp(mul(mul(x, x), -0.5)), 1 / math.sqrt(2 * math.pi))))
erfcx = unary("erfcx", kernel="special.erfcx", vjp=lambda g, x, out: mul(g, sub(mul(mul(x, out), 2), 2 / math.sqrt(math.pi))))
xlog1py = binary(
    "xlog1py",
    kernel="special.xlog1py",
    vjp=(
        lambda g, x, y: mul(g, where(eq(x, 0), fill(x, value=0), log1p(y))),
        lambda g, x, y: mul(g, div(x, add(y, 1))),
    ),
)


def _special() -> Any:
    from flambeau.primitives.kernels import special

    return special


def _i1_slope(i0x: Any, x: Any, i1x: Any) -> Any:
    """i0(x) - i1(x) / x, which is 1/2 at 0."""
    nought = eq(x, 0)
    return sub(i0x, where(nought, fill(x, value=0.5), div(i1x, where(nought, fill(x, value=1), x))))


# -- two operands -------------------------------------------------------------------------------------------------------------------
add = binary("add", kernel="add", vjp=(lambda g: g, lambda g: g))
sub = binary("sub", kernel="subtract", vjp=(lambda g: g, lambda g: neg(g)))
mul = binary("mul", kernel="multiply", vjp=(lambda g, y: mul(g, cj(y)), lambda g, x: mul(g, cj(x))))
div = binary("div", kernel="true_divide", vjp=(lambda g, y: div(g, cj(y)), lambda g, y, out: neg(mul(g, cj(div(out, y))))))
floor_divide = binary("floor_divide", kernel="floor_divide", vjp=(lambda g: zero(g), lambda g: zero(g)))
remainder = binary("remainder", kernel="remainder", vjp=(lambda g: g, lambda g, x, y: neg(mul(g, floor(div(x, y))))))
fmod = binary("fmod", kernel="fmod", vjp=(lambda g: g, lambda g, x, y: neg(mul(g, trunc(div(x, y))))))
pow_ = binary(
    "pow", kernel=lambda xp, x, y: x**y, vjp=(lambda g, x, y: _pow_base(g, x, y), lambda g, x, y, out: _pow_exponent(g, x, y, out))
)
maximum = binary("maximum", kernel="maximum", vjp=(lambda g, x, y: _share(g, x, y, gt), lambda g, x, y: _share(g, y, x, gt)))
minimum = binary("minimum", kernel="minimum", vjp=(lambda g, x, y: _share(g, x, y, lt), lambda g, x, y: _share(g, y, x, lt)))
fmax = binary("fmax", kernel="fmax", vjp=(lambda g, x, y: _share(g, x, y, gt, nan=True), lambda g, x, y: _share(g, y, x, gt, nan=True)))
fmin = binary("fmin", kernel="fmin", vjp=(lambda g, x, y: _share(g, x, y, lt, nan=True), lambda g, x, y: _share(g, y, x, lt, nan=True)))
atan2 = binary(
    "atan2", kernel="arctan2", vjp=(lambda g, x, y: div(mul(g, y), _radius2(x, y)), lambda g, x, y: neg(div(mul(g, x), _radius2(x, y))))
)
hypot = binary("hypot", kernel="hypot", vjp=(lambda g, x, out: mul(g, div(x, out)), lambda g, y, out: mul(g, div(y, out))))
logaddexp = binary(
    "logaddexp", kernel="logaddexp", vjp=(lambda g, x, out: mul(g, exp(sub(x, out))), lambda g, y, out: mul(g, exp(sub(y, out))))
)
logaddexp2 = binary(
    "logaddexp2", kernel="logaddexp2", vjp=(lambda g, x, out: mul(g, exp2(sub(x, out))), lambda g, y, out: mul(g, exp2(sub(y, out))))
)
copysign = binary("copysign", kernel="copysign", vjp=(lambda g, x, out: mul(g, mul(sign(x), sign(out))), lambda g: zero(g)))
nextafter = binary("nextafter", kernel="nextafter")
xlogy = binary(
    "xlogy",
    kernel="special.xlogy",
    vjp=(lambda g, x, y: mul(g, _xlogy_slope(g, x, y)), lambda g, x, y: mul(g, div(x, y))),
)
ldexp = binary(
    "ldexp", kernel=lambda xp, x, y: x * xp.exp2(y), vjp=(lambda g, y: mul(g, exp2(y)), lambda g, out: mul(g, mul(out, math.log(2))))
)
gcd = binary("gcd", kernel="gcd")
lcm = binary("lcm", kernel="lcm")


def _xlogy_slope(g: Any, x: Any, y: Any) -> Any:
    """log(y), and 0 where that is not finite because of y but x is 0."""
    if not isinstance(y, Value):
        y = fill(x, value=y)
    return where(logical_and(eq(x, 0), le(y, 0)), fill(g, value=0), log(y))


def _radius2(x: Any, y: Any) -> Any:
    """Of the point (x, y), and 1 for the origin, where the angle's derivative is taken as 0."""
    squares = add(mul(x, x), mul(y, y))
    return where(eq(squares, 0), 1.0, squares)


def _pow_base(g: Any, x: Any, y: Any) -> Any:
    if not isinstance(y, Value):
        if y == 0:
            return zero(g)
        return mul(g, cj(mul(x if y == 2 else pow_(x, y - 1), y)))
    slope = mul(pow_(x, sub(y, 1)), y)
    return mul(g, cj(where(eq(y, 0), fill(slope, value=0), slope)))


def _pow_exponent(g: Any, x: Any, y: Any, out: Any) -> Any:
    """out * log(x), and 0 where the base is 0 and the exponent is not negative."""
    if not isinstance(x, Value):
        logarithm = math.log(x) if not isinstance(x, complex) and x > 0 else (0.0 if x == 0 else math.nan)
        return mul(g, cj(mul(out, logarithm)))
    flat = eq(x, 0) if is_complex(x) else logical_and(eq(x, 0), ge(y, 0))
    return mul(g, cj(where(flat, fill(out, value=0), mul(out, log(x)))))


def _share(g: Any, x: Any, y: Any, wins: Any, nan: bool = False) -> Any:
    """All of g where x wins, half of it where they tie; a NaN wins over a number (the other way round if `nan`)."""
    d = g._a.dtype
    first, tie = wins(x, y), eq(x, y)
    loser = y if nan else x
    if isinstance(loser, Value) and loser._a.dtype.kind in "fV":
        first = logical_or(first, isnan(loser))
    return mul(g, add(cast(first, dtype=d), mul(cast(tie, dtype=d), 0.5)))


# -- comparison, logic, bits: no gradient ---------------------------------------------------------------------------------------------
eq = binary("eq", kernel="equal", result=BOOL)
ne = binary("ne", kernel="not_equal", result=BOOL)
lt = binary("lt", kernel="less", result=BOOL)
le = binary("le", kernel="less_equal", result=BOOL)
gt = binary("gt", kernel="greater", result=BOOL)
ge = binary("ge", kernel="greater_equal", result=BOOL)
logical_and = binary("logical_and", kernel="logical_and", result=BOOL)
logical_or = binary("logical_or", kernel="logical_or", result=BOOL)
logical_xor = binary("logical_xor", kernel="logical_xor", result=BOOL)
logical_not = unary("logical_not", kernel="logical_not", result=BOOL)
isnan = unary("isnan", kernel="isnan", result=BOOL)
isinf = unary("isinf", kernel="isinf", result=BOOL)
isfinite = unary("isfinite", kernel="isfinite", result=BOOL)
signbit = unary("signbit", kernel="signbit", result=BOOL)
bitwise_and = binary("bitwise_and", kernel="bitwise_and")
bitwise_or = binary("bitwise_or", kernel="bitwise_or")
bitwise_xor = binary("bitwise_xor", kernel="bitwise_xor")
bitwise_not = unary("bitwise_not", kernel="invert")
shift_left = binary("shift_left", kernel="left_shift")
shift_right = binary("shift_right", kernel="right_shift")

# -- choosing, limiting, converting ---------------------------------------------------------------------------------------------------
where = elementwise("where", "c x y", "select.where", vjp=(None, lambda g, c: where(c, g, 0), lambda g, c: where(c, 0, g)))
clamp = unary("clamp", kernel=lambda xp, x, lo, hi: _clip(xp, x, lo, hi), vjp=lambda g, x, lo, hi: _clamp_vjp(g, x, lo, hi))


hardtanh = unary(  # as clamp, but flat at the limits themselves
    "hardtanh",
    kernel=lambda xp, x, lo, hi: _clip(xp, x, lo, hi),
    vjp=lambda g, x, lo, hi: mul(g, cast(logical_and(gt(x, lo), lt(x, hi)), dtype=g._a.dtype)),
)


def _bce(xp: Any, x: Any, y: Any) -> Any:
    """Logarithms are limited to -100, as in PyTorch, so that a certain but wrong probability costs 100."""
    wrong = xp.maximum(xp.log1p(-x), -100)
    return (y - 1) * wrong - y * xp.maximum(xp.log(x), -100)


def _bce_slope(x: Any, y: Any) -> Any:
    return div(sub(x, y), clamp(mul(sub(1, x), x), lo=1e-12, hi=None))


def _bce_target_slope(x: Any) -> Any:
    return sub(clamp(log1p(neg(x)), lo=-100, hi=None), clamp(log(x), lo=-100, hi=None))


bce = binary(  # binary cross-entropy of the probability x and the target y
    "bce", kernel=_bce, vjp=(lambda g, x, y: mul(g, _bce_slope(x, y)), lambda g, x: mul(g, _bce_target_slope(x)))
)


def _clamp_vjp(g: Any, x: Any, lo: Any, hi: Any) -> Any:
    inside = None if lo is None else ge(x, lo)
    if hi is not None:
        below = le(x, hi)
        inside = below if inside is None else logical_and(inside, below)
    return mul(g, cast(inside, dtype=g._a.dtype))


def _clip(xp: Any, x: Any, lo: Any, hi: Any) -> Any:
    """NumPy has no clip for bfloat16, and computes it in float32."""
    clipped = xp.clip(x, lo, hi)
    return clipped if clipped.dtype == x.dtype else clipped.astype(x.dtype)


def _cast_rule(x: Any, dtype: Any) -> Any:
    return x.shape, dtype


def _cast(xp: Any, x: Any, dtype: Any) -> Any:
    if x.dtype.kind == "c" and dtype.kind not in "cb":
        x = x.real
    return x.astype(dtype)


cast = primitive("cast", "x", kernel=_cast, rule=_cast_rule, vjp=lambda g, x_dtype: cast(g, dtype=x_dtype), batch="elementwise")
copy = primitive("copy", "x", kernel=lambda xp, x: x.copy(), rule=lambda x: (x.shape, x.dtype), vjp=lambda g: g, batch="elementwise")
fill = primitive(
    "fill", "x", kernel=lambda xp, x, value: xp.full(x.shape, value, x.dtype), rule=lambda x, value: (x.shape, x.dtype), batch="elementwise"
)


def broadcast_shape(*tensors: Any) -> tuple[int, ...]:
    """The common shape of tensors."""
    return broadcast("broadcast", *[t._a.shape for t in tensors])
