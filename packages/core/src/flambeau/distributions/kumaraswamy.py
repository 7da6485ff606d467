"""The Kumaraswamy distribution."""

from __future__ import annotations

from typing import Any

from flambeau.distributions import constraints
from flambeau.distributions.transformed_distribution import TransformedDistribution
from flambeau.distributions.transforms import AffineTransform, PowerTransform
from flambeau.distributions.uniform import Uniform
from flambeau.distributions.utils import EULER, broadcast_all
from flambeau.ops.pointwise import where


class Kumaraswamy(TransformedDistribution):
    """Numbers in [0, 1], much like a beta distribution, with the simple cdf 1 - (1 - x**concentration1) ** concentration0."""

    arg_constraints = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = a, b = broadcast_all(concentration1, concentration0)
        steps = [PowerTransform(b.reciprocal()), AffineTransform(1, -1), PowerTransform(a.reciprocal())]
        super().__init__(Uniform(a.new_zeros(a.shape), 1.0, validate_args), steps, validate_args=validate_args)

    def _moment(self, n: int) -> Any:
        a, b = self.concentration1, self.concentration0
        ratio = 1 + n / a
        return (b.log() + ratio.lgamma() + b.lgamma() - (ratio + b).lgamma()).exp()

    @property
    def mean(self) -> Any:
        return self._moment(1)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        mode = ((a - 1).log() - (a * b - 1).log()) / a
        return where((a < 1) | (b < 1), float("nan"), mode.exp())

    @property
    def variance(self) -> Any:
        return self._moment(2) - self.mean.square()

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + EULER
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - a.log() - b.log()
