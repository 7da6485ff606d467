"""Factorisations of matrices in the last two axes: Cholesky, QR, SVD, eigenvalues, LU, Householder products."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.ops.matmul import matmul
from flambeau.ops.pointwise import into, mul_op, where
from flambeau.ops.promotion import to_dtype
from flambeau.ops.shape import adjoint, matrix_transpose, unsqueeze
from flambeau.primitives import linalg as rows
from flambeau.primitives.movement import expand, slice_
from flambeau.tensor.creation import eye, zeros
from flambeau.tensor.tensor import Tensor


class QR(NamedTuple):
    """x = Q @ R."""

    Q: Tensor
    R: Tensor


class SVD(NamedTuple):
    """x = U @ diag(S) @ Vh."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class Eigen(NamedTuple):
    """x @ eigenvectors = eigenvectors @ diag(eigenvalues)."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class PLU(NamedTuple):
    """x = P @ L @ U."""

    P: Tensor
    L: Tensor
    U: Tensor


class LU(NamedTuple):
    """L and U packed in one matrix, and the exchanges of rows."""

    LU: Tensor
    pivots: Tensor


class CholeskyInfo(NamedTuple):
    """A Cholesky factor, and 0 for each matrix that has one."""

    L: Tensor
    info: Tensor


def matrices(op: str, x: Any, square: bool = False) -> Tensor:
    """Refuse what is not a (batch of) floating-point or complex matrices."""
    if not isinstance(x, Tensor):
        raise DtypeError(explain(op, expected="a tensor", got=type(x).__name__))
    shape = x._a.shape
    if len(shape) < 2 or (square and shape[-1] != shape[-2]):
        raise ShapeError(
            explain(op, expected="square matrices in the last two axes" if square else "at least 2 axes", got=f"shape {tuple(shape)}")
        )
    if x._a.dtype.kind not in "fc" or x._a.dtype == np.float16:
        raise DtypeError(explain(op, expected="float32, float64, complex64 or complex128", got=repr(x.dtype), hint=".to(flambeau.float32)"))
    return x


def same_dtype(op: str, a: Tensor, b: Tensor) -> None:
    if a._a.dtype != b._a.dtype:
        raise DtypeError(explain(op, expected="operands of one dtype", got=f"{a.dtype!r} and {b.dtype!r}", hint="convert one of them"))


def put(out: Any, result: Any) -> Any:
    """Serve an `out=` argument of one tensor or several."""
    if out is None:
        return result
    if isinstance(result, Tensor):
        return into(out, result)
    return type(result)(*(into(o, r) for o, r in zip(out, result, strict=True)))


# -- factorisations -----------------------------------------------------------------------------------------------------------------------
def cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """Lower triangular L with A = L @ L.mH (or upper U with A = U.mH @ U) of positive-definite matrices.

    Raises LinAlgError, naming the batch item, where a matrix is not positive-definite.

    >>> import flambeau as fb
    >>> fb.linalg.cholesky(fb.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    x = matrices("cholesky", A, square=True)
    factor = rows.cholesky(adjoint(x) if upper else x)
    return put(out, adjoint(factor) if upper else factor)


def without_failures(op: str, f: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """f(x) with NaN where `op` cannot be done for a matrix, and 1 there (0 elsewhere) as int32."""
    failed = rows.failed(x.detach(), op=op)
    mask = unsqueeze(unsqueeze(failed, -1), -1)
    safe = where(mask, eye(x._a.shape[-1], dtype=x.dtype, device=x.device), x)
    return where(mask, float("nan"), f(safe)), to_dtype(failed, dtypes.int32)


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None) -> CholeskyInfo:
    """The Cholesky factor, and for each matrix 0 or (where it is not positive-definite and the result NaN) 1."""
    x = matrices("cholesky_ex", A, square=True)
    if check_errors:
        cholesky(x, upper=upper)
    return put(out, CholeskyInfo(*without_failures("cholesky", lambda m: cholesky(m, upper=upper), x)))


def qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> QR:
    """Q with orthonormal columns and upper triangular R; "complete" gives a square Q, "r" an empty one."""
    x = matrices("qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(explain("qr", expected="mode 'reduced', 'complete' or 'r'", got=repr(mode)))
    q, r = rows.qr(x, complete=mode == "complete")
    return put(out, QR(zeros(0, dtype=x.dtype, device=x.device) if mode == "r" else q, r))


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None) -> SVD:
    """Singular values from the largest on, with the singular vectors as columns of U and rows of Vh.

    The gradient is that of the first min(m, n) vectors, and infinite where two singular values are equal.
    """
    return put(out, SVD(*rows.svd(matrices("svd", A), full=bool(full_matrices))))


def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """Singular values from the largest on."""
    return put(out, rows.svdvals(matrices("svdvals", A)))


def _lower(op: str, UPLO: str) -> bool:
    if UPLO not in ("L", "U", "l", "u"):
        raise ArgumentError(explain(op, expected="UPLO 'L' or 'U'", got=repr(UPLO)))
    return UPLO in "Ll"


def eigh(A: Tensor, UPLO: str = "L", *, out: Any = None) -> Eigen:
    """Eigenvalues (real, ascending) and orthonormal eigenvectors of Hermitian matrices, read from the lower or upper triangle."""
    return put(out, Eigen(*rows.eigh(matrices("eigh", A, square=True), lower=_lower("eigh", UPLO))))


def eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """Eigenvalues of Hermitian matrices, ascending."""
    return put(out, rows.eigvalsh(matrices("eigvalsh", A, square=True), lower=_lower("eigvalsh", UPLO)))


def eig(A: Tensor, *, out: Any = None) -> Eigen:
    """Complex eigenvalues and eigenvectors (columns of length 1) of square matrices, in no particular order."""
    return put(out, Eigen(*rows.eig(matrices("eig", A, square=True))))


def eigvals(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex eigenvalues of square matrices, in no particular order."""
    return put(out, rows.eigvals(matrices("eigvals", A, square=True)))


def _no_pivot(op: str, pivot: bool) -> None:
    if not pivot:
        raise ArgumentError(explain(op, expected="pivot=True (without exchanges of rows LU is not stable)", got="pivot=False"))


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> LU:
    """LU with partial pivoting, packed as `lu_solve` takes it: row i was exchanged with row pivots[i] - 1."""
    _no_pivot("lu_factor", pivot)
    return put(out, LU(*rows.lu_factor(matrices("lu_factor", A))))


def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> PLU:
    """P, L and U from a packed factorisation; what is not asked for is empty."""
    m, n = matrices("lu_unpack", LU_data)._a.shape[-2:]
    k = min(m, n)
    nothing = zeros(0, dtype=LU_data.dtype, device=LU_data.device)
    lower = upper = permutation = nothing
    if unpack_data:
        unit = eye(m, k, dtype=LU_data.dtype, device=LU_data.device)
        lower = slice_(LU_data, key=(..., slice(None), slice(0, k))).tril(-1) + unit
        upper = slice_(LU_data, key=(..., slice(0, k), slice(None))).triu()
    if unpack_pivots:
        order = rows.permutation(LU_pivots, n=m)
        columns = eye(m, dtype=LU_data.dtype, device=LU_data.device)[order]  # row i of P.T is the unit vector of order[i]
        permutation = matrix_transpose(columns)
    return PLU(permutation, lower, upper)


def lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> PLU:
    """A = P @ L @ U with partial pivoting."""
    _no_pivot("lu", pivot)
    return put(out, lu_unpack(*rows.lu_factor(matrices("lu", A))))


def householder_product(A: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first columns of H_1 H_2 ... H_k, where H_i = I - tau_i v_i v_i^H.

    v_i is column i of A below its implied 1 on the diagonal.
    """
    x = matrices("householder_product", A)
    m, n = x._a.shape[-2:]
    k = tau._a.shape[-1]
    if m < n or k > n or tau._a.shape[:-1] != x._a.shape[:-2]:
        raise ShapeError(
            explain(
                "householder_product",
                expected="A (..., m, n) with m >= n >= k and tau (..., k)",
                got=f"{tuple(x.shape)} and {tuple(tau.shape)}",
            )
        )
    unit = eye(m, n, dtype=x.dtype, device=x.device)
    vectors = x.tril(-1) + unit
    q = expand(unit, shape=x._a.shape)
    for i in reversed(range(k)):
        v = slice_(vectors, key=(..., slice(None), slice(i, i + 1)))
        q = q - mul_op(unsqueeze(slice_(tau, key=(..., slice(i, i + 1))), -1), matmul(v, matmul(adjoint(v), q)))
    return put(out, q)


__all__ = ["lu_unpack"]
