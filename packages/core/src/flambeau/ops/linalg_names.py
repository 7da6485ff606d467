"""The older names of linear algebra at PyTorch's top level, and as methods: signatures differ from those in `flambeau.linalg`."""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau.ops import factor, solve
from flambeau.ops.shape import adjoint, matrix_transpose
from flambeau.primitives import linalg as rows
from flambeau.tensor.creation import eye, zeros
from flambeau.tensor.tensor import Tensor


class USV(NamedTuple):
    """x = U @ diag(S) @ V.mH."""

    U: Tensor
    S: Tensor
    V: Tensor


class TriangularSolution(NamedTuple):
    """A solution, and a copy of the matrix."""

    solution: Tensor
    cloned_coefficient: Tensor


def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse (see `linalg.inv`)."""
    return solve.inv(input, out=out)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The Moore-Penrose inverse (see `linalg.pinv`)."""
    return solve.pinv(input, rcond)


def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The Cholesky factor (see `linalg.cholesky`)."""
    return factor.cholesky(input, upper=upper, out=out)


def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """X with A @ X = input, from the Cholesky factor of A."""
    factor.matrices("cholesky_solve", L, square=True)
    factor.same_dtype("cholesky_solve", L, input)
    low, high = (adjoint(L), L) if upper else (L, adjoint(L))
    half = rows.solve_triangular(low, input, upper=False, unit=False)
    return factor.put(out, rows.solve_triangular(high, half, upper=True, unit=False))


def cholesky_inverse(L: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A, from its Cholesky factor."""
    return cholesky_solve(eye(L._a.shape[-1], dtype=L.dtype, device=L.device), L, upper, out=out)


def qr(input: Tensor, some: bool = True, *, out: Any = None) -> factor.QR:
    """Q and R, reduced if `some` (see `linalg.qr`)."""
    return factor.qr(input, "reduced" if some else "complete", out=out)


def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> USV:
    """U, S and V (not its transpose), reduced if `some` (see `linalg.svd`)."""
    x = factor.matrices("svd", input)
    if not compute_uv:
        m, n = x._a.shape[-2:]
        u, v = (zeros(*x._a.shape[:-2], k, k, dtype=x.dtype, device=x.device) for k in (m, n))
        return factor.put(out, USV(u, rows.svdvals(x), v))
    u, s, vh = rows.svd(x, full=not some)
    return factor.put(out, USV(u, s, adjoint(vh)))


def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False, *, out: Any = None
) -> TriangularSolution:
    """X with A @ X = b (or A.mT @ X = b) for triangular A, and a copy of A (see `linalg.solve_triangular`)."""
    a = matrix_transpose(A) if transpose else A
    x = solve.solve_triangular(a, b, upper=upper != transpose, unitriangular=unitriangular)
    return factor.put(out, TriangularSolution(x, A.clone()))


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """The packed LU factorisation and its pivots (and zeros, with `get_infos`; see `linalg.lu_factor`)."""
    packed, pivots = factor.lu_factor(A, pivot=pivot, out=out)
    return (packed, pivots, zeros(A._a.shape[:-2], dtype=pivots.dtype, device=A.device)) if get_infos else (packed, pivots)


def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None) -> Tensor:
    """X with A @ X = b, from the LU factorisation of A (see `linalg.lu_solve`)."""
    return solve.lu_solve(LU_data, LU_pivots, b, out=out)


orgqr = factor.householder_product


__all__ = """
cholesky cholesky_inverse cholesky_solve inverse lu lu_solve orgqr pinverse qr svd triangular_solve
""".split()
