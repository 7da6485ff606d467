"""Telling people, or a program, how far a run is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from flambeau.train.events import Callback, Loop
from flambeau.train.recipe import Progress


class Report(Callback):
    """Calls `report(step, total_steps, samples=..., loss=..., ...)` with the latest numbers: give it a recipe's `context.report`.

    At most every `seconds`, because reading the loss waits for the device; the last update is always reported.
    """

    def __init__(self, report: Callable[..., None], *, seconds: float = 0.05) -> None:
        self.report = report
        self.seconds = seconds
        self._last = -math.inf

    def on_batch_end(self, loop: Loop) -> None:
        now = time.monotonic()
        if now - self._last < self.seconds and loop.step != loop.total_steps:
            return
        self._last = now
        loss = {"loss": float(loop.loss)} if loop.loss is not None else {}
        self.report(loop.step, loop.total_steps, samples=loop.samples, **{**loop.metrics, **loss})


class ProgressBar(Callback):
    """A live bar with loss, speed in samples a second and the time that is left, and a line for each epoch.

    Where there is no terminal: a line now and then.
    """

    def __init__(self, title: str = "train") -> None:
        self.title = title
        self._display: Any = None
        self._report = Report(self._show)

    def _show(self, step: int, total: int | None, *, samples: int, **metrics: float) -> None:
        self._display(Progress(step, total, metrics, samples))

    def on_start(self, loop: Loop) -> None:
        from flambeau.train.display import LiveProgress  # rich is imported when something is shown

        self._display = LiveProgress(self.title).__enter__()

    def on_batch_end(self, loop: Loop) -> None:
        self._report.on_batch_end(loop)

    def on_epoch_end(self, loop: Loop) -> None:
        from flambeau.train.display import format_metrics

        self._display.note(f"epoch {loop.epoch}  {format_metrics(Progress(loop.step, None, loop.metrics))}")

    def on_end(self, loop: Loop) -> None:
        self._close()

    def on_exception(self, loop: Loop, error: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._display is not None:
            self._display.__exit__(None, None, None)
            self._display = None
