"""Schedules that warm up first, under the names that Transformers gave them. `step` once a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flambeau.base.errors import ArgumentError, explain
from flambeau.optim.lr_scheduler.decay import LambdaLR
from flambeau.optim.optimizer import Optimizer


@dataclass
class Warmup:
    """The factor of a step: a line from 0 to 1 over `warmup` steps, then `shape` until `total`. An object, so that state dicts keep it."""

    shape: str
    warmup: int
    total: int = 0
    cycles: float = 0.5

    def __call__(self, step: int) -> float:
        """The factor at a step."""
        if step < self.warmup:
            return step / max(1, self.warmup)
        if self.shape == "inverse_sqrt":
            return math.sqrt(self.warmup / step) if step else 1.0
        if self.shape == "constant":
            return 1.0
        share = (step - self.warmup) / max(1, self.total - self.warmup)
        if self.shape == "linear":
            return max(0.0, 1.0 - share)
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * self.cycles * 2.0 * share)))


def _make(optimizer: Optimizer, factor: Warmup, last_epoch: int) -> LambdaLR:
    if factor.warmup < 0:
        raise ArgumentError(explain("warm-up", expected="num_warmup_steps >= 0", got=repr(factor.warmup)))
    return LambdaLR(optimizer, factor, last_epoch)


def get_constant_schedule_with_warmup(optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1) -> LambdaLR:
    """A line from 0 to the initial rate over `num_warmup_steps`, then the initial rate."""
    return _make(optimizer, Warmup("constant", num_warmup_steps), last_epoch)


def get_linear_schedule_with_warmup(optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1) -> LambdaLR:
    """A line up to the initial rate over `num_warmup_steps`, then a line down to 0 at `num_training_steps`.

    >>> import flambeau as fb
    >>> optimizer = fb.optim.AdamW([fb.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fb.optim.lr_scheduler.get_linear_schedule_with_warmup(optimizer, 2, 6)
    >>> rates = []
    >>> for _ in range(7):
    ...     optimizer.step()
    ...     rates += scheduler.get_last_lr()
    ...     scheduler.step()
    >>> rates
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    return _make(optimizer, Warmup("linear", num_warmup_steps, num_training_steps), last_epoch)


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, num_cycles: float = 0.5, last_epoch: int = -1
) -> LambdaLR:
    """A line up to the initial rate over `num_warmup_steps`, then `num_cycles` cosine periods; 0.5 falls to 0 at `num_training_steps`."""
    return _make(optimizer, Warmup("cosine", num_warmup_steps, num_training_steps, num_cycles), last_epoch)


def get_inverse_sqrt_schedule(optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1) -> LambdaLR:
    """A line up to the initial rate over `num_warmup_steps`, then a fall as 1 / sqrt(step) (Vaswani et al. 2017, arXiv:1706.03762)."""
    return _make(optimizer, Warmup("inverse_sqrt", num_warmup_steps), last_epoch)
