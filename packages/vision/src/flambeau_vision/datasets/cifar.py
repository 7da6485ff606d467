"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from the binary edition or the Python edition, whose pickles are read without running them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from flambeau.base.errors import FileFormatError, explain
from flambeau.serialization.pth.machine import Machine
from flambeau.serialization.pth.names import table
from flambeau.serialization.pth.opcodes import Instructions
from flambeau_vision.datasets.base import Change, ImageDataset, require
from flambeau_vision.datasets.download import unpack

_PIXELS = 3 * 32 * 32


def read_pickle(path: Path) -> dict[str, Any]:
    """The dict in a pickle of plain values and arrays; names that could run code are refused. Keys become text."""
    value = Machine(str(path), table(None)).run(Instructions(path.read_bytes(), 0, str(path)))
    if not isinstance(value, dict):
        raise FileFormatError(explain(f"read {path}", expected="a dict", got=type(value).__name__))
    return {key.decode("latin-1") if isinstance(key, bytes) else str(key): item for key, item in value.items()}


class CIFAR10(ImageDataset):
    """Photographs of ten classes: 50,000 to learn from, 10,000 to test.

    | name   | type             | shape   | range  |
    |--------|------------------|---------|--------|
    | image  | PIL image, "RGB" | 32 x 32 | 0..255 |
    | target | int              |         | 0..9   |

    Args:
        root: the directory in which the archive was unpacked: `cifar-10-batches-py` or `cifar-10-batches-bin` is in it.
        train: the training images, or those for testing.
        transform, target_transform: what becomes of an image and of a label.
        download: fetch the archive, if it is not unpacked in `root`.

    Attributes:
        data: (n, 32, 32, 3) uint8; targets: list of int; classes: names of the labels.
    """

    source = "https://www.cs.toronto.edu/~kriz/cifar.html"
    archive = ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "md5-c58f30108f718f92721af3b95e74349a")
    folders = ("cifar-10-batches-py", "cifar-10-batches-bin")
    parts = (tuple(f"data_batch_{i}" for i in range(1, 6)), ("test_batch",))  # to learn from, to test
    names_file, names_key, label_key = ("batches.meta", "batches.meta.txt"), "label_names", "labels"
    label_bytes, label_place = 1, 0  # before the pixels of a record, and which of them counts

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
        if download and not (Path(root) / self.folders[1]).exists():
            names = [self.names_file[0], *self.parts[0], *self.parts[1]]
            unpack(type(self).__name__, *self.archive, Path(root), [f"{self.folders[0]}/{name}" for name in names])
        folder = require(type(self).__name__, [Path(root) / name for name in self.folders], self.source)
        binary = folder.name.endswith(("-bin", "-binary"))
        self.classes = self._names(folder, binary)
        stems = self.parts[0 if train else 1]
        read = self._binary if binary else self._python
        pieces = [read(require(type(self).__name__, [folder / (stem + ".bin" if binary else stem)], self.source)) for stem in stems]
        self.data = np.concatenate([pixels for pixels, _ in pieces]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels = np.concatenate([labels for _, labels in pieces])
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(self.classes):
            expected = f"labels below {len(self.classes)}"
            raise FileFormatError(explain(f"{type(self).__name__} in {folder}", expected=expected, got=str(labels.max())))
        self.targets: list[int] = labels.tolist()

    def _names(self, folder: Path, binary: bool) -> tuple[str, ...]:
        path = require(type(self).__name__, [folder / self.names_file[binary]], self.source)
        if binary:
            return tuple(path.read_text(encoding="latin-1").split())
        names = read_pickle(path).get(self.names_key)
        if not isinstance(names, list):
            raise FileFormatError(explain(f"read {path}", expected=f"a list under {self.names_key!r}", got=type(names).__name__))
        return tuple(name.decode("latin-1") if isinstance(name, bytes) else str(name) for name in names)

    def _python(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        content = read_pickle(path)
        pixels: Any = content.get("data")
        labels: Any = content.get(self.label_key)
        good = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 2 and pixels.shape[1] == _PIXELS
        if not good or not isinstance(labels, list) or len(labels) != len(pixels) or not all(isinstance(k, int) for k in labels):
            expected = f"'data' (n, {_PIXELS}) of bytes and n numbers under {self.label_key!r}"
            raise FileFormatError(explain(f"read {path}", expected=expected, got=f"keys {sorted(content)}"))
        return pixels, np.array(labels, np.int64)

    def _binary(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        data, record = path.read_bytes(), self.label_bytes + _PIXELS
        if not data or len(data) % record:
            raise FileFormatError(explain(f"read {path}", expected=f"whole records of {record} bytes", got=f"{len(data)} bytes"))
        rows = np.frombuffer(data, np.uint8).reshape(-1, record)
        return rows[:, self.label_bytes :], rows[:, self.label_place].astype(np.int64)

    def image(self, index: int) -> Any:
        from PIL import Image

        return Image.fromarray(np.ascontiguousarray(self.data[index]))


class CIFAR100(CIFAR10):
    """Photographs of a hundred classes; otherwise as CIFAR10."""

    archive = ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", "md5-eb9058c3a382ffc7106e4002c42a8d85")
    folders = ("cifar-100-python", "cifar-100-binary")
    parts = (("train",), ("test",))
    names_file, names_key, label_key = ("meta", "fine_label_names.txt"), "fine_label_names", "fine_labels"
    label_bytes, label_place = 2, 1
