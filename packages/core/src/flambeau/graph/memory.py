"""Where arrays lie in memory: their owner, address, layout, and whether they overlap."""

from __future__ import annotations

from typing import Any, NamedTuple

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


class Place(NamedTuple):
    """Where the elements of an array lie, without the array, whose memory is thus free to go."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: Any
    offset: int  # elements from the start of the memory
    contiguous: bool
    dense: bool  # contiguous in C's or Fortran's order

    @property
    def layout(self) -> tuple[Any, ...]:
        """What two arrays of the same elements have in common."""
        return self[:4]


def place_of(array: Any) -> Place:
    """Where an array lies."""
    flags = array.flags
    return Place(address(array), array.shape, array.strides, array.dtype, offset_of(array), flags.c_contiguous, flags.forc)


def covers(owner: Place, array: Place) -> bool:
    """Whether a contiguous owner contains all of the array's bytes."""
    if not owner.contiguous:
        return False
    (low, high), (first, last) = bounds(array), bounds(owner)
    return first <= low and high <= last


def contains(owner: Place, array: Place) -> bool:
    """Whether each element of an array is one of the owner's."""
    if owner.dense:
        (low, high), (first, last) = bounds(array), bounds(owner)
        return first <= low and high <= last
    return bool(np.isin(_offsets(array) + (array.address - owner.address), _offsets(owner)).all())


def _offsets(place: Place) -> Any:
    """The distances of all elements from the first, in bytes."""
    found = np.zeros(1, np.int64)
    for n, stride in zip(place.shape, place.strides, strict=True):
        found = (found[:, None] + np.arange(n, dtype=np.int64) * stride).reshape(-1)
    return found


def bounds(place: Place) -> tuple[int, int]:
    """The first byte, and the one after the last."""
    low = high = place.address
    for n, s in zip(place.shape, place.strides, strict=True):
        if n:
            low, high = min(low, low + (n - 1) * s), max(high, high + (n - 1) * s)
    return low, high + place.dtype.itemsize


def geometry(array: Place, owner: Place) -> dict[str, Any]:
    """Strides and offset of both, in elements, counted from the owner's first element."""
    item = array.dtype.itemsize
    start = min(owner.offset, array.offset)
    return {
        "strides": tuple(s // item for s in array.strides),
        "offset": array.offset - start,
        "x_strides": tuple(s // item for s in owner.strides),
        "x_offset": owner.offset - start,
    }
