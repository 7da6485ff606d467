"""Running maximum, minimum and log-sum-exp along an axis, and the gradient of a running product."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.primitives.kernels.layout import Array, to_work


def accumulate(xp: Any, combine: Any, x: Array, axis: int) -> Array:
    """The running result of an associative two-argument function of `xp` along an axis."""
    if xp is np:
        return combine.accumulate(x, axis=axis, dtype=x.dtype) if x.shape[axis] else x.copy()
    return accumulate_by_doubling(xp, combine, x, axis)


def accumulate_by_doubling(xp: Any, combine: Any, x: Array, axis: int) -> Array:
    """The same in log2(n) whole-array steps, for array modules whose functions cannot accumulate (Hillis and Steele 1986)."""
    out = xp.moveaxis(xp.array(x), axis, -1)
    step = 1
    while step < out.shape[-1]:
        ahead = xp.array(out)
        ahead[..., step:] = combine(out[..., :-step], out[..., step:])
        out, step = ahead, 2 * step
    return xp.ascontiguousarray(xp.moveaxis(out, -1, axis))


def cummax(xp: Any, x: Array, axis: int) -> tuple[Array, Array]:
    """The running maximum and the int64 position of its last occurrence so far; from the first NaN on all is NaN.

    >>> cummax(np, np.array([1.0, 3.0, 3.0, 2.0]), 0)
    (array([1., 3., 3., 3.]), array([0, 1, 2, 2]))
    """
    return _running(xp, xp.maximum, x, axis)


def cummin(xp: Any, x: Array, axis: int) -> tuple[Array, Array]:
    """The running minimum and the int64 position of its last occurrence so far; from the first NaN on all is NaN."""
    return _running(xp, xp.minimum, x, axis)


def _running(xp: Any, combine: Any, x: Array, axis: int) -> tuple[Array, Array]:
    if x.ndim == 0:
        return xp.array(x), xp.zeros((), dtype=np.int64)
    (work,) = to_work(x)
    values = accumulate(xp, combine, work, axis)
    new = (work == values) | (work != work)  # x reaches the running value, or is a NaN itself
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    position = xp.where(new, xp.arange(x.shape[axis], dtype=np.int64).reshape(shape), 0)
    return values.astype(x.dtype, copy=False), accumulate(xp, xp.maximum, position, axis)


def logcumsumexp(xp: Any, x: Array, axis: int) -> Array:
    """log(cumsum(exp(x))) without overflow.

    >>> logcumsumexp(np, np.array([1000.0, 1000.0]), 0)
    array([1000.        , 1000.69314718])
    """
    if x.ndim == 0:
        return xp.array(x)
    (work,) = to_work(x)
    with np.errstate(invalid="ignore"):
        return accumulate(xp, xp.logaddexp, work, axis).astype(x.dtype, copy=False)


def cumprod_grad(xp: Any, g: Array, x: Array, axis: int) -> Array:
    """The gradient of cumprod(x) along an axis, given the gradient g of its result; exact when x holds zeros, in linear time.

    Up to the first zero it is reverse-cumsum(g * out) / x. At the first zero the products go on as if that factor were 1; behind it, every
    derivative is 0.
    """
    if x.ndim == 0:
        return xp.array(g)
    dtype, (g, x) = x.dtype, to_work(g, x)
    zero = x == 0
    zeros = xp.cumsum(zero, axis=axis)
    first = zero & (zeros == 1)
    skipped = xp.where(first, xp.ones((), dtype=x.dtype), x)
    with np.errstate(divide="ignore", invalid="ignore"):  # behind the first zero, where it is not used
        before = _reverse_cumsum(xp, g * xp.cumprod(x, axis=axis), axis) / skipped
    at = _reverse_cumsum(xp, g * xp.cumprod(skipped, axis=axis), axis)
    nothing = xp.zeros((), dtype=x.dtype)
    return xp.where(zeros == 0, before, xp.where(first, at, nothing)).astype(dtype, copy=False)


def _reverse_cumsum(xp: Any, x: Array, axis: int) -> Array:
    return xp.flip(xp.cumsum(xp.flip(x, axis), axis=axis), axis)
