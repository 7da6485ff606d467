"""How well classes of pixels are found."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau_vision.metrics.classification import confusion_matrix


def mean_iou(targets: Any, predictions: Any, classes: int) -> tuple[float, np.ndarray]:
    """Intersection over union of each class, and the mean over the classes that occur (in targets or predictions).

    Args:
        targets: class of each pixel, any shape. Values outside 0..classes-1 (such as 255) are left out.
        predictions: the same shape.
        classes: K.

    Returns (mean, (K,)); the IoU of a class that does not occur is nan.

    >>> mean_iou([0, 0, 1, 255], [0, 1, 1, 0], 2)[0]
    0.5
    """
    counts = confusion_matrix(targets, predictions, classes).astype(np.float64)
    inter = np.diag(counts)
    union = counts.sum(0) + counts.sum(1) - inter
    with np.errstate(invalid="ignore", divide="ignore"):
        ious = inter / union
    return (float(np.nanmean(ious)) if (union > 0).any() else float("nan")), ious
