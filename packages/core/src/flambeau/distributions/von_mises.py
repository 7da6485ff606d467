"""The von Mises distribution."""

from __future__ import annotations

import math
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base.dtypes import float64
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.utils import broadcast_all, noise
from flambeau.ops.pointwise import where
from flambeau.primitives.elementwise import i0e, i1e
from flambeau.tensor.creation import zeros


class VonMises(Distribution):
    """Angles in [-pi, pi) around `loc`, the more so the larger `concentration` is: the normal distribution of the circle."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        """The circular variance, 1 - I1(concentration) / I0(concentration)."""
        return 1 - i1e(self.concentration) / i0e(self.concentration)

    def _log_i0(self) -> Any:
        return i0e(self.concentration).log() + self.concentration

    @no_grad()
    def sample(self, sample_shape: Any = ()) -> Any:
        """Best & Fisher 1979, "Efficient simulation of the von Mises distribution", in float64."""
        shape = self._extended_shape(sample_shape)
        loc, k = self.loc.to(float64), self.concentration.to(float64).expand(shape)
        tau = 1 + (1 + 4 * k.square()).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * k)
        r = where(k < 1e-5, 1 / k + k, (1 + rho.square()) / (2 * rho))
        angle = zeros(shape, dtype=float64, device=loc.device)
        done = angle != 0
        while not bool(done.all()):
            u1, u2, u3 = noise("uniform", loc, (3, *shape), 0.0, 1.0).unbind()
            z = (math.pi * u1).cos()
            f = (1 + r * z) / (r + z)
            c = k * (r - f)
            accepted = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
            angle = where(accepted, (u3 - 0.5).sign() * f.clamp(-1, 1).acos(), angle)
            done = done | accepted
        return ((angle + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return self.concentration * (value - self.loc).cos() - math.log(2 * math.pi) - self._log_i0()

    def entropy(self) -> Any:
        return math.log(2 * math.pi) + self._log_i0() - self.concentration * (1 - self.variance)
