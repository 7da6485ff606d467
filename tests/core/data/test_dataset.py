"""Datasets and the ways to combine them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.base.errors import ArgumentError, ArgumentTypeError, IndexingError, ShapeError
from flambeau.data import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
    rng,
)


class Count(IterableDataset):
    def __init__(self, stop):
        self.stop = stop

    def __iter__(self):
        return iter(range(self.stop))

    def __len__(self):
        return self.stop


@given(st.lists(st.lists(st.integers(), max_size=4), min_size=1, max_size=5), st.data())
def test_concat_is_list_concatenation(parts, data):
    flat = list(itertools.chain(*parts))
    joined = ConcatDataset(parts)
    assert len(joined) == len(flat)
    index = data.draw(st.integers(-len(flat) - 2, len(flat) + 1))
    if -len(flat) <= index < len(flat):
        assert joined[index] == flat[index]
    else:
        with pytest.raises(IndexingError, match="ConcatDataset: expected an index"):
            joined[index]


def test_concat_refuses_streams_and_nothing():
    with pytest.raises(ArgumentTypeError, match="ChainDataset"):
        ConcatDataset([Count(2)])
    with pytest.raises(ArgumentError, match="at least one"):
        ConcatDataset([])


def test_chain():
    chained = Count(2) + Count(3)
    assert isinstance(chained, ChainDataset)
    assert list(chained) == [0, 1, 0, 1, 2] and len(chained) == 5
    with pytest.raises(ArgumentTypeError, match="IterableDataset"):
        list(ChainDataset([[1]]))


def test_tensor_dataset():
    data = TensorDataset(np.arange(6).reshape(3, 2), np.arange(3))
    assert len(data) == 3 and data[1][0].tolist() == [2, 3] and data[1][1] == 1
    with pytest.raises(ShapeError, match=r"first sizes \[3, 2\]"):
        TensorDataset(np.zeros(3), np.zeros(2))
    with pytest.raises(ShapeError, match="0-d tensor at position 0"):
        TensorDataset(np.zeros(()))
    with pytest.raises(ArgumentError, match="at least one"):
        TensorDataset()


def test_stack_dataset():
    assert StackDataset([1, 2], "ab")[1] == (2, "b")
    named = StackDataset(x=[1, 2], y="ab")
    assert named[0] == {"x": 1, "y": "a"} and len(named) == 2
    assert named.__getitems__([1, 0]) == [{"x": 2, "y": "b"}, {"x": 1, "y": "a"}]
    with pytest.raises(ShapeError, match="equal length"):
        StackDataset([1], [1, 2])
    for arguments in ({}, {"x": [1]}):
        with pytest.raises(ArgumentError, match="either positional or keyword"):
            StackDataset(*([[1]] if arguments else []), **arguments)


def test_stack_dataset_checks_what_getitems_gives():
    class Short(Dataset):
        def __len__(self):
            return 3

        def __getitems__(self, indices):
            return [0]

    with pytest.raises(ShapeError, match="Short.__getitems__: expected a list of 2 samples, got 1 samples"):
        StackDataset(Short()).__getitems__([0, 1])


def test_subset_uses_getitems():
    class Many(Dataset):
        def __len__(self):
            return 10

        def __getitem__(self, index):
            raise AssertionError("one at a time")

        def __getitems__(self, indices):
            return [i * 10 for i in indices]

    assert Subset(Many(), [4, 7, 1]).__getitems__([2, 0]) == [10, 40]
    assert Subset("abcdef", [4, 1])[1] == "b" and len(Subset("abc", [0])) == 1


@given(st.integers(0, 40), st.lists(st.integers(0, 20), min_size=1, max_size=4))
def test_random_split_partitions(total, sizes):
    if sum(sizes) != total and not (sum(sizes) == 1):
        with pytest.raises(ArgumentError, match="random_split: expected lengths that sum to"):
            random_split(range(total), sizes)
        total = sum(sizes)
    if sum(sizes) == 1:
        return
    parts = random_split(range(total), sizes, rng.new_generator(1))
    assert [len(part) for part in parts] == sizes
    assert sorted(i for part in parts for i in part.indices) == list(range(total))


def test_random_split_fractions():
    assert [len(part) for part in random_split(range(10), [0.3, 0.3, 0.4])] == [3, 3, 4]
    assert [len(part) for part in random_split(range(11), [0.5, 0.25, 0.25])] == [6, 3, 2]
    with pytest.warns(UserWarning, match="part 1 is empty"):
        random_split(range(10), [0.6, 0.05, 0.35])
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        random_split(range(10), [1.5, -0.5])


def test_base_classes_name_what_is_missing():
    class Empty(Dataset):
        pass

    class Stream(IterableDataset):
        pass

    with pytest.raises(NotImplementedError, match="Empty must define __getitem__"):
        Empty()[0]
    with pytest.raises(NotImplementedError, match="Stream must define __iter__"):
        iter(Stream())
