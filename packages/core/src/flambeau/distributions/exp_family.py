"""Exponential families: densities exp(theta . t(x) - F(theta) + k(x))."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.engine import grad
from flambeau.autograd.modes import enable_grad
from flambeau.distributions.distribution import Distribution


class ExponentialFamily(Distribution):
    """A distribution that knows its natural parameters theta and log normaliser F.

    The entropy follows from the gradient of F (Nielsen & Nock 2010); subclasses with a closed form override it.
    """

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        raise self._lacks("natural parameters")

    def _log_normalizer(self, *natural_params: Any) -> Any:
        raise self._lacks("a log normaliser")

    @property
    def _mean_carrier_measure(self) -> Any:
        raise self._lacks("the mean of its carrier measure")

    def entropy(self) -> Any:
        """F(theta) - theta . grad F(theta) - E[k(x)]."""
        with enable_grad():
            given = self._natural_params
            thetas = [p if p.requires_grad else p.detach().requires_grad_() for p in given]
            normaliser = self._log_normalizer(*thetas)
            slopes = grad(normaliser.sum(), thetas, create_graph=True)
        total = normaliser - self._mean_carrier_measure
        for theta, slope in zip(thetas, slopes):
            total = total - (theta * slope).reshape((*self._batch_shape, -1)).sum(-1)
        return total if any(p.requires_grad for p in given) else total.detach()
