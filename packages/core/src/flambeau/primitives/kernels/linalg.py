"""Kernels of linear algebra on batches of matrices in the last two axes.

Factorisations come from the array module's LAPACK (or cuSOLVER). What it lacks is done here with matrix products: LU with its pivots,
triangular systems, the exponential. A matrix that cannot be factored is an error that names its place in the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.base.errors import LinAlgError, explain
from flambeau.primitives.kernels.layout import Array

_BLOCK = 32  # columns eliminated one by one before the rest is updated by a matrix product


def adjoint(x: Array) -> Array:
    """The conjugate transpose."""
    return x.conj().swapaxes(-1, -2)


# -- failures -------------------------------------------------------------------------------------------------------------------------
def failure(op: str, wanted: str, shape: tuple[int, ...], item: tuple[int, ...], hint: str = "") -> LinAlgError:
    """The error for one matrix of a batch."""
    place = f"batch item {item if len(item) > 1 else item[0]} of shape {shape}" if item else f"a matrix of shape {shape}"
    return LinAlgError(explain(op, expected=wanted, got=f"{place} that is not", hint=hint))


def checked(
    xp: Any, op: str, wanted: str, f: Callable[[Array], Any], x: Array, *, hint: str = "", probe: Callable[[Array], Any] | None = None
) -> Any:
    """f(x); where a matrix of the batch cannot be done, an error that names it (found by `probe`, else f, on one after the other).

    NumPy raises without naming the matrix; CuPy answers NaN.
    """
    try:
        result = f(x)
    except np.linalg.LinAlgError:
        for item in np.ndindex(x.shape[:-2]):
            try:
                (probe or f)(x[item])
            except np.linalg.LinAlgError:
                raise failure(op, wanted, x.shape[-2:], item, hint) from None
        raise
    if xp is not np:
        first = result[0] if isinstance(result, tuple) else result
        lead = x.ndim - 2
        bad = ~xp.isfinite(first).all(axis=tuple(range(lead, first.ndim))) & xp.isfinite(x).all(axis=(-2, -1))
        if bool(bad.any()):
            raise failure(op, wanted, x.shape[-2:], tuple(int(i) for i in np.argwhere(xp.asnumpy(bad))[0]), hint)
    return result


def failed(xp: Any, x: Array, op: str) -> Array:
    """Which matrices of a batch `op` ("cholesky" or "inv") cannot be done for."""
    f = getattr(xp.linalg, op)
    if xp is not np:
        return ~xp.isfinite(f(x)).all(axis=(-2, -1))
    bad = np.zeros(x.shape[:-2], bool)
    for item in np.ndindex(bad.shape):
        try:
            f(x[item])
        except np.linalg.LinAlgError:
            bad[item] = True
    return bad


# -- factorisations -----------------------------------------------------------------------------------------------------------------------
def cholesky(xp: Any, x: Array) -> Array:
    """Lower L with x = L L^H; only the lower triangle of x is read."""
    return checked(xp, "cholesky", "a positive-definite matrix", xp.linalg.cholesky, x, hint="add a small multiple of the identity")


def qr(xp: Any, x: Array, complete: bool) -> tuple[Array, Array]:
    """Orthonormal Q and upper R with x = Q R."""
    m, n = x.shape[-2:]
    if 0 in x.shape:  # LAPACK takes no empty matrices
        k = m if complete else min(m, n)
        return xp.broadcast_to(xp.eye(m, k, dtype=x.dtype), (*x.shape[:-1], k)).copy(), xp.zeros((*x.shape[:-2], k, n), x.dtype)
    q, r = xp.linalg.qr(x, mode="complete" if complete else "reduced")
    return q, r


def svd(xp: Any, x: Array, full: bool) -> tuple[Array, Array, Array]:
    """U, the singular values from the largest on, and V^H."""
    u, s, vh = checked(xp, "svd", "a matrix whose SVD converges", lambda a: xp.linalg.svd(a, full_matrices=full), x, hint="check for NaN")
    return u, s, vh


def svdvals(xp: Any, x: Array) -> Array:
    """Singular values only."""
    return checked(xp, "svdvals", "a matrix whose SVD converges", lambda a: xp.linalg.svd(a, compute_uv=False), x, hint="check for NaN")


def eigh(xp: Any, x: Array, lower: bool) -> tuple[Array, Array]:
    """Eigenvalues in ascending order and eigenvectors of Hermitian matrices, read from one triangle."""
    w, v = checked(
        xp, "eigh", "a matrix whose eigenvalues converge", lambda a: xp.linalg.eigh(a, UPLO="L" if lower else "U"), x, hint="check for NaN"
    )
    return w, v


def eigvalsh(xp: Any, x: Array, lower: bool) -> Array:
    """Eigenvalues only."""
    uplo = "L" if lower else "U"
    return checked(
        xp, "eigvalsh", "a matrix whose eigenvalues converge", lambda a: xp.linalg.eigvalsh(a, UPLO=uplo), x, hint="check for NaN"
    )


def eig(xp: Any, x: Array) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of length 1 of square matrices, complex. On the host where the array module has none."""
    kind = np.dtype(f"c{x.itemsize if x.dtype.kind == 'c' else 2 * x.itemsize}")
    if hasattr(xp.linalg, "eig"):
        w, v = checked(xp, "eig", "a matrix whose eigenvalues converge", xp.linalg.eig, x, hint="check for NaN")
    else:
        w, v = eig(np, xp.asnumpy(x))
    return xp.asarray(w).astype(kind, copy=False), xp.asarray(v).astype(kind, copy=False)


def eigvals(xp: Any, x: Array) -> Array:
    """Eigenvalues only."""
    if xp is not np:
        return eig(xp, x)[0]
    w = checked(np, "eigvals", "a matrix whose eigenvalues converge", np.linalg.eigvals, x, hint="check for NaN")
    return w.astype(f"c{x.itemsize if x.dtype.kind == 'c' else 2 * x.itemsize}", copy=False)


# -- LU ------------------------------------------------------------------------------------------------------------------------------------
def lu_factor(xp: Any, x: Array) -> tuple[Array, Array]:
    """L (below the diagonal, whose ones are not stored) and U in one matrix, and pivots: row i was exchanged with row pivots[i] - 1.

    Partial pivoting, by blocks of columns (Golub and Van Loan, Matrix Computations, 3.2 and 3.4).
    """
    a = x.copy()
    m, n = a.shape[-2:]
    pivots = xp.zeros((*a.shape[:-2], min(m, n)), np.int32)
    for start in range(0, min(m, n), _BLOCK):
        stop = min(start + _BLOCK, m, n)
        for k in range(start, stop):
            _eliminate(xp, a, pivots, k, stop)
        if stop < n:
            lower = a[..., start:stop, start:stop]
            a[..., start:stop, stop:] = solve_triangular(xp, lower, a[..., start:stop, stop:], upper=False, unit=True)
            a[..., stop:, stop:] -= xp.matmul(a[..., stop:, start:stop], a[..., start:stop, stop:])
    return a, pivots


def _eliminate(xp: Any, a: Array, pivots: Array, k: int, stop: int) -> None:
    """Bring the largest element of column k to the diagonal and clear below it, within the columns up to `stop`."""
    below = a[..., k:, k]
    size = xp.abs(below.real) + xp.abs(below.imag) if a.dtype.kind == "c" else xp.abs(below)  # as LAPACK measures
    best = size.argmax(axis=-1)
    pivots[..., k] = best + k + 1
    at = (best + k)[..., None, None]
    other = xp.take_along_axis(a, xp.broadcast_to(at, (*a.shape[:-2], 1, a.shape[-1])), axis=-2)
    xp.put_along_axis(a, xp.broadcast_to(at, other.shape), a[..., k : k + 1, :].copy(), axis=-2)
    a[..., k : k + 1, :] = other
    pivot = a[..., k : k + 1, k : k + 1]
    a[..., k + 1 :, k : k + 1] /= xp.where(pivot == 0, 1, pivot)
    a[..., k + 1 :, k + 1 : stop] -= a[..., k + 1 :, k : k + 1] * a[..., k : k + 1, k + 1 : stop]


def permutation(xp: Any, pivots: Array, n: int) -> Array:
    """The order of rows that exchanges by pivots lead to: x[order] = L U."""
    order = xp.broadcast_to(xp.arange(n), (*pivots.shape[:-1], n)).copy()
    for k in range(pivots.shape[-1]):
        at = (pivots[..., k : k + 1] - 1).astype(np.int64)
        other = xp.take_along_axis(order, at, axis=-1)
        xp.put_along_axis(order, at, order[..., k : k + 1].copy(), axis=-1)
        order[..., k : k + 1] = other
    return order


# -- systems -------------------------------------------------------------------------------------------------------------------------------
def solve(xp: Any, a: Array, b: Array) -> Array:
    """x with a x = b, for b of columns; batches broadcast."""
    return checked(xp, "solve", "an invertible matrix", lambda m: _solve(xp, m, b), a, probe=xp.linalg.inv, hint="flambeau.linalg.lstsq")


def _solve(xp: Any, a: Array, b: Array) -> Array:
    if xp is not np:  # CuPy does not broadcast batches
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = xp.broadcast_to(a, (*lead, *a.shape[-2:])), xp.broadcast_to(b, (*lead, *b.shape[-2:]))
    return xp.linalg.solve(a, b)


def inv(xp: Any, x: Array) -> Array:
    """The inverse."""
    return checked(xp, "inv", "an invertible matrix", xp.linalg.inv, x, hint="flambeau.linalg.pinv")


def solve_triangular(xp: Any, a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """x with a x = b for triangular a, by halves: solve one, subtract its part from the other (the other triangle is not read)."""
    n = a.shape[-1]
    if n <= _BLOCK:
        return _small_triangular(xp, a, b, upper, unit)
    half = n // 2
    first, second = (slice(half, n), slice(0, half)) if upper else (slice(0, half), slice(half, n))
    x = solve_triangular(xp, a[..., first, first], b[..., first, :], upper, unit)
    y = solve_triangular(xp, a[..., second, second], b[..., second, :] - xp.matmul(a[..., second, first], x), upper, unit)
    return xp.concatenate([y, x] if upper else [x, y], axis=-2)


def _small_triangular(xp: Any, a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """Row by row. A zero on the diagonal gives infinities, as in PyTorch."""
    n = a.shape[-1]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = xp.broadcast_to(b, (*lead, *b.shape[-2:])).copy()
    for i in range(n - 1, -1, -1) if upper else range(n):
        known = slice(i + 1, n) if upper else slice(0, i)
        if known.start < known.stop:
            x[..., i : i + 1, :] -= xp.matmul(a[..., i : i + 1, known], x[..., known, :])
        if not unit:
            x[..., i : i + 1, :] /= a[..., i : i + 1, i : i + 1]
    return x


def slogdet(xp: Any, x: Array) -> tuple[Array, Array]:
    """The sign (a number of size 1, or 0) and the logarithm of the size of the determinant."""
    sign, log = xp.linalg.slogdet(x)
    return xp.asarray(sign, x.dtype), xp.asarray(log, x.real.dtype)


def det(xp: Any, x: Array) -> Array:
    """The determinant."""
    return xp.asarray(xp.linalg.det(x), x.dtype)


def cofactor(xp: Any, x: Array) -> Array:
    """The derivative of the determinant by each element: det(x) x^-T where x is invertible, and right where it is not.

    With x = U S V^H, the transpose of det(U) det(V^H) V D U^H, where D holds the products of all singular values but one.
    """
    u, s, vh = xp.linalg.svd(x)
    n = s.shape[-1]
    ones = xp.ones((*s.shape[:-1], 1), s.dtype)
    before = xp.cumprod(xp.concatenate([ones, s[..., : n - 1]], axis=-1), axis=-1)
    after = xp.flip(xp.cumprod(xp.concatenate([ones, xp.flip(s[..., 1:], -1)], axis=-1), axis=-1), -1)
    turn = xp.linalg.det(u) * xp.linalg.det(vh)
    adjugate = xp.matmul(adjoint(vh) * (before * after)[..., None, :], adjoint(u)) * turn[..., None, None]
    return adjugate.swapaxes(-1, -2)


def pinv(xp: Any, x: Array, rtol: float, atol: float, hermitian: bool) -> Array:
    """The pseudo-inverse; singular values not above max(atol, rtol * the largest) count as zero."""
    if 0 in x.shape:
        return xp.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    if hermitian:
        w, v = xp.linalg.eigh(x)
        size, left, right = xp.abs(w), v, adjoint(v)
    else:
        u, w, right = xp.linalg.svd(x, full_matrices=False)
        size, left = w, u
    limit = xp.maximum(rtol * size.max(axis=-1, keepdims=True), atol)
    inverse = xp.where(size > limit, 1 / xp.where(size > limit, w, 1), 0)
    return xp.matmul(adjoint(right) * inverse[..., None, :], adjoint(left))


# -- the exponential ---------------------------------------------------------------------------------------------------------------------
_PADE13 = (
    64764752532480000,
    32382376266240000,
    7771770303897600,
    1187353796428800,
    129060195264000,
    10559470521600,
    670442572800,
    33522128640,
    1323241920,
    40840800,
    960960,
    16380,
    182,
    1,
)


def matrix_exp(xp: Any, x: Array) -> Array:
    """The matrix exponential by scaling, a Pade approximant of degree 13, and squaring (Higham 2005, SIAM J. Matrix Anal. 26)."""
    if 0 in x.shape:
        return x.copy()
    norm = xp.abs(x).sum(axis=-2).max(axis=-1)
    finite = xp.isfinite(norm)
    steps = xp.ceil(xp.log2(xp.maximum(xp.where(finite, norm, 0) / 5.371920351148152, 1))).astype(np.int64)
    a = xp.where(finite[..., None, None], x, 0) * xp.exp2(-steps.astype(x.real.dtype))[..., None, None]
    b = _PADE13
    eye = xp.eye(x.shape[-1], dtype=x.dtype)
    a2 = xp.matmul(a, a)
    a4 = xp.matmul(a2, a2)
    a6 = xp.matmul(a2, a4)
    u = xp.matmul(a6, b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * eye
    v = xp.matmul(a6, b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * eye
    u = xp.matmul(a, u)
    out = xp.linalg.solve(v - u, v + u)
    for k in range(int(steps.max())):
        out = xp.where((steps > k)[..., None, None], xp.matmul(out, out), out)
    return xp.where(finite[..., None, None], out, math.nan).astype(x.dtype, copy=False)
