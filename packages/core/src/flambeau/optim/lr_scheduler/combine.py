"""Schedulers made of schedulers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.optim.lr_scheduler.base import Composite, LRScheduler, set_option
from flambeau.optim.lr_scheduler.plateau import ReduceLROnPlateau
from flambeau.optim.optimizer import Optimizer


def _check(op: str, optimizer: Any, schedulers: Sequence[Any]) -> None:
    if not schedulers:
        raise ArgumentError(explain(op, expected="at least one scheduler", got="none"))
    for i, part in enumerate(schedulers):
        if not isinstance(part, LRScheduler):
            raise ArgumentTypeError(explain(op, expected=f"a scheduler at position {i}", got=type(part).__name__))
        if isinstance(part, ReduceLROnPlateau):
            hint = "call its step(metric) on its own"
            raise ArgumentError(explain(op, expected="schedulers that need no metric", got="ReduceLROnPlateau", hint=hint))
        if optimizer is not part.optimizer:
            raise ArgumentError(explain(op, expected="schedulers of one optimizer", got=f"another optimizer in the one at position {i}"))


class SequentialLR(Composite):
    """One scheduler after another: at `milestones[i]` the scheduler i + 1 takes over, from its epoch 0.

    >>> import flambeau as fb
    >>> optimizer = fb.optim.SGD([fb.ones(1, requires_grad=True)], lr=1.0)
    >>> warmup = fb.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> fall = fb.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = fb.optim.lr_scheduler.SequentialLR(optimizer, [warmup, fall], milestones=[3])
    >>> rates = []
    >>> for _ in range(6):
    ...     optimizer.step()
    ...     rates += scheduler.get_last_lr()
    ...     scheduler.step()
    >>> [round(rate, 6) for rate in rates]
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1) -> None:
        _check("SequentialLR", optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1:
            got = f"{len(milestones)} milestones for {len(schedulers)} schedulers"
            raise ArgumentError(explain("SequentialLR", expected="one milestone less than schedulers", got=got))
        self._schedulers, self._milestones, self.optimizer = schedulers, milestones, optimizer
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:  # the parts have all made their first step when they were created: undo it
            set_option(group, "lr", group["initial_lr"])
        _step_back(self)
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        part = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            part._update_lr(0)
        else:
            part.step()
        self._last_lr = part.get_last_lr()


def _step_back(scheduler: Any) -> None:
    if isinstance(scheduler, Composite):
        for part in scheduler._schedulers:
            _step_back(part)
    else:
        scheduler.last_epoch -= 1


class ChainedScheduler(Composite):
    """Several schedulers at once: each step of it is a step of each, in order, so that their factors multiply."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if schedulers and optimizer is None:
            optimizer = getattr(schedulers[0], "optimizer", None)
        _check("ChainedScheduler", optimizer, schedulers)
        assert optimizer is not None
        self._schedulers, self.optimizer = list(schedulers), optimizer
        self._last_lr = self._current()

    def step(self) -> None:
        """Go on to the next epoch."""
        for part in self._schedulers:
            part.step()
        self._last_lr = self._current()
