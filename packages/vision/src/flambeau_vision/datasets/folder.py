"""Images sorted into directories, one for each class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flambeau.base.errors import FileFormatError, explain
from flambeau_vision.datasets.base import Change, ImageDataset
from flambeau_vision.io import open_image

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class DatasetFolder(ImageDataset):
    """Files below `root/<class>/`, in alphabetical order.

    Args:
        root: the directory of the classes' directories.
        loader: reads a file.
        extensions: endings of the files that count; others are passed over.
        transform, target_transform: what becomes of a sample and of a label.
        is_valid_file: decides in place of `extensions`.
        allow_empty: whether a class may have no files.

    Attributes:
        classes, class_to_idx: names of the classes, and their numbers; samples: (path, number) of each; targets: numbers.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform: Change = None,
        target_transform: Change = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(transform, target_transform)
        name = f"{type(self).__name__} in {root}"
        folder = Path(root)
        if not folder.is_dir():
            raise FileFormatError(explain(name, expected="a directory", got="none"))
        self.root, self.loader = str(root), loader
        self.classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        if not self.classes:
            raise FileFormatError(explain(name, expected="a directory for each class", got="none"))
        self.class_to_idx = {label: i for i, label in enumerate(self.classes)}
        counts = is_valid_file or (lambda path: path.lower().endswith(tuple(extensions or ())))
        self.samples = [(path, i) for label, i in self.class_to_idx.items() for path in _files(folder / label) if counts(path)]
        self.targets = [i for _, i in self.samples]
        empty = sorted(set(self.classes) - {self.classes[i] for i in self.targets})
        if empty and not allow_empty:
            hint = f"files that end in {', '.join(extensions)}" if extensions else "allow_empty=True"
            raise FileFormatError(explain(name, expected="files of every class", got=f"none of {', '.join(empty[:5])}", hint=hint))

    def image(self, index: int) -> Any:
        return self.loader(self.samples[index][0])


def _files(folder: Path) -> list[str]:
    found = (os.path.join(place, name) for place, _, names in os.walk(folder, followlinks=True) for name in names)
    return sorted(found)


class ImageFolder(DatasetFolder):
    """Images below `root/<class>/`, read as RGB; a damaged one gives an error with its name when it is asked for."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Change = None,
        target_transform: Change = None,
        loader: Callable[[str], Any] = open_image,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, loader, None if is_valid_file else IMG_EXTENSIONS, transform, target_transform, is_valid_file, allow_empty)
        self.imgs = self.samples
