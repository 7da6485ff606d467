"""Rows of linear algebra on the last two axes (kernels/linalg.py), with derivatives for real and complex matrices.

Sources: Giles 2008, An extended collection of matrix derivative results (inverse, determinant, solve); Murray 2016, arXiv:1602.07527
(Cholesky); Walter and Lehmann 2012, arXiv:1009.6112, and Liao et al. 2019, arXiv:1903.09650 (QR); Townsend 2016, Differentiating the
singular value decomposition, and Wan and Zhang 2019, arXiv:1909.02659 (complex SVD); Boeddeker et al. 2017, arXiv:1701.00392 (eigenvalues);
de Hoog et al. 2011 (LU); Golub and Pereyra 1973, SIAM J. Numer. Anal. 10 (pseudo-inverse); Najfeld and Havel 1995 (exponential).
Gradients that need different eigenvalues or singular values are infinite where two are equal.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from flambeau.base.errors import GradientError, explain
from flambeau.base.shapes import broadcast
from flambeau.device.base import executors
from flambeau.primitives.contraction import matmul as mm
from flambeau.primitives.contraction import swap
from flambeau.primitives.elementwise import add, cj, complex_, conj, div, eq, imag, is_complex, mul, neg, real, sub, where, zero
from flambeau.primitives.indexing import gather
from flambeau.primitives.movement import cat, diagonal, expand, place_diagonal, reshape, slice_, sum_to, triangle
from flambeau.primitives.prim import like, primitive
from flambeau.primitives.reduce import sum_
from flambeau.primitives.sort import argsort
from flambeau.primitives.source import eye as eye_row
from flambeau.primitives.source import source

INT32 = np.dtype(np.int32)
INT64 = np.dtype(np.int64)


def _leading(b: Any) -> Any:
    """Under vmap: the batch axis in front of all others, which broadcast as before."""
    rank = 1 + max(len(b.shape(i)) for i in range(len(b.inputs)))
    fronts = [(x, x._a.shape) for x in b.fronts()]
    return b(*[x if len(s) == rank else reshape(x, shape=(s[0], *(1,) * (rank - len(s)), *s[1:])) for x, s in fronts]), 0


row = partial(primitive, batch=_leading)


def adjoint(x: Any) -> Any:
    """The conjugate transpose."""
    return cj(swap(x))


def diag(x: Any) -> Any:
    """The diagonal of the last two axes."""
    n = x._a.ndim
    return diagonal(x, offset=0, dim1=n - 2, dim2=n - 1)


def embed(v: Any) -> Any:
    """Square matrices with v on the diagonal."""
    shape = v._a.shape
    return place_diagonal(v, shape=(*shape, shape[-1]), offset=0, dim1=len(shape) - 1, dim2=len(shape))


def column(v: Any) -> Any:
    """A vector as a column: times a matrix from the left as a diagonal."""
    return reshape(v, shape=(*v._a.shape, 1))


def line(v: Any) -> Any:
    """A vector as a row: times a matrix from the right as a diagonal."""
    shape = v._a.shape
    return reshape(v, shape=(*shape[:-1], 1, shape[-1]))


def _as(x: Any, like: Any) -> Any:
    """A real value as complex where `like` is."""
    return complex_(x, zero(x)) if is_complex(like) and not is_complex(x) else x


def columns(x: Any, v: Any) -> Any:
    """x diag(v)."""
    return mul(x, line(_as(v, x)))


def eye_like(x: Any, n: int) -> Any:
    """The identity matrix of x's dtype, where x lives."""
    return source(eye_row, executors[type(x._a)].device_of(x._a), n=n, m=n, dtype=x._a.dtype)


def lower(x: Any, k: int = 0) -> Any:
    """The lower triangle."""
    return triangle(x, diagonal=k, upper=False)


def upper(x: Any) -> Any:
    """The upper triangle."""
    return triangle(x, diagonal=0, upper=True)


def block(x: Any, rows: slice, columns: slice) -> Any:
    """A block of matrices."""
    return slice_(x, key=(..., rows, columns))


def _real(d: np.dtype) -> np.dtype:
    return np.dtype(f"f{d.itemsize // 2}") if d.kind == "c" else d


def _complex(d: np.dtype) -> np.dtype:
    return d if d.kind == "c" else np.dtype(f"c{2 * d.itemsize}")


def _match(g: Any, d: np.dtype) -> Any:
    """The gradient of a real input is real."""
    return real(g) if is_complex(g) and d.kind != "c" else g


# -- systems and inverses -----------------------------------------------------------------------------------------------------------------
def _solve_rule(a: Any, b: Any, **params: Any) -> Any:
    return (*broadcast("solve", a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), b.dtype


solve = row(  # a x = b, b of columns
    "solve",
    "a b",
    kernel="linalg.solve",
    rule=_solve_rule,
    vjp=(
        lambda g, a, out, a_shape: sum_to(neg(mm(solve(adjoint(a), g), adjoint(out))), a_shape),
        lambda g, a, b_shape: sum_to(solve(adjoint(a), g), b_shape),
    ),
)
solve_triangular = row(
    "solve_triangular",
    "a b",
    kernel="linalg.solve_triangular",
    rule=_solve_rule,
    vjp=(
        lambda g, a, out, a_shape, upper, unit: _triangular_vjp(g, a, out, a_shape, upper, unit),
        lambda g, a, b_shape, upper, unit: sum_to(solve_triangular(adjoint(a), g, upper=not upper, unit=unit), b_shape),
    ),
)


def _triangular_vjp(g: Any, a: Any, out: Any, a_shape: Any, upper: bool, unit: bool) -> Any:
    full = sum_to(neg(mm(solve_triangular(adjoint(a), g, upper=not upper, unit=unit), adjoint(out))), a_shape)
    return triangle(full, diagonal=int(unit) if upper else -int(unit), upper=upper)


def divide_right(x: Any, a: Any, upper: bool) -> Any:
    """x a^-H for triangular a (upper or lower)."""
    return adjoint(solve_triangular(a, adjoint(x), upper=upper, unit=False))


inv = row("inv", "x", kernel="linalg.inv", rule=like, vjp=lambda g, out: neg(mm(adjoint(out), mm(g, adjoint(out)))))
pinv = row(
    "pinv",
    "x",
    kernel="linalg.pinv",
    rule=lambda x, rtol, atol, hermitian: ((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype),
    vjp=lambda g, x, out: _pinv_vjp(g, x, out),
)


def _pinv_vjp(g: Any, x: Any, p: Any) -> Any:
    gh, ph = adjoint(g), adjoint(p)
    inner = mm(gh, mm(p, ph))
    outer = mm(mm(ph, p), gh)
    rest = add(sub(inner, mm(x, mm(p, inner))), sub(outer, mm(mm(outer, p), x)))
    return sub(rest, mm(ph, mm(g, ph)))


# -- determinants -------------------------------------------------------------------------------------------------------------------------
det = row("det", "x", kernel="linalg.det", rule=lambda x: (x.shape[:-2], x.dtype), vjp=lambda g, x: mul(column(column(g)), cj(cofactor(x))))
cofactor = row("cofactor", "x", kernel="linalg.cofactor", rule=like, vjp=lambda g, x, out: _cofactor_vjp(g, x, out))


def _cofactor_vjp(g: Any, x: Any, c: Any) -> Any:
    """For invertible x."""
    inverse = adjoint(inv(x))
    total = sum_(mul(g, cj(c)), axis=(g._a.ndim - 2, g._a.ndim - 1), keepdim=True)
    return mm(sub(mul(total, eye_like(g, g._a.shape[-1])), mm(cj(c), swap(g))), inverse)


slogdet = row(
    "slogdet",
    "x",
    kernel="linalg.slogdet",
    rule=lambda x: [(x.shape[:-2], x.dtype), (x.shape[:-2], _real(x.dtype))],
    vjp=lambda g, x, out: _slogdet_vjp(g, x, out),
    multi=True,
)


def _slogdet_vjp(g: Any, x: Any, out: Any) -> Any:
    factor = g[1] if not is_complex(x) else complex_(g[1], neg(imag(mul(conj(g[0]), out[0]))))
    return mul(column(column(factor)), adjoint(inv(x)))


failed = row("failed", "x", kernel="linalg.failed", rule=lambda x, op: (x.shape[:-2], np.dtype(bool)))

# -- Cholesky, QR, LU ---------------------------------------------------------------------------------------------------------------
cholesky = row("cholesky", "x", kernel="linalg.cholesky", rule=like, vjp=lambda g, out: _cholesky_vjp(g, out))


def _cholesky_vjp(g: Any, factor: Any) -> Any:
    """Symmetric, as PyTorch's: L^-H sym(lower half of L^H g) L^-1."""
    p = mm(adjoint(factor), g)
    below = lower(p, -1)
    middle = mul(add(add(below, adjoint(below)), embed(diag(_hermitian_diagonal(p)))), 0.5)
    top = adjoint(factor)
    half = solve_triangular(top, middle, upper=True, unit=False)
    return solve_triangular(top, adjoint(half), upper=True, unit=False)


def _hermitian_diagonal(p: Any) -> Any:
    return complex_(real(p), zero(real(p))) if is_complex(p) else p


def _qr_rule(x: Any, complete: bool) -> Any:
    m, n = x.shape[-2:]
    k = m if complete else min(m, n)
    return [((*x.shape[:-2], m, k), x.dtype), ((*x.shape[:-2], k, n), x.dtype)]


qr = row("qr", "x", kernel="linalg.qr", rule=_qr_rule, vjp=lambda g, out, complete: _qr_vjp(g, out, complete), multi=True)


def _qr_vjp(g: Any, out: Any, complete: bool) -> Any:
    (gq, gr), (q, r) = g, out
    m, n = q._a.shape[-2], r._a.shape[-1]
    if m >= n:
        if complete and m > n:
            hint = "mode='reduced'"
            raise GradientError(
                explain(
                    "qr", expected="a reduced factor, which has a derivative", got=f"mode='complete' of {m} rows and {n} columns", hint=hint
                )
            )
        return _qr_tall_vjp(gq, gr, q, r)
    first, rest = slice(0, m), slice(m, n)  # x = [x1 | x2] = q [r1 | r2]
    gq = add(gq, mm(_x_rest(q, r, rest), adjoint(block(gr, slice(None), rest))))
    left = _qr_tall_vjp(gq, block(gr, slice(None), first), q, block(r, slice(None), first))
    return cat(left, mm(q, block(gr, slice(None), rest)), axis=left._a.ndim - 1)


def _x_rest(q: Any, r: Any, rest: slice) -> Any:
    return mm(q, block(r, slice(None), rest))


def _qr_tall_vjp(gq: Any, gr: Any, q: Any, r: Any) -> Any:
    m = sub(mm(r, adjoint(gr)), mm(adjoint(gq), q))
    below = lower(m, -1)
    symmetric = add(add(below, adjoint(below)), embed(diag(_hermitian_diagonal(m))))
    return divide_right(add(gq, mm(q, symmetric)), r, upper=True)


def _lu_rule(x: Any) -> Any:
    return [(x.shape, x.dtype), ((*x.shape[:-2], min(x.shape[-2:])), INT32)]


lu_factor = row("lu_factor", "x", kernel="linalg.lu_factor", rule=_lu_rule, vjp=lambda g, out: _lu_vjp(g[0], out), multi=True)
permutation = row("permutation", "pivots", kernel="linalg.permutation", rule=lambda pivots, n: ((*pivots.shape[:-1], n), INT64))


def _lu_vjp(g: Any, out: Any) -> Any:
    """P L^-H (lower(L^H gL) + upper(gU U^H)) U^-H for the square part; what the other rows or columns add comes before and after."""
    packed, pivots = out
    m, n = packed._a.shape[-2:]
    k = min(m, n)
    square, down, across = slice(0, k), slice(k, m), slice(k, n)
    both = block(packed, square, square)
    left = adjoint(both)
    inner = lower(mm(adjoint(_unit(both)), lower(block(g, square, square), -1)), -1)
    gu = mm(upper(block(g, square, square)), adjoint(upper(both)))
    below = right = None
    if m > k:
        below = block(g, down, square)
        gu = sub(gu, mm(adjoint(block(packed, down, square)), below))
        below = divide_right(below, both, upper=True)
    if n > k:
        right = block(g, square, across)
        inner = sub(inner, lower(mm(right, adjoint(block(packed, square, across))), -1))
        right = solve_triangular(left, right, upper=True, unit=True)
    result = divide_right(solve_triangular(left, add(inner, upper(gu)), upper=True, unit=True), both, upper=True)
    if below is not None:
        result = cat(result, below, axis=result._a.ndim - 2)
    if right is not None:
        result = cat(result, right, axis=result._a.ndim - 1)
    back = argsort(permutation(pivots, n=m), axis=pivots._a.ndim - 1, descending=False)
    return gather(result, expand(column(back), shape=result._a.shape), axis=result._a.ndim - 2)


def _unit(packed: Any) -> Any:
    """L with its ones."""
    return add(lower(packed, -1), eye_like(packed, packed._a.shape[-1]))


# -- eigenvalues and singular values ------------------------------------------------------------------------------------------------------
def differences(v: Any) -> tuple[Any, Any]:
    """v[j] - v[i] with ones on the diagonal, and where the diagonal is."""
    on = eq(eye_like(v, v._a.shape[-1]), 1)
    return where(on, 1.0, sub(line(v), column(v))), on


def _values_vectors(x: Any, d: np.dtype) -> Any:
    return [(x.shape[:-1], d), (x.shape, _complex(d) if d.kind == "c" else x.dtype)]


eigh = row(
    "eigh",
    "x",
    kernel="linalg.eigh",
    rule=lambda x, lower: _values_vectors(x, _real(x.dtype)),
    vjp=lambda g, out: _eigh_vjp(g, out),
    multi=True,
)
eigvalsh = row(
    "eigvalsh",
    "x",
    kernel="linalg.eigvalsh",
    rule=lambda x, lower: (x.shape[:-1], _real(x.dtype)),
    vjp=lambda g, x, lower: _recompose(g, eigh(x, lower=lower)[1]),
)
eig = row(
    "eig",
    "x",
    kernel="linalg.eig",
    rule=lambda x: _values_vectors(x, _complex(x.dtype)),
    vjp=lambda g, x_dtype, out: _eig_vjp(g, x_dtype, out),
    multi=True,
)
eigvals = row(
    "eigvals",
    "x",
    kernel="linalg.eigvals",
    rule=lambda x: (x.shape[:-1], _complex(x.dtype)),
    vjp=lambda g, x, x_dtype: _eigvals_vjp(g, x, x_dtype),
)


def _recompose(values: Any, vectors: Any) -> Any:
    """V diag(values) V^H."""
    return mm(columns(vectors, values), adjoint(vectors))


def _eigh_vjp(g: Any, out: Any) -> Any:
    w, v = out
    gap, on = differences(w)
    middle = where(on, embed(_as(g[0], v)), div(mm(adjoint(v), g[1]), _as(gap, v)))
    return mm(v, mm(middle, adjoint(v)))


def _eig_vjp(g: Any, x_dtype: np.dtype, out: Any) -> Any:
    """The eigenvectors have length 1, so that part of their change is taken off."""
    w, v = out
    vh = adjoint(v)
    vhg = mm(vh, g[1])
    length = _as(real(diag(vhg)), v)
    gap, on = differences(w)
    middle = where(on, embed(g[0]), div(sub(vhg, mul(mm(vh, v), line(length))), conj(gap)))
    return _match(solve(vh, mm(middle, vh)), x_dtype)


def _eigvals_vjp(g: Any, x: Any, x_dtype: np.dtype) -> Any:
    vh = adjoint(eig(x)[1])
    return _match(solve(vh, mul(column(g), vh)), x_dtype)


def _svd_rule(x: Any, full: bool) -> Any:
    m, n = x.shape[-2:]
    k = min(m, n)
    lead = x.shape[:-2]
    return [((*lead, m, m if full else k), x.dtype), ((*lead, k), _real(x.dtype)), ((*lead, n if full else k, n), x.dtype)]


svd = row("svd", "x", kernel="linalg.svd", rule=_svd_rule, vjp=lambda g, out: _svd_vjp(g, out), multi=True)
svdvals = row(
    "svdvals",
    "x",
    kernel="linalg.svdvals",
    rule=lambda x: ((*x.shape[:-2], min(x.shape[-2:])), _real(x.dtype)),
    vjp=lambda g, x: _svdvals_vjp(g, x),
)


def _svdvals_vjp(g: Any, x: Any) -> Any:
    u, _, vh = svd(x, full=False)
    return mm(columns(u, g), vh)


def _svd_vjp(g: Any, out: Any) -> Any:
    """The columns that full matrices add have no part in it."""
    s = out[1]
    k = s._a.shape[-1]
    thin, every = slice(0, k), slice(None)
    u, gu = (block(t, every, thin) for t in (out[0], g[0]))
    vh, gvh = (block(t, thin, every) for t in (out[2], g[2]))
    v, gv = adjoint(vh), adjoint(gvh)
    uhgu, vhgv = mm(adjoint(u), gu), mm(vh, gv)
    squares, on = differences(mul(s, s))
    squares, scale = _as(squares, u), _as(s, u)
    turn = mul(div(sub(uhgu, adjoint(uhgu)), squares), line(scale))
    turn = add(turn, mul(column(scale), div(sub(vhgv, adjoint(vhgv)), squares)))
    stretch = g[1] if not is_complex(u) else complex_(g[1], div(imag(diag(uhgu)), s))
    result = mm(u, mm(where(on, embed(stretch), turn), vh))
    if u._a.shape[-2] > k:
        result = add(result, mm(div(sub(gu, mm(u, uhgu)), line(scale)), vh))
    if v._a.shape[-2] > k:
        result = add(result, mm(u, adjoint(div(sub(gv, mm(v, vhgv)), line(scale)))))
    return result


# -- the exponential ----------------------------------------------------------------------------------------------------------------
matrix_exp = row("matrix_exp", "x", kernel="linalg.matrix_exp", rule=like, vjp=lambda g, x: _exp_vjp(g, adjoint(x)))


def _exp_vjp(g: Any, x: Any) -> Any:
    """The corner of exp([[x, g], [0, x]])."""
    n, axis = x._a.shape[-1], x._a.ndim
    both = cat(cat(x, g, axis=axis - 1), cat(zero(x), x, axis=axis - 1), axis=axis - 2)
    return block(matrix_exp(both), slice(0, n), slice(n, 2 * n))
