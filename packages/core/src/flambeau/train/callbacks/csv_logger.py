"""The numbers of a run as a table."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

from flambeau.base.files import atomic_write
from flambeau.train.events import Callback, Loop

Row = dict[str, Any]


class CSVLogger(Callback):
    """Writes a row to a CSV file after each epoch: `epoch`, `step`, and the metrics.

    With `every_steps`, also a row with `epoch`, `step` and `loss` after so many updates. A metric that appears later gets a new column. A
    resumed run goes on where its checkpoint was, and removes the rows that came after it; a new run replaces the file.
    """

    def __init__(self, path: str | os.PathLike[str], *, every_steps: int | None = None) -> None:
        self.path = Path(path)
        self.every_steps = every_steps
        self._columns: list[str] = []
        self._rows = 0

    def on_start(self, loop: Loop) -> None:
        if not loop.step:
            self._rows = 0
        rows = self._read()[: self._rows]
        self._columns = list(rows[0]) if rows else []
        self._rewrite(rows)

    def on_batch_end(self, loop: Loop) -> None:
        if self.every_steps is not None and loop.passed(self.every_steps):
            self._write(loop, {"loss": float(loop.loss)})

    def on_epoch_end(self, loop: Loop) -> None:
        self._write(loop, loop.metrics)

    def _write(self, loop: Loop, metrics: Row) -> None:
        row = {"epoch": loop.epoch, "step": loop.step, **metrics}
        fresh = [name for name in row if name not in self._columns]
        if fresh:
            rows = self._read()
            self._columns += fresh
            self._rewrite([*rows, row])
        else:
            with open(self.path, "a", encoding="utf-8", newline="") as file:
                file.write(self._text([row]))
        self._rows += 1

    def _read(self) -> list[Row]:
        try:
            with open(self.path, encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        except FileNotFoundError:
            return []

    def _rewrite(self, rows: list[Row]) -> None:
        header = self._text([{name: name for name in self._columns}]) if self._columns else ""
        with atomic_write(self.path) as file:
            file.write((header + self._text(rows)).encode())

    def _text(self, rows: list[Row]) -> str:
        memory = io.StringIO()
        csv.DictWriter(memory, self._columns, restval="", lineterminator="\n").writerows(rows)
        return memory.getvalue()

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self._rows}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rows = state["rows"]
