"""Gamma, Poisson and binomial draws by vectorised rejection or inversion on top of a stream's float64 uniforms and normals.

Every round draws for all elements that are still open, in order, so the result is decided by the stream alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
_SMALL = 10.0  # below this mean inversion by a search from 0 is cheaper than rejection


def lgamma(xp: Any, x: Array) -> Array:
    """log |gamma(x)|; its tables are made when a draw first needs them."""
    from flambeau.primitives.kernels import gamma as functions

    return functions.lgamma(xp, x)


def gamma(stream: Any, alpha: Array) -> Array:
    """Marsaglia and Tsang 2000, "A simple method for generating gamma variables"; alpha < 1 by their boost u**(1 / alpha)."""
    xp = stream.xp
    alpha = alpha.astype(np.float64)
    flat = alpha.reshape(-1)
    low = flat < 1.0
    d = xp.where(flat > 0.0, xp.where(low, flat + 1.0, flat), 1.0) - 1.0 / 3.0
    c = 1.0 / xp.sqrt(9.0 * d)
    out = xp.zeros(flat.shape, dtype=np.float64)
    left = xp.flatnonzero(flat > 0.0)
    while len(left):
        x = stream.normal((len(left),), np.float64)
        u = 1.0 - stream.uniform((len(left),), np.float64)
        v = (1.0 + c[left] * x) ** 3
        inside = v > 0.0
        safe = xp.where(inside, v, 1.0)
        accept = inside & (xp.log(u) < 0.5 * x * x + d[left] * (1.0 - v + xp.log(safe)))
        out[left[accept]] = (d[left] * v)[accept]
        left = left[~accept]
    if bool(low.any()):
        u = 1.0 - stream.uniform(flat.shape, np.float64)
        out = xp.where(low & (flat > 0.0), out * xp.exp(xp.log(u) / xp.where(low & (flat > 0.0), flat, 1.0)), out)
    return xp.where(flat >= 0.0, out, np.nan).reshape(alpha.shape)


def poisson(stream: Any, rate: Array) -> Array:
    """Inversion below a mean of 10, otherwise PTRS: Hörmann 1993, "The transformed rejection method for generating Poisson variables"."""
    xp = stream.xp
    mean = rate.astype(np.float64).reshape(-1)
    out = xp.full(mean.shape, np.nan)
    small = xp.flatnonzero((mean >= 0.0) & (mean < _SMALL))
    few = mean[small]
    out[small] = _search(stream, xp.exp(-few), lambda k, which: few[which] / k)
    left = xp.flatnonzero(mean >= _SMALL)
    while len(left):
        k, accept = _ptrs(stream, mean[left])
        out[left[accept]] = k[accept]
        left = left[~accept]
    return out.reshape(rate.shape)


def binomial(stream: Any, count: Array, p: Array) -> Array:
    """Inversion below a mean of 10, otherwise BTRS: Hörmann 1993, "The generation of binomial random variates"."""
    xp = stream.xp
    count, p = xp.broadcast_arrays(count.astype(np.float64), p.astype(np.float64))
    n, p, shape = count.reshape(-1), p.reshape(-1), count.shape
    rare = xp.where(p > 0.5, 1.0 - p, p)
    valid = (n >= 0.0) & (rare >= 0.0)
    out = xp.full(n.shape, np.nan)
    small = xp.flatnonzero(valid & (n * rare < _SMALL))
    size, q = n[small], rare[small]
    odds = q / (1.0 - q)
    found = _search(stream, xp.exp(size * xp.log1p(-q)), lambda k, which: odds[which] * (size[which] - k + 1.0) / k)
    out[small] = xp.minimum(found, size)
    left = xp.flatnonzero(valid & (n * rare >= _SMALL))
    while len(left):
        k, accept = _btrs(stream, n[left], rare[left])
        out[left[accept]] = k[accept]
        left = left[~accept]
    return xp.where(p > 0.5, n - out, out).reshape(shape)


def _search(stream: Any, first: Array, ratio: Callable[[int, Array], Array]) -> Array:
    """Inversion: the k at which the masses first, first * ratio(1), first * ratio(1) * ratio(2), ... add up beyond a uniform number."""
    xp = stream.xp
    u = stream.uniform(first.shape, np.float64)
    out = xp.zeros(first.shape)
    left = xp.flatnonzero(u >= first)
    mass = total = first[left]
    k = 0
    while len(left):
        k += 1
        out[left] = k
        mass = mass * ratio(k, left)
        grown = total + mass
        stays = (u[left] >= grown) & (grown > total)  # a mass too small to count ends the search
        left, mass, total = left[stays], mass[stays], grown[stays]
    return out


def _hat(stream: Any, a: Array, b: Array, centre: Array) -> tuple[Array, Array, Array]:
    """A proposal k of the transformed rejection method, with its distance from the edge and its uniform height."""
    xp = stream.xp
    u = stream.uniform(a.shape, np.float64) - 0.5
    edge = xp.maximum(0.5 - xp.abs(u), 1e-300)
    return edge, 1.0 - stream.uniform(a.shape, np.float64), xp.floor((2.0 * a / edge + b) * u + centre)


def _ptrs(stream: Any, mean: Array) -> tuple[Array, Array]:
    """One round of PTRS: counts and which of them are accepted."""
    xp = stream.xp
    b = 0.931 + 2.53 * xp.sqrt(mean)
    a = -0.059 + 0.02483 * b
    edge, height, k = _hat(stream, a, b, mean + 0.43)
    quick = (edge >= 0.07) & (height <= 0.9277 - 3.6224 / (b - 2.0)) & (k >= 0.0)
    possible = (k >= 0.0) & ((edge >= 0.013) | (height <= edge))
    k = xp.where(possible | quick, k, 0.0)
    exact = xp.log(height * (1.1239 + 1.1328 / (b - 3.4))) - xp.log(a / (edge * edge) + b) <= k * xp.log(mean) - mean - lgamma(xp, k + 1.0)
    return k, quick | (possible & exact)


def _btrs(stream: Any, n: Array, p: Array) -> tuple[Array, Array]:
    """One round of BTRS: counts and which of them are accepted."""
    xp = stream.xp
    spread = xp.sqrt(n * p * (1.0 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    edge, height, k = _hat(stream, a, b, n * p + 0.5)
    possible = (k >= 0.0) & (k <= n)
    quick = (edge >= 0.07) & (height <= 0.92 - 4.2 / b) & possible
    k, mode = xp.where(possible, k, 0.0), xp.floor((n + 1.0) * p)
    density = (
        lgamma(xp, mode + 1.0)
        + lgamma(xp, n - mode + 1.0)
        - lgamma(xp, k + 1.0)
        - lgamma(xp, n - k + 1.0)
        + (k - mode) * xp.log(p / (1.0 - p))
    )
    exact = xp.log(height * (2.83 + 5.1 / b) * spread) - xp.log(a / (edge * edge) + b) <= density
    return k, quick | (possible & exact)
