"""Averages of weights over training: stochastic weight averaging and exponential moving averages."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn.module import Module
from flambeau.optim.lr_scheduler.base import LRScheduler, Rates, State, per_group
from flambeau.optim.optimizer import Optimizer
from flambeau.tensor.creation import tensor
from flambeau.tensor.tensor import Tensor

Average = Callable[[Any, Any, Any], Any]


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ArgumentError(explain("EMA", expected="a decay in [0, 1]", got=repr(decay), hint="0.999"))


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """A function of (average, current, count) that gives decay * average + (1 - decay) * current."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Average:
    """A function of (average, current, count) that gives the mean of all values so far."""

    @no_grad()
    def swa_update(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Average:
    """As `get_ema_avg_fn`, for lists of tensors, in place."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_params: list[Any], current_params: list[Any], num_averaged: Any) -> None:
        for average, current in zip(ema_params, current_params, strict=True):
            if average.is_floating_point() or average.is_complex():
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(average * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> Average:
    """As `get_swa_avg_fn`, for lists of tensors, in place."""

    @no_grad()
    def swa_update(averaged_params: list[Any], current_params: list[Any], num_averaged: Any) -> None:
        count = float(num_averaged) + 1
        for average, current in zip(averaged_params, current_params, strict=True):
            average.copy_(average + (current - average) / count)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of that model's over training.

    Call `update_parameters(model)` after steps of training, and use the averaged model as the model itself. The average is the mean
    (stochastic weight averaging, Izmailov et al. 2018, arXiv:1803.05407) unless `avg_fn(average, current, count)` gives another, e.g.
    `get_ema_avg_fn(0.999)`, or `multi_avg_fn`, which updates lists of tensors in place. Buffers are averaged with `use_buffers`, else
    copied; for batch norm call `update_bn` at the end.

    >>> import flambeau as fb
    >>> model = fb.nn.Linear(2, 1)
    >>> averaged = AveragedModel(model)
    >>> for value in (1.0, 3.0):
    ...     _ = fb.nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.tolist()
    [[2.0, 2.0]]
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Average | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError(explain("AveragedModel", expected="one of avg_fn and multi_avg_fn", got="both"))
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the model."""
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the parameters of the model into the average; the first time they are copied."""
        pairs = list(zip(self._averaged(self.module), self._averaged(model), strict=True))
        mine = [average.detach() for average, _ in pairs]
        theirs = [current.detach().to(average.device) for average, current in pairs]
        count = self.n_averaged.item()
        if count == 0:
            for average, current in zip(mine, theirs, strict=True):
                average.copy_(current)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(mine, theirs, count)
        else:
            average_of = self.avg_fn or get_swa_avg_fn()
            for average, current in zip(mine, theirs, strict=True):
                average.copy_(average_of(average, current, count))
        if not self.use_buffers:
            for kept, current in zip(self.module.buffers(), model.buffers(), strict=True):
                kept.detach().copy_(current.detach().to(kept.device))
        self.n_averaged += 1

    def _averaged(self, model: Module) -> Iterable[Any]:
        return itertools.chain(model.parameters(), model.buffers()) if self.use_buffers else model.parameters()


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of batch norm layers anew, as plain means over the batches of `loader`.

    Batches are inputs of the model, or tuples and lists that begin with one.
    """
    momenta = {m: m.momentum for m in model.modules() if hasattr(m, "running_mean") and hasattr(m, "reset_running_stats")}
    if not momenta:
        return
    was_training = model.training
    model.train()
    try:
        for layer in momenta:
            layer.reset_running_stats()
            layer.momentum = None
        for batch in loader:
            inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(inputs if device is None else inputs.to(device))
    finally:
        for layer, momentum in momenta.items():
            layer.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """From the rate now to `swa_lr` over `anneal_epochs`, along a cosine ("cos") or a line ("linear"), then constant.

    >>> import flambeau as fb
    >>> optimizer = fb.optim.SGD([fb.ones(1, requires_grad=True)], lr=1.0)
    >>> scheduler = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(explain("SWALR", expected="anneal_strategy 'cos' or 'linear'", got=repr(anneal_strategy)))
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ArgumentError(explain("SWALR", expected="anneal_epochs as an integer >= 0", got=repr(anneal_epochs)))
        for rate, group in zip(per_group("SWALR", "swa_lr", swa_lr, optimizer), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _share(self, step: float) -> float:
        """How much of the way is done after so many steps."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def rates(self) -> Rates:
        """See the base class."""
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            goal = group["swa_lr"]
            start = goal if before == 1 else (group["lr"] - before * goal) / (1 - before)
            rates.append(goal * now + start * (1 - now))
        return rates

    def load_state_dict(self, state_dict: State) -> None:
        """See the base class."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "anneal_func"})


__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]
