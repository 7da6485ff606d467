"""Determinants, inverses, linear systems and least squares on matrices in the last two axes."""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.base.shapes import broadcast
from flambeau.ops.factor import lu_unpack, matrices, put, same_dtype, without_failures
from flambeau.ops.matmul import matmul
from flambeau.ops.pointwise import abs as abs_of
from flambeau.ops.pointwise import eq_op, mul_op, sub_op, where
from flambeau.ops.promotion import to_dtype
from flambeau.ops.reduction import all as all_of
from flambeau.ops.reduction import sum
from flambeau.ops.shape import adjoint as adjoint_of
from flambeau.ops.shape import matrix_transpose, unsqueeze
from flambeau.primitives import linalg as rows
from flambeau.primitives.movement import reshape
from flambeau.tensor.creation import eye, zeros
from flambeau.tensor.tensor import Tensor


class SignLog(NamedTuple):
    """A determinant as sign * exp(logabsdet)."""

    sign: Tensor
    logabsdet: Tensor


class InverseInfo(NamedTuple):
    """An inverse, and 0 for each matrix that has one."""

    inverse: Tensor
    info: Tensor


class SolveInfo(NamedTuple):
    """A solution, and 0 for each matrix that has one."""

    result: Tensor
    info: Tensor


class Lstsq(NamedTuple):
    """The least-squares solution and what was found on the way."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


# -- determinants -------------------------------------------------------------------------------------------------------------------------
def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinant. Its gradient is right for singular matrices too."""
    return put(out, rows.det(matrices("det", A, square=True)))


def slogdet(A: Tensor, *, out: Any = None) -> SignLog:
    """Sign and logarithm of the size of the determinant; sign 0 and -inf for a singular matrix."""
    return put(out, SignLog(*rows.slogdet(matrices("slogdet", A, square=True))))


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN where it is negative."""
    sign, log = rows.slogdet(matrices("logdet", input, square=True))
    return where(eq_op(sign, -1), float("nan"), log) if not input.is_complex() else log + sign.log()


# -- inverses and systems -----------------------------------------------------------------------------------------------------------------
def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse. Raises LinAlgError, naming the batch item, where a matrix is singular."""
    return put(out, rows.inv(matrices("inv", A, square=True)))


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> InverseInfo:
    """The inverse, and for each matrix 0 or (where it is singular and the result NaN) 1."""
    x = matrices("inv_ex", A, square=True)
    if check_errors:
        inv(x)
    return put(out, InverseInfo(*without_failures("inv", rows.inv, x)))


def _columns(op: str, a: Tensor, b: Tensor) -> tuple[Tensor, bool]:
    """b as columns, and whether it was a vector (or a batch of vectors, as PyTorch reads it)."""
    same_dtype(op, a, b)
    vector = b._a.ndim == 1 or (a._a.ndim - 1 == b._a.ndim and b._a.shape == a._a.shape[:-1])
    columns = unsqueeze(b, -1) if vector else b
    if columns._a.ndim < 2 or columns._a.shape[-2] != a._a.shape[-1]:
        raise ShapeError(explain(op, expected=f"{a._a.shape[-1]} rows to match A {tuple(a.shape)}", got=f"B {tuple(b.shape)}"))
    broadcast(op, a._a.shape[:-2], columns._a.shape[:-2])
    return columns, vector


def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """X with A @ X = B (or X @ A = B, with left=False); B is a vector, a batch of vectors, or matrices.

    >>> import flambeau as fb
    >>> fb.linalg.solve(fb.tensor([[2.0, 0.0], [0.0, 4.0]]), fb.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    a = matrices("solve", A, square=True)
    if not left:
        vector = B._a.ndim < a._a.ndim and B._a.shape == a._a.shape[:-1]
        x = solve(matrix_transpose(a), B if vector else matrix_transpose(B))
        return put(out, x if vector else matrix_transpose(x))
    b, vector = _columns("solve", a, B)
    x = rows.solve(a, b)
    return put(out, reshape(x, shape=x._a.shape[:-1]) if vector else x)


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None) -> SolveInfo:
    """As `solve`, and for each matrix 0 or (where it is singular and the result NaN) 1."""
    a = matrices("solve_ex", A, square=True)
    failed = rows.failed(a.detach(), op="inv")
    if check_errors:
        solve(a, B, left=left)
    mask = unsqueeze(unsqueeze(failed, -1), -1)
    safe = where(mask, eye(a._a.shape[-1], dtype=a.dtype, device=a.device), a)
    x = solve(safe, B, left=left)
    spread = mask if x._a.ndim >= a._a.ndim else unsqueeze(failed, -1)
    return put(out, SolveInfo(where(spread, float("nan"), x), to_dtype(failed, dtypes.int32)))


def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False, out: Tensor | None = None
) -> Tensor:
    """X with A @ X = B (or X @ A = B) for triangular A, whose other triangle is not read; `unitriangular` takes its diagonal as ones."""
    a = matrices("solve_triangular", A, square=True)
    if not left:
        flipped = solve_triangular(matrix_transpose(a), matrix_transpose(B), upper=not upper, unitriangular=unitriangular)
        return put(out, matrix_transpose(flipped))
    same_dtype("solve_triangular", a, B)
    if B._a.ndim < 2 or B._a.shape[-2] != a._a.shape[-1]:
        raise ShapeError(
            explain("solve_triangular", expected=f"{a._a.shape[-1]} rows to match A {tuple(a.shape)}", got=f"B {tuple(B.shape)}")
        )
    return put(out, rows.solve_triangular(a, B, upper=bool(upper), unit=bool(unitriangular)))


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False, out: Tensor | None = None) -> Tensor:
    """X with A @ X = B from the `lu_factor` of A (with `adjoint`: A.mH @ X = B; with left=False: X @ A = B)."""
    factor = matrices("lu_solve", LU, square=True)
    if not left:
        return put(out, lu_solve(factor, pivots, B.mH, adjoint=not adjoint).mH)
    permutation = lu_unpack(factor, pivots, unpack_data=False).P
    if adjoint:
        y = rows.solve_triangular(factor.mH, B, upper=False, unit=False)
        return put(out, matmul(permutation, rows.solve_triangular(factor.mH, y, upper=True, unit=True)))
    y = rows.solve_triangular(factor, matmul(permutation.mT, B), upper=False, unit=True)
    return put(out, rows.solve_triangular(factor, y, upper=True, unit=False))


def _tolerances(op: str, x: Tensor, rtol: Any, atol: Any) -> tuple[Any, Any]:
    """PyTorch's defaults: rtol = max(m, n) * eps unless an atol is given."""
    if rtol is None:
        rtol = 0.0 if atol is not None and float(atol) > 0 else max(x._a.shape[-2:]) * dtypes.finfo(x.dtype).eps
    return (float(rtol), 0.0 if atol is None else float(atol))


def pinv(A: Tensor, rtol: Any = None, hermitian: bool = False, *, atol: Any = None, rcond: Any = None, out: Tensor | None = None) -> Tensor:
    """The Moore-Penrose inverse; singular values not above max(atol, rtol * the largest) count as zero."""
    x = matrices("pinv", A, square=hermitian)
    rtol, atol = _tolerances("pinv", x, rcond if rtol is None else rtol, atol)
    return put(out, rows.pinv(x, rtol=rtol, atol=atol, hermitian=bool(hermitian)))


def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Tensor | None = None
) -> Tensor:
    """How many singular values are above max(atol, rtol * the largest)."""
    x = matrices("matrix_rank", A, square=hermitian).detach()
    rtol, atol = _tolerances("matrix_rank", x, rtol, tol if atol is None else atol)
    values = abs_of(rows.eigvalsh(x, lower=True)) if hermitian else rows.svdvals(x)
    if not values._a.shape[-1]:
        return put(out, zeros(x._a.shape[:-2], dtype=dtypes.int64, device=x.device))
    limit = (values.amax(-1, keepdim=True) * rtol).clamp(min=atol)
    return put(out, sum(values > limit, -1))


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Lstsq:
    """X that minimises |A @ X - B|, and the one of least norm where there are many.

    `driver` "gels" goes by QR and takes A to have full rank; "gelsy", "gelsd" and "gelss" go by the pseudo-inverse, in which singular
    values not above `rcond` times the largest count as zero. Residuals are the squared distances of each column, where A has more rows
    than columns and full rank.
    """
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise ArgumentError(explain("lstsq", expected="driver gels, gelsy, gelsd or gelss", got=repr(driver)))
    a = matrices("lstsq", A)
    same_dtype("lstsq", a, B)
    m, n = a._a.shape[-2:]
    vector = B._a.ndim == 1 or (B._a.ndim == a._a.ndim - 1 and B._a.shape == a._a.shape[:-1])
    b = unsqueeze(B, -1) if vector else B
    if b._a.shape[-2] != m:
        raise ShapeError(explain("lstsq", expected=f"{m} rows to match A {tuple(a.shape)}", got=f"B {tuple(B.shape)}"))
    nothing = zeros(0, dtype=dtypes.int64, device=a.device)
    if driver == "gels":
        x = _full_rank(a, b)
        rank, values = nothing, zeros(0, dtype=a.dtype.to_real(), device=a.device)
    else:
        rtol = max(m, n) * dtypes.finfo(a.dtype).eps if rcond is None else float(rcond)
        x = matmul(rows.pinv(a, rtol=rtol, atol=0.0, hermitian=False), b)
        rank = matrix_rank(a, rtol=rtol)
        values = rows.svdvals(a) if driver in ("gelsd", "gelss") else zeros(0, dtype=a.dtype.to_real(), device=a.device)
    residuals = zeros(0, dtype=a.dtype.to_real(), device=a.device)
    if m > n and (driver == "gels" or bool(all_of(rank == n))):
        away = abs_of(sub_op(matmul(a, x), b))
        residuals = sum(mul_op(away, away), -2)
    if vector:
        x = reshape(x, shape=x._a.shape[:-1])
    return Lstsq(x, residuals, rank, values)


def _full_rank(a: Tensor, b: Tensor) -> Tensor:
    """By the QR of the taller of A and A^H."""
    if a._a.shape[-2] >= a._a.shape[-1]:
        q, r = rows.qr(a, complete=False)
        return rows.solve_triangular(r, matmul(adjoint_of(q), b), upper=True, unit=False)
    q, r = rows.qr(adjoint_of(a), complete=False)
    return matmul(q, rows.solve_triangular(adjoint_of(r), b, upper=False, unit=False))


__all__ = ["det", "logdet", "slogdet"]
