"""Products of tensors beyond the matrix product: over chosen axes, of Kronecker, of chains, of sets; and matrices made from blocks and powers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import comb, prod
from typing import Any

import numpy as np

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.base.shapes import axis_of, broadcast
from flambeau.ops.matmul import matmul
from flambeau.ops.pointwise import into, mul_op, sub_op
from flambeau.ops.promotion import result_type, to_dtype
from flambeau.ops.shape import cat, flip, meshgrid, ravel, roll, stack, unsqueeze
from flambeau.primitives import indexing
from flambeau.primitives.movement import expand, pad, permute, reshape
from flambeau.primitives.reduce import cumprod
from flambeau.tensor.creation import as_tensor, ones_like, zeros
from flambeau.tensor.tensor import Tensor


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Products summed over pairs of axes: the last `dims` of a with the first `dims` of b, or two lists of axes.

    >>> import flambeau as fb
    >>> fb.tensordot(fb.ones(2, 3, 4), fb.ones(3, 4), dims=2)
    tensor([12., 12.])
    """
    n, m = a._a.ndim, b._a.ndim
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if not 0 <= dims <= min(n, m):
            raise ArgumentError(explain("tensordot", expected=f"dims in [0, {min(n, m)}]", got=str(dims)))
        left, right = list(range(n - dims, n)), list(range(dims))
    else:
        left, right = ([axis_of("tensordot", d, k) for d in ((side,) if isinstance(side, int) else side)] for side, k in zip(dims, (n, m), strict=True))
    sizes, others = [a._a.shape[d] for d in left], [b._a.shape[d] for d in right]
    if sizes != others:
        got = f"sizes {sizes} of {tuple(a.shape)} and {others} of {tuple(b.shape)}"
        raise ShapeError(explain("tensordot", expected="equal sizes of the axes that are summed over", got=got))
    rows, columns = [d for d in range(n) if d not in left], [d for d in range(m) if d not in right]
    x = reshape(permute(a, axes=(*rows, *left)), shape=(prod(a._a.shape[d] for d in rows), prod(sizes)))
    y = reshape(permute(b, axes=(*right, *columns)), shape=(prod(sizes), prod(b._a.shape[d] for d in columns)))
    result = reshape(matmul(x, y), shape=(*(a._a.shape[d] for d in rows), *(b._a.shape[d] for d in columns)))
    return result if out is None else into(out, result)


def kron(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The Kronecker product: each element of `input` times the whole of `other`."""
    n = max(input._a.ndim, other._a.ndim)
    a, b = ((1,) * (n - x._a.ndim) + x._a.shape for x in (input, other))
    x = reshape(input, shape=tuple(s for k in a for s in (k, 1)))
    y = reshape(other, shape=tuple(s for k in b for s in (1, k)))
    result = reshape(mul_op(x, y), shape=tuple(i * j for i, j in zip(a, b, strict=True)))
    return result if out is None else into(out, result)


def multi_dot(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """The product of a chain of matrices in the cheapest order. The first and the last may be vectors (a row and a column)."""
    chain = list(tensors)
    if len(chain) < 2:
        raise ArgumentError(explain("multi_dot", expected="at least 2 tensors", got=str(len(chain))))
    row, column = chain[0]._a.ndim == 1, chain[-1]._a.ndim == 1
    chain[0] = unsqueeze(chain[0], 0) if row else chain[0]
    chain[-1] = unsqueeze(chain[-1], 1) if column else chain[-1]
    for i, x in enumerate(chain):
        if x._a.ndim != 2:
            raise ShapeError(explain("multi_dot", expected="matrices (the first and last may be vectors)", got=f"tensor {i} of shape {tuple(x.shape)}"))
        if i and chain[i - 1]._a.shape[1] != x._a.shape[0]:
            got = f"{tuple(chain[i - 1].shape)} and {tuple(x.shape)} for tensors {i - 1} and {i}"
            raise ShapeError(explain("multi_dot", expected="inner sizes that agree", got=got))
    splits = _chain_order([x._a.shape[0] for x in chain] + [chain[-1]._a.shape[1]])
    result = _chain(chain, splits, 0, len(chain) - 1)
    result = reshape(result, shape=result._a.shape[int(row) : 2 - int(column)])
    return result if out is None else into(out, result)


def chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Tensor:
    """As `linalg.multi_dot`, with the matrices as arguments."""
    return matrices[0] if len(matrices) == 1 else multi_dot(matrices, out=out)


def _chain_order(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each part of a chain of matrices, sizes[i] x sizes[i+1] (Cormen et al., Introduction to Algorithms, 15.2)."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    splits = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            choices = [(cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)]
            cost[i, j], splits[i, j] = min(choices)
    return splits


def _chain(chain: list[Tensor], splits: dict[tuple[int, int], int], i: int, j: int) -> Tensor:
    if i == j:
        return chain[i]
    k = splits[i, j]
    return matmul(_chain(chain, splits, i, k), _chain(chain, splits, k + 1, j))


def cross(input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None) -> Tensor:
    """The cross product of vectors of 3 along an axis (the first of size 3, if `dim` is not given)."""
    shape = broadcast("cross", input._a.shape, other._a.shape)
    if dim is None:
        dim = next((i for i, n in enumerate(shape) if n == 3), 0)
    d = axis_of("cross", dim, len(shape))
    if not shape or shape[d] != 3:
        raise ShapeError(explain("cross", expected=f"size 3 along dim {dim}", got=f"{tuple(input.shape)} and {tuple(other.shape)}"))
    x, y = expand(input, shape=shape), expand(other, shape=shape)
    result = sub_op(mul_op(roll(x, -1, d), roll(y, -2, d)), mul_op(roll(x, -2, d), roll(y, -1, d)))
    return result if out is None else into(out, result)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element from each vector, one a row (a single vector is returned as it is)."""
    for i, x in enumerate(tensors):
        if x._a.ndim > 1:
            raise ShapeError(explain("cartesian_prod", expected="vectors", got=f"tensor {i} of shape {tuple(x.shape)}"))
    if len(tensors) == 1:
        return tensors[0]
    return stack([ravel(g) for g in meshgrid(*tensors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements of a vector, one a row, in the order of `itertools.combinations`."""
    if input._a.ndim != 1 or r < 0:
        raise ShapeError(explain("combinations", expected="a vector and r >= 0", got=f"shape {tuple(input.shape)} and r={r}"))
    n = input._a.size
    if r == 0:
        return zeros(0, dtype=input.dtype, device=input.device)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    count = (comb(n + r - 1, r) if n else 0) if with_replacement else comb(n, r)
    at = np.fromiter(itertools.chain.from_iterable(choose(range(n), r)), np.int64, count * r)
    return indexing.index(input, as_tensor(at.reshape(count, r), device=input.device), axes=(0,))


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the given matrices (vectors count as rows) along its diagonal and zeros elsewhere."""
    blocks = [as_tensor(x) for x in tensors]
    for i, x in enumerate(blocks):
        if x._a.ndim > 2:
            raise ShapeError(explain("block_diag", expected="at most 2 axes", got=f"tensor {i} of shape {tuple(x.shape)}"))
    if not blocks:
        return zeros(1, 0)
    blocks = [reshape(x, shape=(1,) * (2 - x._a.ndim) + x._a.shape) for x in blocks]
    d = result_type(*blocks)
    width = sum(x._a.shape[1] for x in blocks)
    rows = []
    start = 0
    for x in blocks:
        stop = start + x._a.shape[1]
        rows.append(pad(to_dtype(x, d), widths=((0, 0), (start, width - stop)), value=0))
        start = stop
    return cat(rows, 0)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The matrix of powers of a vector, one element a row, N columns (as many as elements by default), highest power first unless `increasing`."""
    if x._a.ndim != 1:
        raise ShapeError(explain("vander", expected="a vector", got=f"shape {tuple(x.shape)}"))
    powers = vander_increasing(x, N)
    return powers if increasing else flip(powers, 1)


def vander_increasing(x: Tensor, N: int | None) -> Tensor:
    """Powers 0 to N - 1 of the elements along a new last axis (`linalg.vander`)."""
    n = x._a.shape[-1] if N is None else N
    if n < 0:
        raise ArgumentError(explain("vander", expected="N >= 0", got=str(n)))
    x = to_dtype(x, dtypes.int64) if x._a.dtype.kind in "biu" else x
    column = unsqueeze(x, -1)
    if n <= 1:
        return expand(ones_like(column), shape=(*x._a.shape, n))
    first = cat([ones_like(column), expand(column, shape=(*x._a.shape, n - 1))], -1)
    return cumprod(first, axis=x._a.ndim)


__all__ = """
block_diag cartesian_prod chain_matmul combinations cross kron tensordot vander
""".split()
