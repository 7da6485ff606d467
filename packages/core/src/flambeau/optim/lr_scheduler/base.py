"""The base of learning-rate schedulers: counting, writing rates into the optimizer, state dicts, warnings about the order of calls."""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable
from typing import Any

from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.optim.optimizer import Optimizer
from flambeau.primitives.bind import intercept
from flambeau.primitives.bind import state as bound
from flambeau.tensor.tensor import Tensor

State = dict[str, Any]
Rates = list[Any]


def _outside(step: Callable[..., Any]) -> Callable[..., Any]:
    """A `step` that compiled programs call after each of their runs, because it changes Python numbers."""

    @functools.wraps(step)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        capture = bound.interceptor
        if capture is None:
            return step(self, *args, **kwargs)
        with intercept(None):
            result = step(self, *args, **kwargs)
        capture.effect(functools.partial(wrapper, self), f"{type(self).__name__}.step" + (" with arguments" if args or kwargs else ""))
        return result

    return wrapper


class LRScheduler:
    """Sets the learning rate of every group of an optimizer as training goes on.

    A subclass writes `rates()`, or overrides `get_lr()` as in PyTorch: the rates for `self.last_epoch`, one a group. Most compute them from
    the rates in the groups now, so that schedulers can be chained; where `_get_closed_form_lr()` exists it gives them from the epoch alone.
    Call `step()` once an epoch (or once a batch), after `optimizer.step()`. `last_epoch` is -1 for a new run.
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _outside(cls.step)  # type: ignore[method-assign]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = check_optimizer(type(self).__name__, optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", value_of(group["lr"]))
            elif "initial_lr" not in group:
                hint = "load the optimizer's state dict first, or leave last_epoch at -1 for a new run"
                got = f"group {i} without it and last_epoch={last_epoch}"
                raise ArgumentError(explain(type(self).__name__, expected="initial_lr in each group when resuming", got=got, hint=hint))
        self.base_lrs: Rates = [value_of(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    # -- what a subclass writes --------------------------------------------------------------------------------------------------------
    def rates(self) -> Rates:
        """The rates for `last_epoch`, one a group."""
        raise NotImplementedError(explain(type(self).__name__, expected="a rates or get_lr method", got="none"))

    def get_lr(self) -> Rates:
        """The rates for `last_epoch`, for use inside `step`; `get_last_lr` tells the rates in use."""
        if not self._get_lr_called_within_step:
            warnings.warn("get_lr is meant for step() alone; get_last_lr() tells the learning rates in use", UserWarning, stacklevel=2)
        return self.rates()

    # -- use ---------------------------------------------------------------------------------------------------------------------------
    @_outside
    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, or to `epoch`, and set the rates."""
        if self._step_count == 1 and not self.optimizer._opt_called:
            text = "lr_scheduler.step() came before optimizer.step(): the first learning rate is skipped. Call optimizer.step() first"
            warnings.warn(text, UserWarning, stacklevel=3)
        self._step_count += 1
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._get_lr_called_within_step = True
        try:
            closed = getattr(self, "_get_closed_form_lr", None) if epoch is not None else None
            rates = self.get_lr() if closed is None else closed()
        finally:
            self._get_lr_called_within_step = False
        self._write(rates)

    def _write(self, rates: Rates) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            set_option(group, "lr", rate)
        self._last_lr = self._current()

    def _current(self) -> Rates:
        """The rates in the groups now."""
        return [value_of(group["lr"]) for group in self.optimizer.param_groups]

    def _scaled(self, factor: float) -> Rates:
        """The rates in the groups now, times a factor."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def get_last_lr(self) -> Rates:
        """The rates that the last `step` set, one a group."""
        return self._last_lr

    # -- state dicts -------------------------------------------------------------------------------------------------------------------
    def state_dict(self) -> State:
        """Everything but the optimizer, under PyTorch's names."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: State) -> None:
        """Take over a state dict, ours or PyTorch's."""
        self.__dict__.update(state_dict)


def check_optimizer(op: str, optimizer: Any) -> Optimizer:
    """The optimizer, if it is one."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(explain(op, expected="an Optimizer", got=type(optimizer).__name__))
    return optimizer


def value_of(option: Any) -> Any:
    """The value of an option; a tensor is copied, so that later writes do not change it."""
    return option.clone() if isinstance(option, Tensor) else option


def set_option(group: State, name: str, value: Any) -> None:
    """Write an option of a group; a tensor is written in place."""
    if isinstance(group[name], Tensor):
        group[name].fill_(float(value))
    else:
        group[name] = value


def per_group(op: str, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value a group: a list of them, or one for all."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value_of(value) for _ in range(groups)]
    if len(value) != groups:
        raise ArgumentError(explain(op, expected=f"{groups} values of {name}, one a parameter group", got=str(len(value))))
    return [value_of(v) for v in value]


def function_state(fn: Any) -> Any:
    """What a state dict keeps of a user's function: the attributes of a callable object, None for a plain function."""
    return None if fn is None or isinstance(fn, (types.FunctionType, types.BuiltinFunctionType)) else dict(fn.__dict__)


class Composite(LRScheduler):
    """What schedulers made of schedulers share: `_schedulers`, and their state dicts inside its own."""

    _schedulers: list[LRScheduler]

    def state_dict(self) -> State:
        """As the base class, with the state dicts of the parts."""
        state = {key: value for key, value in self.__dict__.items() if key not in ("optimizer", "_schedulers")}
        return {**state, "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: State) -> None:
        """See the base class."""
        self.__dict__.update({key: value for key, value in state_dict.items() if key != "_schedulers"})
        for part, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            part.load_state_dict(state)
