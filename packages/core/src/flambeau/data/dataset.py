"""Datasets: map style (`ds[i]`, `len(ds)`) and iterable style (`iter(ds)`), and the ways to combine them."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from flambeau.base.errors import ArgumentError, ArgumentTypeError, IndexingError, ShapeError, explain
from flambeau.data import rng

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """A map-style dataset: subclass it and write `__getitem__(index)` and `__len__()`.

    A subclass may also write `__getitems__(indices) -> list`, which the loader then calls once a batch.

    >>> class Squares(Dataset):
    ...     def __getitem__(self, index):
    ...         return index**2
    ...
    ...     def __len__(self):
    ...         return 4
    >>> list(Squares() + Squares())
    [0, 1, 4, 9, 0, 1, 4, 9]
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """A stream of samples: subclass it and write `__iter__()`.

    With workers every worker iterates its own copy, so `__iter__` must use `get_worker_info()` to take its share, or samples repeat.
    A dataset (or the iterator it returns) that has `state_dict()` and `load_state_dict(state)` is resumed through them; any other is
    resumed by reading again the samples that were already delivered.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__()")

    def __add__(self, other: Dataset[T_co]) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Any, ...]]):
    """Samples are rows of one or more tensors with the same first size.

    Raises ShapeError when the first sizes differ.
    """

    tensors: tuple[Any, ...]

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise ArgumentError(explain("TensorDataset", expected="at least one tensor", got="none"))
        for position, tensor in enumerate(tensors):
            if not tensor.shape:
                raise ShapeError(explain("TensorDataset", expected="tensors with rows", got=f"a 0-d tensor at position {position}"))
        sizes = [tensor.shape[0] for tensor in tensors]
        if any(size != sizes[0] for size in sizes):
            raise ShapeError(explain("TensorDataset", expected="tensors with the same first size", got=f"first sizes {sizes}"))
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


class StackDataset(Dataset[Any]):
    """Zips datasets: a tuple sample for positional arguments, a dict sample for keyword arguments."""

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            got = "both" if args else "neither"
            raise ArgumentError(explain("StackDataset", expected="either positional or keyword datasets", got=got))
        self.datasets = args or kwargs
        lengths = [len(dataset) for dataset in self._parts()]
        if any(length != lengths[0] for length in lengths):
            raise ShapeError(explain("StackDataset", expected="datasets of equal length", got=f"lengths {lengths}"))
        self._length = lengths[0]

    def _parts(self) -> list[Any]:
        return list(self.datasets.values()) if isinstance(self.datasets, dict) else list(self.datasets)

    def _join(self, parts: Iterable[Any]) -> Any:
        return dict(zip(self.datasets, parts, strict=True)) if isinstance(self.datasets, dict) else tuple(parts)

    def __getitem__(self, index: Any) -> Any:
        return self._join(dataset[index] for dataset in self._parts())

    def __getitems__(self, indices: list[int]) -> list[Any]:
        columns = []
        for dataset in self._parts():
            column = get_items(dataset, indices)
            if len(column) != len(indices):
                raise ShapeError(
                    explain(
                        f"{type(dataset).__name__}.__getitems__", expected=f"a list of {len(indices)} samples", got=f"{len(column)} samples"
                    )
                )
            columns.append(column)
        return [self._join(row) for row in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """Map-style datasets one after the other.

    >>> data = ConcatDataset([[1, 2], [3]])
    >>> len(data), data[2], data[-1]
    (3, 3, 3)
    """

    datasets: list[Any]
    cumulative_sizes: list[int]

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError(explain("ConcatDataset", expected="at least one dataset", got="an empty list"))
        for dataset in self.datasets:
            if isinstance(dataset, IterableDataset):
                raise ArgumentTypeError(
                    explain("ConcatDataset", expected="map-style datasets", got=type(dataset).__name__, hint="use ChainDataset for streams")
                )
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        if not -len(self) <= index < len(self):
            raise IndexingError(explain("ConcatDataset", expected=f"an index in [-{len(self)}, {len(self)})", got=str(index)))
        index %= len(self)
        which = bisect.bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[which - 1] if which else 0
        item: T_co = self.datasets[which][index - start]
        return item


class ChainDataset(IterableDataset[Any]):
    """Iterable datasets one after the other, lazily.

    >>> class Count(IterableDataset):
    ...     def __iter__(self):
    ...         return iter(range(2))
    >>> list(Count() + Count())
    [0, 1, 0, 1]
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def _checked(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise ArgumentTypeError(explain("ChainDataset", expected="IterableDataset objects", got=type(dataset).__name__))
            yield dataset

    def __iter__(self) -> Iterator[Any]:
        for dataset in self._checked():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._checked())


class Subset(Dataset[T_co]):
    """The samples of `dataset` at `indices`, in that order.

    >>> Subset("abcdef", [4, 1])[0]
    'e'
    """

    dataset: Any
    indices: Sequence[int]

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        return get_items(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def get_items(dataset: Any, indices: Sequence[int]) -> list[Any]:
    """Several samples at once: by the dataset's `__getitems__` where it has one."""
    many = getattr(dataset, "__getitems__", None)
    if callable(many):
        return list(many(list(indices)))
    return [dataset[index] for index in indices]


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Any | None = None) -> list[Subset[Any]]:
    """Split a dataset at random into parts of the given lengths, or of the given fractions if they sum to 1.

    Fractions are floored; the samples left over go to the parts in turn, from the first. `generator` defaults to the default generator.

    >>> [len(part) for part in random_split(range(10), [0.5, 0.25, 0.25])]
    [6, 2, 2]
    """
    total = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        sizes = _sizes_of_fractions(lengths, total)
    else:
        sizes = [int(length) for length in lengths]
    if sum(sizes) != total or any(size < 0 for size in sizes):
        raise ArgumentError(
            explain(
                "random_split",
                expected=f"lengths that sum to {total}, or fractions that sum to 1",
                got=f"{list(lengths)}",
            )
        )
    order = rng.permutation(total, generator)
    ends = itertools.accumulate(sizes)
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def _sizes_of_fractions(fractions: Sequence[float], total: int) -> list[int]:
    for position, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ArgumentError(explain("random_split", expected="fractions between 0 and 1", got=f"{fraction} at position {position}"))
    sizes = [math.floor(total * fraction) for fraction in fractions]
    for extra in range(total - sum(sizes)):
        sizes[extra % len(sizes)] += 1
    for position, size in enumerate(sizes):
        if size == 0:
            warnings.warn(f"random_split: part {position} is empty ({fractions[position]} of {total} samples)", stacklevel=3)
    return sizes
