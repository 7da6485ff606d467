"""Resampling along one axis: each output is a weighted sum of a few inputs, named by a table that depends on sizes only.

The coordinates are PyTorch's. Keys 1981, "Cubic convolution interpolation for digital image processing".
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.primitives.kernels.layout import Array, to_work, work_dtype

Table = tuple[np.ndarray, np.ndarray]  # indices int64 (taps, out) and weights (taps, out)


def _step(size: int, out: int, step: float | None, align_corners: bool, real: Any) -> Any:
    """Inputs per output."""
    if align_corners:
        return real(size - 1) / real(out - 1) if out > 1 else real(0)
    return real(step) if step is not None else real(size) / real(out)


def _nearest(size: int, out: int, step: Any, offset: float) -> Table:
    """In single precision, as PyTorch computes these positions."""
    at = np.floor((np.arange(out, dtype=np.float32) + np.float32(offset)) * np.float32(step)).astype(np.int64)
    return np.clip(at, 0, size - 1)[None], np.ones((1, out))


def _positions(out: int, step: Any, align_corners: bool, real: Any) -> np.ndarray:
    i = np.arange(out, dtype=real)
    return i * step if align_corners else step * (i + real(0.5)) - real(0.5)


def _linear(size: int, out: int, step: Any, align_corners: bool, real: Any) -> Table:
    at = np.maximum(_positions(out, step, align_corners, real), real(0))
    low = np.minimum(np.floor(at).astype(np.int64), size - 1)
    part = np.clip(at - low.astype(real), 0, 1)
    return np.stack([low, np.minimum(low + 1, size - 1)]), np.stack([1 - part, part])


def _cubic_near(t: Any, a: float) -> Any:
    return ((a + 2) * t - (a + 3)) * t * t + 1


def _cubic_far(t: Any, a: float) -> Any:
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def cubic_weights(t: Any, a: float = -0.75) -> list[Any]:
    """Weights of the four neighbours at -1, 0, 1, 2 for a point at t in [0, 1). Works on arrays and tensors."""
    return [_cubic_far(t + 1, a), _cubic_near(t, a), _cubic_near(1 - t, a), _cubic_far(2 - t, a)]


def _cubic(size: int, out: int, step: Any, align_corners: bool, real: Any) -> Table:
    at = _positions(out, step, align_corners, real)
    low = np.floor(at)
    index = np.clip(low.astype(np.int64) + np.arange(-1, 3)[:, None], 0, size - 1)
    return index, np.stack(cubic_weights(at - low))


def _area(size: int, out: int) -> Table:
    i = np.arange(out, dtype=np.int64)
    start, end = i * size // out, -((-(i + 1) * size) // out)
    return _spans(start, end - start, lambda offset, inside: inside / np.maximum(end - start, 1))


def _spans(start: np.ndarray, length: np.ndarray, weigh: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Table:
    """A table from runs of inputs; rows past the end of a run repeat its last input with weight 0."""
    offset = np.arange(int(length.max(initial=1)), dtype=np.int64)[:, None]
    inside = offset < length
    return start + np.minimum(offset, np.maximum(length - 1, 0)), np.where(inside, weigh(offset, inside), 0)


def _triangle(t: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(t), 0)


def _keys(t: np.ndarray) -> np.ndarray:
    t = np.abs(t)
    return np.where(t < 1, _cubic_near(t, -0.5), np.where(t < 2, _cubic_far(t, -0.5), 0))


_FILTERS: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {"linear-antialias": (1, _triangle), "cubic-antialias": (2, _keys)}


def _antialias(size: int, out: int, step: Any, method: str, real: Any) -> Table:
    """A filter as wide as the step, normalised."""
    radius, kernel = _FILTERS[method]
    widen = max(step, real(1))
    centre = step * (np.arange(out, dtype=real) + real(0.5))
    support = radius * widen
    start = np.maximum((centre - support + real(0.5)).astype(np.int64), 0)
    length = np.minimum((centre + support + real(0.5)).astype(np.int64), size) - start
    index, weight = _spans(start, length, lambda offset, inside: kernel((offset + start - centre + real(0.5)) / widen))
    return index, weight / weight.sum(axis=0)


@functools.lru_cache(maxsize=256)
def table(size: int, out: int, method: str, step: float | None, align_corners: bool, dtype: Any) -> Table:
    """Which inputs make each output, and with which weights; `step` is the distance of outputs if it is not size / out.

    Methods: nearest, nearest-exact, linear, cubic, area, linear-antialias, cubic-antialias. Positions are computed in `dtype`.

    >>> index, weight = table(2, 4, "linear", None, False, np.dtype("float64"))
    >>> index.tolist(), weight.tolist()
    ([[0, 0, 0, 1], [1, 1, 1, 1]], [[1.0, 0.75, 0.25, 0.75], [0.0, 0.25, 0.75, 0.25]])
    """
    real = np.dtype(dtype).type
    if method == "area":
        index, weight = _area(size, out)
    elif method.startswith("nearest"):
        index, weight = _nearest(size, out, _step(size, out, step, False, np.float32), 0.5 if method == "nearest-exact" else 0.0)
    else:
        move = _step(size, out, step, align_corners, real)
        if method in _FILTERS:
            index, weight = _antialias(size, out, move, method, real)
        else:
            index, weight = (_linear if method == "linear" else _cubic)(size, out, move, align_corners, real)
    weight = weight.astype(dtype)
    index.setflags(write=False)
    weight.setflags(write=False)
    return index, weight


@functools.lru_cache(maxsize=256)
def adjoint_table(size: int, out: int, method: str, step: float | None, align_corners: bool, dtype: Any) -> Table | None:
    """`table` the other way round: which outputs each input goes to, with weight 0 for the rest; None where one input goes to very many."""
    index, weight = table(size, out, method, step, align_corners, dtype)
    target, value = index.T.reshape(-1), weight.T.reshape(-1)
    order = np.argsort(target, kind="stable")
    counts = np.bincount(target, minlength=size)
    if counts.max(initial=0) > _MANY * len(index):
        return None
    slot = np.arange(len(order)) - (np.cumsum(counts) - counts)[target[order]]
    taps = np.zeros((int(counts.max(initial=1)), size), np.int64)
    weights = np.zeros(taps.shape, dtype)
    taps[slot, target[order]] = order // len(index)
    weights[slot, target[order]] = value[order]
    return taps, weights


_MANY = 16  # outputs per input and tap up to which the adjoint is a weighted sum of a few outputs


def _along(values: Array, ndim: int, axis: int) -> Array:
    return values.reshape((-1,) + (1,) * (ndim - 1 - axis))


def _float_of(dtype: Any) -> np.dtype[Any]:
    work = work_dtype(dtype)
    return work if work.kind == "f" else np.dtype(np.float64)


def _weighted(xp: Any, x: Array, found: Table, axis: int) -> Array:
    """The sums of x's elements along the axis that the table names."""
    total: Any = None
    for i, w in zip(*found):
        part = xp.take(x, xp.asarray(i), axis=axis)
        part *= _along(xp.asarray(w), x.ndim, axis)
        total = part if total is None else xp.add(total, part, out=total)
    return total


def resample(xp: Any, x: Array, *, axis: int, size: int, method: str, step: float | None, align_corners: bool) -> Array:
    """x with `size` elements along the axis."""
    found = table(x.shape[axis], size, method, step, align_corners, _float_of(x.dtype))
    if len(found[0]) == 1:
        return xp.take(x, xp.asarray(found[0][0]), axis=axis)
    dtype, (x,) = x.dtype, to_work(x)
    return _weighted(xp, x, found, axis).astype(dtype, copy=False)


def resample_grad(xp: Any, g: Array, *, axis: int, length: int, method: str, step: float | None, align_corners: bool) -> Array:
    """The adjoint of `resample` for an input with `length` elements along the axis."""
    rule = (length, g.shape[axis], method, step, align_corners, _float_of(g.dtype))
    dtype, (g,) = g.dtype, to_work(g)
    found = adjoint_table(*rule)
    if found is not None and g.size:
        return _weighted(xp, g, found, axis).astype(dtype, copy=False)
    into = xp.zeros((*g.shape[:axis], length, *g.shape[axis + 1 :]), g.dtype)
    index, weight = table(*rule)
    for i, w in zip(index, weight) if g.size else ():
        starts = np.flatnonzero(np.diff(i, prepend=-1))  # i never decreases: equal neighbours are one run
        runs = xp.add.reduceat(g * _along(xp.asarray(w), g.ndim, axis), xp.asarray(starts), axis=axis)
        into[(*(slice(None),) * axis, xp.asarray(i[starts]))] += runs
    return into.astype(dtype, copy=False)
