"""The continuous Bernoulli distribution (Loaiza-Ganem & Cunningham 2019, "The continuous Bernoulli")."""

from __future__ import annotations

import math
from typing import Any

from flambeau.distributions import constraints
from flambeau.distributions.exp_family import ExponentialFamily
from flambeau.distributions.utils import ProbsOrLogits, broadcast_all, clamp_probs, noise, softplus
from flambeau.ops.pointwise import where


class ContinuousBernoulli(ProbsOrLogits, ExponentialFamily):
    """Numbers in [0, 1] with density C(probs) * probs**x * (1 - probs)**(1 - x).

    Within `lims` around 1/2, where the closed forms divide 0 by 0, their Taylor series are used.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _kept = ("_given", "_lims")

    def __init__(
        self, probs: Any = None, logits: Any = None, lims: tuple[float, float] = (0.499, 0.501), validate_args: bool | None = None
    ) -> None:
        self._set_probability("ContinuousBernoulli", probs, logits)
        self._lims = lims
        super().__init__(self._param.shape, validate_args=validate_args)
        if probs is not None:
            self.probs = clamp_probs(self.probs)

    @property
    def param_shape(self) -> Any:
        """Shape of the parameter."""
        return self._param.shape

    def _outside(self) -> Any:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut(self) -> Any:
        """Probabilities with those near 1/2 replaced, so that no branch makes NaN (not even in gradients)."""
        return where(self._outside(), self.probs, self._lims[0])

    def _log_norm(self) -> Any:
        """log C(probs)."""
        p = self._cut()
        exact = (2 * (1 - 2 * p).atanh() / (1 - 2 * p)).log()
        x = (self.probs - 0.5).square()
        return where(self._outside(), exact, math.log(2) + (4 / 3 + 104 / 45 * x) * x)

    @property
    def mean(self) -> Any:
        p = self._cut()
        exact = p / (2 * p - 1) + 1 / (2 * (1 - 2 * p).atanh())
        x = self.probs - 0.5
        return where(self._outside(), exact, 0.5 + (1 / 3 + 16 / 45 * x.square()) * x)

    @property
    def variance(self) -> Any:
        p = self._cut()
        exact = p * (p - 1) / (1 - 2 * p).square() + 1 / (2 * (1 - 2 * p).atanh()).square()
        x = (self.probs - 0.5).square()
        return where(self._outside(), exact, 1 / 12 - (1 / 15 - 128 / 945 * x) * x)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(noise("uniform", self.probs, self._extended_shape(sample_shape), 0.0, 1.0))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return value * logits - softplus(logits) + self._log_norm()

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        p = self._cut()
        exact = (p.pow(value) * (1 - p).pow(1 - value) + p - 1) / (2 * p - 1)
        inner = where(self._outside(), exact, value)
        return where(value <= 0, 0.0, where(value >= 1, 1.0, inner))

    def icdf(self, value: Any) -> Any:
        p = self._cut()
        exact = ((-p + value * (2 * p - 1)).log1p() - (-p).log1p()) / (p.log() - (-p).log1p())
        return where(self._outside(), exact, value)

    def entropy(self) -> Any:
        return softplus(self.logits) - self.mean * self.logits - self._log_norm()

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.logits,)

    def _log_normalizer(self, x: Any) -> Any:
        near = (x.sigmoid() > self._lims[0]) & (x.sigmoid() <= self._lims[1])
        safe = where(near, math.log(self._lims[0] / (1 - self._lims[0])), x)
        return where(near, 0.5 * x + x.square() / 24, (safe.expm1() / safe).log())
