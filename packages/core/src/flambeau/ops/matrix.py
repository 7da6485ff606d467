"""Functions of matrices beyond factorisations: norms, condition, powers, exponential, inverses and systems of tensors."""

from __future__ import annotations

from math import prod
from typing import Any

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.base.shapes import axis_of
from flambeau.ops import reduction
from flambeau.ops.casting import casting
from flambeau.ops.factor import matrices, put
from flambeau.ops.matmul import matmul
from flambeau.ops.pointwise import abs as abs_of
from flambeau.ops.pointwise import div_op, mul_op, where
from flambeau.ops.products import cross as cross_of
from flambeau.ops.products import vander_increasing
from flambeau.ops.promotion import to_dtype
from flambeau.ops.reduction import amax, amin, sum
from flambeau.ops.shape import diagonal as diagonal_of
from flambeau.ops.shape import movedim, ravel
from flambeau.ops.solve import inv as inverse_of
from flambeau.ops.solve import inv_ex, solve
from flambeau.primitives import linalg as rows
from flambeau.primitives.movement import permute, reshape
from flambeau.tensor.creation import eye
from flambeau.tensor.tensor import Tensor

_INF = float("inf")


def vector_norm(x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Tensor | None = None) -> Tensor:
    """(sum |x|^ord)^(1/ord) along axes (all by default); inf and -inf give the largest and smallest size, 0 counts nonzeros."""
    return put(out, reduction.vector_norm(x, ord, dim, keepdim, dtype=dtype))


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None, out: Tensor | None = None
) -> Tensor:
    """The norm of matrices: "fro", "nuc" (sum of singular values), 2 and -2 (largest and smallest), 1, -1 (columns), inf, -inf (rows)."""
    x = A if dtype is None else to_dtype(A, dtypes.as_dtype(dtype))
    matrices("matrix_norm", x)
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ArgumentError(explain("matrix_norm", expected="dim as two axes", got=repr(dim)))
    row, column = (axis_of("matrix_norm", d, x._a.ndim) for d in dim)
    if row == column:
        raise ShapeError(explain("matrix_norm", expected="two different axes", got=repr(dim)))
    if ord == "fro":
        return put(out, reduction.vector_norm(x, 2, (row, column), keepdim))
    values = _matrix_norm(movedim(x, (row, column), (-2, -1)), ord)
    if keepdim:
        values = reshape(values, shape=tuple(1 if i in (row, column) else n for i, n in enumerate(x._a.shape)))
    return put(out, values)


def _matrix_norm(x: Tensor, ord: Any) -> Tensor:
    if ord in ("nuc", 2, -2):
        values = rows.svdvals(x)
        return sum(values, -1) if ord == "nuc" else amax(values, -1) if ord == 2 else amin(values, -1)
    if ord in (1, -1, _INF, -_INF):
        sums = sum(abs_of(x), -2 if ord in (1, -1) else -1)
        return amax(sums, -1) if ord > 0 else amin(sums, -1)
    raise ArgumentError(explain("matrix_norm", expected="ord 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2", got=repr(ord)))


def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, out: Tensor | None = None, dtype: Any = None) -> Tensor:
    """A vector or matrix norm: of all elements by default, along one axis, or of the matrices in two axes.

    >>> import flambeau as fb
    >>> fb.linalg.norm(fb.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if dim is None and ord is not None:
        if A._a.ndim not in (1, 2):
            raise ShapeError(explain("norm", expected="1 or 2 axes where ord is given without dim", got=f"shape {tuple(A.shape)}"))
        dim = tuple(range(A._a.ndim))
    elif isinstance(dim, int):
        dim = (dim,)
    if ord is not None and dim is not None and len(dim) == 2:
        return matrix_norm(A, ord, dim, keepdim, dtype=dtype, out=out)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype, out=out)


def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The condition number norm(A) * norm(inv(A)) in a matrix norm (2 by default); inf for a singular matrix."""
    x = matrices("cond", A, square=p not in (None, 2, -2))
    if p in (None, 2, -2):
        values = rows.svdvals(x)
        first, last = values[..., 0], values[..., -1]
        return put(out, div_op(last, first) if p == -2 else div_op(first, last))
    result = inv_ex(x)
    number = mul_op(matrix_norm(x, p), matrix_norm(result.inverse, p))
    return put(out, where(result.info == 1, _INF, number))


def matrix_power(A: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """A multiplied with itself n times, by repeated squaring; negative n go by the inverse."""
    x = A
    if A._a.dtype.kind not in "biu" or n < 0:
        matrices("matrix_power", A, square=True)
    if n < 0:
        x, n = inverse_of(A), -n
    if A._a.ndim < 2 or A._a.shape[-1] != A._a.shape[-2]:
        raise ShapeError(explain("matrix_power", expected="square matrices in the last two axes", got=f"shape {tuple(A.shape)}"))
    if n == 0:
        return put(out, eye(A._a.shape[-1], dtype=A.dtype, device=A.device).expand(A._a.shape).clone())
    result = None
    while n:
        if n & 1:
            result = x if result is None else matmul(result, x)
        n >>= 1
        if n:
            x = matmul(x, x)
    assert result is not None
    return put(out, result)


def matrix_exp(A: Tensor) -> Tensor:
    """The matrix exponential, sum of A^k / k! (Higham 2005)."""
    return rows.matrix_exp(matrices("matrix_exp", A, square=True))


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """Inner products along an axis, the first operand conjugated."""
    return put(out, sum(mul_op(x.conj(), y), dim))


def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The cross product of vectors of 3 along an axis."""
    return cross_of(input, other, dim, out=out)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonal of the last two axes, as a view."""
    return diagonal_of(A, offset, dim1, dim2)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Vandermonde matrices: powers 0 to N - 1 of the elements, along a new last axis."""
    return vander_increasing(x, N)


def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of `tensordot` with A over its first `ind` axes."""
    shape = A._a.shape
    lead, rest = shape[:ind], shape[ind:]
    if ind <= 0 or prod(lead) != prod(rest):
        raise ShapeError(
            explain(
                "tensorinv", expected="as many elements in the first ind axes as in the others", got=f"shape {tuple(shape)} and ind={ind}"
            )
        )
    return put(out, reshape(inverse_of(reshape(A, shape=(prod(lead), prod(rest)))), shape=rest + lead))


def tensorsolve(A: Tensor, B: Tensor, dims: Any = None, *, out: Tensor | None = None) -> Tensor:
    """X with tensordot(A, X, X.ndim) = B; the axes `dims` of A are moved to its end first."""
    if dims is not None:
        moved = [axis_of("tensorsolve", d, A._a.ndim) for d in dims]
        A = permute(A, axes=(*(i for i in range(A._a.ndim) if i not in moved), *moved))
    rest = A._a.shape[B._a.ndim :]
    n = prod(rest)
    if n != B._a.size or A._a.size != n * n:
        raise ShapeError(
            explain(
                "tensorsolve", expected="A that is square when seen as a matrix from X to B", got=f"{tuple(A.shape)} and {tuple(B.shape)}"
            )
        )
    return put(out, reshape(solve(reshape(A, shape=(n, n)), ravel(B)), shape=rest))


__all__ = ["matrix_exp", "matrix_power"]

casting(globals())
