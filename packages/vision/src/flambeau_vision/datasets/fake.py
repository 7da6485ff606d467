"""Random images, for trying things out."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau_vision.datasets.base import Change, ImageDataset


class FakeData(ImageDataset):
    """`size` noisy PIL images of `image_size` (C, H, W), C 1 or 3, with random labels below `num_classes`.

    Sample i depends on `random_offset + i` only.

    >>> image, label = FakeData(10, (3, 4, 6), 5)[2]
    >>> image.size, 0 <= label < 5
    ((6, 4), True)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Change = None,
        target_transform: Change = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform, target_transform)
        self.image_size, self.num_classes, self.random_offset = image_size, num_classes, random_offset
        self.targets = [int(self._random(i, 1).integers(num_classes)) for i in range(size)]

    def _random(self, index: int, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.random_offset + index, stream))

    def image(self, index: int) -> Any:
        from PIL import Image

        channels, height, width = self.image_size
        pixels = self._random(index, 0).integers(0, 256, (height, width, channels), np.uint8)
        return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
