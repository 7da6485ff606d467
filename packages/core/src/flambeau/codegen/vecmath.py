"""Elementary functions on vectors as polynomials.

| function                  | float32, largest error seen | float64                     |
|---------------------------|-----------------------------|-----------------------------|
| exp, log                  | 1 ulp                       | 1 ulp                       |
| expm1, log1p              | 1.5 ulp                     | 2 ulp                       |
| tanh, sigmoid             | 2.5 ulp                     | 2.5 ulp                     |
| erf                       | 2 ulp                       | the C library               |
| sin, cos                  | 1.6 ulp (library above 1e5) | the C library               |

Infinities, NaN, zeros, denormal numbers and overflow give what IEEE arithmetic and NumPy give. Every other function calls the C library
lane by lane, float32 in double precision. tests/core/codegen/test_vecmath.py measures these bounds.

The polynomials were fitted (iteratively reweighted least squares on Chebyshev nodes, towards the smallest largest error); reductions
are those of Cody and Waite, "Software Manual for the Elementary Functions" (1980).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flambeau.codegen.text import Code, scalar_type, vector
from flambeau.codegen.value import F32, F64, V, each_lane


@dataclass(frozen=True)
class Constants:
    """What differs between float32 and float64: layout of the bits, ln 2 in two parts, and coefficients from the constant term up."""

    mantissa: int
    bias: int
    magic: float  # adding it rounds to an integer and leaves that integer in the low bits
    ln2: tuple[float, float]
    largest: float  # beyond it exp overflows
    least: float  # below it exp is 0
    exp: tuple[float, ...]  # (exp(r) - 1 - r) / r^2
    root_half: int  # bits of sqrt(1/2)
    tiny: float  # the smallest normal number


# fmt: off
SINGLE = Constants(
    23, 127, 12582912.0, (0.693359375, -2.12194440e-4), 88.8, -104.0,
    (0.50000000469109518, 0.16666666806529098, 0.041666352916227535, 0.008333275497660473, 0.0013941138145521672, 0.00019912836433079009),
    0x3F3504F3, 2.0**-126,
)
DOUBLE = Constants(
    52, 1023, 6755399441055744.0, (0.693147180369123816490, 1.90821492927058770002e-10), 709.9, -746.0,
    (0.5, 0.16666666666666666, 0.041666666666666623, 0.0083333333333336073, 0.0013888888888902741, 0.00019841269840048891,
     2.4801587292932644e-05, 2.755732141490179e-06, 2.7557297984821512e-07, 2.5050367613943682e-08, 2.0908113285398009e-09,
     1.6577867348501311e-10),
    0x3FE6A09E667F3BCD, 2.0**-1022,
)
LOG_SINGLE = (0.33333310438441127, -0.24999986625689505, 0.20002226703581924, -0.1666924946280936, 0.14218655431446026,
              -0.12384370297456465, 0.11873016269608581, -0.11789695574948146, 0.069151469486305434)  # (log(1+f) - f + f^2/2) / f^3
LOG_DOUBLE = (0.66666666666667351, 0.39999999999411029, 0.28571428743275573, 0.22222198474722785, 0.18183569802826727,
              0.1531390169188821, 0.14797522774563035)  # (log((1+s)/(1-s)) - 2s) / s^3 in s^2
SIN = (-0.16666654936225017, 0.008332177664370749, -0.00019517232281429634)  # (sin(r) - r) / r^3 in r^2
COS = (0.041666646853584642, -0.001388736686760417, 2.4438375218440952e-05)  # (cos(r) - 1 + r^2/2) / r^4 in r^2
HALF_PI = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)  # pi/2 in parts of 33 bits
TANH = (-0.33333331778381831, 0.13333247787052965, -0.053952475026662818, 0.021734436800166058, -0.0082670836811151883,
        0.0022310574958671549)  # (tanh(x) - x) / x^3 in x^2, up to 0.6
ERF_SMALL = (1.1283791670631578, -0.37612638483804278, 0.11283782747124682, -0.026865445816825116, 0.0052210748649613786,
             -0.00084847112557698268, 0.00011270543079724609, -9.6801323563249921e-06)  # erf(x) / x in x^2, up to 1
ERF_LARGE = (0.00018344558777334878, -1.1295568375634319, -0.63326259715424482, -0.10837249578715327, 0.025178979375842295,
             -0.0041936156655634988, 0.00043910735819439173, -2.1496202482401728e-05)  # log(1 - erf(x)), from 1 to 4
# fmt: on


def _constants(x: V) -> Constants:
    return SINGLE if x.dtype == F32 else DOUBLE


def polynomial(x: V, coefficients: Sequence[float]) -> V:
    """By Horner's rule; the first coefficient is the constant term."""
    total = x.const(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total.fma(x, c)
    return total


def _limited(x: V, least: float, largest: float) -> V:
    x = (x > largest).choose(largest, x)
    return (x < least).choose(least, x)


def _reduced(x: V, c: Constants) -> tuple[V, V, V]:
    """x = n ln 2 + r: n as a float and as an integer, and exp(r) - 1."""
    shifted = x.fma(1 / math.log(2), c.magic)
    n = shifted - c.magic
    r = n.fma(-c.ln2[1], n.fma(-c.ln2[0], x))
    whole = shifted.bits() - int(np.array(c.magic, x.dtype).view(f"i{x.dtype.itemsize}"))
    return n, whole, (r * r).fma(polynomial(r, c.exp), r)


def _power_of_two(n: V, c: Constants) -> V:
    return ((n + c.bias) << c.mantissa).from_bits()


def exp(x: V) -> V:
    """Scaled by an instruction, or in two steps, so that results below the normal range are rounded right."""
    c = _constants(x)
    n, whole, rest = _reduced(_limited(x, c.least, c.largest), c)
    if x.lanes and x.lanes * x.dtype.itemsize == 64 and x.code.module.level == "avx512":
        return _scaled(1 + rest, n)
    first = whole >> 1
    return (1 + rest) * _power_of_two(first, c) * _power_of_two(whole - first, c)


def _scaled(x: V, n: V) -> V:
    """x 2^n, in a full vector of AVX-512."""
    name = f"llvm.x86.avx512.mask.scalef.p{'s' if x.dtype == F32 else 'd'}.512"
    mask = f"i{x.lanes}"
    arguments = [(x.type, x.text), (x.type, n.text), (x.type, x.text), (mask, "-1"), ("i32", "4")]
    return V(x.code, x.code.call(name, x.type, arguments), x.dtype, x.lanes)


def expm1(x: V) -> V:
    """2^n (exp(r) - 1) + (2^n - 1), at half the size so that 2^n does not overflow."""
    c = _constants(x)
    _, n, rest = _reduced(_limited(x, -60.0, c.largest), c)
    half = _power_of_two(n - 1, c)
    result = rest.fma(half, half - 0.5) * 2
    small = n.equals(0).choose(rest, result)
    return x.equals(0).choose(x, small)


def _mantissa(x: V, c: Constants) -> tuple[V, V]:
    """x = 2^e (1 + f) with 1 + f between sqrt(1/2) and sqrt(2): e as a float, and f. x is normal and positive."""
    bits = x.bits()
    e = (bits - c.root_half) >> c.mantissa
    f = (bits - (e << c.mantissa)).from_bits() - 1
    return e.to(x.dtype), f


def _log_parts(x: V, e: V, f: V, c: Constants) -> V:
    """log(1 + f) + e ln 2."""
    half_square = f * f * 0.5
    if x.dtype == F32:
        tail = f * f * f * polynomial(f, LOG_SINGLE) + e * c.ln2[1]
        return e * c.ln2[0] + (f - (half_square - tail))
    s = f / (f + 2)
    z = s * s
    tail = s * (half_square + z * polynomial(z, LOG_DOUBLE)) + e * c.ln2[1]
    return e * c.ln2[0] + (f - (half_square - tail))


def log(x: V) -> V:
    """Numbers below the normal range are scaled up first."""
    c = _constants(x)
    low = x < c.tiny
    e, f = _mantissa(low.choose(x * 2.0**c.mantissa, x), c)
    result = _log_parts(x, low.choose(e - c.mantissa, e), f, c)
    result = x.equals(math.inf).choose(x, result)
    result = (x > 0).choose(result, math.nan)
    return x.equals(0).choose(-math.inf, result)


def log1p(x: V) -> V:
    """log(u) for u = 1 + x, and what rounding u lost: (x - (u - 1)) / u."""
    u = x + 1
    lost = (x - (u - 1)) / u
    plain = log(u) + lost
    ends = u.equals(math.inf).choose(u, plain)
    ends = u.equals(0).choose(-math.inf, ends)
    return x.equals(0).choose(x, ends)


def tanh(x: V) -> V:
    """t / (t + 2) for t = exp(2x) - 1: no cancellation anywhere; in float32 a polynomial up to 0.6, where that would lose a bit more."""
    size = x.call("fabs")
    t = expm1((size > 30.0).choose(30.0, size) * 2)
    result = t / (t + 2)
    if x.dtype == F32:
        z = x * x
        result = (size < 0.6).choose((size * z).fma(polynomial(z, TANH), size), result)
    result = result.call("copysign", x)
    return x.is_nan().choose(x, result)


def sigmoid(x: V) -> V:
    """1 / (1 + exp(-x)), written for both signs without overflow."""
    e = exp(-x.call("fabs"))
    result = (x >= 0).choose(1.0, e) / (e + 1)
    return x.is_nan().choose(x, result)


def erf_single(x: V) -> V:
    """x P(x^2) up to 1, then 1 - exp(Q(x))."""
    size = x.call("fabs")
    small = x.fma(polynomial(x * x, (ERF_SMALL[0] - 1, *ERF_SMALL[1:])), x)
    large = 1 - exp(polynomial((size > 4.0).choose(4.0, size), ERF_LARGE))
    result = (size < 1.0).choose(small, large.call("copysign", x))
    return x.is_nan().choose(x, result)


def _turned(x: V, shift: int) -> V:
    """sin (shift 0) or cos (shift 1) of a float32, reduced in double precision."""
    wide = x.to(F64)
    shifted = wide.fma(2 / math.pi, DOUBLE.magic)
    n = shifted - DOUBLE.magic
    r = n.fma(-HALF_PI[2], n.fma(-HALF_PI[1], n.fma(-HALF_PI[0], wide))).to(F32)
    quarter = V(
        x.code, x.code.let(f"trunc {vector('i64', x.lanes)} {shifted.bits().text} to {vector('i32', x.lanes)}"), np.dtype("i4"), x.lanes
    )
    quarter = quarter + shift
    z = r * r
    sine = (z * r).fma(polynomial(z, SIN), r)
    cosine = (z * z).fma(polynomial(z, COS), 1 - z * 0.5)
    value = (quarter & 1).differs(0).choose(cosine, sine)
    flip = (quarter & 2) << 30
    return (value.bits() ^ flip).from_bits()


def _sine_or_cosine(x: V, name: str, shift: int) -> V:
    """The polynomial where the reduction is exact, the C library for a vector that has a larger number (or infinity, or NaN)."""
    code = x.code
    slot = code.slot(x.type)
    fits = x.call("fabs") < 1e5
    every = fits.text if not x.lanes else code.call(f"llvm.vector.reduce.and.v{x.lanes}i1", "i1", [(fits.type, fits.text)])
    common, rare, after = code.label(), code.label(), code.label()
    code.do(f"br i1 {every}, label %{common}, label %{rare}")
    code.lines.append(f"{common}:")
    code.do(f"store {x.type} {_turned(x, shift).text}, ptr {slot}")
    code.do(f"br label %{after}")
    code.lines.append(f"{rare}:")
    code.do(f"store {x.type} {library(name)(x).text}, ptr {slot}")
    code.place(after)
    return V(code, code.let(f"load {x.type}, ptr {slot}"), x.dtype, x.lanes)


def library(name: str) -> Callable[..., V]:
    """A function of the C library, lane by lane, in double precision."""

    def one(x: V, *others: V) -> V:
        x.code.module.imports[name] = None
        arguments = [("double", y.to(F64).text) for y in (x, *others)]
        return V(x.code, x.code.call(name, "double", arguments), F64, 0).to(x.dtype)

    return lambda x, *others: each_lane(x, one, *others)


_POLYNOMIALS: dict[str, Callable[[V], V]] = {
    "exp": exp, "expm1": expm1, "log": log, "log1p": log1p, "tanh": tanh, "sigmoid": sigmoid,
}  # fmt: skip
_SINGLE: dict[str, Callable[[V], V]] = {
    "erf": erf_single,
    "sin": lambda x: _sine_or_cosine(x, "sin", 0),
    "cos": lambda x: _sine_or_cosine(x, "cos", 1),
}


def function(name: str, x: V) -> V:
    """exp, log, tanh, ... of x: a call of a helper function that is written into the module once for each type."""
    body = _POLYNOMIALS.get(name) or (_SINGLE.get(name) if x.dtype == F32 else None) or library(name)
    kind = vector(scalar_type(x.dtype), x.lanes)
    helper = f"{name}_{scalar_type(x.dtype)}{x.lanes}"
    module = x.code.module
    if helper not in module.functions:
        code = Code(module)
        result = body(V(code, "%x", x.dtype, x.lanes))
        head = f"define internal {kind} @{helper}({kind} %x) #0 {{\nentry:"
        module.functions[helper] = "\n".join([head, *code.slots, *code.lines, f"  ret {kind} {result.text}", "}"])
    return V(x.code, x.code.call(helper, kind, [(kind, x.text)]), x.dtype, x.lanes)
