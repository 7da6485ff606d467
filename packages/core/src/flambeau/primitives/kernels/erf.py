"""The error function family and the normal distribution's.

float64: Cody 1969, "Rational Chebyshev approximations for the error function", and Wichura 1988, algorithm AS 241, for the quantile.
float32 erf has a path of its own (GELU lives on it): two polynomials of degree 5, fitted for it, at most 2 ulp.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.primitives.kernels.layout import Array, by_blocks, horner, in_float64, piecewise, work_dtype

# Cody's coefficients, highest power first: erf(x) = x A(x^2) / B(x^2), erfc(x) = exp(-x^2) C(x) / D(x), and beyond 4
# erfc(x) = exp(-x^2) / x (1 / sqrt(pi) - z P(z) / Q(z)) with z = 1 / x^2
_A = (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3)
_B = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_C = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_D = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)
_P = (
    1.63153871373020978e-2,
    3.05326634961232344e-1,
    3.60344899949804439e-1,
    1.25781726111229246e-1,
    1.60837851487422766e-2,
    6.58749161529837803e-4,
)
_Q = (1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2, 2.33520497626869185e-3)

# float32: erf(x) = x + x NEAR(x^2) below 0.9, 1 - exp(-x TAIL(x)) from there to 4; relative errors of the fits 1.2e-8 and 3e-9
_NEAR = tuple(
    np.float32(c)
    for c in (
        -0.0006090360292859384,
        0.00501196288058699,
        -0.02677890895717208,
        0.1128214081300725,
        -0.3761252327630514,
        0.1283791537972914,
    )
)
_TAIL = tuple(
    np.float32(c)
    for c in (
        -0.0002145949013327719,
        0.003219974565921969,
        -0.022906028379191836,
        0.105286850659733,
        0.6356993709242359,
        1.1285199521123621,
    )
)

# Wichura's coefficients, highest power first: centre, moderate tail, far tail
_CENTRE = (
    (
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
)
_MODERATE = (
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ),
)
_FAR = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)

_ROOT_HALF = math.sqrt(0.5)


def erf(xp: Any, x: Array) -> Array:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.

    >>> erf(np, np.array([0.0, 0.5, -np.inf]))
    array([ 0.        ,  0.52049988, -1.        ])
    """
    if work_dtype(x.dtype) == np.float32:
        with np.errstate(all="ignore"):
            flat = x.astype(np.float32, copy=False).reshape(-1)  # a zero-dimensional array would turn into a number on the way
            return by_blocks(xp, lambda v: _erf32(xp, v), flat).reshape(x.shape).astype(x.dtype, copy=False)
    return _erf64(xp, x)


def _erf32(xp: Any, x: Array) -> Array:
    a = xp.minimum(xp.abs(x), np.float32(4.0))  # erf(4) is 1 to the last bit; minimum keeps NaN
    near = horner(x * x, _NEAR)
    near *= x
    near += x
    tail = horner(a, _TAIL)
    tail *= -a
    xp.exp(tail, out=tail)
    xp.subtract(np.float32(1.0), tail, out=tail)
    return xp.where(a < np.float32(0.9), near, xp.copysign(tail, x))


@in_float64
def _erf64(xp: Any, x: Array) -> Array:
    a = xp.abs(x)
    return xp.copysign(piecewise(xp, a, [(a <= 0.46875, _erf_small), (a > 0.46875, lambda v: 1.0 - _erfc_large(xp, v))]), x)


@in_float64
def erfc(xp: Any, x: Array) -> Array:
    """1 - erf(x), accurate where it is small."""
    return piecewise(
        xp,
        x,
        [
            (xp.abs(x) <= 0.46875, lambda v: 1.0 - _erf_small(v)),
            (x > 0.46875, lambda v: _erfc_large(xp, v)),
            (x < -0.46875, lambda v: 2.0 - _erfc_large(xp, -v)),
        ],
    )


@in_float64
def erfcx(xp: Any, x: Array) -> Array:
    """exp(x^2) erfc(x)."""
    return piecewise(
        xp,
        x,
        [
            (xp.abs(x) <= 0.46875, lambda v: xp.exp(v * v) * (1.0 - _erf_small(v))),
            (x > 0.46875, lambda v: _erfcx_large(xp, v)),
            (x < -0.46875, lambda v: 2.0 * _gaussian(xp, xp.maximum(v, -30.0), 1.0) - _erfcx_large(xp, -v)),
        ],
    )


def _erf_small(x: Array) -> Array:
    z = x * x
    return x * (horner(z, _A) / horner(z, _B))


def _erfcx_large(xp: Any, x: Array) -> Array:
    """exp(x^2) erfc(x) for x > 0.46875."""
    return piecewise(
        xp,
        x,
        [
            (x <= 4.0, lambda v: horner(v, _C) / horner(v, _D)),
            (x > 4.0, lambda v: _far(1.0 / (v * v)) / v),
        ],
    )


def _far(z: Array) -> Array:
    return 1.0 / math.sqrt(math.pi) - z * (horner(z, _P) / horner(z, _Q))


def _gaussian(xp: Any, x: Array, sign: float = -1.0) -> Array:
    """exp(sign x^2) with x split so that the square is exact."""
    short = xp.trunc(x * 16.0) / 16.0
    return xp.exp(sign * short * short) * xp.exp(sign * (x - short) * (x + short))


def _erfc_large(xp: Any, x: Array) -> Array:
    bounded = xp.minimum(x, 30.0)  # erfc(30) is 0 already, and the split needs a finite number
    return _gaussian(xp, bounded) * _erfcx_large(xp, bounded)


@in_float64
def erfinv(xp: Any, y: Array) -> Array:
    """The x with erf(x) = y; infinite at -1 and 1, NaN outside."""
    return _quantile(xp, 0.5 * y, 0.5 * (1.0 - xp.abs(y))) * _ROOT_HALF


@in_float64
def ndtr(xp: Any, x: Array) -> Array:
    """The standard normal distribution function."""
    return 0.5 * erfc(xp, x * -_ROOT_HALF)


@in_float64
def ndtri(xp: Any, p: Array) -> Array:
    """The standard normal quantile; infinite at 0 and 1, NaN outside."""
    return _quantile(xp, p - 0.5, xp.minimum(p, 1.0 - p))


@in_float64
def log_ndtr(xp: Any, x: Array) -> Array:
    """The logarithm of the standard normal distribution function, accurate in both tails."""
    return piecewise(
        xp,
        x,
        [
            (x < -1.0, lambda v: xp.log(0.5 * erfcx(xp, -v * _ROOT_HALF)) - 0.5 * v * v),
            (x >= -1.0, lambda v: xp.log1p(-0.5 * erfc(xp, v * _ROOT_HALF))),
        ],
    )


def _quantile(xp: Any, q: Array, tail: Array) -> Array:
    """The normal quantile at p = 1/2 + q, with tail = min(p, 1 - p)."""

    def ratio(r: Array, table: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
        return horner(r, table[0]) / horner(r, table[1])

    r = xp.sqrt(-xp.log(xp.where(tail >= 0.0, tail, np.nan)))
    outer = piecewise(
        xp,
        r,
        [
            (r <= 5.0, lambda v: ratio(v - 1.6, _MODERATE)),
            ((r > 5.0) & (r < np.inf), lambda v: ratio(v - 5.0, _FAR)),
            (r == np.inf, lambda v: v),
        ],
    )
    return xp.where(xp.abs(q) <= 0.425, q * ratio(0.180625 - q * q, _CENTRE), xp.copysign(outer, q))
