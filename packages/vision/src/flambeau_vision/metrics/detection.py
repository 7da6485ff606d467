"""Average precision of detections by COCO's protocol (https://cocodataset.org/#detection-eval), from boxes alone.

Within an image and a class, detections take, best score first, the free true box that they overlap most. Crowds and objects outside the
asked-for range of areas are neither hits nor misses. Precision is read at 101 recalls, after it is made to fall.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.metrics.classification import array_of

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


@dataclass
class _Image:
    """What one image has of one class."""

    boxes: np.ndarray
    crowd: np.ndarray
    area: np.ndarray
    found: np.ndarray
    scores: np.ndarray


def _overlaps(found: np.ndarray, boxes: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """(found, boxes): IoU, and for crowds the share of the detection that lies in the crowd."""
    low = np.maximum(found[:, None, :2], boxes[None, :, :2])
    sides = np.maximum(np.minimum(found[:, None, 2:], boxes[None, :, 2:]) - low, 0)
    inter = sides[..., 0] * sides[..., 1]
    area_found, area_boxes = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (found, boxes))
    union = np.where(crowd[None], area_found[:, None], area_found[:, None] + area_boxes[None] - inter)
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def _match(image: _Image, threshold: float, low: float, high: float) -> tuple[np.ndarray, np.ndarray, int]:
    """For each detection whether it hits, and whether it is ignored; and how many true boxes count."""
    ignored = image.crowd | (image.area < low) | (image.area > high)
    order = np.argsort(ignored, kind="stable")  # those that count first
    overlaps = _overlaps(image.found, image.boxes, image.crowd)[:, order]
    free, crowd, skip = np.ones(len(order), bool), image.crowd[order], ignored[order]
    hit, ignore = np.zeros(len(image.found), bool), np.zeros(len(image.found), bool)
    for d in range(len(image.found)):
        best, chosen = min(threshold, 1 - 1e-10), -1
        for g in range(len(order)):
            if not free[g] and not crowd[g]:
                continue
            if chosen >= 0 and not skip[chosen] and skip[g]:
                break
            if overlaps[d, g] >= best:
                best, chosen = overlaps[d, g], g
        if chosen >= 0:
            hit[d], ignore[d], free[chosen] = True, skip[chosen], False
    area = np.prod(image.found[:, 2:] - image.found[:, :2], axis=1)
    ignore |= ~hit & ((area < low) | (area > high))
    return hit, ignore, int((~ignored).sum())


def average_precision(scores: np.ndarray, hit: np.ndarray, positives: int) -> float:
    """The mean precision at 101 recalls; nan where there is nothing to find.

    >>> average_precision(np.array([0.9, 0.8]), np.array([True, False]), 1)
    1.0
    """
    if positives == 0:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(hit[order])
    precision = right / np.arange(1, len(order) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(right / positives, RECALLS, side="left")
    return float(np.where(place < len(precision), np.append(precision, 0.0)[np.minimum(place, len(precision))], 0.0).mean())


@dataclass
class CocoAP:
    """Collects detections image by image, then gives COCO's average precision.

    Args:
        max_detections: best detections of each class that count in an image.

    >>> metric = CocoAP()
    >>> truth = {"boxes": [[0, 0, 10, 10]], "labels": [1]}
    >>> metric.update([{"boxes": [[0, 0, 10, 9]], "labels": [1], "scores": [0.8]}], [truth])
    >>> result = metric.compute()
    >>> result["map50"], round(result["map"], 3)
    (1.0, 0.9)
    """

    max_detections: int = 100
    _images: dict[int, list[_Image]] = field(default_factory=lambda: defaultdict(list), repr=False)

    def update(self, predictions: Sequence[Mapping[str, Any]], targets: Sequence[Mapping[str, Any]]) -> None:
        """Add images: `boxes` (n, 4) xyxy, `labels` (n,), and `scores` (n,) of predictions; targets may have `iscrowd` and `area`."""
        if len(predictions) != len(targets):
            raise ArgumentError(explain("CocoAP", expected="as many predictions as targets", got=f"{len(predictions)} and {len(targets)}"))
        for found, truth in zip(predictions, targets, strict=True):
            self._add(found, truth)

    def _add(self, found: Mapping[str, Any], truth: Mapping[str, Any]) -> None:
        boxes, here = (array_of(side["boxes"]).reshape(-1, 4).astype(np.float64) for side in (truth, found))
        labels, kinds = (array_of(side["labels"]).reshape(-1).astype(np.int64) for side in (truth, found))
        scores = array_of(found["scores"]).reshape(-1).astype(np.float64)
        if not len(boxes) == len(labels) or not len(here) == len(kinds) == len(scores):
            got = f"{len(boxes)}, {len(labels)}; {len(here)}, {len(kinds)}, {len(scores)}"
            raise ArgumentError(explain("CocoAP", expected="as many labels and scores as boxes", got=got))
        crowd = array_of(truth.get("iscrowd", np.zeros(len(boxes)))).astype(bool)
        area = array_of(truth["area"]).astype(np.float64) if "area" in truth else np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
        for name in np.union1d(labels, kinds).tolist():
            mine, theirs = labels == name, np.flatnonzero(kinds == name)
            theirs = theirs[np.argsort(-scores[theirs], kind="stable")][: self.max_detections]
            self._images[name].append(_Image(boxes[mine], crowd[mine], area[mine], here[theirs], scores[theirs]))

    def compute(self) -> dict[str, Any]:
        """`map` (over IoU 0.50:0.95), `map50`, `map75`, `map_small`, `map_medium`, `map_large`, and `per_class`: class -> AP."""
        table = {name: {area: self._class(images, *limits) for area, limits in AREAS.items()} for name, images in self._images.items()}

        def mean(area: str, which: Any = slice(None)) -> float:
            values = np.array([np.mean(rows[area][which]) for rows in table.values()])
            return float(np.nanmean(values)) if len(values) and not np.isnan(values).all() else float("nan")

        return {
            "map": mean("all"),
            "map50": mean("all", 0),
            "map75": mean("all", 5),
            **{f"map_{area}": mean(area) for area in ("small", "medium", "large")},
            "per_class": {name: float(np.mean(rows["all"])) for name, rows in table.items()},
        }

    @staticmethod
    def _class(images: list[_Image], low: float, high: float) -> np.ndarray:
        """AP at each threshold."""
        out = []
        scores = np.concatenate([image.scores for image in images])
        for threshold in THRESHOLDS:
            rows = [_match(image, threshold, low, high) for image in images]
            hit, ignore = (np.concatenate([row[i] for row in rows]) for i in (0, 1))
            out.append(average_precision(scores[~ignore], hit[~ignore], sum(row[2] for row in rows)))
        return np.array(out)
