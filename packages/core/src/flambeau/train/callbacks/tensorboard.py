"""The numbers of a run for TensorBoard."""

from __future__ import annotations

import os
from typing import Any

from flambeau.base.errors import missing_extra
from flambeau.train.events import Callback, Loop


class TensorBoardLogger(Callback):
    """Writes the loss after every `every_steps` updates, and all metrics after each epoch, for `tensorboard --logdir FOLDER`.

    Raises MissingExtra without the package tensorboardX (`pip install "flambeau[tensorboard]"`).
    """

    def __init__(self, folder: str | os.PathLike[str], *, every_steps: int = 10) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise missing_extra("TensorBoardLogger", "tensorboardX", "flambeau[tensorboard]") from None
        self.folder = os.fspath(folder)
        self.every_steps = every_steps
        self._make_writer = SummaryWriter
        self._writer: Any = None

    def on_start(self, loop: Loop) -> None:
        # What an interrupted run wrote after its checkpoint is purged by TensorBoard.
        self._writer = self._make_writer(self.folder, purge_step=loop.step + 1 if loop.step else None)

    def on_batch_end(self, loop: Loop) -> None:
        if loop.passed(self.every_steps):
            self._writer.add_scalar("step/loss", float(loop.loss), loop.step)

    def on_epoch_end(self, loop: Loop) -> None:
        for name, value in loop.metrics.items():
            self._writer.add_scalar(f"epoch/{name}", value, loop.step)
        self._writer.flush()

    def on_end(self, loop: Loop) -> None:
        self._close()

    def on_exception(self, loop: Loop, error: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
