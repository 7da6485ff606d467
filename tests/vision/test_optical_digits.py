"""The digits are those of the source, and the split is what its documentation says."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, IndexingError
from flambeau.data import DataLoader
from flambeau_vision.datasets import OpticalDigits, optical_digits

SPLIT_SHA256 = "44761d89f8e49daebc987fa4f848a40a0485a849c9da5b13a4d9f9d78b6ef9cb"
SOURCE_SHA256 = "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"


def test_the_numbers_are_those_of_the_source():
    digits = OpticalDigits("all")
    rows = np.column_stack([digits.images.reshape(-1, 64), digits.targets]).tolist()
    text = "".join(",".join(str(number) for number in row) + "\n" for row in rows)
    assert hashlib.sha256(text.encode()).hexdigest() == SOURCE_SHA256
    assert SOURCE_SHA256 in optical_digits.files(optical_digits.__package__).joinpath("optical_digits.md").read_text()


def test_a_sample_is_what_the_table_says():
    for split, size in (("train", 1438), ("test", 359), ("all", 1797)):
        digits = OpticalDigits(split)
        assert len(digits) == len(digits.images) == len(digits.targets) == size
        image, label = digits[size - 1]
        assert (tuple(image.shape), image.dtype, type(label)) == ((1, 8, 8), fb.float32, int)
        assert 0 <= float(image.min()) < float(image.max()) <= 1
        np.testing.assert_array_equal(image.numpy()[0] * 16, digits.images[-1])
        assert digits[-1][1] == label == digits.targets[-1]
    assert (digits.images.dtype, digits.images.min(), digits.images.max()) == (np.uint8, 0, 16)
    assert repr(digits) == "OpticalDigits(split='all', 1797 images)"


def test_the_split_is_a_fixed_fifth_of_each_digit():
    train, test, whole = (OpticalDigits(split) for split in ("train", "test", "all"))
    for digit in range(10):
        total = np.sum(whole.targets == digit)
        assert np.sum(test.targets == digit) == round(total / 5)
        assert np.sum(train.targets == digit) == total - round(total / 5)
    both = np.concatenate([train.images, test.images]).reshape(-1, 64)
    everything = whole.images.reshape(-1, 64)
    assert np.array_equal(both[np.lexsort(both.T)], everything[np.lexsort(everything.T)])
    # The split must never change: a published accuracy would mean something else.
    assert hashlib.sha256(test.images.tobytes()).hexdigest() == SPLIT_SHA256


def test_transforms():
    digits = OpticalDigits("test", transform=lambda image: image.sum(), target_transform=lambda label: label % 2)
    image, label = digits[0]
    assert (float(image), label) == (digits.images[0].sum() / 16, 1)


def test_in_a_loader():
    images, labels = next(iter(DataLoader(OpticalDigits("test"), batch_size=32)))
    assert (tuple(images.shape), images.dtype, tuple(labels.shape), labels.dtype) == ((32, 1, 8, 8), fb.float32, (32,), fb.int64)
    pickle.loads(pickle.dumps(OpticalDigits("test")))  # worker processes need it


def test_errors():
    with pytest.raises(ArgumentError, match="OpticalDigits: expected a split of train, test, all, got 'valid'"):
        OpticalDigits("valid")
    with pytest.raises(IndexingError, match="expected an index below 359, got 359"):
        OpticalDigits("test")[359]
    assert len(list(OpticalDigits("test"))) == 359
