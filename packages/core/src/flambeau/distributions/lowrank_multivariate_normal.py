"""The multivariate normal distribution with a covariance matrix of low rank plus a diagonal."""

from __future__ import annotations

import math
from typing import Any

from flambeau.base.errors import ShapeError, explain
from flambeau.base.shapes import broadcast
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.multivariate_normal import log_diagonal, mahalanobis
from flambeau.distributions.utils import lazy_property, noise
from flambeau.ops.factor import cholesky
from flambeau.ops.indexing import diag_embed
from flambeau.ops.solve import solve_triangular
from flambeau.tensor.creation import eye


class LowRankMultivariateNormal(Distribution):
    """Vectors of length n with mean `loc` and covariance `cov_factor @ cov_factor.mT + diag(cov_diag)`.

    `cov_factor` is (..., n, rank), `cov_diag` (..., n). Work grows with n * rank**2 instead of n**3 (Woodbury's identity, and the matrix
    determinant lemma).
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        n = loc.shape[-1] if loc.ndim else None
        if n is None or cov_factor.ndim < 2 or cov_factor.shape[-2] != n or not cov_diag.ndim or cov_diag.shape[-1] != n:
            got = f"{tuple(loc.shape)}, {tuple(cov_factor.shape)} and {tuple(cov_diag.shape)}"
            expected = "loc (..., n), cov_factor (..., n, rank) and cov_diag (..., n)"
            raise ShapeError(explain("LowRankMultivariateNormal", expected=expected, got=got))
        batch = broadcast("LowRankMultivariateNormal", *[tuple(s) for s in (loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])])
        self.loc, self.cov_diag = loc.expand((*batch, n)), cov_diag.expand((*batch, n))
        self.cov_factor = cov_factor.expand((*batch, *cov_factor.shape[-2:]))
        super().__init__(batch, (n,), validate_args)

    @lazy_property
    def _capacitance_tril(self) -> Any:
        """The Cholesky factor of I + W^T D^-1 W."""
        w = self.cov_factor
        inner = w.mT @ (w / self.cov_diag.unsqueeze(-1))
        return cholesky(inner + eye(w.shape[-1], dtype=w.dtype, device=w.device))

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self.cov_factor.square().sum(-1) + self.cov_diag

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance matrix."""
        return self.cov_factor @ self.cov_factor.mT + diag_embed(self.cov_diag)

    @lazy_property
    def scale_tril(self) -> Any:
        """The lower Cholesky factor of the covariance matrix."""
        return cholesky(self.covariance_matrix)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance matrix."""
        scaled = (self.cov_factor / self.cov_diag.unsqueeze(-1)).mT
        a = solve_triangular(self._capacitance_tril, scaled, upper=False)
        return diag_embed(self.cov_diag.reciprocal()) - a.mT @ a

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        w = noise("normal", self.loc, (*shape[:-1], self.cov_factor.shape[-1]))
        d = noise("normal", self.loc, shape)
        return self.loc + (self.cov_factor @ w.unsqueeze(-1)).squeeze(-1) + self.cov_diag.sqrt() * d

    def _log_det(self) -> Any:
        return 2 * log_diagonal(self._capacitance_tril) + self.cov_diag.log().sum(-1)

    def _mahalanobis(self, x: Any) -> Any:
        inner = (self.cov_factor.mT @ (x / self.cov_diag).unsqueeze(-1)).squeeze(-1)
        return (x.square() / self.cov_diag).sum(-1) - mahalanobis(self._capacitance_tril, inner)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + self._log_det() + self._mahalanobis(value - self.loc))

    def entropy(self) -> Any:
        return 0.5 * (self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._log_det())
