"""The multinomial distribution."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau.distributions import constraints
from flambeau.distributions.binomial import Binomial
from flambeau.distributions.categorical import Categorical
from flambeau.distributions.distribution import Distribution
from flambeau.ops.pointwise import where
from flambeau.ops.shape import broadcast_tensors
from flambeau.tensor.creation import arange


class Multinomial(Distribution):
    """How often each of K categories comes in `total_count` draws (an int), for `probs` or `logits` of `Categorical`."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    _kept = ("total_count",)

    def __init__(self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if not isinstance(total_count, int):
            raise ArgumentError(explain("Multinomial", expected="total_count as an int", got=repr(total_count)))
        self.total_count = total_count
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """Vectors of counts."""
        return constraints.multinomial(self.total_count)

    @property
    def probs(self) -> Any:
        """Probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """Logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Any:
        """Shape of the parameter."""
        return self._categorical.param_shape

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    @no_grad()
    def sample(self, sample_shape: Any = ()) -> Any:
        drawn = self._categorical.sample((self.total_count, *sample_shape))
        drawn = drawn.movedim(0, -1)
        counts = self.logits.new_zeros(self._extended_shape(sample_shape))
        return counts.scatter_add(-1, drawn, self.logits.new_ones(drawn.shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_tensors(self.logits, value.type_as(self.logits))
        logits = where((value == 0) & (logits == float("-inf")), 0.0, logits)
        return (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1) + (logits * value).sum(-1)

    def entropy(self) -> Any:
        n = self.total_count
        counts = arange(1, n + 1, dtype=self.probs.dtype, device=self.probs.device).reshape((-1,) + (1,) * self.probs.ndim)
        chances = Binomial(n, probs=self.probs, validate_args=False).log_prob(counts).exp()
        spread = ((counts + 1).lgamma() * chances).sum((0, -1))
        return n * self._categorical.entropy() - self.logits.new_tensor(n + 1.0).lgamma() + spread
