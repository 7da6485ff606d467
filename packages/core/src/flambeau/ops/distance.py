"""Distances and similarities of vectors under PyTorch's names."""

from __future__ import annotations

import numpy as np

from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.base.shapes import axis_of, broadcast
from flambeau.ops.pointwise import add_op, clamp, div_op, mul_op, sub_op
from flambeau.ops.promotion import operands
from flambeau.ops.reduction import vector_norm
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


__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]
