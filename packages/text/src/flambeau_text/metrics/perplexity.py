"""Perplexity: how many tokens a language model hesitates between, the exponential of the mean loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.nn import functional as F


class Perplexity:
    """Collects the losses of batches; with `update`, `compute` and `reset` as other metrics.

    >>> metric = Perplexity()
    >>> metric.update(flambeau.zeros(1, 3, 8), flambeau.tensor([[1, 2, -100]]))
    >>> round(metric.compute(), 4)
    8.0
    """

    def __init__(self, ignore_index: int = -100) -> None:
        self.ignore_index = ignore_index
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.total, self.count = 0.0, 0

    def update(self, logits: Any, labels: Any) -> None:
        """Take (N, L, vocabulary) scores and the (N, L) tokens that they are scores of."""
        flat = labels.reshape(-1)
        with flambeau.no_grad():
            loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), flat, ignore_index=self.ignore_index, reduction="sum")
        self.total += float(loss)
        self.count += int((flat != self.ignore_index).sum())

    def compute(self) -> float:
        """The perplexity of all that was taken; nan for nothing."""
        return math.exp(self.total / self.count) if self.count else math.nan


def perplexity(model: Any, ids: Sequence[int], *, window: int, stride: int | None = None) -> float:
    """The perplexity of one long text under a causal model, read in overlapping windows.

    Args:
        model: with a language head.
        ids: the text's tokens, two or more.
        window: how many tokens the model sees at once.
        stride: how far a window moves; each token but the first is counted once. `window` when absent.
    """
    metric = Perplexity()
    step = stride or window
    done = 1
    for start in range(0, max(1, len(ids) - 1), step):
        part = np.array(ids[start : start + window], np.int64)[None]
        labels = part.copy()
        labels[:, : max(1, done - start)] = -100
        if (labels != -100).any():
            with flambeau.no_grad():
                logits = model(flambeau.from_numpy(part), use_cache=False).logits
            metric.update(logits[:, :-1], flambeau.from_numpy(labels[:, 1:]))
        done = start + part.shape[1]
        if done >= len(ids):
            break
    return metric.compute()
