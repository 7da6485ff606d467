"""Transforms of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

from flambeau.base.dtypes import finfo
from flambeau.base.errors import ShapeError, explain
from flambeau.distributions import constraints
from flambeau.distributions.transform import Transform
from flambeau.distributions.utils import padded, softplus, sum_rightmost
from flambeau.ops.factor import cholesky
from flambeau.ops.indexing import diag_embed
from flambeau.ops.joining import cat, stack
from flambeau.tensor.creation import arange, eye
from flambeau.tensor.tensor import Size


class SoftmaxTransform(Transform):
    """Real vectors to the simplex of the same length, y = softmax(x). Not a bijection: the inverse is log."""

    domain, codomain = constraints.real_vector, constraints.simplex

    def _call(self, x: Any) -> Any:
        return x.softmax(-1)

    def _backward(self, y: Any) -> Any:
        return y.log()


class StickBreakingTransform(Transform):
    """Real vectors of length n to the simplex of length n + 1: each number breaks its share off what is left of a stick.

    Stan reference manual, "Unit simplex". Zero maps to the centre of the simplex.
    """

    domain, codomain = constraints.real_vector, constraints.simplex
    bijective = True

    def _offset(self, x: Any, length: int) -> Any:
        return (length - arange(length, dtype=x.dtype, device=x.device)).log()

    def _call(self, x: Any) -> Any:
        share = (x - self._offset(x, x.shape[-1])).sigmoid()
        left = (1 - share).cumprod(-1)
        return padded(share, 0, 1, 1.0) * padded(left, 1, 0, 1.0)

    def _backward(self, y: Any) -> Any:
        cut = y[..., :-1]
        left = (1 - cut.cumsum(-1)).clamp(min=finfo(y.dtype).tiny)
        return cut.log() - left.log() + self._offset(y, cut.shape[-1])

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        z = x - self._offset(x, x.shape[-1])
        return (-softplus(z) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        return Size((*shape[:-1], _at_least_one("StickBreakingTransform", shape) + 1))

    def inverse_shape(self, shape: Any) -> Any:
        return Size((*shape[:-1], _at_least_one("StickBreakingTransform", shape) - 1))


def _at_least_one(name: str, shape: Any) -> int:
    if not shape:
        raise ShapeError(explain(name, expected="a vector", got="a zero-dimensional tensor"))
    return shape[-1]


class LowerCholeskyTransform(Transform):
    """Square matrices to lower triangular ones with a positive diagonal (its exponential)."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + diag_embed(x.diagonal(dim1=-2, dim2=-1).exp())

    def _backward(self, y: Any) -> Any:
        return y.tril(-1) + diag_embed(y.diagonal(dim1=-2, dim2=-1).log())


class PositiveDefiniteTransform(Transform):
    """Square matrices to positive definite ones, L @ L.T of the image under `LowerCholeskyTransform`."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.positive_definite

    def _call(self, x: Any) -> Any:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _backward(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(cholesky(y))


class CorrCholeskyTransform(Transform):
    """Real vectors of length n (n - 1) / 2 to Cholesky factors of n x n correlation matrices.

    Each number goes through tanh to a partial correlation; every row of the factor is a stick of squared length 1 that they break.
    """

    domain, codomain = constraints.real_vector, constraints.corr_cholesky
    bijective = True

    def _call(self, x: Any) -> Any:
        x = x.tanh().clamp(-1 + finfo(x.dtype).eps, 1 - finfo(x.dtype).eps)
        r = _fill_lower(x)
        left = (1 - r * r).sqrt().cumprod(-1)
        return (r + eye(r.shape[-1], dtype=r.dtype, device=r.device)) * padded(left[..., :-1], 1, 0, 1.0)

    def _backward(self, y: Any) -> Any:
        left = 1 - (y * y).cumsum(-1)
        before = padded(left[..., :-1], 1, 0, 1.0)
        partial = _take_lower(y) / _take_lower(before).sqrt()
        return 0.5 * (partial.log1p() - (-partial).log1p())

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        left = 1 - (y * y).cumsum(-1)
        rows = _take_lower(left[..., :-1], -2).log().sum(-1)
        return 0.5 * rows - 2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        count = _at_least_one("CorrCholeskyTransform", shape)
        n = round((0.25 + 2 * count) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != count:
            raise ShapeError(explain("CorrCholeskyTransform", expected="n (n - 1) / 2 numbers", got=f"{count}"))
        return Size((*shape[:-1], n, n))

    def inverse_shape(self, shape: Any) -> Any:
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise ShapeError(explain("CorrCholeskyTransform", expected="square matrices", got=str(tuple(shape))))
        return Size((*shape[:-2], shape[-1] * (shape[-1] - 1) // 2))


def _fill_lower(x: Any) -> Any:
    """Vectors as strictly lower triangular matrices, row by row."""
    n = round((0.25 + 2 * x.shape[-1]) ** 0.5 + 0.5)
    rows = x.split(list(range(n)), -1) if n > 1 else [x]
    return stack([padded(row, 0, n - row.shape[-1]) for row in rows], -2)


def _take_lower(m: Any, diagonal: int = -1) -> Any:
    """The elements on and below a diagonal, row by row."""
    rows = [m[..., i, : max(min(i + 1 + diagonal, m.shape[-1]), 0)] for i in range(m.shape[-2])]
    return cat(rows, -1)


class CatTransform(Transform):
    """One transform for each of several parts (of the given `lengths`) of the axis `dim`."""

    def __init__(self, tseq: Any, dim: int = 0, lengths: Any = None, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.dim, self.lengths = dim, [1] * len(self.transforms) if lengths is None else list(lengths)

    @property
    def event_dim(self) -> int:
        return max(t.event_dim for t in self.transforms)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(t.bijective for t in self.transforms)

    @property
    def domain(self) -> Any:
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @property
    def codomain(self) -> Any:
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)

    def _parts(self, x: Any) -> Any:
        if x.shape[self.dim] != sum(self.lengths):
            got = f"size {x.shape[self.dim]} along dim {self.dim}"
            raise ShapeError(explain("CatTransform", expected=f"parts of lengths {self.lengths}", got=got))
        return x.split(self.lengths, self.dim)

    def _call(self, x: Any) -> Any:
        return cat([t(part) for t, part in zip(self.transforms, self._parts(x))], self.dim)

    def _backward(self, y: Any) -> Any:
        return cat([t.inv(part) for t, part in zip(self.transforms, self._parts(y))], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        axes = self.event_dim
        terms = [
            sum_rightmost(t.log_abs_det_jacobian(a, b), axes - t.event_dim)
            for t, a, b in zip(self.transforms, self._parts(x), self._parts(y))
        ]
        dim = self.dim if self.dim < 0 else self.dim - x.ndim
        if dim + axes < 0:
            return cat(terms, dim + axes)
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    def _parameters(self) -> tuple[Any, ...]:
        return (*self.transforms, self.dim, *self.lengths)


class StackTransform(Transform):
    """One transform for each index of the axis `dim`."""

    def __init__(self, tseq: Any, dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.dim = dim

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        return all(t.bijective for t in self.transforms)

    @property
    def domain(self) -> Any:
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @property
    def codomain(self) -> Any:
        return constraints.stack([t.codomain for t in self.transforms], self.dim)

    def _parts(self, x: Any) -> Any:
        if x.shape[self.dim] != len(self.transforms):
            got = f"size {x.shape[self.dim]} along dim {self.dim}"
            raise ShapeError(explain("StackTransform", expected=f"{len(self.transforms)} slices", got=got))
        return x.unbind(self.dim)

    def _call(self, x: Any) -> Any:
        return stack([t(part) for t, part in zip(self.transforms, self._parts(x))], self.dim)

    def _backward(self, y: Any) -> Any:
        return stack([t.inv(part) for t, part in zip(self.transforms, self._parts(y))], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        parts = zip(self.transforms, self._parts(x), self._parts(y))
        return stack([t.log_abs_det_jacobian(a, b) for t, a, b in parts], self.dim)

    def _parameters(self) -> tuple[Any, ...]:
        return (*self.transforms, self.dim)
