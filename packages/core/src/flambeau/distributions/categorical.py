"""The categorical distribution."""

from __future__ import annotations

from math import prod
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.dtypes import finfo, int64
from flambeau.base.errors import ShapeError, explain
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.utils import ProbsOrLogits
from flambeau.ops.random import multinomial
from flambeau.ops.shape import broadcast_tensors
from flambeau.tensor.creation import arange


class Categorical(ProbsOrLogits, Distribution):
    """One of the numbers 0 ... K - 1, with the probabilities in the last axis of `probs` or `logits` (either is normalised).

    >>> import flambeau as fb
    >>> d = Categorical(probs=fb.tensor([1.0, 1.0, 2.0]))
    >>> d.log_prob(fb.tensor(2)).exp(), d.sample((5,)).shape
    (tensor(0.5000), flambeau.Size([5]))
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _binary = False
    _kept = ("_given", "_num_events")

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._set_probability("Categorical", probs, logits)
        if self._param.ndim < 1:
            raise ShapeError(explain("Categorical", expected="a parameter with an axis of categories", got="a zero-dimensional one"))
        if probs is not None:
            self.probs = self.probs / self.probs.sum(-1, keepdim=True)
        else:
            self.logits = self.logits - self.logits.logsumexp(-1, keepdim=True)
        self._num_events = self._param.shape[-1]
        super().__init__(self._param.shape[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """The category numbers."""
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def param_shape(self) -> Any:
        """Shape of the parameter."""
        return self._param.shape

    @property
    def mean(self) -> Any:
        return self._nan()

    @property
    def variance(self) -> Any:
        return self._nan()

    def _nan(self) -> Any:
        return self._param.new_full(self._batch_shape, float("nan"))

    @property
    def mode(self) -> Any:
        return self.probs.argmax(-1)

    @no_grad()
    def sample(self, sample_shape: Any = ()) -> Any:
        shape, count = self._extended_shape(sample_shape), prod(sample_shape)
        if prod(shape) == 0:
            return self._param.new_zeros(shape, dtype=int64)
        return multinomial(self.probs.reshape(-1, self._num_events), count, True).t().reshape(shape)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        index, table = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return table.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Any:
        return -(self.logits.clamp(min=finfo(self.logits.dtype).min) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        values = arange(self._num_events, dtype=int64, device=self._param.device).reshape((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values
