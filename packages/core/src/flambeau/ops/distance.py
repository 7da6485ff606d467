"""Distances and similarities of vectors under PyTorch's names."""

from __future__ import annotations

import numpy as np

from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.base.shapes import axis_of, broadcast
from flambeau.ops.casting import casting
from flambeau.ops.joining import cat
from flambeau.ops.matmul import matmul
from flambeau.ops.pointwise import add_op, clamp, div_op, eq_op, mul_op, sqrt, sub_op, where
from flambeau.ops.promotion import operands
from flambeau.ops.reduction import vector_norm
from flambeau.ops.shape import unsqueeze
from flambeau.primitives.elementwise import fill
from flambeau.primitives.indexing import index
from flambeau.primitives.movement import expand
from flambeau.primitives.reduce import sum_
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor


def at_least(size: Tensor, eps: float) -> Tensor:
    """Limited from below, but with the gradient of what it was."""
    plain = size.detach()
    return add_op(size, sub_op(clamp(plain, min=eps), plain))


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps over the last axis."""
    return vector_norm(add_op(sub_op(x1, x2), eps), p, -1 if max(x1._a.ndim, x2._a.ndim) else None, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between x1 and x2 along an axis; lengths count as at least eps.

    >>> import flambeau as fb
    >>> fb.cosine_similarity(fb.tensor([[1.0, 0.0]]), fb.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """
    x, y = operands("cosine_similarity", x1, x2, floating=True)
    shape = broadcast("cosine_similarity", x._a.shape, y._a.shape)
    axis = axis_of("cosine_similarity", dim, len(shape))
    x, y = (t if t._a.shape == shape else expand(t, shape=shape) for t in (x, y))
    units = [div_op(t, at_least(vector_norm(t, 2, axis, True), eps)) for t in (x, y)]
    return sum_(mul_op(*units), axis=(axis,) if shape else (), keepdim=False)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances of all pairs of rows of (N, M), as the vector (0, 1), (0, 2), ..., (1, 2), ..."""
    if input._a.ndim != 2:
        raise ShapeError(explain("pdist", expected="a matrix of rows", got=f"shape {tuple(input.shape)}"))
    if p < 0:
        raise ArgumentError(explain("pdist", expected="p >= 0", got=str(p)))
    first, second = (as_tensor(i, device=input.device) for i in np.triu_indices(input._a.shape[0], 1))
    return vector_norm(sub_op(index(input, first, axes=(0,)), index(input, second, axes=(0,))), p, 1)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """The p-norm distances of each row of x1 (..., P, M) from each row of x2 (..., R, M), as (..., P, R).

    Euclidean distances go by matrix products where P or R is above 25 (or as `compute_mode` says); that is fast, and inexact for rows
    that nearly agree.
    """
    modes = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    if compute_mode not in modes:
        raise ArgumentError(explain("cdist", expected="compute_mode " + ", ".join(modes), got=repr(compute_mode)))
    if p < 0:
        raise ArgumentError(explain("cdist", expected="p >= 0", got=str(p)))
    x, y = operands("cdist", x1, x2)
    a, b = x._a.shape, y._a.shape
    if len(a) < 2 or len(b) < 2 or a[-1] != b[-1]:
        raise ShapeError(explain("cdist", expected="(..., P, M) and (..., R, M)", got=f"{tuple(a)} and {tuple(b)}"))
    if x._a.dtype.kind not in "fV":
        raise DtypeError(explain("cdist", expected="floating-point tensors", got=repr(x.dtype), hint=".float()"))
    large = max(a[-2], b[-2]) > 25
    if p == 2 and a[-1] and (compute_mode == modes[1] or (compute_mode == modes[0] and large)):
        return _euclidean(x, y)
    return vector_norm(sub_op(unsqueeze(x, -2), unsqueeze(y, -3)), p, -1)


def _euclidean(x: Tensor, y: Tensor) -> Tensor:
    """From |x|^2 + |y|^2 - 2 x y, in one product of rows with two more columns."""
    squares = [sum_(mul_op(t, t), axis=(t._a.ndim - 1,), keepdim=True) for t in (x, y)]
    ones = [fill(s.detach(), value=1) for s in squares]
    left = cat([mul_op(x, -2.0), squares[0], ones[0]], -1)
    right = cat([y, ones[1], squares[1]], -1)
    total = clamp(matmul(left, right.mT), min=0)
    nought = eq_op(total, 0)
    return where(nought, 0.0, sqrt(where(nought, 1.0, total)))


__all__ = ["cdist", "cosine_similarity", "pairwise_distance", "pdist"]

casting(globals())
