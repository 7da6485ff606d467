"""From what a user passes as `params` to checked parameter groups."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.tensor.tensor import Tensor

Group = dict[str, Any]
Params = Iterable[Any]
"""Parameters: an iterable of tensors, of (name, tensor) pairs, or of dicts with "params" and options of that group."""


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
"""As a default: the option must be given in every group."""


def as_groups(op: str, params: Params) -> list[Group]:
    """The groups in `params`; a plain list of parameters is one group."""
    if isinstance(params, Tensor):
        hint = "put it into a list: [tensor]"
        raise ArgumentTypeError(explain(op, expected="an iterable of tensors or of dicts as params", got="a single tensor", hint=hint))
    groups = list(params)
    if not groups:
        hint = "pass model.parameters() of a model that has some; a generator gives its items only once"
        raise ArgumentError(explain(op, expected="at least one parameter", got="an empty parameter list", hint=hint))
    return groups if isinstance(groups[0], dict) else [{"params": groups}]


def make_group(op: str, given: Any, defaults: dict[str, Any], existing: list[Group]) -> Group:
    """A group with every option, after checking it against the groups that exist."""
    if not isinstance(given, dict) or "params" not in given:
        hint = '{"params": [...], "lr": 1e-3}'
        got = f"a dict with the keys {sorted(given)}" if isinstance(given, dict) else type(given).__name__
        raise ArgumentTypeError(explain(op, expected='a parameter group: a dict with "params"', got=got, hint=hint))
    group = {**given, **_names_and_tensors(op, given["params"])}
    for p in group["params"]:
        _check_parameter(op, p, bool(defaults.get("differentiable")))
    for name, default in defaults.items():
        if default is required and name not in group:
            raise ArgumentError(explain(op, expected=f"a value for {name!r} in each group", got="a group without it"))
        group.setdefault(name, default)
    _check_overlap(op, group, existing)
    return group


def _names_and_tensors(op: str, params: Any) -> Group:
    if isinstance(params, Tensor):
        return {"params": [params]}
    if isinstance(params, (set, frozenset)):
        hint = "a list; a set has another order in each run, and state is matched by order"
        raise ArgumentTypeError(explain(op, expected="an ordered collection of parameters", got=type(params).__name__, hint=hint))
    items = list(params)
    named = [item for item in items if isinstance(item, tuple)]
    if not named:
        return {"params": items}
    if len(named) != len(items):
        got = f"{len(named)} (name, tensor) pairs among {len(items)} items"
        raise ArgumentError(explain(op, expected="names for all parameters or for none", got=got, hint="model.named_parameters()"))
    return {"params": [p for _, p in named], "param_names": [name for name, _ in named]}


def _check_parameter(op: str, p: Any, differentiable: bool) -> None:
    if not isinstance(p, Tensor):
        raise ArgumentTypeError(explain(op, expected="tensors as parameters", got=type(p).__name__, hint="model.parameters()"))
    if not differentiable and not (p.is_leaf or p.retains_grad):
        hint = "pass the tensor that it was computed from, or .detach().requires_grad_()"
        name = type(p._node).__name__ if p.grad_fn is None else p.grad_fn.name()
        raise ArgumentError(
            explain(op, expected="leaf tensors as parameters", got=f"the result of {name} with shape {tuple(p.shape)}", hint=hint)
        )


def _check_overlap(op: str, group: Group, existing: list[Group]) -> None:
    mine = {id(p) for p in group["params"]}
    if len(mine) != len(group["params"]):
        text = explain(
            op, expected="each parameter once", got="a group with duplicate parameters, which are updated once for each time they occur"
        )
        warnings.warn(text, UserWarning, stacklevel=5)
    for i, other in enumerate(existing):
        if ("param_names" in group) != ("param_names" in other):
            raise ArgumentError(
                explain(op, expected="names in all groups or in none", got="both kinds", hint="model.named_parameters() in each group")
            )
        for p in other["params"]:
            if id(p) in mine:
                got = f"one of shape {tuple(p.shape)} that group {i} has already"
                raise ArgumentError(explain(op, expected="each parameter in one group", got=got, hint="leave it out of one of them"))
