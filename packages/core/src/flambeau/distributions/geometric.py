"""The geometric distribution."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.utils import ProbsOrLogits, holds, noise, softplus, tiny
from flambeau.ops.pointwise import where


class Geometric(ProbsOrLogits, Distribution):
    """The number of failures (0, 1, ...) before the first success of probability `probs` (or log odds `logits`)."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._set_probability("Geometric", probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)
        if self._validate_args and probs is not None and not holds(self.probs > 0):
            raise ArgumentError(explain("Geometric", expected="probs above 0", got=f"{self.probs!r}"))

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Any:
        return self.probs.new_zeros(self.probs.shape)

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    @no_grad()
    def sample(self, sample_shape: Any = ()) -> Any:
        u = noise("uniform", self.probs, self._extended_shape(sample_shape), tiny(self.probs), 1.0)
        return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        certain = (self.probs == 1) & (value == 0)
        return value * (-where(certain, 0.0, self.probs)).log1p() + self.probs.log()

    def entropy(self) -> Any:
        return (softplus(self.logits) - self.probs * self.logits) / self.probs
