"""Arithmetic of boxes (n, 4), `x1, y1, x2, y2` in pixels: areas, overlaps, and non-maximum suppression."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ShapeError, explain
from flambeau_vision.functional.boxes import convert
from flambeau_vision.types import format_of


def _checked(op: str, *groups: Any) -> list[Any]:
    """Plain float tensors (or float64 for float64) of shape (n, 4)."""
    out = []
    for boxes in groups:
        plain = boxes.as_subclass(Tensor)
        if plain.ndim != 2 or plain.shape[1] != 4:
            raise ShapeError(explain(op, expected="boxes (n, 4)", got=f"shape {tuple(plain.shape)}"))
        out.append(plain if plain.dtype.is_floating_point else plain.to(flambeau.float32))
    return out


def box_convert(boxes: Any, in_fmt: str, out_fmt: str) -> Any:
    """Boxes in another format: "xyxy", "xywh" or "cxcywh".

    >>> box_convert(flambeau.tensor([[1.0, 2.0, 3.0, 6.0]]), "xyxy", "cxcywh")
    tensor([[2., 4., 2., 4.]])
    """
    return convert(boxes, format_of(in_fmt), format_of(out_fmt))


def box_area(boxes: Any) -> Any:
    """(n,) areas."""
    (b,) = _checked("box_area", boxes)
    return (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])


def _inter_union(a: Any, b: Any) -> tuple[Any, Any]:
    low = flambeau.maximum(a[:, None, :2], b[:, :2])
    high = flambeau.minimum(a[:, None, 2:], b[:, 2:])
    sides = (high - low).clamp(min=0)
    inter = sides[..., 0] * sides[..., 1]
    return inter, box_area(a)[:, None] + box_area(b) - inter


def box_iou(boxes1: Any, boxes2: Any) -> Any:
    """Intersection over union of each with each: (n, m), 0..1."""
    a, b = _checked("box_iou", boxes1, boxes2)
    inter, union = _inter_union(a, b)
    return inter / union


def _enclosing(a: Any, b: Any) -> Any:
    """Width and height of the smallest box around each pair: (n, m, 2)."""
    low = flambeau.minimum(a[:, None, :2], b[:, :2])
    return (flambeau.maximum(a[:, None, 2:], b[:, 2:]) - low).clamp(min=0)


def generalized_box_iou(boxes1: Any, boxes2: Any) -> Any:
    """IoU less the share of the enclosing box that is empty: (n, m), -1..1 (https://arxiv.org/abs/1902.09630)."""
    a, b = _checked("generalized_box_iou", boxes1, boxes2)
    inter, union = _inter_union(a, b)
    around = _enclosing(a, b)
    area = around[..., 0] * around[..., 1]
    return inter / union - (area - union) / area


def _centre_distance(a: Any, b: Any, eps: float) -> Any:
    around = _enclosing(a, b)
    apart = (a[:, None, :2] + a[:, None, 2:] - b[:, :2] - b[:, 2:]) / 2
    return (apart**2).sum(-1) / ((around**2).sum(-1) + eps)


def distance_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Any:
    """IoU less the squared distance of the centres, in diagonals of the enclosing box (https://arxiv.org/abs/1911.08287)."""
    a, b = _checked("distance_box_iou", boxes1, boxes2)
    return box_iou(a, b) - _centre_distance(a, b, eps)


def complete_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Any:
    """Distance IoU less the difference of the shapes (https://arxiv.org/abs/1911.08287)."""
    a, b = _checked("complete_box_iou", boxes1, boxes2)
    iou = box_iou(a, b)
    angles = [flambeau.atan((x[:, 2] - x[:, 0]) / (x[:, 3] - x[:, 1])) for x in (a, b)]
    shape = (4 / math.pi**2) * (angles[0][:, None] - angles[1]) ** 2
    weight = (shape / (1 - iou + shape + eps)).detach()
    return iou - _centre_distance(a, b, eps) - weight * shape


def clip_boxes_to_image(boxes: Any, size: tuple[int, int]) -> Any:
    """Boxes (..., 4) that end at the border of an image of (height, width)."""
    height, width = size
    x = boxes[..., 0::2].clamp(0, width)
    y = boxes[..., 1::2].clamp(0, height)
    return flambeau.stack([x, y], -1).flatten(-2)


def remove_small_boxes(boxes: Any, min_size: float) -> Any:
    """Indices of the boxes whose sides are both at least `min_size`."""
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return flambeau.nonzero((wide >= min_size) & (high >= min_size))[:, 0]


def masks_to_boxes(masks: Any) -> Any:
    """The boxes around masks (n, H, W), with the last pixel's own coordinates as corners, as torchvision has it: (n, 4) float32."""
    array = np.asarray(masks.detach().cpu().numpy()) != 0
    out = np.zeros((len(array), 4), np.float32)
    for i, mask in enumerate(array):
        rows, columns = np.nonzero(mask)
        if len(rows):
            out[i] = columns.min(), rows.min(), columns.max(), rows.max()
    return flambeau.from_numpy(out).to(masks.device)


def _nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    order = np.argsort(-scores, kind="stable")
    x1, y1, x2, y2 = boxes[order].T
    areas = (x2 - x1) * (y2 - y1)
    alive, kept = np.ones(len(order), bool), []
    for i in range(len(order)):
        if not alive[i]:
            continue
        kept.append(i)
        rest = slice(i + 1, None)
        w = np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest])
        h = np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest])
        inter = np.maximum(w, 0) * np.maximum(h, 0)
        alive[rest] &= ~(inter > threshold * (areas[i] + areas[rest] - inter))
    return order[np.array(kept, np.int64)]


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Non-maximum suppression: the best box stays, those that overlap it by more than `iou_threshold` go, and so on with the rest.

    Returns the indices of what stays, best score first, int64.

    >>> boxes = flambeau.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
    >>> nms(boxes, flambeau.tensor([0.5, 0.9, 0.7]), 0.5)
    tensor([1, 2])
    """
    (b,) = _checked("nms", boxes)
    if scores.ndim != 1 or scores.shape[0] != b.shape[0]:
        raise ShapeError(explain("nms", expected=f"scores ({b.shape[0]},)", got=f"shape {tuple(scores.shape)}"))
    kept = _nms(b.detach().cpu().numpy().astype(np.float64), scores.detach().cpu().numpy().astype(np.float64), iou_threshold)
    return flambeau.from_numpy(kept).to(boxes.device)


def batched_nms(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Any:
    """`nms` within each class: boxes with different `idxs` never suppress each other."""
    (b,) = _checked("batched_nms", boxes)
    array, values = b.detach().cpu().numpy().astype(np.float64), scores.detach().cpu().numpy().astype(np.float64)
    classes = idxs.detach().cpu().numpy()
    parts = []
    for name in np.unique(classes):
        (where,) = np.nonzero(classes == name)
        parts.append(where[_nms(array[where], values[where], iou_threshold)])
    kept = np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
    return flambeau.from_numpy(kept[np.argsort(-values[kept], kind="stable")]).to(boxes.device)
