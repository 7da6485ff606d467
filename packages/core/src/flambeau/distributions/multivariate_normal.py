"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.base.shapes import broadcast
from flambeau.distributions import constraints
from flambeau.distributions.distribution import Distribution
from flambeau.distributions.utils import lazy_property, noise
from flambeau.ops.factor import cholesky
from flambeau.ops.solve import solve_triangular
from flambeau.tensor.creation import eye


def mahalanobis(factor: Any, x: Any) -> Any:
    """x^T M^-1 x of vectors (..., n), where M = factor @ factor^T with a lower triangular factor (..., n, n)."""
    return solve_triangular(factor, x.unsqueeze(-1), upper=False).squeeze(-1).square().sum(-1)


def log_diagonal(factor: Any) -> Any:
    """Half the logarithm of the determinant of factor @ factor^T."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def factor_of_inverse(precision: Any) -> Any:
    """The lower triangular L with L @ L^T = precision^-1."""
    flipped = cholesky(precision.flip((-2, -1)))
    inverse = flipped.flip((-2, -1)).mT  # upper triangular U with U^T U = precision, transposed
    return solve_triangular(inverse, eye(precision.shape[-1], dtype=precision.dtype, device=precision.device), upper=False)


class MultivariateNormal(Distribution):
    """Vectors with mean `loc` and one of: `covariance_matrix`, its inverse `precision_matrix`, its Cholesky factor `scale_tril`.

    >>> import flambeau as fb
    >>> MultivariateNormal(fb.zeros(2), fb.eye(2)).log_prob(fb.zeros(2))
    tensor(-1.8379)
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _kept = ()

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = {name: matrix for name, matrix in given.items() if matrix is not None}
        if loc.ndim < 1:
            raise ShapeError(explain("MultivariateNormal", expected="loc with at least one axis", got="a zero-dimensional tensor"))
        if len(given) != 1:
            expected = "one of covariance_matrix, precision_matrix and scale_tril"
            raise ArgumentError(explain("MultivariateNormal", expected=expected, got=" and ".join(given) or "none"))
        ((name, matrix),) = given.items()
        if matrix.ndim < 2:
            raise ShapeError(explain("MultivariateNormal", expected=f"{name} with at least two axes", got=f"shape {tuple(matrix.shape)}"))
        batch = broadcast("MultivariateNormal", tuple(matrix.shape[:-2]), tuple(loc.shape[:-1]))
        self.__dict__[name] = matrix.expand((*batch, *matrix.shape[-2:]))
        self.loc = loc.expand((*batch, loc.shape[-1]))
        super().__init__(batch, self.loc.shape[-1:], validate_args)
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = scale_tril
        else:
            self._unbroadcasted_scale_tril = cholesky(matrix) if name == "covariance_matrix" else factor_of_inverse(matrix)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril
        return new

    def _matrix_shape(self) -> tuple[int, ...]:
        return (*self._batch_shape, *self._event_shape, *self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """The lower Cholesky factor of the covariance matrix."""
        return self._unbroadcasted_scale_tril.expand(self._matrix_shape())

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance matrix."""
        factor = self._unbroadcasted_scale_tril
        return (factor @ factor.mT).expand(self._matrix_shape())

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance matrix."""
        factor = self._unbroadcasted_scale_tril
        inverse = solve_triangular(factor, eye(factor.shape[-1], dtype=factor.dtype, device=factor.device), upper=False)
        return (inverse.mT @ inverse).expand(self._matrix_shape())

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self._unbroadcasted_scale_tril.square().sum(-1).expand((*self._batch_shape, *self._event_shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        z = noise("normal", self.loc, self._extended_shape(sample_shape))
        return self.loc + (self._unbroadcasted_scale_tril @ z.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        factor = self._unbroadcasted_scale_tril
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + mahalanobis(factor, value - self.loc)) - log_diagonal(factor)

    def entropy(self) -> Any:
        half = log_diagonal(self._unbroadcasted_scale_tril).expand(self._batch_shape)
        return 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + half
