"""Distinct values and counting: unique, unique_consecutive, bincount, histogram, histc. Every NaN is distinct, as in PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain
from flambeau.primitives.kernels.layout import Array
from flambeau.primitives.kernels.sort import argsort, order_keys


def unique(xp: Any, x: Array, axis: int | None = None) -> tuple[Array, Array, Array]:
    """Sorted distinct values (or slices along an axis), for each input its place among them, and how often each occurs.

    The inverse has the shape of x, or (x.shape[axis],) for slices; both are int64.

    >>> unique(np, np.array([3, 1, 3]))
    (array([1, 3]), array([1, 0, 1]), array([1, 2]))
    """
    rows, order = _rows(xp, x, axis)
    inverse = xp.empty(len(rows), dtype=np.int64)
    values, place, counts = _runs(xp, rows[order])
    inverse[order] = place
    return _restore(xp, x, axis, values, inverse, counts)


def unique_consecutive(xp: Any, x: Array, axis: int | None = None) -> tuple[Array, Array, Array]:
    """The same without sorting: only neighbours that are equal fall together."""
    rows, _ = _rows(xp, x, axis, ordered=False)
    return _restore(xp, x, axis, *_runs(xp, rows))


def _rows(xp: Any, x: Array, axis: int | None, ordered: bool = True) -> tuple[Array, Array]:
    """The items to compare as rows of a matrix (or as a vector), and their sorted order."""
    if axis is None:
        rows = x.reshape(-1)
        return rows, argsort(xp, rows, 0) if ordered else None
    moved = xp.moveaxis(x, axis, 0)
    rows = moved.reshape(moved.shape[0], math.prod(moved.shape[1:]))
    if not ordered:
        return rows, None
    if rows.shape[1] == 0:
        return rows, xp.arange(len(rows))
    return rows, xp.lexsort(order_keys(xp, rows).T[::-1])


def _runs(xp: Any, rows: Array) -> tuple[Array, Array, Array]:
    """First item of each run of equal neighbours, the run number of every item, and the run lengths."""
    starts = xp.ones(len(rows), dtype=bool)
    differs = rows[1:] != rows[:-1]
    starts[1:] = differs if rows.ndim == 1 else differs.any(axis=1)
    at = xp.flatnonzero(starts)
    ends = xp.concatenate([at[1:], xp.full(min(1, len(at)), len(rows), dtype=at.dtype)])
    return rows[at], xp.cumsum(starts, dtype=np.int64) - 1, (ends - at).astype(np.int64, copy=False)


def _restore(xp: Any, x: Array, axis: int | None, values: Array, inverse: Array, counts: Array) -> tuple[Array, Array, Array]:
    if axis is None:
        return values, inverse.reshape(x.shape), counts
    moved = xp.moveaxis(x, axis, 0)
    return xp.moveaxis(values.reshape(len(values), *moved.shape[1:]), 0, axis), inverse, counts


def bincount(xp: Any, x: Array, weights: Array | None = None, minlength: int = 0) -> Array:
    """How often each of 0, 1, ... occurs in the integers x (n,), or the sum of their weights; at least `minlength` long.

    Counts are int64; sums are float32 for float32 weights and float64 otherwise.
    """
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x.size and bool((x < 0).any())):
        raise ArgumentError(
            explain("bincount", expected="a vector of integers that are not negative", got=f"{x.dtype} of shape {tuple(x.shape)}")
        )
    if minlength < 0 or (weights is not None and weights.shape != x.shape):
        raise ArgumentError(
            explain(
                "bincount",
                expected="minlength >= 0 and one weight for each value",
                got=f"{minlength} and {'no' if weights is None else tuple(weights.shape)} weights",
            )
        )
    if weights is None:
        return xp.bincount(x, minlength=minlength).astype(np.int64, copy=False)
    total = xp.bincount(x, weights=weights.astype(np.float64), minlength=minlength)
    return total.astype(np.float32 if weights.dtype == np.float32 else np.float64, copy=False)


def histogram(xp: Any, x: Array, edges: Array, weights: Array | None = None) -> Array:
    """Counts (or sums of weights) of the values between neighbouring ascending edges, the last bin closed; others and NaN do not count."""
    x, bins = x.reshape(-1), len(edges) - 1
    place = xp.searchsorted(edges, x, side="right") - 1
    place = xp.where(x == edges[-1], bins - 1, place)
    inside = (place >= 0) & (place < bins) & (x == x)
    counts = xp.bincount(place[inside], weights=None if weights is None else weights.reshape(-1)[inside].astype(np.float64), minlength=bins)
    return counts.astype(x.dtype if weights is None else weights.dtype)


def histc(xp: Any, x: Array, bins: int, low: float, high: float) -> Array:
    """A histogram of `bins` equal bins from low to high, in the dtype of x; where low equals high, over the range of the data.

    >>> histc(np, np.array([1.0, 2.0, 1.0]), 4, 0.0, 3.0)
    array([0., 2., 1., 0.])
    """
    if bins < 1:
        raise ArgumentError(explain("histc", expected="at least one bin", got=f"{bins}"))
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if low == high:
        low, high = low - 1.0, high + 1.0
    if not (low < high and math.isfinite(low) and math.isfinite(high)):
        raise ArgumentError(explain("histc", expected="a finite range with low <= high", got=f"{low} to {high}"))
    work = np.float64 if x.dtype == np.float64 else np.float32
    return histogram(xp, x.astype(work, copy=False), _edges(xp, low, high, bins, work)).astype(x.dtype, copy=False)


def _edges(xp: Any, low: float, high: float, bins: int, dtype: Any) -> Array:
    """Equally spaced from both ends towards the middle, so that both ends are exact."""
    start, end = dtype(low), dtype(high)
    step = (end - start) / dtype(bins)
    i = xp.arange(bins + 1, dtype=dtype)
    return xp.where(i < (bins + 1) // 2, start + step * i, end - step * (dtype(bins) - i))
