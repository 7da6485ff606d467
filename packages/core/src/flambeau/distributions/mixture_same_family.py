"""Mixtures of one family."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.base.shapes import broadcast
from flambeau.distributions import constraints
from flambeau.distributions.categorical import Categorical
from flambeau.distributions.distribution import Distribution
from flambeau.tensor.tensor import Size


class MixtureSameFamily(Distribution):
    """A mixture: the last batch axis of `component_distribution` holds the components, `mixture_distribution` their weights.

    >>> import flambeau as fb
    >>> from flambeau.distributions import Categorical, Normal
    >>> d = MixtureSameFamily(Categorical(fb.ones(2)), Normal(fb.tensor([-1.0, 1.0]), 1.0))
    >>> d.mean, d.variance
    (tensor(0.), tensor(2.))
    """

    arg_constraints = {}
    has_rsample = False

    def __init__(self, mixture_distribution: Any, component_distribution: Any, validate_args: bool | None = None) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ArgumentError(explain("MixtureSameFamily", expected="a Categorical as mixture", got=type(mixture_distribution).__name__))
        if not isinstance(component_distribution, Distribution):
            got = type(component_distribution).__name__
            raise ArgumentError(explain("MixtureSameFamily", expected="a distribution as component", got=got))
        inner = tuple(component_distribution.batch_shape)
        weights = tuple(mixture_distribution.param_shape)
        if not inner or inner[-1] != weights[-1]:
            got = f"weights {weights} and components {inner}"
            raise ShapeError(explain("MixtureSameFamily", expected="as many weights as components along the last batch axis", got=got))
        broadcast("MixtureSameFamily", inner[:-1], weights[:-1])
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        super().__init__(inner[:-1], component_distribution.event_shape, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = Size(batch_shape)
        new = self._blank(_instance)
        count = self._component_distribution.batch_shape[-1]
        new._mixture_distribution = self._mixture_distribution.expand(shape)
        new._component_distribution = self._component_distribution.expand((*shape, count))
        Distribution.__init__(new, shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mixture_distribution(self) -> Any:
        """The weights."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The components."""
        return self._component_distribution

    @constraints.dependent_property
    def support(self) -> Any:
        """That of the components (of which any may have made the value)."""
        return _Mixed(self._component_distribution.support, len(self._event_shape))

    def _weights(self) -> Any:
        """Probabilities with the components' event axes added."""
        probs = self._mixture_distribution.probs
        return probs.reshape((*probs.shape, *(1,) * len(self._event_shape)))

    def _component_axis(self) -> int:
        return -1 - len(self._event_shape)

    @property
    def mean(self) -> Any:
        return (self._weights() * self._component_distribution.mean).sum(self._component_axis())

    @property
    def variance(self) -> Any:
        axis, weights = self._component_axis(), self._weights()
        within = (weights * self._component_distribution.variance).sum(axis)
        off = self._component_distribution.mean - self.mean.unsqueeze(axis)
        return within + (weights * off.square()).sum(axis)

    @no_grad()
    def sample(self, sample_shape: Any = ()) -> Any:
        lead = len(sample_shape) + len(self._batch_shape)
        chosen = self._mixture_distribution.expand(self._batch_shape).sample(sample_shape)
        drawn = self._component_distribution.sample(sample_shape)
        index = chosen.reshape((*chosen.shape, 1, *(1,) * len(self._event_shape)))
        index = index.expand((*chosen.shape, 1, *self._event_shape))
        return drawn.gather(lead, index).squeeze(lead)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        inner = self._component_distribution.log_prob(value.unsqueeze(self._component_axis()))
        return (inner + self._mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def cdf(self, value: Any) -> Any:
        inner = self._component_distribution.cdf(value.unsqueeze(self._component_axis()))
        return (inner * self._mixture_distribution.probs).sum(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self._mixture_distribution!r}, {self._component_distribution!r})"


class _Mixed(constraints.Constraint):
    """Values that lie in the support of some component."""

    def __init__(self, base: Any, event_dim: int) -> None:
        self._base, self.event_dim, self.is_discrete = base, event_dim, base.is_discrete

    def check(self, value: Any) -> Any:
        return self._base.check(value.unsqueeze(-1 - self.event_dim)).any(-1)
