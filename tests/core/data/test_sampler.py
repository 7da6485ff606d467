"""Samplers against their definitions."""

import collections

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.base.errors import ArgumentError, ArgumentTypeError
from flambeau.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    rng,
)


def test_sequential():
    assert list(SequentialSampler("abc")) == [0, 1, 2] and len(SequentialSampler("abc")) == 3


@given(st.integers(1, 40), st.integers(1, 100))
def test_random_without_replacement_repeats_whole_permutations(size, count):
    drawn = list(RandomSampler(range(size), num_samples=count, generator=rng.new_generator(0)))
    assert len(drawn) == count
    for start in range(0, count, size):
        block = drawn[start : start + size]
        assert len(set(block)) == len(block) and set(block) <= set(range(size))


@given(st.integers(1, 10), st.integers(1, 100))
def test_random_with_replacement(size, count):
    drawn = list(RandomSampler(range(size), replacement=True, num_samples=count))
    assert len(drawn) == count and set(drawn) <= set(range(size))


def test_random_follows_the_seed_and_changes_by_epoch():
    rng.default_generator().manual_seed(7)
    sampler = RandomSampler(range(50))
    first, second = list(sampler), list(sampler)
    rng.default_generator().manual_seed(7)
    assert list(sampler) == first != second
    assert list(RandomSampler(range(50), generator=rng.new_generator(3))) == list(RandomSampler(range(50), generator=rng.new_generator(3)))


def test_subset_random():
    assert sorted(SubsetRandomSampler([5, 2, 9])) == [2, 5, 9]


def test_weighted_frequencies():
    drawn = list(WeightedRandomSampler([1, 0, 3], 4000, generator=rng.new_generator(0)))
    counts = collections.Counter(drawn)
    assert counts[1] == 0
    assert abs(counts[2] / 4000 - 0.75) < 0.05  # 7 standard deviations
    assert sorted(WeightedRandomSampler([0.2, 0.3, 0.5], 3, replacement=False)) == [0, 1, 2]


@given(st.integers(0, 30), st.integers(1, 8), st.booleans())
def test_batch_sampler(size, batch, drop):
    sampler = BatchSampler(range(size), batch, drop)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    flat = [i for b in batches for i in b]
    assert flat == list(range(size - size % batch if drop else size))
    assert all(len(b) == batch for b in batches[:-1])


@given(st.integers(1, 30), st.integers(1, 7), st.booleans(), st.booleans(), st.integers(0, 3))
def test_distributed_shares_cover_and_are_equal(size, replicas, drop, shuffle, epoch):
    shares = []
    for rank in range(replicas):
        sampler = DistributedSampler(range(size), replicas, rank, shuffle=shuffle, seed=5, drop_last=drop)
        sampler.set_epoch(epoch)
        shares.append(list(sampler))
        assert len(shares[-1]) == len(sampler) == len(shares[0])
    everything = collections.Counter(i for share in shares for i in share)
    if drop:
        assert max(everything.values(), default=1) == 1 and sum(everything.values()) == size - size % replicas
    else:
        assert set(everything) == set(range(size))


def test_distributed_order_depends_on_the_epoch_only():
    sampler = DistributedSampler(range(20), 2, 0)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_errors():
    class Nothing(Sampler):
        pass

    with pytest.raises(NotImplementedError, match="Nothing must define __iter__"):
        iter(Nothing())
    with pytest.raises(ArgumentError, match="RandomSampler: expected num_samples to be a positive integer, got 0"):
        RandomSampler([])
    with pytest.raises(ArgumentTypeError, match="replacement to be a bool"):
        RandomSampler([1], replacement=1)
    with pytest.raises(ArgumentError, match="batch_size to be a positive integer, got True"):
        BatchSampler([1], True, False)
    with pytest.raises(ArgumentError, match="drop_last"):
        BatchSampler([1], 2, 0)
    with pytest.raises(ArgumentError, match="1-d"):
        WeightedRandomSampler([[1.0]], 1)
    with pytest.raises(ArgumentError, match=r"a rank in \[0, 2\), got 2"):
        DistributedSampler([1], 2, 2)
