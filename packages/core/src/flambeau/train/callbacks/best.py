"""Watching one metric for its best value."""

from __future__ import annotations

from typing import Any, Literal

from flambeau.base.errors import ArgumentError, did_you_mean, explain
from flambeau.train.events import Loop

Mode = Literal["min", "max"]


class Best:
    """The best value of a metric so far.

    Args:
        monitor: the metric's name in `loop.metrics`.
        mode: whether the best is the smallest, "min", or the largest, "max".
        min_delta: by how much a value must be better than the best to count. nan never counts.
    """

    def __init__(self, monitor: str, mode: Mode = "min", min_delta: float = 0.0) -> None:
        if mode not in ("min", "max"):
            raise ArgumentError(explain("mode", expected='"min" or "max"', got=repr(mode)))
        self.monitor = monitor
        self.mode = mode
        self.min_delta = min_delta
        self.value: float | None = None

    def improved(self, loop: Loop) -> bool:
        """Look at the metric; True, and remembered, if it is the best so far. Raises ArgumentError when there is no such metric."""
        if self.monitor not in loop.metrics:
            known = ", ".join(loop.metrics) or "none"
            hint = did_you_mean(self.monitor, loop.metrics)
            raise ArgumentError(explain("monitor", expected=f"a metric of this run ({known})", got=repr(self.monitor), hint=hint))
        value = loop.metrics[self.monitor]
        sign = 1.0 if self.mode == "max" else -1.0
        if value != value or (self.value is not None and sign * (value - self.value) <= self.min_delta):
            return False
        self.value = value
        return True

    def state_dict(self) -> dict[str, Any]:
        """The best value."""
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a best value."""
        self.value = state["value"]
