"""Which arrays share memory. A file must keep tied weights tied, or refuse them, but never silently store them twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain

Array = np.ndarray[Any, Any]


def overlapping(arrays: Sequence[Array]) -> list[list[int]]:
    """Positions grouped by overlapping memory, every group sorted; an array alone in memory is a group of one.

    >>> a = np.zeros(4)
    >>> overlapping([a[:3], np.zeros(2), a[2:]])
    [[0, 2], [1]]
    """
    spans = [(*byte_span(array), position) for position, array in enumerate(arrays)]
    groups: list[list[int]] = []
    reach = -1
    for low, high, position in sorted(spans):
        if low < reach and high > low:
            groups[-1].append(position)
        else:
            groups.append([position])
        reach = max(reach, high) if high > low else reach
    return sorted(sorted(group) for group in groups)


def byte_span(array: Array) -> tuple[int, int]:
    """First address and the address after the last byte; equal for an empty array."""
    if array.size == 0:
        return 0, 0
    low, high = np.lib.array_utils.byte_bounds(array)
    return int(low), int(high)


def refuse_aliases(arrays: Mapping[str, Array]) -> None:
    """Raise ArgumentError naming the keys if two arrays share memory."""
    names = list(arrays)
    shared = [[names[position] for position in group] for group in overlapping(list(arrays.values())) if len(group) > 1]
    if shared:
        raise ArgumentError(
            explain(
                "save_file",
                expected="tensors that do not share memory",
                got=f"shared memory among {shared}",
                hint="use save_model, which stores tied weights once, or flambeau.save, which keeps all sharing",
            )
        )


def drop_aliases(arrays: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, str]]:
    """Keep one name of every array that several names hold: (arrays to store, {dropped name: kept name}).

    Names that hold different, overlapping parts of one memory raise ArgumentError.
    """
    kept: dict[str, Array] = {}
    dropped: dict[str, str] = {}
    owners: dict[tuple[Any, ...], str] = {}
    for name in sorted(arrays):
        array = arrays[name]
        identity = (byte_span(array)[0], array.shape, array.strides, array.dtype.str) if array.size else (name,)
        owner = owners.setdefault(identity, name)
        if owner == name:
            kept[name] = array
        else:
            dropped[name] = owner
    refuse_aliases(kept)
    return {name: kept[name] for name in arrays if name in kept}, dropped
