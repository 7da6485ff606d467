"""A schedule that watches a metric."""

from __future__ import annotations

import math
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.optim.lr_scheduler.base import LRScheduler, State, check_optimizer, per_group, set_option
from flambeau.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """The rate times `factor` when a metric has not improved for more than `patience` epochs. Call `step(metric)` after each validation.

    `mode` "min" wants a smaller metric, "max" a larger one; better means by the share `threshold` of the best value (`threshold_mode`
    "rel") or by `threshold` itself ("abs"). After a reduction `cooldown` epochs pass first. The rate stays at `min_lr` or more, and
    changes of at most `eps` are left out.

    >>> import flambeau as fb
    >>> optimizer = fb.optim.SGD([fb.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = fb.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> for loss in (1.0, 0.9, 0.9, 0.9):
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        op = "ReduceLROnPlateau"
        if not factor < 1.0:
            raise ArgumentError(explain(op, expected="factor < 1", got=f"factor={factor!r}", hint="0.1"))
        if mode not in ("min", "max"):
            raise ArgumentError(explain(op, expected="mode 'min' or 'max'", got=repr(mode)))
        if threshold_mode not in ("rel", "abs"):
            raise ArgumentError(explain(op, expected="threshold_mode 'rel' or 'abs'", got=repr(threshold_mode)))
        self.optimizer = check_optimizer(op, optimizer)
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs = per_group(op, "min_lr", min_lr, optimizer)
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.last_epoch = 0
        self._last_lr = self._current()
        self._reset()

    def _reset(self) -> None:
        self.best = self.mode_worse
        self.cooldown_counter = self.num_bad_epochs = 0

    def step(self, metrics: Any, epoch: int | None = None) -> None:
        """Note the metric of an epoch (a number or a tensor with one element), and reduce the rates if it is time."""
        current = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current, self.best):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._current()

    @property
    def in_cooldown(self) -> bool:
        """Whether a reduction is so recent that the metric does not count."""
        return self.cooldown_counter > 0

    def _is_better(self, a: float, best: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        margin = best * (1.0 + sign * self.threshold) if self.threshold_mode == "rel" else best + sign * self.threshold
        return a < margin if self.mode == "min" else a > margin

    def _reduce_lr(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                expected = f"{len(groups)} values of min_lr, one a parameter group"
                hint = "append to scheduler.min_lrs when a group is added"
                raise ArgumentError(explain("ReduceLROnPlateau.step", expected=expected, got=str(len(self.min_lrs)), hint=hint))
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, least in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, least)
            if old - new > self.eps:
                set_option(group, "lr", new)

    def load_state_dict(self, state_dict: State) -> None:
        """See the base class."""
        super().load_state_dict(state_dict)
        self.mode_worse = math.inf if self.mode == "min" else -math.inf
