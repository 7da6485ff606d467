"""MNIST and its family, from their IDX files (plain or .gz)."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, FileFormatError, explain
from flambeau_vision.datasets.base import Change, ImageDataset, require

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_LARGEST = 1 << 31  # bytes of a file's content


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file: big-endian magic (type * 256 + axes), sizes, then the numbers; `.gz` is unpacked.

    Raises FileFormatError, naming the file, for one that is truncated, too long, or of another kind.
    """
    name = os.fspath(path)
    try:
        with gzip.open(path, "rb") if name.endswith(".gz") else open(path, "rb") as file:
            data = file.read(_LARGEST)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(explain(f"read {name}", expected="a whole gzip file", got=str(error))) from error
    kind, axes = (data[2], data[3]) if len(data) >= 4 else (0, 0)
    if data[:2] != b"\0\0" or kind not in _TYPES or not 1 <= axes <= 4 or len(data) < 4 + 4 * axes:
        raise FileFormatError(explain(f"read {name}", expected="an IDX file", got=f"one that begins with {data[:4]!r}"))
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes))
    dtype = np.dtype(_TYPES[kind])
    need = 4 + 4 * axes + math.prod(shape) * dtype.itemsize
    if len(data) != need:
        raise FileFormatError(explain(f"read {name}", expected=f"{need} bytes for shape {shape}", got=str(len(data))))
    array = np.frombuffer(data, dtype, offset=4 + 4 * axes).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


class MNIST(ImageDataset):
    """Handwritten digits (LeCun et al.): 60,000 to learn from, 10,000 to test.

    | name   | type           | shape    | range |
    |--------|----------------|----------|-------|
    | image  | PIL image, "L" | 28 x 28  | 0..255, ink is bright |
    | target | int            |          | 0..9  |

    Args:
        root: a directory with `MNIST/raw` in it, or the one that holds the files.
        train: the training images, or those for testing.
        transform, target_transform: what becomes of an image and of a label.

    Attributes:
        data: (n, 28, 28) uint8; targets: (n,) int64; classes: names of the labels.
    """

    source = "http://yann.lecun.com/exdb/mnist or one of its mirrors"
    classes: tuple[str, ...] = tuple(f"{i} - {name}" for i, name in enumerate("zero one two three four five six seven eight nine".split()))

    def __init__(self, root: str | os.PathLike[str], train: bool = True, transform: Change = None, target_transform: Change = None) -> None:
        super().__init__(transform, target_transform)
        self.train = train
        images, labels = (read_idx(self._file(Path(root), stem)) for stem in self._stems())
        labels = labels[:, 0] if labels.ndim == 2 else labels
        if images.ndim != 3 or images.dtype != np.uint8 or labels.ndim != 1 or len(images) != len(labels):
            expected, got = "images (n, H, W) of bytes and n labels", f"{images.dtype} {images.shape} and {labels.shape}"
            raise FileFormatError(explain(f"{type(self).__name__} in {root}", expected=expected, got=got))
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
            expected = f"labels below {len(self.classes)}"
            raise FileFormatError(explain(f"{type(self).__name__} in {root}", expected=expected, got=str(labels.max())))
        self.data, self.targets = images, labels.astype(np.int64)

    def _stems(self) -> tuple[str, str]:
        part = "train" if self.train else "t10k"
        return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"

    def _file(self, root: Path, stem: str) -> Path:
        folders = (root / type(self).__name__ / "raw", root)
        return require(type(self).__name__, [folder / (stem + end) for folder in folders for end in ("", ".gz")], self.source)

    def image(self, index: int) -> Any:
        from PIL import Image

        return Image.fromarray(self.data[index])

    def target(self, index: int) -> int:
        return int(self.targets[index])


class FashionMNIST(MNIST):
    """Clothes (Xiao et al. 2017), in MNIST's format."""

    source = "https://github.com/zalandoresearch/fashion-mnist"
    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


class KMNIST(MNIST):
    """Ten characters of cursive Japanese (Clanuwat et al. 2018), in MNIST's format."""

    source = "https://github.com/rois-codh/kmnist"
    classes = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


class EMNIST(MNIST):
    """Letters and digits (Cohen et al. 2017). As in the source, images lie on their side: rows and columns are exchanged.

    `split` is "byclass", "bymerge", "balanced", "letters", "digits" or "mnist"; the other arguments are MNIST's.
    """

    source = "https://www.nist.gov/itl/products-and-services/emnist-dataset"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    _all = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

    def __init__(self, root: str | os.PathLike[str], split: str, **options: Any) -> None:
        if split not in self.splits:
            raise ArgumentError(explain("EMNIST", expected=f"a split of {', '.join(self.splits)}", got=repr(split)))
        merged = [c for c in self._all if c not in "cijklmopsuvwxyz"]
        names = {"byclass": list(self._all), "bymerge": merged, "balanced": merged, "letters": ["N/A", *self._all[36:]]}
        self.split, self.classes = split, tuple(names.get(split, list(self._all[:10])))
        super().__init__(root, **options)

    def _stems(self) -> tuple[str, str]:
        part = f"emnist-{self.split}-{'train' if self.train else 'test'}"
        return f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"


class QMNIST(MNIST):
    """MNIST with all 60,000 images for testing (Yadav and Bottou 2019); the label is the first of eight numbers about an image."""

    source = "https://github.com/facebookresearch/qmnist"

    def _stems(self) -> tuple[str, str]:
        part = "qmnist-train" if self.train else "qmnist-test"
        return f"{part}-images-idx3-ubyte", f"{part}-labels-idx2-int"
