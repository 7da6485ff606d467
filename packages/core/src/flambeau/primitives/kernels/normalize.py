"""Softmax, log-softmax and standardisation (the common part of all normalisation layers), with the products of their Jacobians.

Each is a few passes over the array that reuse one buffer. 16-bit floats are computed in float32; `axis` is a tuple of axes.
"""

from __future__ import annotations

import math
from typing import Any

from flambeau.base.shapes import reduced
from flambeau.primitives.kernels.layout import Array, to_work

Axes = tuple[int, ...]


def softmax(xp: Any, x: Array, axis: Axes) -> Array:
    """exp(x) / sum(exp(x)).

    >>> import numpy as np
    >>> softmax(np, np.array([0.0, 0.0]), (0,))
    array([0.5, 0.5])
    """
    dtype, (x,) = x.dtype, to_work(x)
    out = x - x.max(axis=axis, keepdims=True) if x.size else x.copy()
    xp.exp(out, out=out)
    out /= out.sum(axis=axis, keepdims=True)
    return out.astype(dtype, copy=False)


def softmax_grad(xp: Any, g: Array, y: Array, axis: Axes) -> Array:
    """y * (g - sum(g * y)): the Jacobian of softmax, which is symmetric, times g."""
    dtype, (g, y) = g.dtype, to_work(g, y)
    out = g * y
    total = out.sum(axis=axis, keepdims=True)
    xp.subtract(g, total, out=out)
    out *= y
    return out.astype(dtype, copy=False)


def log_softmax(xp: Any, x: Array, axis: Axes) -> Array:
    """x - log(sum(exp(x)))."""
    dtype, (x,) = x.dtype, to_work(x)
    out = x - x.max(axis=axis, keepdims=True) if x.size else x.copy()
    out -= xp.log(xp.exp(out).sum(axis=axis, keepdims=True))
    return out.astype(dtype, copy=False)


def log_softmax_grad(xp: Any, g: Array, y: Array, axis: Axes) -> Array:
    """g - exp(y) * sum(g)."""
    dtype, (g, y) = g.dtype, to_work(g, y)
    out = xp.exp(y)
    out *= g.sum(axis=axis, keepdims=True)
    xp.subtract(g, out, out=out)
    return out.astype(dtype, copy=False)


def _count(x: Array, axis: Axes) -> Any:
    return x.dtype.type(math.prod(x.shape[a] for a in axis))


def _mean(x: Array, axis: Axes) -> Array:
    return x.sum(axis=axis, keepdims=True) / _count(x, axis)


def product_sum(xp: Any, x: Array, y: Array, axis: Axes) -> Array:
    """The sum of x * y (of one shape) over axes, which stay with size 1, without an array of the products.

    >>> import numpy as np
    >>> product_sum(np, np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), (1,)).tolist()
    [[11.0]]
    """
    dtype, (x, y) = x.dtype, to_work(x, y)
    names = "abcdefghijklmnopqrstuvwxyz"[: x.ndim]
    kept = "".join(n for i, n in enumerate(names) if i not in axis)
    total = xp.einsum(f"{names},{names}->{kept}", x, y)
    return total.reshape(reduced(x.shape, axis, True)).astype(dtype, copy=False)


def _mean_product(xp: Any, x: Array, y: Array, axis: Axes) -> Array:
    return product_sum(xp, x, y, axis) / _count(x, axis)


def standardize(xp: Any, x: Array, axis: Axes, eps: float, center: bool) -> tuple[Array, Array, Array]:
    """(x - mean) / sqrt(variance + eps), the mean and the variance (biased; around 0 where not `center`).

    The statistics keep the axes with size 1, and are float32 for 16-bit floats."""
    dtype, (x,) = x.dtype, to_work(x)
    mean = _mean(x, axis) if center else xp.zeros(reduced(x.shape, axis, True), x.dtype)
    out = x - mean if center else x.copy(order="C")
    variance = _mean_product(xp, out, out, axis)
    out *= 1 / xp.sqrt(variance + x.dtype.type(eps))
    return out.astype(dtype, copy=False), mean, variance


def standardize_grad(xp: Any, g: Array, y: Array, variance: Array, axis: Axes, eps: float, center: bool) -> Array:
    """(g - mean(g) - y * mean(g * y)) / sqrt(variance + eps)."""
    dtype, (g, y, variance) = g.dtype, to_work(g, y, variance)
    out = y * _mean_product(xp, g, y, axis)
    xp.subtract(g, out, out=out)
    if center:
        out -= _mean(g, axis)
    out *= 1 / xp.sqrt(variance + variance.dtype.type(eps))
    return out.astype(dtype, copy=False)


def scale_shift(xp: Any, x: Array, w: Array, b: Array) -> Array:
    """x * w + b with w and b broadcast to x."""
    out = xp.multiply(x, w)
    out += b
    return out


def _places(xp: Any, t: Array, ignore: int) -> tuple[Array, tuple[Array, ...]]:
    """Which positions count, and the index of their classes in an array (N, C, positions)."""
    flat = t.reshape(t.shape[0], -1) if t.size else t.reshape(t.shape[0], 0)
    keep = flat != ignore
    n, m = flat.shape
    return keep, (xp.arange(n)[:, None], xp.where(keep, flat, 0), xp.arange(m))


def nll(xp: Any, x: Array, t: Array, ignore: int) -> Array:
    """-x[n, t[n, ...], ...] of x (N, C, ...), and 0 where t is `ignore`.

    >>> import numpy as np
    >>> nll(np, np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([1, 0, -100]), -100).tolist()
    [-2.0, -3.0, 0.0]
    """
    keep, at = _places(xp, t, ignore)
    out = xp.negative(x.reshape(*x.shape[:2], keep.shape[1])[at])
    out[~keep] = 0
    return out.reshape(t.shape)


def nll_grad(xp: Any, y: Array, t: Array, classes: int, ignore: int) -> Array:
    """The adjoint of `nll`: -y at the classes, zeros elsewhere."""
    keep, at = _places(xp, t, ignore)
    out = xp.zeros((t.shape[0], classes, keep.shape[1]), y.dtype)
    if out.size:
        out[at] = xp.where(keep, -y.reshape(keep.shape), 0)
    return out.reshape(t.shape[0], classes, *t.shape[1:])
