"""Six events, and what every training loop shows to the callbacks that receive them.

`Trainer` is such a loop; a reinforcement-learning agent's is another, and the same callbacks serve both.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.data import rng
from flambeau.train.interrupt import Interrupted, deferred_interrupt
from flambeau.train.stopwatch import Stopwatch

_POSITION = ("step", "epoch", "batch", "samples")


class Callback:
    """Receives the events of a loop: subclass it and write the methods that you need.

    | event            | when                                                                                   |
    |------------------|----------------------------------------------------------------------------------------|
    | `start`          | before the first batch of a run, resumed or not                                        |
    | `batch_end`      | after an update; `loop.step` counts it                                                 |
    | `validation_end` | after a validation; its numbers are in `loop.metrics`                                  |
    | `epoch_end`      | after an epoch and its validation; `loop.epoch` counts it                              |
    | `end`            | after the last epoch                                                                   |
    | `exception`      | when the run ends otherwise, by Ctrl-C too; the error is raised again after the event  |

    Callbacks are told in the order in which they were given, except that a lower `order` comes first: what adds numbers to `loop.metrics`
    (-10), what reads them (0), what saves everything (10). What a callback must remember between runs goes through `state_dict`.
    """

    order = 0

    def on_start(self, loop: Loop) -> None:
        """The run begins."""

    def on_batch_end(self, loop: Loop) -> None:
        """One more update is done."""

    def on_validation_end(self, loop: Loop) -> None:
        """A validation is done."""

    def on_epoch_end(self, loop: Loop) -> None:
        """An epoch is done."""

    def on_end(self, loop: Loop) -> None:
        """The run is done."""

    def on_exception(self, loop: Loop, error: BaseException) -> None:
        """The run breaks off."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know, as values that `flambeau.save` stores."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""


class Loop:
    """Where a run is, its latest numbers, and its callbacks: what `Trainer` and other loops have in common.

    A loop counts, calls `emit`, and calls `rest` wherever it could be resumed exactly:

        with self.running():
            while not self.done:
                ...
                self.step += 1
                self.emit("batch_end")
                self.rest()

    Attributes:
        model: what is trained, a Module, or None.
        optimizer: its optimizer, or None.
        parts: what a checkpoint saves, by name: objects with `state_dict()` and `load_state_dict(state)`.
        step: updates done.
        stride: by how much the latest update raised `step`: 1, except where a loop counts something else.
        epoch: epochs done.
        batch: batches taken in this epoch.
        samples: samples seen.
        max_steps: how many updates are wanted at most, or None.
        total_steps: how many there will be, None while unknown.
        loss: the latest loss, a tensor without gradient, or None.
        metrics: the latest numbers by plain names.
        stopping: whether `stop()` was called.
        watch: where the time goes; a loop calls `watch.lap(name)` after each part of its work.
    """

    def __init__(self, model: Any = None, optimizer: Any = None, callbacks: Iterable[Callback] = ()) -> None:
        self.model = model
        self.optimizer = optimizer
        self.callbacks = sorted(callbacks, key=lambda callback: callback.order)
        self.parts: dict[str, Any] = {}
        self.step = self.epoch = self.batch = self.samples = 0
        self.stride = 1
        self.max_steps: int | None = None
        self.total_steps: int | None = None
        self.loss: Any = None
        self.metrics: dict[str, float] = {}
        self.stopping = self._interrupted = False
        self.watch = Stopwatch()

    def emit(self, event: str, *details: Any) -> None:
        """Tell every callback; `event` is one of the six names."""
        for callback in self.callbacks:
            getattr(callback, f"on_{event}")(self, *details)

    def passed(self, count: int) -> bool:
        """Whether the latest update reached or passed a multiple of `count` steps."""
        return self.step // count > (self.step - self.stride) // count

    def stop(self) -> None:
        """End the run at the next `rest`. It ends well: `end` is told, not `exception`."""
        self.stopping = True

    @property
    def done(self) -> bool:
        """Whether `stop()` was called or `max_steps` is reached."""
        return self.stopping or (self.max_steps is not None and self.step >= self.max_steps)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Tells `start` before the block and `end` or `exception` after it. In between, Ctrl-C waits for the next `rest`."""
        self.stopping = self._interrupted = False
        with deferred_interrupt(self._note_interrupt):
            try:
                self.emit("start")
                yield
                self.emit("end")
            except BaseException as error:
                self.emit("exception", error)
                raise

    def rest(self) -> None:
        """The loop is between two updates, where its state is whole. Raises Interrupted if Ctrl-C was pressed."""
        if self._interrupted:
            raise Interrupted

    def state_dict(self) -> dict[str, Any]:
        """The position, the numbers, the parts, the callbacks' states, and the state of Python's, NumPy's and Flambeau's random numbers."""
        return {
            "position": {name: getattr(self, name) for name in _POSITION},
            "metrics": dict(self.metrics),
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "callbacks": {name: callback.state_dict() for name, callback in self._named_callbacks()},
            "random": rng.snapshot(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Be where `state_dict` was taken. Callbacks that were not there start afresh.

        Raises ArgumentError when the loop's parts are not those that were saved.
        """
        if state["parts"].keys() != self.parts.keys():
            expected, got = (", ".join(names) for names in (self.parts, state["parts"]))
            raise ArgumentError(
                explain("resume", expected=f"a checkpoint of {expected}", got=f"one of {got}", hint="build the run as before")
            )
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        for name, callback in self._named_callbacks():
            if name in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][name])
        for name in _POSITION:
            setattr(self, name, state["position"][name])
        self.metrics = dict(state["metrics"])
        rng.restore(state["random"])

    def _named_callbacks(self) -> Iterator[tuple[str, Callback]]:
        seen: Counter[str] = Counter()
        for callback in self.callbacks:
            name = type(callback).__name__
            seen[name] += 1
            yield (name if seen[name] == 1 else f"{name} {seen[name]}"), callback

    def _note_interrupt(self) -> None:
        self._interrupted = True
        print("Interrupted: finishing this batch first; Ctrl-C again stops at once.", file=sys.stderr)
