"""Cyclic schedules, which move the momentum the other way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.optim.lr_scheduler.base import LRScheduler, Rates, State, check_optimizer, function_state, per_group, set_option
from flambeau.optim.optimizer import Optimizer


def _uses_betas(op: str, optimizer: Optimizer) -> bool:
    """Whether the momentum of an optimizer is betas[0]."""
    if "betas" in optimizer.defaults:
        return True
    if "momentum" not in optimizer.defaults:
        hint = "cycle_momentum=False"
        raise ArgumentError(explain(op, expected="an optimizer with momentum or betas", got=type(optimizer).__name__, hint=hint))
    return False


def _set_momentum(group: State, value: Any, betas: bool) -> None:
    if betas:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


class _MomentumCycle(LRScheduler):
    """What both cyclic schedules share: the range of the momentum."""

    cycle_momentum: bool
    use_beta1: bool

    def _set_up_momentum(self, optimizer: Optimizer, base: Any, largest: Any, new: bool) -> tuple[list[Any], list[Any]]:
        op = type(self).__name__
        self.use_beta1 = _uses_betas(op, optimizer)
        low, high = per_group(op, "base_momentum", base, optimizer), per_group(op, "max_momentum", largest, optimizer)
        if new:
            for group, b, m in zip(optimizer.param_groups, low, high, strict=True):
                _set_momentum(group, m, self.use_beta1)
                group["max_momentum"], group["base_momentum"] = m, b
        return low, high


class CyclicLR(_MomentumCycle):
    """The rate between `base_lr` and `max_lr` in triangles (Smith 2017, arXiv:1506.01186). Call `step` after each batch.

    `step_size_up` and `step_size_down` are the batches of each half. `mode` "triangular" keeps the height, "triangular2" halves it in each
    cycle, "exp_range" scales it by gamma**batch; `scale_fn` gives the scale oneself, of the cycle or the batch as `scale_mode` says.
    With `cycle_momentum` the momentum (betas[0] of Adam and the like) moves from `max_momentum` to `base_momentum` as the rate rises.

    >>> import flambeau as fb
    >>> optimizer = fb.optim.SGD([fb.ones(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> scheduler = fb.optim.lr_scheduler.CyclicLR(optimizer, base_lr=1.0, max_lr=3.0, step_size_up=2)
    >>> rates = []
    >>> for _ in range(5):
    ...     optimizer.step()
    ...     rates += scheduler.get_last_lr()
    ...     scheduler.step()
    >>> rates
    [1.0, 2.0, 3.0, 2.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("CyclicLR", optimizer)
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            expected = "mode 'triangular', 'triangular2' or 'exp_range', or a scale_fn"
            raise ArgumentError(explain("CyclicLR", expected=expected, got=f"mode={mode!r}"))
        base_lrs = per_group("CyclicLR", "base_lr", base_lr, optimizer)
        if last_epoch == -1:
            for rate, group in zip(base_lrs, optimizer.param_groups, strict=True):
                set_option(group, "lr", rate)
        self.max_lrs = per_group("CyclicLR", "max_lr", max_lr, optimizer)
        up, down = float(step_size_up), float(step_size_up if step_size_down is None else step_size_down)
        if not (up > 0 and down > 0):
            got = f"step_size_up={step_size_up!r} and step_size_down={step_size_down!r}"
            raise ArgumentError(explain("CyclicLR", expected="step sizes > 0", got=got))
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        self.mode, self.gamma, self._scale_fn_custom, self.scale_mode = mode, gamma, scale_fn, scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._set_up_momentum(optimizer, base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of cycle x (or at batch x), as a share of the full height."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return 1 / 2.0 ** (x - 1)
        return self.gamma**x if self.mode == "exp_range" else 1.0

    def rates(self) -> Rates:
        """See the base class."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True):
                _set_momentum(group, high - (high - low) * height * scale, self.use_beta1)
        return [low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> State:
        """As the base class. Of a `scale_fn`, a callable object keeps its attributes; a plain function is not kept."""
        return {**super().state_dict(), "_scale_fn_custom": function_state(self._scale_fn_custom)}

    def load_state_dict(self, state_dict: State) -> None:
        """See the base class."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "_scale_fn_custom"})
        if state_dict["_scale_fn_custom"] is not None:
            self._scale_fn_custom.__dict__.update(state_dict["_scale_fn_custom"])


def _cosine(start: Any, end: Any, share: float) -> Any:
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


def _line(start: Any, end: Any, share: float) -> Any:
    return (end - start) * share + start


_ANNEAL = {"cos": _cosine, "linear": _line}


class OneCycleLR(_MomentumCycle):
    """One rise to `max_lr` and one long fall far below the start (Smith and Topin 2018, arXiv:1708.07120). Call `step` after each batch.

    The length is `total_steps`, or `epochs` * `steps_per_epoch`. The rate starts at max_lr / div_factor, is highest after `pct_start` of
    the steps, and ends at (max_lr / div_factor) / final_div_factor; `anneal_strategy` is "cos" or "linear". `three_phase` first falls
    back to the start and then further. With `cycle_momentum` the momentum (betas[0] of Adam and the like) moves the other way.

    >>> import flambeau as fb
    >>> optimizer = fb.optim.Adam([fb.ones(1, requires_grad=True)])
    >>> scheduler = fb.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    >>> round(optimizer.param_groups[0]["lr"], 6), optimizer.param_groups[0]["betas"]
    (0.004, (0.95, 0.999))
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("OneCycleLR", optimizer)
        self.total_steps = _length(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ArgumentError(explain("OneCycleLR", expected="pct_start as a float in [0, 1]", got=repr(pct_start)))
        if anneal_strategy not in _ANNEAL:
            raise ArgumentError(explain("OneCycleLR", expected="anneal_strategy 'cos' or 'linear'", got=repr(anneal_strategy)))
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        if last_epoch == -1:
            for group, largest in zip(optimizer.param_groups, per_group("OneCycleLR", "max_lr", max_lr, optimizer), strict=True):
                group["initial_lr"], group["max_lr"] = largest / div_factor, largest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._set_up_momentum(optimizer, base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def rates(self) -> Rates:
        """See the base class."""
        step = self.last_epoch
        if step > self.total_steps:
            hint = "a larger total_steps, or step() once a batch only"
            raise ArgumentError(explain("OneCycleLR.step", expected=f"at most {self.total_steps} steps", got=f"step {step}", hint=hint))
        anneal = _ANNEAL[self._anneal_func_type]
        start, phase = 0.0, self._schedule_phases[-1]
        for candidate in self._schedule_phases:
            if step <= candidate["end_step"] or candidate is self._schedule_phases[-1]:
                phase = candidate
                break
            start = candidate["end_step"]
        width = phase["end_step"] - start
        share = (step - start) / width if width else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(anneal(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                value = anneal(group[phase["start_momentum"]], group[phase["end_momentum"]], share)
                _set_momentum(group, value, self.use_beta1)
        return rates


def _length(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    given = {"total_steps": total_steps} if total_steps is not None else {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    length = 1
    for name, value in given.items():
        if value is None:
            expected = "total_steps, or epochs and steps_per_epoch"
            raise ArgumentError(explain("OneCycleLR", expected=expected, got=f"no {name}"))
        if not isinstance(value, int) or value <= 0:
            raise ArgumentError(explain("OneCycleLR", expected=f"{name} as a positive integer", got=repr(value)))
        length *= value
    return length


def _phases(total: int, share: float, three: bool) -> list[State]:
    """The phases of the cycle: where each ends, and which options of a group it goes between."""
    rise = ("initial_lr", "max_lr", "max_momentum", "base_momentum")
    if three:
        back, end = ("max_lr", "initial_lr", "base_momentum", "max_momentum"), ("initial_lr", "min_lr", "max_momentum", "max_momentum")
        parts = [(float(share * total) - 1, rise), (float(2 * share * total) - 2, back), (total - 1, end)]
    else:
        parts = [(float(share * total) - 1, rise), (total - 1, ("max_lr", "min_lr", "base_momentum", "max_momentum"))]
    names = ("start_lr", "end_lr", "start_momentum", "end_momentum")
    return [{"end_step": end_step, **dict(zip(names, options, strict=True))} for end_step, options in parts]
