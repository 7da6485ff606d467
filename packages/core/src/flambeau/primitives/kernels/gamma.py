"""The gamma family: log-gamma, digamma, polygamma, and the Hurwitz zeta function."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain
from flambeau.primitives.kernels.layout import Array, horner, in_float64, piecewise

# Moshier, Cephes: lgamma(2 + x) = x B(x) / C(x) on [0, 1)
_LGAMMA_B = (-1.37825152569120859100e3, -3.88016315134637840924e4, -3.31612992738871184744e5, -1.16237097492762307383e6,
             -1.72173700820839662146e6, -8.53555664245765465627e5)
_LGAMMA_C = (1.0, -3.51815701436523470549e2, -1.70642106651881159223e4, -2.20528590553854454839e5, -1.13933444367982507207e6,
             -2.53252307177582951285e6, -2.01889141433532773231e6)
# Boost's rational form about the root of digamma on [1, 2]: digamma(x) = (x - root) (_Y + P(x - 1) / Q(x - 1)), the root in three parts
_ROOT = (1569415565.0 / 1073741824.0, 381566830.0 / 1073741824.0**2, 0.9016312093258695918615325266959189453125e-19)
_Y = 0.99558162689208984
_DIGAMMA_P = (-0.0020713321167745952, -0.045251321448739056, -0.28919126444774784, -0.65031853770896507, -0.32555031186804491,
              0.25479851061131551)
_DIGAMMA_Q = (-0.55789841321675513e-6, 0.0021284987017821144, 0.054151797245674225, 0.43593529692665969, 1.4606242909763515,
              2.0767117023730469, 1.0)


@cache
def bernoulli(n: int) -> tuple[Fraction, ...]:
    """The Bernoulli numbers B(0) ... B(n)."""
    numbers = [Fraction(1)]
    for m in range(1, n + 1):
        numbers.append(-sum((math.comb(m + 1, k) * numbers[k] for k in range(m)), Fraction(0)) / (m + 1))
    return tuple(numbers)


def _series(terms: int, weight: Any) -> tuple[float, ...]:
    """Coefficients B(2k) * weight(k) for k = terms ... 1: a Horner table in 1 / x^2."""
    return tuple(float(bernoulli(2 * terms)[2 * k] * weight(k)) for k in range(terms, 0, -1))


_STIRLING = _series(8, lambda k: Fraction(1, 2 * k * (2 * k - 1)))          # log gamma: the sum of these over x^(2k - 1)
_PSI = _series(8, lambda k: Fraction(1, 2 * k))                             # digamma: minus the sum of these over x^(2k)
_ZETA = _series(12, lambda k: Fraction(1, math.factorial(2 * k)))[::-1]     # Euler-Maclaurin, lowest first


def stirling_rest(x: Array) -> Array:
    """lgamma(x) - (x - 1/2) log x + x - log(2 pi) / 2, for x >= 8."""
    inverse = 1.0 / x
    return horner(inverse * inverse, _STIRLING) * inverse


@in_float64
def lgamma(xp: Any, x: Array) -> Array:
    """The logarithm of |gamma(x)|; inf at 0, -1, -2, ... and at both infinities.

    >>> lgamma(np, np.array([0.5, 1.0, 100.0]))
    array([  0.57236494,   0.        , 359.13420537])
    """
    def reflected(v: Array) -> Array:
        return math.log(math.pi) - xp.log(xp.abs(sin_pi(xp, v))) - _lgamma_large(xp, 1.0 - v)

    return piecewise(xp, x, [
        ((x >= -8.0) & (x < 8.0), lambda v: _lgamma_small(xp, v)),
        ((x >= 8.0) & (x < np.inf), lambda v: _lgamma_large(xp, v)),
        ((x < -8.0) & (x > -np.inf), reflected),
        (xp.isinf(x), xp.abs),
    ])


def _lgamma_large(xp: Any, x: Array) -> Array:
    return xp.where(x < 1e17, (x - 0.5) * xp.log(x) - x + 0.5 * math.log(2.0 * math.pi) + stirling_rest(x), x * (xp.log(x) - 1.0))


def _lgamma_small(xp: Any, x: Array) -> Array:
    """On [-8, 8): shifts by whole numbers that lose no digit next to the zeros at 1 and 2, and a rational function on [2, 3)."""
    factor, divisor = xp.ones(x.shape), xp.ones(x.shape)
    for _ in range(5):
        x, factor = xp.where(x >= 3.0, x - 1.0, x), xp.where(x >= 3.0, factor * (x - 1.0), factor)
    for _ in range(8):
        x, divisor = xp.where(x < 0.0, x + 1.0, x), xp.where(x < 0.0, divisor * x, divisor)
    divisor = xp.where(x < 1.0, divisor * x, divisor)
    above = x >= 1.95                                                       # the fit reaches a little below 2
    y = xp.where(above, x - 2.0, xp.where(x >= 1.0, x - 1.0, x))
    shift = xp.where(above, 0.0, xp.log1p(y))
    return xp.log(factor / xp.abs(divisor)) - shift + y * (horner(y, _LGAMMA_B) / horner(y, _LGAMMA_C))


def lgamma1p(xp: Any, x: Array) -> Array:
    """lgamma(1 + x) for flat float64 x >= 0, accurate for tiny x."""
    return piecewise(xp, x, [
        (x < 1.0, lambda v: v * (horner(v, _LGAMMA_B) / horner(v, _LGAMMA_C)) - xp.log1p(v)),
        (x >= 1.0, lambda v: lgamma(xp, v + 1.0)),
    ])


def sin_pi(xp: Any, x: Array) -> Array:
    """sin(pi x), exact zeros at the integers: whole periods are taken off first."""
    rest = x - 2.0 * xp.rint(0.5 * x)                                       # in [-1, 1]
    rest = xp.where(xp.abs(rest) > 0.5, xp.copysign(1.0, rest) - rest, rest)
    return xp.sin(math.pi * rest)


@in_float64
def digamma(xp: Any, x: Array) -> Array:
    """The derivative of lgamma; -inf at 0, inf at -0, NaN at the negative integers."""
    def reflected(v: Array) -> Array:
        rest = v - xp.rint(v)
        cotangent = xp.where(rest == 0.0, np.nan, 1.0 / xp.tan(math.pi * rest))
        return _digamma_right(xp, 1.0 - v) - math.pi * cotangent

    return piecewise(xp, x, [
        (x > 0.0, lambda v: _digamma_right(xp, v)),
        (x < 0.0, reflected),
        (x == 0.0, lambda v: xp.copysign(np.inf, -v)),
    ])


def _digamma_right(xp: Any, x: Array) -> Array:
    return piecewise(xp, x, [
        (x < 10.0, lambda v: _digamma_small(xp, v)),
        ((x >= 10.0) & (x < np.inf), lambda v: xp.log(v) - 0.5 / v - horner(1.0 / (v * v), _PSI) / (v * v)),
        (x == np.inf, lambda v: v),
    ])


def _digamma_small(xp: Any, x: Array) -> Array:
    """On (0, 10): a shift to [1, 2] and a rational function about the root there."""
    total = xp.where(x < 1.0, -1.0 / x, 0.0)
    x = xp.where(x < 1.0, x + 1.0, x)
    for _ in range(8):
        lower = xp.where(x > 2.0, x - 1.0, x)
        total = xp.where(x > 2.0, total + 1.0 / lower, total)
        x = lower
    from_root = ((x - _ROOT[0]) - _ROOT[1]) - _ROOT[2]
    y = x - 1.0
    return total + from_root * _Y + from_root * (horner(y, _DIGAMMA_P) / horner(y, _DIGAMMA_Q))


def polygamma(xp: Any, n: int, x: Array) -> Array:
    """The n-th derivative of digamma.

    >>> polygamma(np, 1, np.array([1.0, 2.0]))
    array([1.64493407, 0.64493407])
    """
    if n < 0:
        raise ArgumentError(explain("polygamma", expected="an order of at least 0", got=f"{n}"))
    if n == 0:
        return digamma(xp, x)
    return _polygamma(xp, n, x)


@in_float64
def _polygamma(xp: Any, n: int, x: Array) -> Array:
    scale = math.factorial(n) if n <= 170 else math.inf
    return (1.0 if n % 2 else -1.0) * scale * zeta(xp, float(n + 1), x)


@in_float64
def zeta(xp: Any, x: Array | float, q: Array) -> Array:
    """Hurwitz' zeta function, the sum of (k + q)^-x over k = 0, 1, ...: inf at x = 1 and at q = 0, -1, ...; NaN for x < 1, and for q < 0
    unless x is an integer. Euler and Maclaurin's formula after the first terms."""
    x = xp.broadcast_to(xp.asarray(x, dtype=np.float64), q.shape)
    pole = (x == 1.0) | ((q <= 0.0) & (q == xp.floor(q)))
    good = (x > 1.0) & ~pole & (q < np.inf) & ((q > 0.0) | (x == xp.floor(x))) & (q > -1e6)
    out = xp.where(pole & (x >= 1.0), np.inf, xp.where((x > 1.0) & (q == np.inf), 0.0, np.nan))
    at = xp.flatnonzero(good)
    if len(at):
        out[at] = _zeta(xp, x[at], q[at])
    return out


def _zeta(xp: Any, x: Array, q: Array) -> Array:
    total = xp.zeros(x.shape)
    left, done = xp.arange(len(x)), 0
    while len(left):                                                        # at least 10 terms, and up to q = 10
        total[left] += q[left] ** -x[left]
        q[left] += 1.0
        done += 1
        left = left[q[left] < 10.0] if done >= 10 else left
    power = q ** (1.0 - x)
    total = total + power / (x - 1.0)
    power = power / q
    total = total + 0.5 * power
    rising, power = x, power / q
    for k, c in enumerate(_ZETA):
        total = total + c * rising * power
        rising, power = rising * (x + (2 * k + 1)) * (x + (2 * k + 2)), power / (q * q)
    return total
