"""A picture of how the numbers of a run develop."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from flambeau.base.errors import MissingExtra, missing_extra
from flambeau.base.files import atomic_write
from flambeau.train.events import Callback, Loop

WIDTH, PANEL_HEIGHT = 7.0, 2.6  # inches


class LearningCurve(Callback):
    """Draws the metrics over the epochs (over the steps, with `x="step"`) into a PNG file, a panel for each, `name` and `val_name` in one.

    It is drawn at the end, when the run breaks off, and in between at most every `seconds`. `metrics` names those to draw, "loss" for both
    `loss` and `val_loss`; all are drawn without it.

    Raises MissingExtra without the package matplotlib (`pip install "flambeau[plot]"`).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        metrics: tuple[str, ...] | None = None,
        x: Literal["epoch", "step"] = "epoch",
        seconds: float = 30.0,
    ) -> None:
        try:
            import matplotlib.figure
        except ImportError:
            raise missing_extra("LearningCurve", "matplotlib", "flambeau[plot]") from None
        self.path = Path(path)
        self.metrics = metrics
        self.x = x
        self.seconds = seconds
        self._figure = matplotlib.figure.Figure
        self._rows: list[dict[str, float]] = []
        self._drawn = 0.0

    @classmethod
    def if_possible(cls, path: str | os.PathLike[str], **options: Any) -> list[LearningCurve]:
        """A list with the callback; an empty one, and a line on stderr that says why, without matplotlib."""
        try:
            return [cls(path, **options)]
        except MissingExtra as error:
            print(f"No learning curve is drawn. {error}", file=sys.stderr)
            return []

    def on_start(self, loop: Loop) -> None:
        self._drawn = time.monotonic()
        if not loop.step:
            self._rows = []

    def on_epoch_end(self, loop: Loop) -> None:
        self._rows.append({self.x: getattr(loop, self.x), **loop.metrics})
        if time.monotonic() - self._drawn >= self.seconds:
            self._draw()

    def on_end(self, loop: Loop) -> None:
        self._draw()

    def on_exception(self, loop: Loop, error: BaseException) -> None:
        self._draw()

    def _panels(self) -> dict[str, list[str]]:
        panels: dict[str, list[str]] = {}
        for name in dict.fromkeys(name for row in self._rows for name in row if name != self.x):
            title = name.removeprefix("val_")
            if self.metrics is None or title in self.metrics:
                panels.setdefault(title, []).append(name)
        return panels

    def _draw(self) -> None:
        panels = self._panels()
        if not panels:
            return
        figure = self._figure(figsize=(WIDTH, PANEL_HEIGHT * len(panels)), layout="constrained")
        for axes, (title, names) in zip(figure.subplots(len(panels), squeeze=False, sharex=True)[:, 0], panels.items(), strict=True):
            for name in names:
                points = [(row[self.x], row[name]) for row in self._rows if name in row]
                label = "validation" if name.startswith("val_") else "training"
                axes.plot(*zip(*points, strict=True), label=label, marker="." if len(points) < 50 else None)
            axes.set_ylabel(title)
            axes.grid(alpha=0.3)
            if len(names) > 1:
                axes.legend()
        axes.set_xlabel(self.x)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=100)
        with atomic_write(self.path) as file:
            file.write(picture.getvalue())
        self._drawn = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"rows": [dict(row) for row in self._rows]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._rows = list(state["rows"])
