"""What image datasets share: transforms, indices, files that must be there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flambeau.base.errors import FileFormatError, IndexingError, explain
from flambeau.data import Dataset

Change = Callable[[Any], Any] | None


class ImageDataset(Dataset[tuple[Any, Any]]):
    """Pairs of an image and its target. A subclass sets `targets`, and defines `image(index)`; labels need no decoding of images."""

    targets: Any

    def __init__(self, transform: Change = None, target_transform: Change = None) -> None:
        self.transform, self.target_transform = transform, target_transform

    def image(self, index: int) -> Any:
        """The image at a position from 0 on, before the transform."""
        raise NotImplementedError

    def target(self, index: int) -> Any:
        """The target at a position from 0 on, before the transform; the image is not touched."""
        return self.targets[index]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        count = len(self)
        if not -count <= index < count:
            raise IndexingError(explain(type(self).__name__, expected=f"an index below {count}", got=str(index)))
        place = int(index) % count
        image, target = self.image(place), self.target(place)
        return (
            image if self.transform is None else self.transform(image),
            target if self.target_transform is None else self.target_transform(target),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images)"


def require(dataset: str, places: list[Path], source: str) -> Path:
    """The first of the places that exists. Raises FileFormatError that names them, and where the files come from."""
    for place in places:
        if place.exists():
            return place
    names = " or ".join(map(str, places))
    raise FileFormatError(explain(dataset, expected=names, got="no such file or directory", hint=f"get it from {source}"))
