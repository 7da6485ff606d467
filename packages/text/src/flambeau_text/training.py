"""A loop for models that return their own loss: one compiled step an update, batches drawn by number, so that runs resume exactly."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import flambeau
from flambeau.nn.utils import clip_grad_norm_
from flambeau.serialization import Checkpointer
from flambeau.train import Callback, Loop

Batch = tuple[Any, ...]


def warmup_cosine(peak: float, warmup: int, total: int, floor: float = 0.1) -> Callable[[int], float]:
    """A learning rate that rises to `peak` in `warmup` steps and falls along a cosine to `floor * peak`.

    >>> rate = warmup_cosine(1.0, 10, 110)
    >>> rate(0), rate(9), round(rate(110), 3)
    (0.1, 1.0, 0.1)
    """

    def rate(step: int) -> float:
        if step < warmup:
            return peak * (step + 1) / warmup
        share = min(1.0, (step - warmup) / max(1, total - warmup))
        return peak * (floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2)

    return rate


class StepLoop(Loop):
    """Trains by steps: `draw(step)` gives a batch of tensors, `loss(*batch)` its loss.

    Args:
        model, optimizer: what is trained, and how.
        loss: computes a loss from tensors; compiled together with the update where llvmlite is installed.
        draw: the batch of a step; the same for the same number, so that a resumed run sees what the first would have seen.
        rate: the learning rate of a step.
        callbacks: see `flambeau.train.Callback`; `epoch_end` comes after each evaluation.
        clip_norm: the largest norm of all gradients together.
        compiled: False for steps as they are.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Callable[..., Any],
        draw: Callable[[int], Batch],
        *,
        rate: Callable[[int], float],
        callbacks: Iterable[Callback] = (),
        clip_norm: float = 1.0,
        compiled: bool = True,
    ) -> None:
        super().__init__(model, optimizer, callbacks)
        self.loss_fn, self.draw, self.rate, self.clip_norm = loss, draw, rate, clip_norm
        self.parts = {"model": model, "optimizer": optimizer}
        self._update = flambeau.compile(self._step) if compiled and find_spec("llvmlite") is not None else self._step

    def fit(
        self, steps: int, *, every: int, evaluate: Callable[[], dict[str, float]], resume: str | os.PathLike[str] | None = None
    ) -> dict[str, float]:
        """Train until `steps` are done, evaluate after each `every` of them and at the end; returns the latest metrics.

        With `resume`, go on from the newest checkpoint in that folder.
        """
        if resume is not None and (checkpoint := Checkpointer(resume).latest()) is not None:
            self.load_state_dict(checkpoint.state)
        self.max_steps = self.total_steps = steps
        total, count = flambeau.zeros(()), 0
        with self.running():
            while not self.done:
                batch = self.draw(self.step)
                for group in self.optimizer.param_groups:
                    group["lr"] = self.rate(self.step)
                self.model.train()
                self.loss = self._update(*batch)
                total, count = total + self.loss, count + 1
                self.step, self.samples = self.step + 1, self.samples + len(batch[0])
                self.emit("batch_end")
                if self.step % every == 0 or self.step >= steps:
                    self.metrics = {"loss": float(total) / count}
                    total, count = flambeau.zeros(()), 0
                    self.model.eval()
                    self.metrics |= evaluate()
                    self.emit("validation_end")
                    self.epoch += 1
                    self.emit("epoch_end")
                self.rest()
        return self.metrics

    def _step(self, *batch: Any) -> Any:
        loss = self.loss_fn(*batch)
        self.optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        return loss.detach()
