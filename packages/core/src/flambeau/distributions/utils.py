"""What distributions share: broadcasting of parameters, the two spellings of a probability, draws, checks of values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.autograd.modes import enable_grad
from flambeau.base.dtypes import default_dtype, finfo
from flambeau.base.errors import ArgumentError, explain
from flambeau.ops.joining import cat
from flambeau.ops.pointwise import logaddexp
from flambeau.ops.random import draw
from flambeau.ops.shape import broadcast_tensors
from flambeau.tensor.creation import tensor
from flambeau.tensor.tensor import Tensor

EULER = 0.57721566490153286060


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Parameters (tensors or numbers) as tensors of one shape. Numbers take the dtype and device of the tensors.

    >>> import flambeau as fb
    >>> [tuple(t.shape) for t in broadcast_all(fb.zeros(3, 1), 2.0)]
    [(3, 1), (3, 1)]
    """
    for v in values:
        if not isinstance(v, (Tensor, int, float)):
            raise ArgumentError(explain("distribution", expected="parameters that are tensors or numbers", got=type(v).__name__))
    like = next((v for v in values if isinstance(v, Tensor)), None)
    dtype, device = (default_dtype(), None) if like is None else (like.dtype, like.device)
    if not dtype.is_floating_point:
        dtype = default_dtype()
    return tuple(broadcast_tensors(*[v if isinstance(v, Tensor) else tensor(v, dtype=dtype, device=device) for v in values]))


def noise(name: str, like: Any, shape: tuple[int, ...], *args: float) -> Any:
    """A draw of the default generator (`uniform`, `normal`, `exponential`, ...) in the dtype and on the device of a parameter."""
    dtype = like._a.dtype
    return draw(name, (tuple(shape), dtype, *args), tuple(shape), dtype, None, like.device)


def holds(condition: Any) -> bool:
    """Whether a condition holds for all elements; taken for granted where values cannot be seen (shape-only tensors, batches of vmap)."""
    if condition.is_meta or condition.device.type == "meta":
        return True
    return bool(condition.all())


def tiny(x: Any) -> float:
    """The smallest positive normal number of a dtype."""
    return finfo(x.dtype).tiny


def eps(x: Any) -> float:
    """The distance from 1 to the next number of a dtype."""
    return finfo(x.dtype).eps


def clamp_probs(probs: Any) -> Any:
    """Probabilities kept away from 0 and 1 by the dtype's eps, so that logits stay finite."""
    return probs.clamp(eps(probs), 1 - eps(probs))


def sum_rightmost(x: Any, count: int) -> Any:
    """The sum over the last `count` axes."""
    return x if count == 0 else x.sum(tuple(range(-count, 0)))


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Sigmoid for a binary choice, softmax over the last axis otherwise."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """The inverse of `logits_to_probs`, with probabilities kept away from 0 and 1."""
    clamped = clamp_probs(probs)
    return clamped.log() - (-clamped).log1p() if is_binary else clamped.log()


class lazy_property:
    """An attribute computed at first use, with gradients even under `no_grad`, and kept."""

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self.compute, self.name = compute, compute.__name__
        self.__doc__ = compute.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = instance.__dict__[self.name] = self.compute(instance)
        return value


class ProbsOrLogits:
    """A distribution given by `probs` or by `logits`; the other is computed at need."""

    _binary = True
    _kept: tuple[str, ...] = ("_given",)

    def _set_probability(self, name: str, probs: Any, logits: Any, *others: Any) -> tuple[Any, ...]:
        """Keep the one that is given, broadcast with other parameters, which are returned."""
        if (probs is None) == (logits is None):
            raise ArgumentError(explain(name, expected="either probs or logits", got="neither" if probs is None else "both"))
        self._given = "probs" if logits is None else "logits"
        value, *rest = broadcast_all(probs if logits is None else logits, *others)
        self.__dict__[self._given] = value
        return tuple(rest)

    @lazy_property
    def logits(self) -> Any:
        """Log odds (of a binary choice), or logarithms of the probabilities."""
        return probs_to_logits(self.probs, self._binary)

    @lazy_property
    def probs(self) -> Any:
        """Probabilities."""
        return logits_to_probs(self.logits, self._binary)

    @property
    def _param(self) -> Any:
        return getattr(self, self._given)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)); the log of 1 - p is -softplus(logits), the log of p is -softplus(-logits)."""
    return logaddexp(x, 0.0)


def padded(x: Any, before: int, after: int, value: float = 0.0) -> Any:
    """x with constants put before and after along the last axis."""
    parts = [x.new_full((*x.shape[:-1], count), value) for count in (before, after)]
    return cat([part for part in (parts[0], x, parts[1]) if part.shape[-1]], -1) if before or after else x
