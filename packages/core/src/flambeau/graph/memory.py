"""Where arrays lie in memory: their owner, address, layout, and whether they overlap."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.primitives.movement import offset_of


def root_of(array: Any) -> Any:
    """The array that owns the memory."""
    root = node = array
    while (node := getattr(node, "base", None)) is not None:  # NumPy puts helpers between a strided view and its source
        if isinstance(node, np.ndarray):
            root = node
    return root


def address(array: Any) -> int:
    """Where the first element lies."""
    return int(array.__array_interface__["data"][0])


def layout(array: Any) -> tuple[Any, ...]:
    """What two arrays of the same elements have in common."""
    return address(array), array.shape, array.strides, array.dtype


def covers(owner: Any, array: Any) -> bool:
    """Whether a contiguous owner contains all of the array's bytes."""
    if not owner.flags.c_contiguous:
        return False
    low, high = bounds(array)
    return address(owner) <= low and high <= address(owner) + owner.nbytes


def contains(owner: Any, array: Any) -> bool:
    """Whether each element of an array is one of the owner's."""
    if owner.flags.forc:
        (low, high), (first, last) = bounds(array), bounds(owner)
        return first <= low and high <= last
    return bool(np.isin(_offsets(array) + (address(array) - address(owner)), _offsets(owner)).all())


def _offsets(array: Any) -> Any:
    """The distances of all elements from the first, in bytes."""
    found = np.zeros(1, np.int64)
    for n, stride in zip(array.shape, array.strides, strict=True):
        found = (found[:, None] + np.arange(n, dtype=np.int64) * stride).reshape(-1)
    return found


def bounds(array: Any) -> tuple[int, int]:
    """The first byte of an array, and the one after its last."""
    low = high = address(array)
    for n, s in zip(array.shape, array.strides, strict=True):
        if n:
            low, high = min(low, low + (n - 1) * s), max(high, high + (n - 1) * s)
    return low, high + array.itemsize


def geometry(array: Any, owner: Any) -> dict[str, Any]:
    """Strides and offset of both, in elements, counted from the owner's first element."""
    item = array.itemsize
    start = min(offset_of(owner), offset_of(array))
    return {
        "strides": tuple(s // item for s in array.strides),
        "offset": offset_of(array) - start,
        "x_strides": tuple(s // item for s in owner.strides),
        "x_offset": offset_of(owner) - start,
    }
