"""Sorting along an axis: sort, topk, kthvalue, mode, searchsorted. NaN counts as the largest value, as in PyTorch.

Values become unsigned keys with the same order. Keys of at most 32 bits are packed with the position into one uint64, so that NumPy's
vectorised plain sort gives a stable order at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain
from flambeau.primitives.kernels.layout import Array, work_dtype
from flambeau.primitives.kernels.scan import accumulate

_LOW = np.uint64(0xFFFFFFFF)


def order_keys(xp: Any, x: Array) -> Array:
    """uint32 or uint64 keys that compare as the values do: -0 equals 0, all NaN are equal and largest."""
    if x.dtype.kind == "b":
        return x.astype(np.uint32)
    if x.dtype.kind in "iu":
        wide = x.dtype.itemsize == 8
        bits = x.astype(np.int64 if wide else np.int32, copy=False) if x.dtype.kind == "i" else x.astype(np.uint64 if wide else np.uint32)
        sign = (np.uint64(1 << 63) if wide else np.uint32(1 << 31)) if x.dtype.kind == "i" else None
        unsigned = bits.view(np.uint64 if wide else np.uint32)
        return unsigned if sign is None else unsigned ^ sign
    x = x.astype(work_dtype(x.dtype), copy=False)
    unsigned, signed = (np.uint32, np.int32) if x.dtype == np.float32 else (np.uint64, np.int64)
    x = xp.where(x != x, x.dtype.type(np.nan), x + x.dtype.type(0))  # one positive NaN, one zero
    bits = xp.ascontiguousarray(x).view(signed)
    last = 8 * x.dtype.itemsize - 1
    return (bits ^ ((bits >> signed(last)) & signed((1 << last) - 1))).view(unsigned) ^ unsigned(1 << last)


def _packed(xp: Any, keys: Array) -> Array:
    """Keys and their positions along the last axis in one uint64 each."""
    return (keys.astype(np.uint64) << np.uint64(32)) | xp.arange(keys.shape[-1], dtype=np.uint64)


def _positions(packed: Array) -> Array:
    return (packed & _LOW).astype(np.int64)


def _argsort(xp: Any, keys: Array) -> Array:
    """Stable ascending order along the last axis."""
    if keys.dtype == np.uint32 and keys.shape[-1] <= 1 << 32:
        return _positions(xp.sort(_packed(xp, keys), axis=-1))
    return xp.argsort(keys, axis=-1, kind="stable").astype(np.int64, copy=False)


def _last(xp: Any, x: Array, axis: int, descending: bool) -> tuple[Array, Array]:
    """x with the axis moved to the end, and its keys."""
    moved = xp.moveaxis(x, axis, -1)
    keys = order_keys(xp, moved)
    return moved, ~keys if descending else keys


def _gather(xp: Any, moved: Array, index: Array, axis: int) -> tuple[Array, Array]:
    values = xp.take_along_axis(moved, index, axis=-1)
    return xp.ascontiguousarray(xp.moveaxis(values, -1, axis)), xp.ascontiguousarray(xp.moveaxis(index, -1, axis))


def argsort(xp: Any, x: Array, axis: int, descending: bool = False) -> Array:
    """The stable order along an axis, int64; equal values keep their order also when descending."""
    if x.ndim == 0:
        return xp.zeros((), dtype=np.int64)
    _, keys = _last(xp, x, axis, descending)
    return xp.ascontiguousarray(xp.moveaxis(_argsort(xp, keys), -1, axis))


def sort(xp: Any, x: Array, axis: int, descending: bool = False) -> tuple[Array, Array]:
    """Sorted values and where they came from (int64), stable in both directions; NaN last, or first when descending.

    >>> sort(np, np.array([2.0, np.nan, 1.0, 2.0]), 0, descending=True)
    (array([nan,  2.,  2.,  1.]), array([1, 0, 3, 2]))
    """
    if x.ndim == 0:
        return xp.array(x), xp.zeros((), dtype=np.int64)
    moved, keys = _last(xp, x, axis, descending)
    return _gather(xp, moved, _argsort(xp, keys), axis)


def topk(xp: Any, x: Array, k: int, axis: int, largest: bool = True, in_order: bool = True) -> tuple[Array, Array]:
    """The k largest (or smallest) values along an axis and their int64 positions, best first when `in_order`.

    >>> topk(np, np.array([1.0, 5.0, 3.0]), 2, 0)
    (array([5., 3.]), array([1, 2]))
    """
    size = x.shape[axis] if x.ndim else 1
    if not 0 <= k <= size:
        raise ArgumentError(explain("topk", expected=f"k from 0 to the {size} values along the axis", got=f"{k}"))
    if x.ndim == 0:
        values, index = topk(xp, x.reshape(1), k, 0, largest, in_order)
        return (values.reshape(()), index.reshape(())) if k else (values, index)
    moved, keys = _last(xp, x, axis, largest)
    return _gather(xp, moved, _first(xp, keys, k, in_order), axis)


def _first(xp: Any, keys: Array, k: int, in_order: bool) -> Array:
    """Positions of the k smallest keys along the last axis."""
    size = keys.shape[-1]
    if keys.dtype == np.uint32:
        packed = _packed(xp, keys)
        if 0 < k < size:
            packed = xp.partition(packed, k - 1, axis=-1)
        packed = packed[..., :k]
        return _positions(xp.sort(packed, axis=-1) if in_order else packed)
    index = xp.argpartition(keys, k - 1, axis=-1)[..., :k] if 0 < k < size else xp.broadcast_to(xp.arange(size), keys.shape)[..., :k]
    index = xp.sort(index, axis=-1)  # so that equal values come in order of position
    if in_order:
        order = xp.argsort(xp.take_along_axis(keys, index, axis=-1), axis=-1, kind="stable")
        index = xp.take_along_axis(index, order, axis=-1)
    return index.astype(np.int64, copy=False)


def kthvalue(xp: Any, x: Array, k: int, axis: int) -> tuple[Array, Array]:
    """The k-th smallest value along an axis (k counts from 1) and its position; the axis disappears."""
    size = x.shape[axis] if x.ndim else 1
    if not 1 <= k <= size:
        raise ArgumentError(explain("kthvalue", expected=f"k from 1 to the {size} values along the axis", got=f"{k}"))
    if x.ndim == 0:
        return xp.array(x), xp.zeros((), dtype=np.int64)
    moved, keys = _last(xp, x, axis, False)
    if keys.dtype == np.uint32:
        index = _positions(xp.partition(_packed(xp, keys), k - 1, axis=-1)[..., k - 1 : k])
    else:
        index = xp.argpartition(keys, k - 1, axis=-1)[..., k - 1 : k].astype(np.int64, copy=False)
    return xp.take_along_axis(moved, index, axis=-1)[..., 0], index[..., 0]


def mode(xp: Any, x: Array, axis: int) -> tuple[Array, Array]:
    """The most frequent value along an axis, the smallest of several, and its last position; the axis disappears. Every NaN is by itself.

    >>> mode(np, np.array([3, 1, 2, 3, 2]), 0)
    (array(2), array(4))
    """
    if x.ndim == 0:
        return xp.array(x), xp.zeros((), dtype=np.int64)
    if x.shape[axis] == 0:
        raise ArgumentError(explain("mode", expected="at least one value along the axis", got=f"shape {tuple(x.shape)}"))
    moved, keys = _last(xp, x, axis, False)
    index = _argsort(xp, keys)
    values = xp.take_along_axis(moved, index, axis=-1)
    place = xp.broadcast_to(xp.arange(values.shape[-1], dtype=np.int64), values.shape)
    starts = xp.where(_run_starts(xp, values), place, 0)
    best = (place - accumulate(xp, xp.maximum, starts, -1)).argmax(axis=-1)[..., None]  # the end of the first longest run
    return xp.take_along_axis(values, best, axis=-1)[..., 0], xp.take_along_axis(index, best, axis=-1)[..., 0]


def _run_starts(xp: Any, values: Array) -> Array:
    """Where along the last axis a value differs from the one before it."""
    starts = xp.ones(values.shape, dtype=bool)
    starts[..., 1:] = values[..., 1:] != values[..., :-1]
    return starts


def searchsorted(xp: Any, boundaries: Array, values: Array, right: bool = False) -> Array:
    """Where values go in ascending boundaries so that these stay sorted: int64 like values; NaN goes to the end.

    boundaries is (m,) for values of any shape, or (..., m) with values (..., n) of the same leading shape. With `right` a value goes behind
    its equals.

    >>> searchsorted(np, np.array([[1, 3, 5], [2, 4, 6]]), np.array([[3, 6], [3, 6]]))
    array([[1, 3],
           [1, 2]])
    """
    if boundaries.ndim == 1:
        return xp.searchsorted(boundaries, values, side="right" if right else "left").astype(np.int64, copy=False)
    if values.ndim == 0 or boundaries.shape[:-1] != values.shape[:-1]:
        raise ArgumentError(
            explain(
                "searchsorted",
                expected=f"values of leading shape {boundaries.shape[:-1]}, or a vector of boundaries",
                got=f"values {values.shape}",
            )
        )
    size = boundaries.shape[-1]
    low, high = xp.zeros(values.shape, dtype=np.int64), xp.full(values.shape, size, dtype=np.int64)
    for _ in range(size.bit_length()):
        middle = (low + high) // 2
        here = xp.take_along_axis(boundaries, xp.minimum(middle, size - 1), axis=-1)
        behind = ~(here > values) if right else ~(here >= values)
        behind &= low < high
        low, high = xp.where(behind, middle + 1, low), xp.where(behind, high, middle)
    return low
