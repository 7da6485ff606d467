"""Made pictures of shapes: circles, squares and triangles, with their boxes and masks. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, IndexingError, explain
from flambeau.data import Dataset
from flambeau_vision.types import BoundingBoxes, Image, Mask

CLASSES = ("background", "circle", "square", "triangle")


class Shapes(Dataset[tuple[Any, dict[str, Any]]]):
    """Pictures of one to `most` shapes that hardly overlap, on a noisy ground.

    A sample is a pair of an Image (3, size, size), float32, 0..1, and a dict:

    | name   | type          | shape        | dtype   | meaning                                             |
    |--------|---------------|--------------|---------|-----------------------------------------------------|
    | boxes  | BoundingBoxes | (n, 4)       | float32 | xyxy, in pixels                                     |
    | labels | Tensor        | (n,)         | int64   | 1..3: circle, square, triangle                      |
    | mask   | Mask          | (size, size) | int64   | 0..3, the class of each pixel; 0 is the ground      |

    Args:
        length: how many pictures.
        size: their side in pixels, 32 or more.
        most: shapes in one picture, at most.
        seed: decides everything; sample i depends on it and on i only.
        transforms: what becomes of a sample; it is given both parts.

    >>> image, target = Shapes(10)[3]
    >>> image.shape, target["boxes"].shape[0] == len(target["labels"])
    (flambeau.Size([3, 64, 64]), True)
    """

    classes = CLASSES

    def __init__(
        self, length: int = 1000, size: int = 64, most: int = 3, seed: int = 0, transforms: Callable[..., Any] | None = None
    ) -> None:
        if length < 0 or size < 32 or most < 1:
            got = f"length={length}, size={size}, most={most}"
            raise ArgumentError(explain("Shapes", expected="length of 0, size of 32, most of 1, or more", got=got))
        self.length, self.size, self.most, self.seed, self.transforms = length, size, most, seed, transforms

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> tuple[Any, dict[str, Any]]:
        if not -len(self) <= index < len(self):
            raise IndexingError(explain("Shapes", expected=f"an index below {len(self)}", got=str(index)))
        pixels, mask, boxes, labels = _draw(np.random.default_rng((self.seed, index % self.length)), self.size, self.most)
        target = {
            "boxes": BoundingBoxes(boxes, format="XYXY", canvas_size=(self.size, self.size)),
            "labels": flambeau.from_numpy(labels),
            "mask": Mask(mask),
        }
        sample = (Image(pixels), target)
        return sample if self.transforms is None else self.transforms(*sample)

    def __repr__(self) -> str:
        return f"Shapes({self.length} pictures of {self.size} x {self.size}, seed={self.seed})"


def _draw(random: np.random.Generator, size: int, most: int) -> tuple[np.ndarray, ...]:
    ground = random.uniform(0.0, 0.35, 3)[:, None, None] + random.normal(0, 0.04, (3, size, size))
    mask = np.zeros((size, size), np.int64)
    boxes, labels = [], []
    y, x = np.mgrid[:size, :size] + 0.5
    for _ in range(int(random.integers(1, most + 1))):
        for _ in range(20):  # a place that is free
            radius = random.uniform(0.09, 0.19) * size
            cx, cy = random.uniform(radius + 1, size - radius - 1, 2)
            kind = int(random.integers(1, 4))
            inside = _inside(kind, x - cx, y - cy, radius)
            if not mask[inside].any():
                break
        else:
            continue
        mask[inside] = kind
        ground[:, inside] = random.uniform(0.55, 1.0, 3)[:, None] + random.normal(0, 0.04, (3, int(inside.sum())))
        rows, columns = np.nonzero(inside)
        boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        labels.append(kind)
    return (
        ground.clip(0, 1).astype(np.float32),
        mask,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
    )


def _inside(kind: int, dx: np.ndarray, dy: np.ndarray, radius: float) -> np.ndarray:
    if kind == 1:
        return dx**2 + dy**2 <= radius**2
    if kind == 2:
        return np.maximum(abs(dx), abs(dy)) <= 0.85 * radius
    return (abs(dx) <= (dy + radius) / 2) & (dy <= radius)
