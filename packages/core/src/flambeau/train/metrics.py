"""Metrics with state: `update` with each batch, `compute` the number, `reset` for the next round.

Sums stay on the device of the batches until `compute`, so an update never waits for a GPU. They are float64: an epoch adds up many numbers.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from flambeau.base.errors import ArgumentError, ShapeError, explain


class Metric:
    """A weighted mean over everything that was given to `update`. A subclass writes `update` and calls `add` in it.

    Samples, not batches, are averaged: a smaller last batch counts less. Without samples the value is nan.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._total: Any = 0.0
        self._weight = 0.0

    def add(self, total: Any, weight: float) -> None:
        """Count `total`, a sum over `weight` samples: a number or a tensor with one element."""
        self._total = self._total + (total.detach().double() if hasattr(total, "detach") else float(total))
        self._weight += weight

    def update(self, output: Any, target: Any) -> None:
        """Count a batch."""
        raise NotImplementedError(f"{type(self).__name__} must define update(output, target)")

    def compute(self) -> float:
        """The mean over the samples so far."""
        return float(self._total) / self._weight if self._weight else math.nan

    def state_dict(self) -> dict[str, Any]:
        """The sums."""
        return {"total": float(self._total), "weight": self._weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from sums that `state_dict` gave."""
        self._total, self._weight = state["total"], state["weight"]


class Mean(Metric):
    """The mean of numbers, each with a weight.

    >>> mean = Mean()
    >>> mean.update(1.0)
    >>> mean.update(4.0, 2)
    >>> mean.compute()
    3.0
    """

    def update(self, value: Any, weight: float = 1.0) -> None:
        """Count `value`, a number or a tensor with one element, `weight` times."""
        self.add(value * weight, weight)


class Accuracy(Metric):
    """How many of the predictions are right, 0..1; with `top_k` above 1, how often the target is among the k best scores.

    `update(output, target)`: output (N, K, *) scores with target (N, *) class numbers; or, with `threshold`, output (*) and target (*),
    where a score above the threshold (0 for logits, 0.5 for probabilities) means 1.

    >>> import flambeau as fb
    >>> accuracy = Accuracy()
    >>> accuracy.update(fb.tensor([[0.1, 0.9], [0.8, 0.2]]), fb.tensor([1, 1]))
    >>> accuracy.compute()
    0.5
    """

    def __init__(self, top_k: int = 1, threshold: float | None = None) -> None:
        if top_k < 1 or (threshold is not None and top_k > 1):
            got = f"top_k={top_k}, threshold={threshold}"
            raise ArgumentError(explain("Accuracy", expected="top_k of 1 or more, or a threshold", got=got))
        super().__init__()
        self.top_k = top_k
        self.threshold = threshold

    def update(self, output: Any, target: Any) -> None:
        """Count the right predictions of a batch. Raises ShapeError when the shapes do not fit, ArgumentError for a `top_k` too large."""
        shape = tuple(output.shape)
        wanted = (shape[:1] + shape[2:]) if self.threshold is None else shape
        if tuple(target.shape) != wanted or (self.threshold is None and len(shape) < 2):
            expected = "output (N, K, *) and target (N, *)" if self.threshold is None else "output and target of one shape"
            raise ShapeError(explain("Accuracy", expected=expected, got=f"{shape} and {tuple(target.shape)}"))
        self.add(self._right(output.detach(), target).sum(), target.numel())

    def _right(self, output: Any, target: Any) -> Any:
        if self.threshold is not None:
            return (output > self.threshold) == (target > 0.5 if target.is_floating_point() else target != 0)
        if self.top_k == 1:
            return output.argmax(1) == target
        if self.top_k > output.shape[1]:
            raise ArgumentError(explain("Accuracy", expected=f"at least {self.top_k} classes for top_k", got=str(output.shape[1])))
        return (output.topk(self.top_k, 1)[1] == target.unsqueeze(1)).any(1)


class Meters:
    """The loss and the metrics of a training, as one.

    >>> meters = Meters({"accuracy": Accuracy()})
    >>> sorted(meters.compute("val_"))
    ['val_accuracy', 'val_loss']
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        if "loss" in metrics:
            raise ArgumentError(explain("metrics", expected="names besides 'loss'", got="'loss'", hint="the loss is measured anyway"))
        self.loss = Mean()
        self.metrics = dict(metrics)

    def _all(self) -> dict[str, Metric]:
        return {"loss": self.loss, **self.metrics}

    def update(self, loss: Any, output: Any, target: Any, size: int) -> None:
        """Count a batch of `size` samples."""
        self.loss.update(loss.detach(), size)
        for metric in self.metrics.values():
            metric.update(output, target)

    def compute(self, prefix: str = "") -> dict[str, float]:
        """The numbers, their names with a prefix."""
        return {prefix + name: metric.compute() for name, metric in self._all().items()}

    def reset(self) -> None:
        """Begin a new round."""
        for metric in self._all().values():
            metric.reset()

    def fresh(self) -> Meters:
        """The same metrics without what they counted."""
        other = copy.deepcopy(self)
        other.reset()
        return other

    def state_dict(self) -> dict[str, Any]:
        """The metrics' states by name."""
        return {name: metric.state_dict() for name, metric in self._all().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from states that `state_dict` gave; a metric that was not there starts afresh."""
        for name, metric in self._all().items():
            if name in state:
                metric.load_state_dict(state[name])
