"""The state dict of an optimizer, in PyTorch's form: `{"state": {index: {...}}, "param_groups": [{..., "params": [indices]}]}`."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import Any

import numpy as np

from flambeau.base.dtypes import default_dtype, float32, float64
from flambeau.base.errors import ArgumentError, explain
from flambeau.ops.promotion import to_dtype
from flambeau.tensor.creation import as_tensor, full
from flambeau.tensor.tensor import Tensor

State = dict[str, Any]
COUNTERS = frozenset(("step", "mu_product", "eta", "mu"))
"""Names of numbers in the state that are read in every step: they stay in host memory and in their own precision."""


def counter(value: float = 0.0) -> Tensor:
    """A number in the state that is kept as a zero-dimensional tensor in host memory, as PyTorch does: `step` and the like."""
    return full((), value, dtype=float64 if default_dtype() is float64 else float32, device="cpu")


def pack(state: Any, param_groups: list[State]) -> State:
    """Tensors as keys become the indices of the parameters, counted through all groups."""
    index: dict[int, int] = {}
    groups = []
    start = 0
    for group in param_groups:
        params = group["params"]
        for i, p in enumerate(params, start):
            index.setdefault(id(p), i)
        start += len(params)
        packed = {k: v for k, v in group.items() if k != "params"}
        packed["params"] = [index[id(p)] for p in params]
        groups.append(packed)
    return {"state": {index.get(id(k), k) if isinstance(k, Tensor) else k: v for k, v in state.items()}, "param_groups": groups}


def unpack(op: str, state_dict: State, current: list[State]) -> tuple[Any, list[State]]:
    """The state and the groups of a state dict, for the parameters in the current groups.

    Tensors are copied and brought to the dtype and device of their parameter.
    """
    saved = _groups(op, state_dict, current)
    params: dict[Any, Tensor] = {}
    for old, now in zip(saved, current, strict=True):
        params.update(zip(old["params"], now["params"], strict=True))
    state: Any = defaultdict(dict)
    for key, value in state_dict["state"].items():
        if key in params:
            state[params[key]] = _adopt(op, params[key], value, "", key)
        else:
            state[key] = value
    groups = []
    for old, now in zip(saved, current, strict=True):
        options = {k: _option(v) for k, v in old.items() if k != "params"}
        if "param_names" in now:
            options.setdefault("param_names", now["param_names"])
        groups.append({**options, "params": now["params"]})
    return state, groups


def _groups(op: str, state_dict: State, current: list[State]) -> list[State]:
    if not isinstance(state_dict, dict) or not {"state", "param_groups"} <= set(state_dict):
        got = f"a dict with the keys {sorted(map(str, state_dict))[:5]}" if isinstance(state_dict, dict) else type(state_dict).__name__
        raise ArgumentError(explain(op, expected='an optimizer\'s state dict with "state" and "param_groups"', got=got))
    saved: list[State] = state_dict["param_groups"]
    if len(saved) != len(current):
        raise ArgumentError(explain(op, expected=f"{len(current)} parameter groups", got=f"{len(saved)} in the state dict"))
    for i, (old, now) in enumerate(zip(saved, current, strict=True)):
        if len(old["params"]) != len(now["params"]):
            expected = f"{len(now['params'])} parameters in group {i}"
            raise ArgumentError(explain(op, expected=expected, got=f"{len(old['params'])} in the state dict"))
    return saved


def _option(value: Any) -> Any:
    return copy.deepcopy(as_tensor(np.asarray(value))) if _foreign(value) else copy.deepcopy(value)


def _foreign(value: Any) -> bool:
    """Whether it is a tensor of another library."""
    return not isinstance(value, (Tensor, np.generic)) and hasattr(value, "__array__")


def _adopt(op: str, p: Tensor, value: Any, key: str, index: Any) -> Any:
    if isinstance(value, dict):
        return {k: _adopt(op, p, v, k, index) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_adopt(op, p, v, key, index) for v in value])
    if key == "step" and not isinstance(value, Tensor):
        return counter(float(value))  # old files hold a plain number
    if _foreign(value):
        value = as_tensor(np.asarray(value))
    if not isinstance(value, Tensor):
        return copy.deepcopy(value)
    value = value.detach()
    if key in COUNTERS:
        return value.cpu().clone()
    if value.is_floating_point() and p.is_floating_point():
        value = to_dtype(value, p.dtype)
    return value.to(p.device, copy=True)


def check_fit(op: str, p: Tensor, loaded: State, fresh: State) -> None:
    """Refuse the state of another rule or of a parameter of another shape; `fresh` is the state that the rule starts with."""
    missing = [key for key in fresh if key not in loaded]
    if missing:
        hint = "the state dict of an optimizer of the same class and options"
        raise ArgumentError(explain(op, expected=f"a state with {sorted(fresh)}", got=f"one with {sorted(map(str, loaded))}", hint=hint))
    for key, start in fresh.items():
        value = loaded[key]
        if isinstance(start, Tensor) and isinstance(value, Tensor) and start.shape != value.shape:
            expected = f"{key} of shape {tuple(start.shape)} for a parameter of shape {tuple(p.shape)}"
            hint = "a state dict of the same model, with its parameters in the same order"
            raise ArgumentError(explain(op, expected=expected, got=str(tuple(value.shape)), hint=hint))
