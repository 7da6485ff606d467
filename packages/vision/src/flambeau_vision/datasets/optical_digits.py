"""1,797 handwritten digits of 8x8 pixels, shipped with the package: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any, Literal, get_args

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, IndexingError, explain
from flambeau.data import Dataset

Split = Literal["train", "test", "all"]
LEVELS = 16  # a pixel counts the dark ones of 16 finer pixels
SPLIT_SEED = 0
TEST_SHARE = 0.2


class OpticalDigits(Dataset[tuple[Any, Any]]):
    """The Optical Recognition of Handwritten Digits data of the UCI repository (E. Alpaydin and C. Kaynak, 1998).

    A sample is a pair:

    | name  | shape     | dtype   | range                                       |
    |-------|-----------|---------|---------------------------------------------|
    | image | (1, 8, 8) | float32 | 0..1 in steps of 1/16, ink is 1, paper is 0 |
    | label | ()        | int     | 0..9, the digit                             |

    These are the 1,797 images that UCI sets aside for testing, by 13 writers, about 180 of each digit. `"test"` is a fixed fifth of each
    digit (359 images), `"train"` the other 1,438; they are chosen by `numpy.random.RandomState(0)`, so both have digits of every writer.

    Args:
        split: "train", "test" or "all".
        transform: what becomes of an image; it is given a tensor as in the table.
        target_transform: what becomes of a label; it is given an int.

    Attributes:
        images: all images of the split as they are in the source, (n, 8, 8) uint8, 0..16.
        targets: all labels of the split, (n,) int64.
        classes: the names of the labels.

    >>> digits = OpticalDigits("test")
    >>> image, label = digits[0]
    >>> len(digits), image.shape, image.dtype, label
    (359, flambeau.Size([1, 8, 8]), flambeau.float32, 3)
    """

    classes = tuple("0123456789")

    def __init__(
        self, split: Split = "train", transform: Callable[[Any], Any] | None = None, target_transform: Callable[[Any], Any] | None = None
    ) -> None:
        if split not in get_args(Split):
            raise ArgumentError(explain("OpticalDigits", expected=f"a split of {', '.join(get_args(Split))}", got=repr(split)))
        self.split = split
        self.transform = transform
        self.target_transform = target_transform
        images, labels = _read()
        chosen = np.flatnonzero(_in_test(labels) == (split == "test")) if split != "all" else np.arange(len(labels))
        self.images: np.ndarray = images[chosen]
        self.targets: np.ndarray = labels[chosen]

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        if not -len(self) <= index < len(self):
            raise IndexingError(explain("OpticalDigits", expected=f"an index below {len(self)}", got=str(index)))
        image: Any = flambeau.from_numpy(self.images[index][None].astype(np.float32) / LEVELS)
        label: Any = int(self.targets[index])
        return (
            image if self.transform is None else self.transform(image),
            label if self.target_transform is None else self.target_transform(label),
        )

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        return f"OpticalDigits(split={self.split!r}, {len(self)} images)"


def _read() -> tuple[np.ndarray, np.ndarray]:
    with files(__package__).joinpath("optical_digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return arrays["images"], arrays["labels"].astype(np.int64)


def _in_test(labels: np.ndarray) -> np.ndarray:
    """Which images are in the test split: a fifth of each digit, drawn digit by digit."""
    random = np.random.RandomState(SPLIT_SEED)  # NumPy promises that its numbers never change
    test = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        (where,) = np.nonzero(labels == digit)
        test[random.permutation(where)[: round(TEST_SHARE * len(where))]] = True
    return test
