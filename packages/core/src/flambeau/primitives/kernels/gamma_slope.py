"""How a gamma distributed number moves with the shape parameter when its quantile stays the same.

For x with P(a, x) = q fixed, dx/da = -(dP/da) / p(x), where p is the density (Figurnov, Mohamed & Mnih 2018, "Implicit
reparameterization gradients"). For small a and x the power series of P is differentiated term by term. Elsewhere

    dx/da = integral of |log t - digamma(a)| p(t) / p(x) over the tail beyond x,

the lower or the upper one (the integral of (log t - digamma(a)) p(t) over all t is 0), by Gauss-Legendre quadrature in log(t / x): every
term is positive, so nothing cancels.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from flambeau.primitives.kernels.gamma import digamma
from flambeau.primitives.kernels.layout import Array, in_float64

_EPS = 2.0**-53
_NODES = 48
_REACH = 42.0  # exp(-42) is below the rounding of the result
_LARGE = 20.0  # from here on the series would take too many terms


@in_float64
def gamma_slope(xp: Any, a: Array, x: Array) -> Array:
    """dx/da at a fixed quantile of the gamma distribution of shape a and scale 1; NaN where a is not positive or x is negative.

    >>> gamma_slope(np, np.array([2.0]), np.array([1.5]))
    array([0.93663907])
    """
    out = xp.where((a > 0.0) & (x == 0.0), 0.0, np.nan)  # a draw too small for its dtype stays where it is
    regular = (a > 0.0) & (x > 0.0) & (a < np.inf) & (x < np.inf)
    series = regular & (a < _LARGE) & (x <= a + 1.0)
    for mask, method in ((series, _series), (regular & ~series, _quadrature)):
        at = xp.flatnonzero(mask)
        if len(at):
            out[at] = method(xp, a[at], x[at])
    return out


def _series(xp: Any, a: Array, x: Array) -> Array:
    """From P = x^a exp(-x) / gamma(a + 1) * sum of x^n / ((a + 1) ... (a + n))."""
    term, total, n = xp.ones(a.shape), xp.ones(a.shape), 0
    slope, slopes = xp.zeros(a.shape), xp.zeros(a.shape)
    while bool(((term > total * _EPS) | (-slope > -slopes * _EPS)).any()):
        n += 1
        ratio = x / (a + n)
        slope = (slope - term / (a + n)) * ratio
        term = term * ratio
        total = total + term
        slopes = slopes + slope
    return -(x / a) * ((xp.log(x) - digamma(xp, a + 1.0)) * total + slopes)


@cache
def _rule() -> tuple[tuple[float, float], ...]:
    """Nodes and weights of Gauss-Legendre quadrature on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return tuple((float(0.5 + 0.5 * t), float(0.5 * w)) for t, w in zip(nodes, weights))


def _quadrature(xp: Any, a: Array, x: Array) -> Array:
    centre = digamma(xp, a)
    upper = xp.log(x) > centre
    end = xp.where(upper, _upper_end(xp, a, x), _lower_end(xp, a, x))
    offset = xp.log(x) - centre
    total = xp.zeros(a.shape)
    for node, weight in _rule():
        u = node * end
        total = total + weight * xp.abs(offset + u) * xp.exp(_exponent(xp, a, x, u))
    return x * total * xp.abs(end)


def _exponent(xp: Any, a: Array, x: Array, u: Array) -> Array:
    """log of t p(t) / (x p(x)) at t = x exp(u)."""
    return a * u - x * xp.expm1(u)


def _upper_end(xp: Any, a: Array, x: Array) -> Array:
    """A u beyond which the upper tail is negligible: from a bound (exp(u) - 1 >= u + u^2 / 2), Newton's steps towards the tail."""
    excess = x - a
    u = (xp.sqrt(excess * excess + 2.0 * _REACH * x) - excess) / x
    for _ in range(4):
        u = u - (_exponent(xp, a, x, u) + _REACH) / (a - x * xp.exp(u))
    return u


def _lower_end(xp: Any, a: Array, x: Array) -> Array:
    """The same for the lower tail, from u = -(reach + x) / a."""
    u = -(_REACH + x) / a
    for _ in range(6):
        u = xp.minimum(u - (_exponent(xp, a, x, u) + _REACH) / xp.maximum(a - x * xp.exp(u), 1e-300), 0.0)
    return u
