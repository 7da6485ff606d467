"""The regularised incomplete gamma functions P = igamma and Q = igammac.

DiDonato and Morris 1986, "Computation of the incomplete gamma function ratios": a power series, a continued fraction, a series for Q of
small arguments, and near x = a for large a Temme's uniform expansion (Temme 1979; its coefficients by the recurrences of DLMF 8.12).
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from flambeau.primitives.kernels.erf import erfc
from flambeau.primitives.kernels.gamma import bernoulli, lgamma1p, stirling_rest
from flambeau.primitives.kernels.layout import Array, horner, in_float64

_EPS = 2.0**-53
_LARGE = 100.0          # from here on Temme's expansion serves |x - a| < 0.3 a
_ORDERS, _POWERS = 9, 18


@in_float64
def igamma(xp: Any, a: Array, x: Array) -> Array:
    """P(a, x): the integral of t^(a-1) exp(-t) from 0 to x over gamma(a). NaN for negative arguments.

    >>> igamma(np, np.array([1.0]), np.array([2.0]))
    array([0.86466472])
    """
    return _both(xp, a, x)[0]


@in_float64
def igammac(xp: Any, a: Array, x: Array) -> Array:
    """Q(a, x) = 1 - P(a, x), accurate where it is small."""
    return _both(xp, a, x)[1]


def _both(xp: Any, a: Array, x: Array) -> tuple[Array, Array]:
    p, q = xp.full(a.shape, np.nan), xp.full(a.shape, np.nan)
    known = (a >= 0.0) & (x >= 0.0)
    regular = known & (a > 0.0) & (x > 0.0) & (a < np.inf) & (x < np.inf)
    # the edges: P(a, 0) = 0, P(0, x) = 1, P(a, inf) = 1, P(inf, x) = 0; undetermined at (0, 0) and (inf, inf)
    zero = known & ((x == 0.0) & (a > 0.0) | (a == np.inf) & (x < np.inf))
    one = known & ((a == 0.0) & (x > 0.0) | (x == np.inf) & (a < np.inf))
    p, q = xp.where(zero, 0.0, xp.where(one, 1.0, p)), xp.where(zero, 1.0, xp.where(one, 0.0, q))

    # the method for each element; whichever of P and Q comes out is the smaller one, or not much larger
    temme = regular & (a >= _LARGE) & (xp.abs(x - a) < 0.3 * a)
    fraction = regular & ~temme & (x > 1.1) & (x >= a)
    tiny = regular & ~fraction & ~temme & (x <= 1.1) & xp.where(x <= 0.5, a <= -0.4 / xp.log(xp.minimum(x, 0.5)), a <= 1.1 * x)
    series = regular & ~temme & ~fraction & ~tiny
    for mask, method in ((temme, _temme), (fraction, _fraction), (tiny, _small_q), (series, _series)):
        at = xp.flatnonzero(mask)
        if len(at):
            p[at], q[at] = method(xp, a[at], x[at])
    return p, q


def _log_rest(xp: Any, a: Array, x: Array) -> Array:
    """m - log(1 + m) for m = x / a - 1, without cancellation next to 0."""
    m = (x - a) / a
    r = m / (2.0 + m)
    z = r * r
    near = r * m - 2.0 * r * z * horner(z, _ATANH)
    return xp.where(xp.abs(m) < 0.5, near, m - xp.log(x / a))


_ATANH = tuple(1.0 / k for k in range(37, 1, -2))


def _factor(xp: Any, a: Array, x: Array) -> Array:
    """x^a exp(-x) / gamma(a + 1)."""
    large = xp.maximum(a, 8.0)
    stirling = xp.exp(-large * _log_rest(xp, large, x) - stirling_rest(large)) / xp.sqrt(2.0 * math.pi * large)
    small = xp.minimum(a, 8.0)
    half = xp.exp(-0.5 * x)
    return xp.where(a >= 8.0, stirling, x**small * half * half * xp.exp(-lgamma1p(xp, small)))


def _series(xp: Any, a: Array, x: Array) -> tuple[Array, Array]:
    """P by its power series, and 1 - P."""
    term, total, n = xp.ones(a.shape), xp.ones(a.shape), 0
    while bool((term > total * _EPS).any()):
        n += 1
        term = term * (x / (a + n))
        total = total + term
    p = _factor(xp, a, x) * total
    return p, 1.0 - p


def _fraction(xp: Any, a: Array, x: Array) -> tuple[Array, Array]:
    """1 - Q, and Q by its continued fraction (Lentz's method)."""
    b = x + 1.0 - a
    c, d = xp.full(a.shape, np.inf), 1.0 / b
    total, settled, n = d, xp.zeros(a.shape, dtype=bool), 0
    while not bool(settled.all()):
        n += 1
        numerator = n * (a - n)
        b = b + 2.0
        d = 1.0 / (numerator * d + b)
        c = b + numerator / c
        step = c * d
        total = xp.where(settled, total, total * step)
        settled |= xp.abs(step - 1.0) <= 4.0 * _EPS
    q = _factor(xp, a, x) * a * total
    return 1.0 - q, q


def _small_q(xp: Any, a: Array, x: Array) -> tuple[Array, Array]:
    """1 - Q, and Q by a series for small x and a."""
    term, total, n = xp.ones(a.shape), xp.zeros(a.shape), 0
    while bool((xp.abs(term) > _EPS * xp.abs(total)).any()):
        n += 1
        term = term * (-x / n)
        total = total + term / (a + n)
    power = a * xp.log(x) - lgamma1p(xp, a)
    q = -xp.expm1(power) - a * xp.exp(power) * total
    return 1.0 - q, q


@cache
def _temme_table() -> tuple[tuple[float, ...], ...]:
    """Taylor coefficients in eta of Temme's functions c_0 ... c_8, each highest power first."""
    size = _POWERS + 2 * _ORDERS + 3
    alpha = [Fraction(0), Fraction(1)]
    for n in range(2, size):
        alpha.append((alpha[n - 1] - sum((j * alpha[j] * alpha[n - j + 1] for j in range(2, n)), Fraction(0))) / (n + 1))
    exponent = [Fraction(0)] * (_ORDERS + 1)
    for k in range(1, _ORDERS // 2 + 1):
        exponent[2 * k - 1] = bernoulli(2 * k)[2 * k] / (2 * k * (2 * k - 1))
    scaled = [Fraction(1)]                                  # gamma(a) / (sqrt(2 pi / a) (a / e)^a) = sum of scaled[k] / a^k
    for n in range(1, _ORDERS):
        scaled.append(sum((m * exponent[m] * scaled[n - m] for m in range(1, n + 1)), Fraction(0)) / n)
    first = [Fraction(-1, 3), *((n + 2) * alpha[n + 2] for n in range(1, size - 2))]
    rows, row = [], first
    for k in range(_ORDERS):
        if k:
            row = [(-1) ** k * scaled[k] * first[n] + (n + 2) * row[n + 2] for n in range(len(row) - 2)]
        rows.append(tuple(float(c) for c in row[_POWERS::-1]))
    return tuple(rows)


def _temme(xp: Any, a: Array, x: Array) -> tuple[Array, Array]:
    """P and Q for large a and x not far from it."""
    half_square = _log_rest(xp, a, x)
    eta = xp.copysign(xp.sqrt(2.0 * half_square), x - a)
    total = xp.zeros(a.shape)
    for row in reversed(_temme_table()):
        total = total / a + horner(eta, row)
    rest = xp.exp(-a * half_square) / xp.sqrt(2.0 * math.pi * a) * total
    z = eta * xp.sqrt(0.5 * a)
    return 0.5 * erfc(xp, -z) - rest, 0.5 * erfc(xp, z) + rest
