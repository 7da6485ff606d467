"""Tensors and arrays of a state as entries of a safetensors file, with shared memory stored once and shared again after loading.

A tensor alone in memory and contiguous is an ordinary entry under a readable name, so any safetensors reader can read it. Tensors that
overlap in memory become one entry of bytes and each of them a view (offset, shape, strides in bytes) of it; so do strided tensors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain
from flambeau.serialization import arrays
from flambeau.serialization.aliases import byte_span, overlapping
from flambeau.serialization.layout import dtype_name, numpy_dtype

Array = np.ndarray[Any, Any]
ALIGNMENT = 16  # of the first address of shared bytes, so that every view in them is as aligned as it was
_RAW_KINDS = "biufcUSmM"  # dtypes that are their bytes; others could hold objects


def pack(leaves: list[Any], names: list[str]) -> tuple[dict[str, Array], list[dict[str, Any]]]:
    """Entries to write and one JSON row for every leaf."""
    held = [_host(leaf, name) for leaf, name in zip(leaves, names, strict=True)]
    entries: dict[str, Array] = {}
    rows: list[dict[str, Any]] = [{} for _ in leaves]
    for group in overlapping(held):
        first = group[0]
        name = _unused(names[first], entries)
        if len(group) == 1 and _plain(held[first]):
            entries[name] = held[first]
            rows[first] = {"entry": name}
        else:
            base, entries[name] = _bytes_of([held[position] for position in group])
            for position in group:
                array = held[position]
                offset = byte_span(array)[0] - base if array.size else 0
                rows[position] = {"entry": name, "offset": offset, "shape": list(array.shape), "strides": list(array.strides)}
    for position, leaf in enumerate(leaves):
        rows[position] |= {"dtype": _dtype_text(held[position].dtype), **_facts(leaf)}
    return entries, rows


def unpack(row: dict[str, Any], entry: Array, place: Any) -> Any:
    """The leaf that a row describes, as a view of its entry; `place(tensor array, facts)` makes a tensor of an array."""
    dtype = _dtype_of(row["dtype"])
    if "strides" in row:
        flat = entry.reshape(-1).view(np.uint8)
        numbers = [row["offset"], *row["shape"], *row["strides"]]
        if not all(type(number) is int and 0 <= number < 2**62 for number in numbers):
            raise ValueError(f"a view with {numbers}")
        array: Array = np.ndarray(tuple(row["shape"]), dtype, buffer=flat.data, offset=row["offset"], strides=tuple(row["strides"]))
        if not array.flags.aligned:
            if array.nbytes > flat.nbytes:
                raise ValueError("a broadcast view at an unaligned place")
            array = array.copy()
    else:
        array = entry
        if array.dtype != dtype:
            raise ValueError(f"an entry of {array.dtype} for a leaf of {dtype}")
    kind = row["kind"]
    if kind == "tensor":
        return place(array, row)
    if kind == "scalar":
        return array.reshape(())[()]
    if kind != "array":
        raise ValueError(f"a leaf of kind {kind!r}")
    return array


def _host(leaf: Any, name: str) -> Array:
    array = np.asarray(leaf) if isinstance(leaf, np.generic) else arrays.to_array(leaf)
    if array.dtype.kind not in _RAW_KINDS and array.dtype.name != "bfloat16":
        raise ArgumentError(
            explain("save", expected="arrays of numbers or text", got=f"dtype {array.dtype} at {name!r}", hint="convert it")
        )
    if type(array) is not np.ndarray:
        array = np.asarray(array)
    return np.ascontiguousarray(array).reshape(array.shape) if any(stride < 0 for stride in array.strides) else array


def _plain(array: Array) -> bool:
    try:
        dtype_name(array.dtype, "")
    except ArgumentError:
        return False
    return array.flags.c_contiguous and array.dtype.isnative


def _bytes_of(group: list[Array]) -> tuple[int, Array]:
    """The memory that a group covers, as bytes, and its (aligned) first address. Bytes that no array covers are zero."""
    spans = [byte_span(array) for array in group]
    base, end = min(low for low, _ in spans) // ALIGNMENT * ALIGNMENT, max(high for _, high in spans)
    memory = np.zeros(end - base, np.uint8)
    for array, (low, _) in zip(group, spans, strict=True):
        if array.size:
            np.ndarray(array.shape, array.dtype, buffer=memory.data, offset=low - base, strides=array.strides)[...] = array
    return base, memory


def _unused(name: str, entries: dict[str, Array]) -> str:
    candidate, number = name, 1
    while candidate in entries or candidate == "__metadata__":
        number += 1
        candidate = f"{name}~{number}"
    return candidate


def _facts(leaf: Any) -> dict[str, Any]:
    if arrays.is_tensor(leaf):
        return {"kind": "tensor", **arrays.facts_of(leaf)}
    return {"kind": "scalar" if isinstance(leaf, np.generic) else "array"}


def _dtype_text(dtype: np.dtype[Any]) -> str:
    return "bfloat16" if dtype.name == "bfloat16" else dtype.str


def _dtype_of(text: str) -> np.dtype[Any]:
    if text == "bfloat16":
        return numpy_dtype("BF16", "")
    dtype = np.dtype(str(text))
    if dtype.kind not in _RAW_KINDS or dtype.itemsize == 0 and dtype.kind not in "US":
        raise ValueError(f"dtype {text!r}")
    return dtype
