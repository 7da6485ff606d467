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
from flambeau_vision.datasets.download import place

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
        download: fetch files that are missing, into `root/MNIST/raw`.

    Attributes:
        data: (n, 28, 28) uint8; targets: (n,) int64; classes: names of the labels.
    """

    source = "http://yann.lecun.com/exdb/mnist or one of its mirrors"
    mirrors: tuple[str, ...] = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
    # Names of files and their MD5, which is all that the sources state.
    resources: tuple[tuple[str, str], ...] = (
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    )
    classes: tuple[str, ...] = tuple(f"{i} - {name}" for i, name in enumerate("zero one two three four five six seven eight nine".split()))

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Change = None,
        target_transform: Change = None,
        download: bool = False,
    ) -> None:
        super().__init__(transform, target_transform)
        self.root, self.train = root, train
        if download:
            self._download(Path(root))
        images, labels = (read_idx(self._file(Path(root), stem)) for stem in self._stems())
        labels = labels[:, 0] if labels.ndim == 2 else labels
        if images.ndim != 3 or images.dtype != np.uint8 or labels.ndim != 1 or len(images) != len(labels):
            expected, got = "images (n, H, W) of bytes and n labels", f"{images.dtype} {images.shape} and {labels.shape}"
            raise FileFormatError(explain(f"{type(self).__name__} in {root}", expected=expected, got=got))
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
            expected = f"labels below {len(self.classes)}"
            raise FileFormatError(explain(f"{type(self).__name__} in {root}", expected=expected, got=str(labels.max())))
        self.data, self.targets = images, labels.astype(np.int64)

    def _download(self, root: Path) -> None:
        name = type(self).__name__
        if not self.resources:
            hint = f"put the files from {self.source} into {root}"
            raise ArgumentError(explain(name, expected="download=False", got="download=True", hint=hint))
        for stem in self._stems():
            if not any((root / (stem + end)).exists() for end in ("", ".gz")):
                file, md5 = next(row for row in self.resources if row[0].startswith(stem))
                place(name, [mirror + file for mirror in self.mirrors], f"md5-{md5}", root / name / "raw")

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
    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    resources = (
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    )
    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


class KMNIST(MNIST):
    """Ten characters of cursive Japanese (Clanuwat et al. 2018), in MNIST's format."""

    source = "https://github.com/rois-codh/kmnist"
    mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",)
    resources = (
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    )
    classes = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


class EMNIST(MNIST):
    """Letters and digits (Cohen et al. 2017). As in the source, images lie on their side: rows and columns are exchanged.

    `split` is "byclass", "bymerge", "balanced", "letters", "digits" or "mnist"; the other arguments are MNIST's.
    """

    source = "https://www.nist.gov/itl/products-and-services/emnist-dataset"
    resources = ()
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
    mirrors = ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",)
    resources = (
        ("qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
        ("qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ("qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
        ("qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
    )

    def _stems(self) -> tuple[str, str]:
        part = "qmnist-train" if self.train else "qmnist-test"
        return f"{part}-images-idx3-ubyte", f"{part}-labels-idx2-int"
