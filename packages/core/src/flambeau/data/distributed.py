"""The share of a dataset that one of several replicas reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized

from flambeau.base.errors import ArgumentError, explain
from flambeau.data import rng
from flambeau.data.sampler import Sampler


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index of one common order, from `rank`, so that the replicas share an epoch evenly.

    The order is a function of `seed + epoch`: call `set_epoch(epoch)` before each epoch to get a new one. When the size does not divide,
    the first samples are repeated, or with `drop_last=True` the last ones left out.

    >>> [list(DistributedSampler(range(5), num_replicas=2, rank=r, shuffle=False)) for r in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(self, dataset: Sized, num_replicas: int, rank: int, shuffle: bool = True, seed: int = 0, drop_last: bool = False) -> None:
        if num_replicas < 1:
            raise ArgumentError(explain("DistributedSampler", expected="num_replicas of 1 or more", got=str(num_replicas)))
        if not 0 <= rank < num_replicas:
            raise ArgumentError(explain("DistributedSampler", expected=f"a rank in [0, {num_replicas})", got=str(rank)))
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        size = len(dataset)
        self.num_samples = size // num_replicas if drop_last else math.ceil(size / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        order = rng.permutation(size, rng.new_generator(self.seed + self.epoch)) if self.shuffle else list(range(size))
        if size:
            order = (order * math.ceil(self.total_size / size))[: self.total_size]
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the coming epoch; give every replica the same number."""
        self.epoch = epoch
