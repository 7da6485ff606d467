"""Samplers: the order in which a loader visits a map-style dataset. The random draws follow PyTorch's protocol number by number."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.data import rng

T_co = TypeVar("T_co", covariant=True)
_DRAWS_AT_ONCE = 32  # PyTorch draws indices with replacement in blocks of 32, so its random stream is consumed in these blocks


class Sampler(Generic[T_co]):
    """Base of samplers: subclass it and write `__iter__()` (and `__len__()` where the length is known).

    A sampler with `state_dict()` and `load_state_dict(state)` is resumed through them: after loading, its next `__iter__()` must go on
    where the state was taken. Any other sampler is resumed by replaying it from the random state at the start of the epoch.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__()")


class SequentialSampler(Sampler[int]):
    """Indices 0, 1, 2, ... in order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """Indices in random order, or drawn with replacement; `num_samples` defaults to the size of the dataset.

    Without a `generator` every epoch draws one seed from the default generator and shuffles with a fresh generator.
    """

    def __init__(self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Any | None = None) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise ArgumentTypeError(explain("RandomSampler", expected="replacement to be a bool", got=repr(replacement)))
        _check_count("RandomSampler", "num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        size = len(self.data_source)
        generator = self.generator if self.generator is not None else rng.new_generator(rng.draw_seed())
        if self.replacement:
            for _ in range(self.num_samples // _DRAWS_AT_ONCE):
                yield from rng.integers(size, _DRAWS_AT_ONCE, generator)
            yield from rng.integers(size, self.num_samples % _DRAWS_AT_ONCE, generator)
        else:
            for _ in range(self.num_samples // size):
                yield from rng.permutation(size, generator)
            yield from rng.permutation(size, generator)[: self.num_samples % size]

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order, without replacement."""

    def __init__(self, indices: Sequence[int], generator: Any | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for position in rng.permutation(len(self.indices), self.generator):
            yield self.indices[position]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn with probability proportional to `weights` (which need not sum to 1).

    >>> len(list(WeightedRandomSampler([0.1, 0.9, 0.4], 5)))
    5
    """

    def __init__(self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any | None = None) -> None:
        _check_count("WeightedRandomSampler", "num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ArgumentTypeError(explain("WeightedRandomSampler", expected="replacement to be a bool", got=repr(replacement)))
        self.weights = rng.weights_of(weights)
        if len(self.weights.shape) != 1:
            raise ArgumentError(
                explain("WeightedRandomSampler", expected="a 1-d list of weights", got=f"shape {tuple(self.weights.shape)}")
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        yield from rng.multinomial(self.weights, self.num_samples, self.replacement, self.generator)

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Groups the indices of `sampler` into lists of `batch_size`; `drop_last` drops a shorter last one.

    >>> list(BatchSampler(range(7), 3, False))
    [[0, 1, 2], [3, 4, 5], [6]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_count("BatchSampler", "batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ArgumentError(explain("BatchSampler", expected="drop_last to be a bool", got=repr(drop_last)))
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                return
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


class InfiniteSampler(Sampler[None]):
    """What an iterable dataset is driven by: it has no indices, so one None a sample, for ever."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


def _check_count(owner: str, name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ArgumentError(explain(owner, expected=f"{name} to be a positive integer", got=repr(value)))
