"""Callbacks that add numbers to `loop.metrics` before others read them."""

from __future__ import annotations

from typing import Any

from flambeau.device import backend
from flambeau.nn.utils import get_total_norm
from flambeau.train.events import Callback, Loop
from flambeau.train.metrics import Mean


class Monitor(Callback):
    """A callback that comes before those that read `loop.metrics`."""

    order = -10


class LRMonitor(Monitor):
    """Adds `lr`, the learning rate after the latest update, and `lr_1`, ... for further groups of parameters."""

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}

    def on_batch_end(self, loop: Loop) -> None:
        rates = [group["lr"] for group in loop.optimizer.param_groups]
        self._rates = {f"lr_{number}" if number else "lr": float(rate) for number, rate in enumerate(rates)}

    def on_epoch_end(self, loop: Loop) -> None:
        loop.metrics |= self._rates

    def state_dict(self) -> dict[str, Any]:
        return {"rates": self._rates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rates = dict(state["rates"])


class GradientNorm(Monitor):
    """Adds `grad_norm`, the 2-norm of all gradients together (before clipping, where they are clipped), averaged over the epoch."""

    def __init__(self) -> None:
        self._mean = Mean()

    def on_batch_end(self, loop: Loop) -> None:
        norm = getattr(loop, "grad_norm", None)
        if norm is None:
            norm = get_total_norm([parameter.grad for parameter in loop.model.parameters() if parameter.grad is not None])
        self._mean.update(norm)

    def on_epoch_end(self, loop: Loop) -> None:
        loop.metrics["grad_norm"] = self._mean.compute()
        self._mean.reset()

    def state_dict(self) -> dict[str, Any]:
        return self._mean.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._mean.load_state_dict(state)


class Profiler(Monitor):
    """Adds `time_data`, `time_forward`, `time_backward`, `time_optimizer`, ...: the share of the time so far that each took, 0..1.

    On a GPU it waits after each part for the device, which makes the run a little slower and the shares true.
    """

    def on_start(self, loop: Loop) -> None:
        where = next((parameter.device for parameter in loop.model.parameters()), None)
        if where is not None:
            loop.watch.synchronize = lambda: backend(where).synchronize(where)

    def on_epoch_end(self, loop: Loop) -> None:
        loop.metrics |= {f"time_{name}": share for name, share in loop.watch.shares().items()}
