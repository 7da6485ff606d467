"""Checks of options, so that a wrong learning rate is an error when the optimizer is made and not a NaN an hour later."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.tensor.tensor import Tensor


def number(op: str, name: str, value: Any) -> float:
    """The option as a float: a number or a tensor with one element."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ArgumentError(explain(op, expected=f"{name} as a number or a tensor with one element", got=f"shape {tuple(value.shape)}"))
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ArgumentError(explain(op, expected=f"{name} as a number", got=repr(value))) from None


def at_least(op: str, low: float, options: dict[str, Any], *names: str) -> None:
    """Options that are numbers >= low."""
    for name in names:
        if not number(op, name, options[name]) >= low:
            raise ArgumentError(
                explain(op, expected=f"{name} >= {low:g}", got=f"{name}={options[name]!r}", hint=f"a {name} of {low:g} or more")
            )


def within(op: str, name: str, value: Any, low: float, high: float) -> None:
    """An option in [low, high)."""
    if not low <= number(op, name, value) < high:
        raise ArgumentError(explain(op, expected=f"{low:g} <= {name} < {high:g}", got=f"{name}={value!r}"))


def betas(op: str, options: dict[str, Any]) -> None:
    """Two decay rates in [0, 1)."""
    pair = options["betas"]
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ArgumentError(explain(op, expected="betas as a pair of numbers", got=repr(pair), hint="betas=(0.9, 0.999)"))
    for i, beta in enumerate(pair):
        within(op, f"betas[{i}]", beta, 0.0, 1.0)


def real(op: str, params: list[Tensor]) -> None:
    """Parameters that are not complex."""
    for p in params:
        if p.is_complex():
            raise ArgumentError(explain(op, expected="real parameters", got=f"one of dtype {p.dtype!r}"))
