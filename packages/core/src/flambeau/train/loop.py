"""The training loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn.utils import clip_grad_norm_
from flambeau.serialization.checkpoint import Checkpointer
from flambeau.train.batches import count_steps, iterate, size_of, stateful, to_device
from flambeau.train.events import Callback, Loop
from flambeau.train.metrics import Meters, Metric
from flambeau.train.schedule import Period, Schedule


class Trainer(Loop):
    """Trains a model: `Trainer(model, optimizer, nn.CrossEntropyLoss()).fit(train_loader, test_loader, epochs=10)`.

    A batch is a pair (input, target); for any other, override `forward`. Batches go to the device of the model's parameters.

    Args:
        loss: `loss(output, target)`, the mean over a batch.
        scheduler: of learning rates, stepped after each "epoch" or each "batch" (each update), as `schedule_every` says.
        metrics: besides the loss; each is in `self.metrics` as `name`, over the training batches of an epoch, and as `val_name`.
        callbacks: see `Callback`.
        clip_norm: the largest norm that all gradients together may have; larger ones are scaled down to it.

    >>> import flambeau as fb
    >>> model = fb.nn.Linear(1, 1)
    >>> batches = [(fb.ones(4, 1), fb.zeros(4, 1))] * 50
    >>> trainer = Trainer(model, fb.optim.SGD(model.parameters(), lr=0.1), fb.nn.MSELoss())
    >>> trainer.fit(batches, epochs=2)["loss"] < 1e-6
    True
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Callable[[Any, Any], Any],
        *,
        scheduler: Any = None,
        schedule_every: Period = "epoch",
        metrics: Mapping[str, Metric] | None = None,
        callbacks: Iterable[Callback] = (),
        clip_norm: float | None = None,
    ) -> None:
        super().__init__(model, optimizer, callbacks)
        self.loss_fn, self.schedule, self.clip_norm = loss, Schedule(scheduler, schedule_every), clip_norm
        self.meters = Meters(metrics or {})
        self.device = next((parameter.device for parameter in model.parameters()), None)
        self.grad_norm: Any = None  # of the latest update, before clipping

    def fit(
        self,
        train: Iterable[Any],
        validation: Iterable[Any] | None = None,
        *,
        epochs: int = 1,
        max_steps: int | None = None,
        accumulate: int = 1,
        resume: str | os.PathLike[str] | None = None,
    ) -> dict[str, float]:
        """Train until `epochs` epochs are done, those of earlier calls included, and return the latest metrics.

        Args:
            train: the batches of an epoch: a DataLoader, or anything else that can be iterated again and again.
            validation: batches to evaluate the model on after each epoch.
            max_steps: end after this many updates, in the middle of an epoch too.
            accumulate: batches an update: their gradient is that of one batch with all their samples.
            resume: go on from the newest checkpoint in this folder, bit for bit; start anew if there is none.
        """
        parts = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.schedule.scheduler, "meters": self.meters}
        self.parts = stateful({**parts, "train": train, "validation": validation})
        if resume is not None and (checkpoint := Checkpointer(resume).latest()) is not None:
            self.load_state_dict(checkpoint.state)
        self.max_steps, self.total_steps = max_steps, count_steps(train, epochs, max_steps, accumulate)
        with self.running():
            while self.epoch < epochs and not self.done:
                complete = self._train(train, accumulate)
                self.metrics = self.meters.compute()
                if validation is not None:
                    self.metrics |= self.evaluate(validation, "val_")
                    self.emit("validation_end")
                if complete:
                    self._end_epoch()
        return self.metrics

    def forward(self, batch: Any) -> tuple[Any, Any, Any]:
        """The loss of a batch, and the output and target that the metrics compare."""
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            hint = "override Trainer.forward(batch) and return (loss, output, target)"
            raise ArgumentError(explain("Trainer", expected="batches of (input, target)", got=f"a {type(batch).__name__}", hint=hint))
        output = self.model(batch[0])
        return self.loss_fn(output, batch[1]), output, batch[1]

    def evaluate(self, loader: Iterable[Any], prefix: str = "") -> dict[str, float]:
        """The loss and the metrics over all batches of `loader`, in evaluation mode and without gradients; `prefix` begins their names."""
        meters, training = self.meters.fresh(), self.model.training
        self.model.eval()
        with no_grad():
            for batch in loader:
                meters.update(*self.forward(to_device(batch, self.device)), size_of(batch))
        self.model.train(training)
        return meters.compute(prefix)

    def _train(self, loader: Iterable[Any], accumulate: int) -> bool:
        self.model.train()
        batches = iterate(loader, self.batch)
        self.watch.start()
        while group := list(islice(batches, accumulate)):
            self.watch.lap("data")
            self._update(group)
            self.emit("batch_end")
            self.rest()
            if self.done:
                return False
            self.watch.lap("callbacks")
        return True

    def _update(self, batches: list[Any]) -> None:
        sizes = [size_of(batch) for batch in batches]
        self.loss = 0.0
        self.optimizer.zero_grad()
        for batch, size in zip(batches, sizes, strict=True):
            loss, output, target = self.forward(to_device(batch, self.device))
            share = loss * (size / sum(sizes)) if len(batches) > 1 else loss
            self.watch.lap("forward")
            share.backward()
            self.watch.lap("backward")
            self.loss = share.detach() + self.loss
            self.meters.update(loss, output, target, size)
        if self.clip_norm is not None:
            self.grad_norm = clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        self.schedule.after("batch", self.metrics)
        self.step, self.batch, self.samples = self.step + 1, self.batch + len(batches), self.samples + sum(sizes)
        self.watch.lap("optimizer")

    def _end_epoch(self) -> None:
        self.epoch, self.batch = self.epoch + 1, 0
        self.meters.reset()
        self.schedule.after("epoch", self.metrics)
        self.emit("epoch_end")
        self.rest()
