"""When a scheduler of learning rates steps, and what it is told."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal

from flambeau.base.errors import ArgumentError, explain

Period = Literal["epoch", "batch"]


class Schedule:
    """A scheduler that steps after each epoch or after each update. Without a scheduler nothing happens."""

    def __init__(self, scheduler: Any, every: Period) -> None:
        if every not in ("epoch", "batch"):
            raise ArgumentError(explain("Trainer", expected='schedule_every "epoch" or "batch"', got=repr(every)))
        self.scheduler = scheduler
        self.every = every
        self._takes_metric = scheduler is not None and "metrics" in inspect.signature(scheduler.step).parameters

    def after(self, period: Period, metrics: Mapping[str, float]) -> None:
        """A period is over. A scheduler that takes a metric (ReduceLROnPlateau) is given `val_loss`, or `loss` without a validation."""
        if self.scheduler is None or period != self.every:
            return
        if self._takes_metric:
            self.scheduler.step(metrics["val_loss"] if "val_loss" in metrics else metrics["loss"])
        else:
            self.scheduler.step()
