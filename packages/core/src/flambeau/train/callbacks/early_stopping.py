"""Stop when a metric no longer improves."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.train.callbacks.best import Best, Mode
from flambeau.train.events import Callback, Loop


class EarlyStopping(Callback):
    """Ends the run after `patience` epochs in which `monitor` did not improve on its best by more than `min_delta`.

    `mode` says whether smaller ("min") or larger ("max") is better.
    """

    def __init__(self, monitor: str = "val_loss", *, mode: Mode = "min", patience: int = 3, min_delta: float = 0.0) -> None:
        if patience < 1:
            raise ArgumentError(explain("EarlyStopping", expected="patience of 1 or more", got=str(patience)))
        self.best = Best(monitor, mode, min_delta)
        self.patience = patience
        self.waited = 0

    def on_start(self, loop: Loop) -> None:
        self._check(loop)  # a resumed run may have been stopped already

    def on_epoch_end(self, loop: Loop) -> None:
        self.waited = 0 if self.best.improved(loop) else self.waited + 1
        self._check(loop)

    def _check(self, loop: Loop) -> None:
        if self.waited >= self.patience:
            loop.stop()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best.state_dict(), "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best.load_state_dict(state["best"])
        self.waited = state["waited"]
