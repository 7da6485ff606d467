"""From a list of samples to one batch. A mismatch is reported with the key, the sample numbers and the shapes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentTypeError, FlambeauError, ShapeError, explain
from flambeau.ops.joining import stack
from flambeau.tensor.creation import from_numpy
from flambeau.tensor.tensor import Tensor

CollateMap = dict[type | tuple[type, ...], Callable[..., Any]]
_NOT_NUMBERS = "SUOMmV"  # NumPy dtype kinds that no tensor holds


class _Mismatch(Exception):
    """Samples that do not fit together; `path` grows from the inside out while the recursion unwinds."""

    def __init__(self, kind: type[FlambeauError], expected: str, got: str, hint: str) -> None:
        super().__init__(got)
        self.kind, self.expected, self.got, self.hint = kind, expected, got, hint
        self.path = ""


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack a list of samples into a batch with a new first dimension.

    Tensors and arrays are stacked; floats become a float64 tensor, ints int64, bools bool; strings and bytes stay a list; mappings,
    named tuples, tuples and lists are collated field by field. Raises ShapeError or ArgumentTypeError that names the field.

    >>> default_collate([{"x": 1, "name": "a"}, {"x": 2, "name": "b"}])
    {'x': tensor([1, 2]), 'name': ['a', 'b']}
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """As `default_collate`, with the functions for leaf types given by `collate_fn_map` (type -> `fn(batch, *, collate_fn_map)`)."""
    try:
        return _collate(batch, collate_fn_map)
    except _Mismatch as mismatch:
        where = f" at batch{mismatch.path}" if mismatch.path else ""
        message = explain(f"default_collate{where}", expected=mismatch.expected, got=mismatch.got, hint=mismatch.hint)
        error = mismatch.kind(message)
    raise error


def _collate(batch: Sequence[Any], fn_map: CollateMap | None) -> Any:
    if not len(batch):
        raise _Mismatch(ArgumentTypeError, "at least one sample", "an empty batch", "check the batch sampler")
    first = batch[0]
    if fn_map is not None:
        function = _function_for(type(first), fn_map)
        if function is not None:
            return function(batch, collate_fn_map=fn_map)
    if isinstance(first, Mapping):
        return _collate_mappings(batch, fn_map)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        columns = _columns(batch)
        return type(first)(*(_at(f".{name}", column, fn_map) for name, column in zip(first._fields, columns, strict=True)))
    if isinstance(first, Sequence):
        columns = [_at(f"[{position}]", column, fn_map) for position, column in enumerate(_columns(batch))]
        return columns if isinstance(first, tuple) else _like_sequence(first, columns)
    raise _Mismatch(
        ArgumentTypeError,
        "tensors, arrays, numbers, strings, mappings or sequences",
        f"a {type(first).__module__}.{type(first).__qualname__}",
        "return one of these from the dataset, or pass collate_fn= to the DataLoader",
    )


def _function_for(kind: type, fn_map: CollateMap) -> Callable[..., Any] | None:
    if kind in fn_map:
        return fn_map[kind]
    return next((function for key, function in fn_map.items() if issubclass(kind, key)), None)


def _at(step: str, samples: Sequence[Any], fn_map: CollateMap | None) -> Any:
    try:
        return _collate(samples, fn_map)
    except _Mismatch as mismatch:
        mismatch.path = step + mismatch.path
        raise


def _collate_mappings(batch: Sequence[Any], fn_map: CollateMap | None) -> Any:
    first = batch[0]
    for number, sample in enumerate(batch):
        if not isinstance(sample, Mapping):
            raise _Mismatch(
                ArgumentTypeError, "samples of one type", f"{_name(sample)} in sample {number} but {_name(first)} in sample 0", ""
            )
        missing = [key for key in first if key not in sample]
        if missing:
            raise _Mismatch(
                ArgumentTypeError, "the same keys in every sample", f"sample {number} without {missing[0]!r}, which sample 0 has", ""
            )
    fields = {key: _at(f"[{key!r}]", [sample[key] for sample in batch], fn_map) for key in first}
    return _like_mapping(first, fields)


def _columns(batch: Sequence[Any]) -> list[tuple[Any, ...]]:
    size = len(batch[0])
    for number, sample in enumerate(batch):
        if not isinstance(sample, Sequence):
            got = f"{_name(sample)} in sample {number} but {_name(batch[0])} in sample 0"
            raise _Mismatch(ArgumentTypeError, "samples of one type", got, "")
        if len(sample) != size:
            got = f"sample {number} has {len(sample)} elements but sample 0 has {size}"
            raise _Mismatch(ShapeError, "sequences of equal length", got, "pad them, or pass collate_fn=")
    return list(zip(*batch, strict=True))


def _like_mapping(like: Mapping[Any, Any], fields: dict[Any, Any]) -> Any:
    """`fields` in a container of the type of `like`, which may carry more than its items; a dict where that type cannot be made."""
    try:
        if isinstance(like, MutableMapping):
            clone = copy.copy(like)
            clone.update(fields)
            return clone
        return type(like)(fields)  # type: ignore[call-arg]
    except TypeError:
        return fields


def _like_sequence(like: Sequence[Any], items: list[Any]) -> Any:
    try:
        if isinstance(like, MutableSequence):
            clone = copy.copy(like)
            for position, item in enumerate(items):
                clone[position] = item
            return clone
        return type(like)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _name(value: Any) -> str:
    return type(value).__name__


def _check_alike(batch: Sequence[Any], kind: Any) -> None:
    first = batch[0]
    for number, sample in enumerate(batch):
        if not isinstance(sample, kind):
            got = f"{_name(sample)} in sample {number} but {_name(first)} in sample 0"
            raise _Mismatch(ArgumentTypeError, "samples of one type", got, "convert them in the dataset")
        if tuple(sample.shape) != tuple(first.shape):
            got = f"sample {number} has shape {tuple(sample.shape)} but sample 0 has shape {tuple(first.shape)}"
            raise _Mismatch(
                ShapeError, "samples of equal shape", got, "resize or pad in the dataset, or pass collate_fn= to the DataLoader"
            )


def _collate_tensors(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    _check_alike(batch, Tensor)
    return stack(batch)


def _collate_arrays(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    _check_alike(batch, np.ndarray)
    if batch[0].dtype.kind in _NOT_NUMBERS:
        raise _Mismatch(ArgumentTypeError, "arrays of numbers", f"an array of dtype {batch[0].dtype}", "return strings or a list instead")
    return from_numpy(np.stack(batch))


def _collate_numbers(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    for number, value in enumerate(batch):
        if not isinstance(value, (int, float, complex, np.number, np.bool_)):
            got = f"{_name(value)} in sample {number} but {_name(batch[0])} in sample 0"
            raise _Mismatch(ArgumentTypeError, "samples of one type", got, "convert them in the dataset")
    dtype = np.float64 if type(batch[0]) is float else None
    try:
        array = np.array(batch, dtype=dtype)
    except OverflowError:
        array = np.array(batch, dtype=object)
    if type(batch[0]) is int and array.dtype.kind == "f":
        array = array.astype(np.float32)  # ints with floats among them have the default dtype, as in PyTorch
    if array.dtype.kind not in "biufc":
        raise _Mismatch(ArgumentTypeError, "numbers that fit in 64 bits", repr(max(batch, key=abs)), "return such numbers as strings")
    return from_numpy(array)


def _collate_strings(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    return batch


def default_convert(data: Any) -> Any:
    """Turn the arrays inside one sample into tensors and leave everything else as it is (used with `batch_size=None`).

    >>> default_convert({"x": np.zeros(2, np.float32), "n": 3})
    {'x': tensor([0., 0.]), 'n': 3}
    """
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.number, np.bool_)):
        return data if data.dtype.kind in _NOT_NUMBERS else from_numpy(np.asarray(data))
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple):
        items = [default_convert(item) for item in data]
        return type(data)(*items) if hasattr(data, "_fields") else items
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(item) for item in data])
    return data


default_collate_fn_map: CollateMap = {
    Tensor: _collate_tensors,
    np.ndarray: _collate_arrays,
    (np.bool_, np.number): _collate_numbers,
    float: _collate_numbers,
    int: _collate_numbers,
    complex: _collate_numbers,
    str: _collate_strings,
    bytes: _collate_strings,
}
