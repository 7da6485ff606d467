"""The base of all optimizers: parameter groups, state, hooks, state dicts, and the two halves of a step.

A rule writes three methods:

* `init_one(group, p)`: the state of a parameter before its first step;
* `scalars(group, state)`: count the step, and return every number that the update needs, as floats;
* `update_one(group, p, grad, state, s)`: the update in tensor operations, in place, with no number but those in `s`.

So a step has a host half (`advance`, which computes numbers) and a tensor half (`apply`, which computes tensors). A compiled step captures
the second and takes the floats of the first as inputs: a scheduler changes them and nothing is compiled again.
"""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from operator import is_
from typing import Any

from numpy import ndarray

from flambeau.autograd.hooks import RemovableHandle, put
from flambeau.autograd.modes import enable_grad, mode, no_grad
from flambeau.base.errors import ArgumentTypeError, GradientError, explain
from flambeau.device.cpu import CPU_BACKEND
from flambeau.optim.groups import Group, Params, as_groups, make_group, required
from flambeau.optim.numbers import Numbers, Settings
from flambeau.optim.state import State, check_fit, counter, pack, unpack
from flambeau.primitives.bind import intercept
from flambeau.primitives.bind import state as bound
from flambeau.primitives.movement import view_as_real
from flambeau.primitives.value import storage_of
from flambeau.tensor.tensor import Tensor

Scalars = dict[str, float]
Update = tuple[Group, Tensor, Tensor, State, Scalars]
_HOOKS = ("step_pre", "step_post", "state_dict_pre", "state_dict_post", "load_state_dict_pre", "load_state_dict_post")
_global_pre: dict[int, Any] = OrderedDict()
_global_post: dict[int, Any] = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before each step of every optimizer."""
    return put(_global_pre, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after each step of every optimizer."""
    return put(_global_post, hook)


def _hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """A `step` method with the hooks around it."""

    @functools.wraps(step)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True
        hooks = self._hooks
        before, after = hooks["step_pre"], hooks["step_post"]
        if self._in_step or not (before or after or _global_pre or _global_post):
            return step(self, *args, **kwargs)
        self._in_step = True  # a step that calls super().step() runs the hooks once
        try:
            args = (self, *args)
            for hook in (*_global_pre.values(), *before.values()):
                changed = hook(self, args, kwargs)
                if changed is not None:
                    if not isinstance(changed, tuple) or len(changed) != 2:
                        expected = "None or (args, kwargs) from a step pre-hook"
                        raise ArgumentTypeError(explain(f"{type(self).__name__}.step", expected=expected, got=repr(changed)))
                    args, kwargs = changed
            result = step(*args, **kwargs)
            for hook in (*after.values(), *_global_post.values()):
                hook(self, args, kwargs)
            return result
        finally:
            self._in_step = False

    return wrapper


@dataclass(frozen=True)
class _Form:
    """`update_one` as a function of arrays and numbers. `key` is what decides its form, without the optimizer that it is called with."""

    update_one: Any
    settings: Any
    state: tuple[str, ...]
    numbers: tuple[str, ...]
    owner: Any

    @property
    def key(self) -> Any:
        return self.update_one, self.settings, self.state, self.numbers

    def __call__(self, p: Any, grad: Any, *rest: Any) -> None:
        optimizer, group, state = self.owner
        count = len(self.state)
        given = {**state, **dict(zip(self.state, rest))}
        changed = dict(given)
        with no_grad():
            self.update_one(optimizer, group, p, grad, changed, dict(zip(self.numbers, rest[count:])))
        if changed.keys() != given.keys() or any(changed[key] is not value for key, value in given.items()):
            raise NotImplementedError(f"{type(optimizer).__name__} makes state in its update")  # no kernel hands that out


class Optimizer:
    """What all optimizers share.

    `params`: an iterable of tensors, of (name, tensor) pairs, or of dicts with "params" and options for that group. `defaults`: the options
    of groups that do not give them. `param_groups` is the list of groups; options in it may be changed at any time. `state` maps a
    parameter to its state.

    The options `foreach`, `fused` and `capturable` of PyTorch are accepted and kept, so that state dicts carry over; they change nothing
    here. With `differentiable=True` a step is recorded by autograd.
    """

    pairs_of_reals = True  # complex parameters are updated as pairs of real numbers
    by_counters = False  # whether `scalars` looks at nothing but the group and the counters of the state

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._set_up()
        self.state: Any = defaultdict(dict)
        self.param_groups: list[Group] = []
        for group in as_groups(type(self).__name__, params):
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _hooked(cls.step)  # type: ignore[method-assign]

    def _set_up(self) -> None:
        self._hooks: dict[str, OrderedDict[int, Any]] = {name: OrderedDict() for name in _HOOKS}
        self._in_step = self._opt_called = False
        self.banks: dict[int, Any] = {}  # where the counters of a compiled step lie, by the identity of the group

    # -- what a rule writes ------------------------------------------------------------------------------------------------------------
    def check(self, group: Group) -> None:
        """Raise an error for options that the rule cannot take. Called for each group that is added."""

    def init_one(self, group: Group, p: Tensor) -> State:
        """The state of a parameter before its first step."""
        return {}

    def scalars(self, group: Group, state: State) -> Scalars:
        """Count the step in the state and return the numbers of this update."""
        return {"lr": float(group["lr"])}

    def update_one(self, group: Group, p: Any, grad: Any, state: State, s: Scalars) -> None:
        """Update p and its state in place."""
        hint = "write update_one, or a step of its own"
        raise NotImplementedError(explain(type(self).__name__, expected="a rule", got="no update_one", hint=hint))

    # -- a step ------------------------------------------------------------------------------------------------------------------------
    @_hooked
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient. `closure`, if given, first computes loss and gradients; the loss is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            if bound.interceptor is None:
                self.apply(self.advance())
            else:
                self._step_captured(bound.interceptor)
        return loss

    def _step_captured(self, capture: Any) -> None:
        """A step under capture."""
        updates = self._advance_captured(capture)
        before = [list(state.values()) for *_, state, _ in updates]
        self.apply(updates)
        if any(len(b) != len(u[3]) or not all(map(is_, b, u[3].values())) for b, u in zip(before, updates)):
            capture.later(f"{type(self).__name__} made state in this step")

    def _advance_captured(self, capture: Any) -> list[Update]:
        """The host half under capture: state comes to be outside the program, and its numbers become inputs of it."""
        known = self.state
        pairs = [(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        with intercept(None):
            live = [(group, p, known.get(p) or self._start(group, p)) for group, p in pairs]
            numbers = Numbers(self, live)
            capture.guard(Settings(self, numbers), f"settings or state of {type(self).__name__}")
        tables = capture.runtime(numbers)
        return [(group, p, p.grad, state, tables[i]) for (group, p, state), i in zip(live, numbers.place, strict=True)]

    def advance(self) -> list[Update]:
        """The host half of a step: for each parameter with a gradient, its state (made now if it is new) and the numbers of this step."""
        updates: list[Update] = []
        known = self.state
        for group in self.param_groups:
            for p in group["params"]:
                grad = p.grad
                if grad is not None:
                    state = known.get(p) or self._start(group, p)
                    updates.append((group, p, grad, state, self.scalars(group, state)))
        return updates

    def _start(self, group: Group, p: Tensor) -> State:
        state = self.init_one(group, p)
        if state:
            self.state[p] = state
        return state

    def apply(self, updates: list[Update]) -> None:
        """The tensor half of a step."""
        for group, p, grad, state, s in updates:
            if group.get("differentiable"):
                with enable_grad():
                    for key, value in state.items():
                        if isinstance(value, Tensor):
                            state[key] = value.clone()  # earlier steps keep what they need for backward
                    self._update(group, p, grad, state, s)
            else:
                self._update(group, p, grad, state, s)

    def _update(self, group: Group, p: Tensor, grad: Tensor, state: State, s: Scalars) -> None:
        if p._a.dtype.kind == "c" and self.pairs_of_reals:
            p, grad = view_as_real(p), view_as_real(grad)
            state = {key: view_as_real(v) if isinstance(v, Tensor) and v.is_complex() else v for key, v in state.items()}
        if not self._updated_at_once(group, p, grad, state, s):
            self.update_one(group, p, grad, state, s)

    def _updated_at_once(self, group: Group, p: Tensor, grad: Tensor, state: State, s: Scalars) -> bool:
        """Update a large parameter on the CPU by one kernel made of `update_one`, if that can be done."""
        a = p._a
        if (
            type(a) is not ndarray
            or a.size < CPU_BACKEND.large
            or bound.interceptor is not None
            or mode.grad
            or type(grad._a) is not ndarray
        ):
            return False
        kept = {key: v for key, v in state.items() if isinstance(v, Tensor) and v._a.shape == a.shape}
        settings = tuple((k, v != 0 if isinstance(v, float) else v) for k, v in group.items() if k not in ("params", "param_names"))
        form = _Form(type(self).update_one, settings, tuple(kept), tuple(s), (self, group, state))
        given = (a, grad._a, *(v._a for v in kept.values()), *s.values())
        if CPU_BACKEND.compiled(form, given, {}, (0, *range(2, 2 + len(kept)))) is NotImplemented:
            return False
        for x in (p, *kept.values()):
            storage_of(x).version += 1
        return True

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with `set_to_none=False` set them to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    p.grad = p.grad.detach()
                    p.grad.zero_()

    # -- groups ------------------------------------------------------------------------------------------------------------------------
    def add_param_group(self, param_group: Group) -> None:
        """Add a group, e.g. layers of a pretrained network that are unfrozen: `{"params": layer.parameters(), "lr": 1e-4}`."""
        op = type(self).__name__
        group = make_group(op, param_group, self.defaults, self.param_groups)
        self.check(group)
        if group.get("differentiable"):
            for name, value in group.items():
                if isinstance(value, Tensor) and value.requires_grad:
                    got = f"{name} as a tensor that requires grad"
                    hint = "gradients flow through the parameters, the gradients and the state; options are plain numbers"
                    raise GradientError(explain(op, expected="options without gradient", got=got, hint=hint))
        self.param_groups.append(group)

    # -- state dicts and pickling ------------------------------------------------------------------------------------------------------
    def state_dict(self) -> State:
        """The state as a dict in PyTorch's form, which PyTorch's optimizer of the same name loads too.

        Its tensors are those of the optimizer, not copies.
        """
        for hook in self._hooks["state_dict_pre"].values():
            hook(self)
        packed = pack(self.state, self.param_groups)
        for hook in self._hooks["state_dict_post"].values():
            result = hook(self, packed)
            packed = packed if result is None else result
        return packed

    def load_state_dict(self, state_dict: State) -> None:
        """Take over a state dict, ours or PyTorch's. Parameters are matched by their order, and tensors are copied.

        Make schedulers before calling this: they write the learning rate.
        """
        op = f"{type(self).__name__}.load_state_dict"
        state_dict = dict(state_dict) if isinstance(state_dict, dict) else state_dict
        for hook in self._hooks["load_state_dict_pre"].values():
            result = hook(self, state_dict)
            state_dict = state_dict if result is None else result
        state, groups = unpack(op, state_dict, self.param_groups)
        for group, now in zip(groups, self.param_groups, strict=True):
            for name in self.defaults:
                group.setdefault(name, now[name])  # files of older versions lack the newer options
            for p in group["params"]:
                if p in state:
                    check_fit(op, p, state[p], self.init_one(group, p))
        self.state, self.param_groups = state, groups
        for hook in self._hooks["load_state_dict_post"].values():
            hook(self)

    def __getstate__(self) -> State:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: State) -> None:
        if "_hooks" not in self.__dict__:
            self._set_up()
        self.__dict__.update(state)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    # -- hooks -------------------------------------------------------------------------------------------------------------------------
    def _register(self, kind: str, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        handle = put(self._hooks[kind], hook)
        if prepend:
            self._hooks[kind].move_to_end(handle.id, last=False)
        return handle

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return new (args, kwargs)."""
        return self._register("step_pre", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return self._register("step_post", hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before a state dict is made."""
        return self._register("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on a new state dict; what it returns, if not None, replaces it."""
        return self._register("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before a state dict is loaded; what it returns, if not None, replaces it."""
        return self._register("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` after a state dict was loaded."""
        return self._register("load_state_dict_post", hook, prepend)


def count(state: State) -> float:
    """Add one to the step counter of a state and return it."""
    step = state["step"]._a
    value: float = step.item() + 1
    step[()] = value
    return value


def descent(group: Group, p: Any, grad: Any, s: Scalars) -> Any:
    """The direction to go down: the gradient, turned round by `maximize`, plus weight_decay * p."""
    if group["maximize"]:
        grad = -grad
    return grad.add(p, alpha=s["weight_decay"]) if group["weight_decay"] != 0 else grad


__all__ = ["Optimizer", "counter", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook", "required"]
