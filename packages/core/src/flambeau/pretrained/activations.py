"""Activation functions by the names that configurations use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.base.errors import ArgumentError, did_you_mean, explain
from flambeau.nn import functional as F


def _gelu_tanh(x: Any) -> Any:
    return F.gelu(x, approximate="tanh")


_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": F.gelu,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "mish": F.mish,
    "linear": lambda x: x,
}


def activation(name: str) -> Callable[[Any], Any]:
    """The function called `name`. Raises ArgumentError for one that is not known.

    >>> import flambeau as fb
    >>> activation("relu")(fb.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if name not in _ACTIVATIONS:
        hint = did_you_mean(name, _ACTIVATIONS) or f"one of {', '.join(_ACTIVATIONS)}"
        raise ArgumentError(explain("activation", expected="a known name", got=repr(name), hint=hint))
    return _ACTIVATIONS[name]
