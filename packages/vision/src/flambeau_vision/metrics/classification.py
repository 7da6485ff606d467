"""How often a classifier is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, ShapeError, explain


def array_of(x: Any) -> np.ndarray:
    """A tensor or array as an array."""
    return x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)


def accuracy_at_k(scores: Any, targets: Any, k: Sequence[int] = (1, 5)) -> list[float]:
    """For each k, how often the true class is among the k best scores, 0..1.

    Args:
        scores: (N, K) logits or probabilities. Among equal scores, the earlier class counts as better.
        targets: (N,) true classes.
        k: numbers up to K.

    >>> accuracy_at_k([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]], [2, 0], k=(1, 2))
    [0.5, 1.0]
    """
    s, t = array_of(scores), array_of(targets)
    if s.ndim != 2 or t.shape != s.shape[:1]:
        raise ShapeError(explain("accuracy_at_k", expected="scores (N, K) and targets (N,)", got=f"{s.shape} and {t.shape}"))
    if not all(1 <= each <= s.shape[1] for each in k):
        raise ArgumentError(explain("accuracy_at_k", expected=f"k from 1 to {s.shape[1]}", got=repr(tuple(k))))
    if len(s) == 0:
        return [float("nan")] * len(k)
    rank = np.argsort(np.argsort(-s, axis=1, kind="stable"), axis=1)[np.arange(len(s)), t]
    return [float((rank < each).mean()) for each in k]


def confusion_matrix(targets: Any, predictions: Any, classes: int) -> np.ndarray:
    """How often each class was taken for each: (K, K) counts, a row for each true class. True classes outside 0..K-1 are left out.

    >>> confusion_matrix([0, 1, 1], [0, 1, 0], 2).tolist()
    [[1, 0], [1, 1]]
    """
    t, p = array_of(targets).reshape(-1).astype(np.int64), array_of(predictions).reshape(-1).astype(np.int64)
    if t.shape != p.shape:
        raise ShapeError(explain("confusion_matrix", expected="as many predictions as targets", got=f"{len(p)} and {len(t)}"))
    known = (t >= 0) & (t < classes)
    if known.any() and not (0 <= p[known].min() and p[known].max() < classes):
        raise ArgumentError(explain("confusion_matrix", expected=f"predictions from 0 to {classes - 1}", got="others"))
    return np.bincount(classes * t[known] + p[known], minlength=classes**2).reshape(classes, classes)
