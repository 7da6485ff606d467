"""The gamma family: log-gamma, digamma, polygamma, Hurwitz zeta."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.primitives.kernels.layout import Array

# Moshier, Cephes: lgamma(x + 2) = x B(x) / C(x) on [0, 1)
_LGAMMA_B = (-1.37825152569120859100e3, -3.88016315134637840924e4, -3.31612992738871184744e5, -1.16237097492762307383e6,
             -1.72173700820839662146e6, -8.53555664245765465627e5)
_LGAMMA_C = (1.0, -3.51815701436523470549e2, -1.70642106651881159223e4, -2.20528590553854454839e5, -1.13933444367982507207e6,
             -2.53252307177582951285e6, -2.01889141433532773231e6)
# Stirling's series in 1 / x**2: B(2k) / (2k (2k - 1)), highest first
_STIRLING = (1.0 / 156.0, -691.0 / 360360.0, 1.0 / 1188.0, -1.0 / 1680.0, 1.0 / 1260.0, -1.0 / 360.0, 1.0 / 12.0)


def horner(x: Array, coefficients: Sequence[float]) -> Array:
    """The polynomial with the given coefficients, highest power first."""
    total = x * coefficients[0] + coefficients[1]
    for c in coefficients[2:]:
        total *= x
        total += c
    return total


def lgamma(xp: Any, x: Array) -> Array:
    """The logarithm of |gamma(x)|; +inf at 0, -1, -2, ... and at both infinities."""
    dtype, x = x.dtype, x.astype(np.float64)
    shape, x = x.shape, x.reshape(-1)
    negative = x < -4.0
    y = xp.where(negative, 1.0 - x, x)
    out = _lgamma_right(xp, y)
    if bool(negative.any()):
        at = xp.flatnonzero(negative)
        below = x[at]
        out[at] = xp.where(xp.isinf(below), np.inf, math.log(math.pi) - xp.log(xp.abs(sin_pi(xp, below))) - out[at])
    return out.reshape(shape).astype(dtype)


def _lgamma_right(xp: Any, x: Array) -> Array:
    """For x >= -4: a shift to [2, 3) and a rational function below 8, Stirling's series above."""
    big = x >= 8.0
    large = xp.where(big, x, 8.0)
    inverse = 1.0 / large
    series = (large - 0.5) * xp.log(large) - large + 0.5 * math.log(2.0 * math.pi) + horner(inverse * inverse, _STIRLING) * inverse
    at = xp.flatnonzero(~big)
    if len(at):
        y = x[at]
        factor = xp.ones(y.shape)
        for _ in range(5):
            high = y >= 3.0
            y = xp.where(high, y - 1.0, y)
            factor = xp.where(high, factor * y, factor)
        divisor = xp.ones(y.shape)
        for _ in range(6):
            low = y < 2.0
            divisor = xp.where(low, divisor * y, divisor)
            y = xp.where(low, y + 1.0, y)
        y -= 2.0
        series[at] = xp.log(xp.abs(factor / divisor)) + y * horner(y, _LGAMMA_B) / horner(y, _LGAMMA_C)
    return xp.where(xp.isinf(x), np.inf, series)


def sin_pi(xp: Any, x: Array) -> Array:
    """sin(pi x), with the whole periods taken off first."""
    rest = x - 2.0 * xp.round(0.5 * x)
    return xp.sin(math.pi * rest)
