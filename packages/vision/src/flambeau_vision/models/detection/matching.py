"""Boxes as differences from anchors, which anchor means which object, and which examples a loss looks at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import flambeau

NOTHING, UNSURE = -1, -2  # an anchor without an object, and one that is in between
_LARGEST = math.log(1000.0 / 16)  # of log widths and heights


class BoxCoder:
    """Boxes (n, 4) as differences from reference boxes: shift of the centre in reference sizes, and log of the size; times weights."""

    def __init__(self, weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)) -> None:
        self.weights = weights

    def encode(self, boxes: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """(n, 4) differences."""
        centre, size = _centre_size(boxes)
        centre0, size0 = _centre_size(reference)
        return np.concatenate([(centre - centre0) / size0, np.log(size / size0)], 1) * np.array(self.weights)

    def decode(self, codes: Any, reference: np.ndarray) -> Any:
        """(n, 4k) differences to (n, k, 4) boxes, as tensors."""
        centre, size = (flambeau.from_numpy(part.astype(np.float32)).to(codes.device)[:, None] for part in _centre_size(reference))
        weights = flambeau.tensor(self.weights, device=codes.device)
        d = codes.reshape(codes.shape[0], codes.shape[1] // 4, 4) / weights
        middle = d[..., :2] * size + centre
        half = d[..., 2:].clamp(max=_LARGEST).exp() * size * 0.5
        return flambeau.cat([middle - half, middle + half], -1)


def _centre_size(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + 0.5 * size, size


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (n, m)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = (np.prod(side[:, 2:] - side[:, :2], axis=1) for side in (a, b))
    first, second = areas
    return inter / (first[:, None] + second[None] - inter)


def match(boxes: np.ndarray, anchors: np.ndarray, high: float, low: float, allow_low_quality: bool) -> np.ndarray:
    """For each anchor the index of its box: the one it overlaps most, by at least `high`. Below `low`: NOTHING; between: UNSURE.

    `allow_low_quality`: anchors that overlap a box as much as any anchor does keep their best box, whatever the overlap.
    """
    if len(boxes) == 0:
        return np.full(len(anchors), NOTHING)
    quality = overlaps(boxes, anchors)
    best, value = quality.argmax(0), quality.max(0)
    out = np.where(value >= high, best, np.where(value < low, NOTHING, UNSURE))
    if allow_low_quality:
        lucky = (quality == quality.max(1, keepdims=True)).any(0)
        out = np.where(lucky, best, out)
    return out


def balanced(labels: np.ndarray, count: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Random indices of positives (label above 0; at most `share` of `count`) and of negatives (label 0) that fill up the count."""
    positive, negative = np.flatnonzero(labels >= 1), np.flatnonzero(labels == 0)
    n = min(len(positive), int(count * share))
    m = min(len(negative), count - n)
    return _some(positive, n), _some(negative, m)


def _some(values: np.ndarray, count: int) -> np.ndarray:
    chosen: np.ndarray = flambeau.randperm(len(values)).numpy()[:count]
    return np.sort(values[chosen])
