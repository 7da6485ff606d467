"""Fetching one batch from a dataset; used in the main process and in workers alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.data.dataset import IterableDataset, get_items


class Exhausted(Exception):
    """An iterable dataset has no more batches. (Not StopIteration: that would end a generator on its way.)"""


class MapFetcher:
    """Batches of a map-style dataset from lists of indices (or single samples from single indices)."""

    def __init__(self, dataset: Any, collate_fn: Callable[[Any], Any], batched: bool) -> None:
        self.dataset, self.collate_fn, self.batched = dataset, collate_fn, batched

    def fetch(self, index: Any) -> Any:
        try:
            return self.collate_fn(get_items(self.dataset, index) if self.batched else self.dataset[index])
        except StopIteration as stop:  # would end the epoch early and silently
            raise RuntimeError(f"{type(self.dataset).__name__} or collate_fn raised StopIteration for index {index}") from stop

    def state(self) -> None:
        """A map-style dataset has no position of its own."""


class IterableFetcher:
    """Batches of an iterable dataset, with its position: the dataset's (or its iterator's) own state, or the number of samples read."""

    def __init__(
        self, dataset: IterableDataset[Any], collate_fn: Callable[[Any], Any], batched: bool, drop_last: bool, state: dict[str, Any] | None
    ) -> None:
        self.dataset, self.collate_fn, self.batched, self.drop_last = dataset, collate_fn, batched, drop_last
        self.samples = 0
        self.ended = False
        start = state or {"samples": 0, "ended": False, "iterator": None, "dataset": None}
        if start["dataset"] is not None and not start["ended"]:
            dataset.load_state_dict(start["dataset"])  # type: ignore[attr-defined]
        self.iterator = iter(()) if start["ended"] else iter(dataset)
        if start["ended"]:
            self.ended, self.samples = True, start["samples"]
        elif start["iterator"] is not None:
            self.iterator.load_state_dict(start["iterator"])  # type: ignore[attr-defined]
            self.samples = start["samples"]
        elif start["dataset"] is not None:
            self.samples = start["samples"]
        else:
            self._read_again(start["samples"])

    def _read_again(self, samples: int) -> None:
        self.samples = sum(1 for _ in itertools.islice(self.iterator, samples))
        if self.samples < samples:
            raise ArgumentError(
                explain(
                    "DataLoader.load_state_dict",
                    expected=f"a dataset with at least {samples} samples",
                    got=f"one that ended after {self.samples}",
                )
            )

    def fetch(self, index: Sequence[None] | None) -> Any:
        if self.ended:
            raise Exhausted
        wanted = len(index) if self.batched and index is not None else 1
        samples = list(itertools.islice(self.iterator, wanted))
        self.samples += len(samples)
        self.ended = len(samples) < wanted
        if not samples or (self.ended and self.drop_last):
            raise Exhausted
        return self.collate_fn(samples if self.batched else samples[0])

    def state(self) -> dict[str, Any]:
        """The position after the last batch."""
        owner = next((name for name in ("iterator", "dataset") if has_state(getattr(self, name))), None)
        state: dict[str, Any] = {"samples": self.samples, "ended": self.ended, "iterator": None, "dataset": None}
        if owner is not None:
            state[owner] = getattr(self, owner).state_dict()
        return state


def has_state(thing: Any) -> bool:
    """Whether an object can save and load its position."""
    return callable(getattr(thing, "state_dict", None)) and callable(getattr(thing, "load_state_dict", None))


def make_fetcher(
    dataset: Any, collate_fn: Callable[[Any], Any], batched: bool, drop_last: bool, state: dict[str, Any] | None
) -> MapFetcher | IterableFetcher:
    """The fetcher for a dataset; `state` is the position an earlier iterable fetcher reported."""
    if isinstance(dataset, IterableDataset):
        return IterableFetcher(dataset, collate_fn, batched, drop_last, state)
    return MapFetcher(dataset, collate_fn, batched)
