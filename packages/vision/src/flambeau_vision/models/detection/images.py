"""Images of different sizes as one batch, and anchors on its features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.nn import functional as F

Sizes = list[tuple[int, int]]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class GeneralizedRCNNTransform(nn.Module):
    """Normalises images, resizes them (shorter side `min_size`, longer one at most `max_size`), and pads them to one batch."""

    def __init__(
        self, min_size: Any, max_size: int, image_mean: Sequence[float], image_std: Sequence[float], size_divisible: int = 32
    ) -> None:
        super().__init__()
        self.min_size = tuple(min_size) if isinstance(min_size, (list, tuple)) else (min_size,)
        self.max_size, self.size_divisible = max_size, size_divisible
        self.image_mean, self.image_std = list(image_mean), list(image_std)

    def forward(self, images: Sequence[Any], targets: Any = None) -> tuple[Any, Sizes, list[np.ndarray] | None]:
        """The batch (N, 3, H, W), the sizes of the resized images, and the boxes of the targets, resized with them."""
        resized = [self._prepare(image) for image in images]
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in resized]
        boxes = None
        if targets is not None:
            olds = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
            boxes = [rescaled(boxes_of(t, i), old, new) for i, (t, old, new) in enumerate(zip(targets, olds, sizes, strict=True))]
        step = self.size_divisible
        height, width = (math.ceil(max(size[i] for size in sizes) / step) * step for i in (0, 1))
        padded = [F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2])) for image in resized]
        return flambeau.stack(padded), sizes, boxes

    def _prepare(self, image: Any) -> Any:
        if image.ndim != 3:
            raise ShapeError(explain("detector", expected="a list of images (3, H, W)", got=f"shape {tuple(image.shape)}"))
        if not image.dtype.is_floating_point:
            raise DtypeError(explain("detector", expected="floats from 0 to 1", got=str(image.dtype)))
        mean, std = (flambeau.tensor(v, dtype=image.dtype, device=image.device)[:, None, None] for v in (self.image_mean, self.image_std))
        image = (image - mean) / std
        which = int(flambeau.randint(len(self.min_size), (1,))) if self.training else -1
        short, long = min(image.shape[-2:]), max(image.shape[-2:])
        scale = min(self.min_size[which] / short, self.max_size / long)
        return F.interpolate(image[None], scale_factor=scale, mode="bilinear", recompute_scale_factor=True, align_corners=False)[0]


def boxes_of(target: Any, index: int) -> np.ndarray:
    """The boxes of a target, checked."""
    boxes = np.asarray(target["boxes"].detach().cpu().numpy(), np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(explain("detector", expected="target boxes (n, 4)", got=f"shape {boxes.shape} for target {index}"))
    bad = np.flatnonzero((boxes[:, 2:] <= boxes[:, :2]).any(1))
    if len(bad):
        hint = "remove it (SanitizeBoundingBoxes)"
        got = f"{boxes[bad[0]].tolist()} in target {index}"
        raise ArgumentError(explain("detector", expected="target boxes with positive width and height", got=got, hint=hint))
    return boxes


def rescaled(boxes: np.ndarray, old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """Boxes on an image that was resized."""
    y, x = new[0] / old[0], new[1] / old[1]
    return boxes * np.array([x, y, x, y])


class AnchorGenerator(nn.Module):
    """Boxes of several sizes and shapes at every place of every feature map.

    Args:
        sizes: for each map, sides in pixels.
        aspect_ratios: for each map, height / width.
    """

    def __init__(self, sizes: Sequence[Any] = ((128, 256, 512),), aspect_ratios: Sequence[Any] = ((0.5, 1.0, 2.0),)) -> None:
        super().__init__()
        self.sizes = tuple(tuple(s) if isinstance(s, (list, tuple)) else (s,) for s in sizes)
        one = not isinstance(aspect_ratios[0], (list, tuple))
        self.aspect_ratios = (tuple(aspect_ratios),) * len(self.sizes) if one else tuple(map(tuple, aspect_ratios))
        self.cells = [_cell(s, r) for s, r in zip(self.sizes, self.aspect_ratios, strict=True)]

    def num_anchors_per_location(self) -> list[int]:
        """Anchors at one place, for each map."""
        return [len(s) * len(r) for s, r in zip(self.sizes, self.aspect_ratios, strict=True)]

    def forward(self, size: tuple[int, int], feature_maps: Sequence[Any]) -> list[np.ndarray]:
        """For each map, anchors (places * anchors, 4) on a batch of (H, W) pixels."""
        if len(feature_maps) != len(self.cells):
            expected, got = f"{len(self.cells)} feature maps, one for each of the sizes", str(len(feature_maps))
            raise ArgumentError(explain("AnchorGenerator", expected=expected, got=got))
        out = []
        for cell, features in zip(self.cells, feature_maps, strict=True):
            height, width = features.shape[-2:]
            y, x = np.meshgrid(np.arange(height) * (size[0] // height), np.arange(width) * (size[1] // width), indexing="ij")
            places = np.stack([x, y, x, y], -1).reshape(-1, 1, 4)
            out.append((places + cell).reshape(-1, 4).astype(np.float64))
        return out


def _cell(sizes: Sequence[float], ratios: Sequence[float]) -> np.ndarray:
    root = np.sqrt(np.asarray(ratios, np.float32))
    high, wide = ((factor[:, None] * np.asarray(sizes, np.float32)).reshape(-1) for factor in (root, 1 / root))
    return np.round(np.stack([-wide, -high, wide, high], 1) / 2)
