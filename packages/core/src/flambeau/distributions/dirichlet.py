"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any

from flambeau.base.dtypes import float64
from flambeau.base.errors import ShapeError, explain
from flambeau.distributions import constraints
from flambeau.distributions.exp_family import ExponentialFamily
from flambeau.distributions.utils import tiny
from flambeau.ops.pointwise import where, xlogy
from flambeau.ops.random import standard_gamma


class Dirichlet(ExponentialFamily):
    """Probability vectors; the last axis of `concentration` holds one positive number for each entry.

    Draws are normalised gamma numbers, so their gradients are implicit ones, too (Figurnov, Mohamed & Mnih 2018).
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ShapeError(explain("Dirichlet", expected="a concentration with at least one axis", got="a zero-dimensional tensor"))
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Any:
        above = (self.concentration - 1).clamp(min=0.0)
        mode = above / above.sum(-1, keepdim=True)
        largest = self.concentration.argmax(-1, keepdim=True)
        corner = self.concentration.new_zeros(mode.shape).scatter(-1, largest, 1.0)
        return where((self.concentration < 1).all(-1, keepdim=True), corner, mode)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total.square() * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        parts = standard_gamma(self.concentration.expand(shape).to(float64))  # small concentrations make numbers that float32 has not
        drawn = (parts / parts.sum(-1, keepdim=True)).to(self.concentration.dtype)
        return drawn.clamp(min=tiny(drawn))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        k = self.concentration
        return xlogy(k - 1.0, value).sum(-1) + k.sum(-1).lgamma() - k.lgamma().sum(-1)

    def entropy(self) -> Any:
        k, n = self.concentration, self.concentration.shape[-1]
        total = k.sum(-1)
        return k.lgamma().sum(-1) - total.lgamma() - (n - total) * total.digamma() - ((k - 1.0) * k.digamma()).sum(-1)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.concentration,)

    def _log_normalizer(self, x: Any) -> Any:
        return x.lgamma().sum(-1) - x.sum(-1).lgamma()
