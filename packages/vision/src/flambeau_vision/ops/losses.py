"""Losses of detectors."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F


def _reduce(op: str, loss: Any, reduction: str) -> Any:
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(explain(op, expected="reduction 'none', 'mean' or 'sum'", got=repr(reduction)))
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def sigmoid_focal_loss(inputs: Any, targets: Any, alpha: float = 0.25, gamma: float = 2, reduction: str = "none") -> Any:
    """Binary cross entropy that counts easy examples less (Lin et al. 2017, https://arxiv.org/abs/1708.02002).

    Args:
        inputs: logits of any shape.
        targets: 0 and 1, the same shape.
        alpha: weight of the ones, 0..1; negative for no weighting.
        gamma: how much less easy examples count.
        reduction: "none", "mean" or "sum".
    """
    if not alpha < 0 and not 0 <= alpha <= 1:
        raise ArgumentError(explain("sigmoid_focal_loss", expected="alpha from 0 to 1, or negative", got=repr(alpha)))
    p = inputs.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    right = p * targets + (1 - p) * (1 - targets)
    loss = entropy * (1 - right) ** gamma
    if alpha >= 0:
        loss = loss * (alpha * targets + (1 - alpha) * (1 - targets))
    return _reduce("sigmoid_focal_loss", loss, reduction)


def generalized_box_iou_loss(boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7) -> Any:
    """1 less the generalized IoU of each pair of boxes (n, 4)."""
    x1, y1, x2, y2 = boxes1.unbind(-1)
    a1, b1, a2, b2 = boxes2.unbind(-1)
    wide = (x2.minimum(a2) - x1.maximum(a1)).clamp(min=0)
    high = (y2.minimum(b2) - y1.maximum(b1)).clamp(min=0)
    inter = wide * high
    union = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - inter
    around = (x2.maximum(a2) - x1.minimum(a1)) * (y2.maximum(b2) - y1.minimum(b1))
    loss = 1 - (inter / (union + eps) - (around - union) / (around + eps))
    return _reduce("generalized_box_iou_loss", loss, reduction)
