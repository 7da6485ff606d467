"""Save a run so that it can go on, bit for bit."""

from __future__ import annotations

import os
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.serialization.checkpoint import Checkpointer
from flambeau.serialization.formats import save
from flambeau.train.callbacks.best import Best, Mode
from flambeau.train.events import Callback, Loop
from flambeau.train.interrupt import Interrupted

BEST_FILE = "best.safetensors"


class Checkpoint(Callback):
    """Saves everything about a run in `folder`, as `checkpoint-<step>.safetensors`; `fit(..., resume=folder)` goes on from the newest.

    It saves after every `every_epochs` epochs, after every `every_steps` updates, at the end, and at Ctrl-C. Files appear whole or not at
    all, so that a kill at any moment costs no more than the work since the last one. The newest `keep` stay (None: all). A run that begins
    anew in a folder removes the checkpoints of the run before when it saves its first one.

    With `best`, the name of a metric, `best.safetensors` has the model's state dict at the epoch where that was best; `mode` says whether
    smaller ("min") or larger ("max") is better.
    """

    order = 10  # after all that must be in the file

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        every_epochs: int | None = 1,
        every_steps: int | None = None,
        keep: int | None = 3,
        best: str | None = None,
        mode: Mode = "min",
    ) -> None:
        for name, value in (("every_epochs", every_epochs), ("every_steps", every_steps)):
            if value is not None and value < 1:
                raise ArgumentError(explain("Checkpoint", expected=f"{name} of 1 or more, or None", got=str(value)))
        self.checkpoints = Checkpointer(folder, keep=keep)
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self.best = Best(best, mode) if best is not None else None
        self._saved: tuple[int, int] | None = None  # step and epoch
        self._others: list[int] = []

    def on_start(self, loop: Loop) -> None:
        self._saved = None
        self._others = [] if loop.step else self.checkpoints.steps()

    def on_batch_end(self, loop: Loop) -> None:
        if self.every_steps is not None and loop.passed(self.every_steps):
            self._save(loop)

    def on_epoch_end(self, loop: Loop) -> None:
        if self.best is not None and self.best.improved(loop):
            save(loop.model.state_dict(), self.checkpoints.folder / BEST_FILE)
        if self.every_epochs is not None and loop.epoch % self.every_epochs == 0:
            self._save(loop)

    def on_end(self, loop: Loop) -> None:
        self._save(loop)

    def on_exception(self, loop: Loop, error: BaseException) -> None:
        if isinstance(error, Interrupted):  # after any other error the state may be half of one update
            self._save(loop)
            error.add_note(f"Saved {self.checkpoints.path(loop.step)}; go on with fit(..., resume={str(self.checkpoints.folder)!r}).")

    def _save(self, loop: Loop) -> None:
        if self._saved == (loop.step, loop.epoch):
            return
        self.checkpoints.save(loop.step, loop.state_dict())
        self._saved = (loop.step, loop.epoch)
        for step in self._others:
            if step != loop.step:
                self.checkpoints.path(step).unlink(missing_ok=True)
        self._others = []

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best.state_dict() if self.best is not None else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.best is not None and state["best"] is not None:
            self.best.load_state_dict(state["best"])
