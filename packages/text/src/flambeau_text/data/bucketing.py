"""Batches of texts of like length, so that little is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, explain


class BucketSampler:
    """Batches of indices, for `DataLoader(batch_sampler=...)`: texts of like length together, batches in random order.

    Args:
        lengths: of all texts.
        batch_size: texts a batch.
        max_tokens: instead of batch_size: the most that a batch's longest length times its count may be.
        buckets: texts are shuffled within so many groups of like length before they are cut into batches.
        seed: decides the order, together with `epoch`, which counts itself.

    `state_dict` and `load_state_dict` continue in the middle of an epoch.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int | None = None, *, max_tokens: int | None = None, buckets: int = 8, seed: int = 0
    ) -> None:
        if (batch_size is None) == (max_tokens is None):
            raise ArgumentError(explain("BucketSampler", expected="batch_size or max_tokens", got="both" if batch_size else "neither"))
        if max_tokens is not None and len(lengths) and max(lengths) > max_tokens:
            raise ArgumentError(explain("BucketSampler", expected=f"texts of at most max_tokens={max_tokens}", got=str(max(lengths))))
        self.lengths = np.asarray(lengths, np.int64)
        self.batch_size, self.max_tokens, self.buckets, self.seed = batch_size, max_tokens, max(1, buckets), seed
        self.epoch = self.taken = 0

    def _batches(self) -> list[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = np.argsort(self.lengths, kind="stable")
        groups = [rng.permutation(part) for part in np.array_split(order, self.buckets)]
        batches: list[list[int]] = []
        current: list[int] = []
        longest = 0
        for index in np.concatenate(groups).tolist() if groups else []:
            length = max(longest, int(self.lengths[index]))
            full = len(current) >= self.batch_size if self.batch_size else length * (len(current) + 1) > (self.max_tokens or 0)
            if current and full:
                batches.append(current)
                current, length = [], int(self.lengths[index])
            current.append(index)
            longest = length
        batches += [current] if current else []
        return [batches[i] for i in rng.permutation(len(batches))]

    def __len__(self) -> int:
        return len(self._batches())

    def __iter__(self) -> Iterator[list[int]]:
        batches = self._batches()
        for batch in batches[self.taken :]:
            self.taken += 1
            yield batch
        self.epoch, self.taken = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int]:
        """Where the sampler is."""
        return {"epoch": self.epoch, "taken": self.taken}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.epoch, self.taken = state["epoch"], state["taken"]


def pad_batch(rows: Sequence[Sequence[int]], pad: int = 0, *, left: bool = False) -> tuple[Any, Any]:
    """Ids of texts -> (N, L) tensors of ids and of the mask, 0 for padding.

    >>> ids, mask = pad_batch([[1, 2], [3]])
    >>> ids.tolist(), mask.tolist()
    ([[1, 2], [3, 0]], [[1, 1], [1, 0]])
    """
    width = max(map(len, rows), default=0)
    ids, mask = np.full((len(rows), width), pad, np.int64), np.zeros((len(rows), width), np.int64)
    for i, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, where], mask[i, where] = row, 1
    return flambeau.from_numpy(ids), flambeau.from_numpy(mask)
