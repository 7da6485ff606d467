"""What recipes share that are not one model and one loss: epochs that can be resumed, and a table of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

import flambeau
from flambeau.base.files import atomic_write
from flambeau.train import RunContext

_STRIDE = 1_000_003  # between the seeds of two runs, so that their epochs do not share one


def run_epochs(
    context: RunContext, epochs: int, one_epoch: Callable[[int], Mapping[str, float]], parts: Mapping[str, Any], every: int = 5
) -> list[dict[str, float]]:
    """Run `one_epoch(number)` for each epoch; it returns numbers for the table `metrics.csv`.

    Every epoch has a seed of its own, so that a resumed run draws what the whole one drew. `parts` have state_dict and load_state_dict;
    they are saved every few epochs.
    """
    history: list[dict[str, float]] = []
    saved = context.checkpoints.latest() if context.resume else None
    if saved is not None:
        history = [dict(row) for row in saved.state["history"]]
        for name, part in parts.items():
            part.load_state_dict(saved.state[name])
    for epoch in range(len(history), epochs):
        flambeau.manual_seed(context.seed * _STRIDE + epoch)
        row = dict(one_epoch(epoch))
        history.append({"epoch": epoch + 1, **row})
        numbers: dict[str, Any] = row
        context.report(epoch + 1, epochs, **numbers)
        if (epoch + 1) % every == 0 or epoch + 1 == epochs:
            context.checkpoints.save(epoch + 1, {"history": history, **{name: part.state_dict() for name, part in parts.items()}})
            _write_table(context, history)
    return history


def _write_table(context: RunContext, history: list[dict[str, float]]) -> None:
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    with atomic_write(context.out / "metrics.csv") as file:
        file.write(text.getvalue().encode())
