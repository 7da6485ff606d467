"""Contract cases of products, linear algebra, Fourier transforms and calculus, with NumPy and SciPy as references."""

from __future__ import annotations

import numpy as np
import scipy.integrate
import scipy.linalg as la
import scipy.spatial.distance as sd

import flambeau as fb
from flambeau.base.errors import LinAlgError, ShapeError
from flambeau.testing import bools, complexes, floats, ints, sample
from tests.core.contract.tables import op, positive_definite, regular, symmetric

M23, M34, V3 = floats(2, 3), floats(3, 4), floats(3)


def mismatch(name, *shapes):
    return [(lambda: getattr(fb, name)(*[fb.zeros(s) for s in shapes]), ShapeError, name)]


def added(product):
    return lambda x, a, b, beta=1, alpha=1: beta * x + alpha * product(a, b)


ADDED = [{}, {"beta": 0.5, "alpha": 2.0}]
PRODUCTS = [
    op(
        "matmul", np.matmul, sample(M23, M34), sample(V3, V3), sample(M23, V3), sample(V3, M34), sample(floats(2, 2, 3), M34), sample(floats(2, 1, 2, 3), floats(2, 3, 2)),
        sample(floats(0, 3), M34), sample(floats(2, 0), floats(0, 3)), sample(complexes(2, 3), complexes(3, 2)), sample(ints(2, 3), ints(3, 2)),
        errors=mismatch("matmul", (2, 3), (2, 3)), half=2,
    ),
    op("linalg.matmul", np.matmul, sample(M23, M34), half=2),
    op("mm", np.matmul, sample(M23, M34), errors=mismatch("mm", (2, 3), (3,)), half=2),
    op("bmm", np.matmul, sample(floats(2, 2, 3), floats(2, 3, 2)), errors=mismatch("bmm", (2, 3), (3, 2)), half=2),
    op("mv", np.matmul, sample(M23, V3), errors=mismatch("mv", (2, 3), (2,)), half=2),
    op("dot", np.dot, sample(V3, V3), errors=mismatch("dot", (2,), (3,)), half=2),
    op("vdot", np.vdot, sample(complexes(3), complexes(3)), sample(V3, V3), half=2),
    op("inner", np.inner, sample(M23, floats(4, 3)), sample(V3, V3), half=2),
    *[op(n, np.outer, sample(V3, floats(2)), errors=[(lambda n=n: getattr(fb, n)(fb.zeros(2, 2), fb.zeros(3)), ShapeError, "outer")]) for n in ("outer", "ger")],
    op("addmm", added(np.matmul), *[sample(floats(4), M23, M34, **k) for k in ADDED], half=3),
    op("addmv", added(np.matmul), *[sample(floats(2), M23, V3, **k) for k in ADDED], half=3),
    op("baddbmm", added(np.matmul), *[sample(floats(2, 2, 2), floats(2, 2, 3), floats(2, 3, 2), **k) for k in ADDED], half=3),
    op("addbmm", added(lambda a, b: (a @ b).sum(0)), *[sample(floats(2, 2), floats(2, 2, 3), floats(2, 3, 2), **k) for k in ADDED], half=3),
    op("addr", added(np.outer), *[sample(floats(3, 2), V3, floats(2), **k) for k in ADDED], half=3),
    *[op(n, lambda xs: np.linalg.multi_dot(xs), sample([M23, M34, floats(4, 2)]), half=4) for n in ("linalg.multi_dot",)],
    op("chain_matmul", lambda *xs: np.linalg.multi_dot(xs), sample(M23, M34, floats(4, 2)), half=4),
    op("tensordot", lambda a, b, dims: np.tensordot(a, b, dims), sample(floats(2, 3, 4), floats(3, 4, 2), 2), sample(M23, floats(2, 4), ([0], [0])), half=2),
    op("kron", np.kron, sample(M23, floats(2, 2)), sample(V3, floats(2))),
    *[op(n, lambda x, y, dim=-1: np.cross(x, y, axis=dim), sample(floats(2, 3), floats(2, 3), dim=-1), sample(floats(3, 2), floats(3, 2), dim=0)) for n in ("cross", "linalg.cross")],
    op("linalg.vecdot", lambda x, y, dim=-1: (x.conj() * y).sum(dim), sample(M23, M23), sample(complexes(2, 3), complexes(2, 3), dim=0)),
    *[
        op(f"einsum {eq}", np.einsum, sample(eq, *operands), fn=fb.einsum, half=2)
        for eq, operands in (
            ("ij,jk->ik", [M23, M34]), ("ii->i", [floats(3, 3)]), ("bij,bjk->bik", [floats(2, 2, 3), floats(2, 3, 2)]), ("i,j->ij", [V3, floats(2)]),
            ("...i,...i->...", [M23, M23]), ("ij->", [M23]), ("ijk,k,ij->j", [floats(2, 3, 2), floats(2), M23]),
        )
    ],
    op("bilinear", lambda x, y, w, b: np.einsum("ni,oij,nj->no", x, w, y) + b, sample(M23, floats(2, 4), floats(5, 3, 4), floats(5)), half=4, fn=fb.nn.functional.bilinear),
]  # fmt: skip

# -- linear algebra ------------------------------------------------------------------------------------------------------------------------
A = floats(3, 3, build=regular)
BATCH = floats(2, 3, 3, build=regular)
SPD = floats(3, 3, build=positive_definite)
HERMITIAN = floats(3, 3, build=symmetric)
CA = complexes(3, 3, build=regular)
WIDE = {"dtypes": ("float32",)}
NOT_SQUARE = ShapeError, "square"


def square_only(name):
    return [(lambda: getattr(fb.linalg, name)(fb.zeros(2, 3)), *NOT_SQUARE)]


def regular_tensor(a):
    """A tensor of 36 elements that is far from singular as a matrix."""
    return regular(a.reshape(6, 6)).reshape(a.shape)


def triangular(x):
    return np.tril(x) + 3 * np.eye(x.shape[-1])


L = floats(3, 3, build=triangular)


def sizes(*parts):
    """What does not change when columns change their signs: |Q|, |R|, ..."""
    return lambda out: tuple(abs(o) if i in parts else o for i, o in enumerate(out))


def svd_parts(out):
    u, s, vh = out
    return abs(u), s, abs(vh)


def solve(a, b):
    return np.linalg.solve(a, b[..., None])[..., 0] if b.ndim == 1 else np.linalg.solve(a, b)


def matrix_norm(x, ord="fro"):
    return np.linalg.norm(x, ord)


def slogdet(a):
    return tuple(np.linalg.slogdet(a))


def lu(a):
    p, lower, upper = la.lu(a)
    return p, lower, upper


SPREAD = floats(3, 3, build=lambda a: a * 0.3 + np.diag([1.0, 3.0, 6.0]))
LINALG = [
    op("linalg.inv", np.linalg.inv, sample(A), sample(BATCH), sample(CA), sample(floats(0, 0)), errors=[*square_only("inv"), (lambda: fb.linalg.inv(fb.zeros(2, 2)), LinAlgError, "invertible")], **WIDE),
    op("inverse", np.linalg.inv, sample(A), **WIDE),
    op("linalg.inv_ex", lambda a: (np.linalg.inv(a), np.zeros(a.shape[:-2], np.int32)), sample(A), **WIDE),
    op("linalg.pinv", np.linalg.pinv, sample(floats(3, 2)), sample(floats(2, 3)), sample(A), twice=True, **WIDE),
    op("pinverse", np.linalg.pinv, sample(floats(3, 2)), **WIDE),
    op("linalg.det", np.linalg.det, sample(A), sample(BATCH), sample(CA), sample(floats(0, 0)), errors=square_only("det"), **WIDE),
    op("det", np.linalg.det, sample(A), **WIDE),
    op("linalg.slogdet", slogdet, sample(A), sample(BATCH), errors=square_only("slogdet"), **WIDE),
    op("slogdet", slogdet, sample(A), **WIDE),
    op("logdet", lambda a: np.linalg.slogdet(a)[1], sample(SPD), **WIDE),
    op("linalg.solve", solve, sample(A, floats(3, 2)), sample(A, V3), sample(BATCH, floats(2, 3, 2)), sample(CA, complexes(3, 2)),
       errors=[(lambda: fb.linalg.solve(fb.zeros(2, 2), fb.zeros(2)), LinAlgError, "invertible"), (lambda: fb.linalg.solve(fb.eye(2), fb.zeros(3)), ShapeError, "solve")], **WIDE),
    op("linalg.solve_ex", lambda a, b: (solve(a, b), np.zeros((), np.int32)), sample(A, floats(3, 2)), **WIDE),
    op("linalg.solve_triangular", lambda a, b, upper: la.solve_triangular(a, b, lower=not upper), sample(L, floats(3, 2), upper=False), **WIDE),
    op("triangular_solve", lambda b, a, upper: (la.solve_triangular(a, b, lower=not upper), a), sample(floats(3, 2), L, upper=False), **WIDE),
    op("linalg.cholesky", np.linalg.cholesky, sample(SPD), sample(floats(2, 2, 2, build=positive_definite)), sample(complexes(3, 3, build=positive_definite)),
       errors=[(lambda: fb.linalg.cholesky(-fb.eye(2)), LinAlgError, "definite")], skip={"gradient": "see cholesky of a symmetrised input", "second_gradient": "the same"}, **WIDE),
    op("cholesky", np.linalg.cholesky, sample(SPD), fn=lambda a: fb.cholesky((a + a.mT) / 2), **WIDE),
    op("linalg.cholesky_ex", lambda a: (np.linalg.cholesky(a), np.zeros((), np.int32)), sample(SPD), differentiable=False, **WIDE),
    op("cholesky_solve", lambda b, c: np.linalg.solve(np.tril(c) @ np.tril(c).T, b), sample(floats(3, 2), L), **WIDE),
    op("cholesky_inverse", lambda c: np.linalg.inv(np.tril(c) @ np.tril(c).T), sample(L), **WIDE),
    op("linalg.qr", lambda a: tuple(np.abs(x) for x in np.linalg.qr(a)), sample(floats(3, 2)), sample(A), compare=sizes(0, 1), **WIDE),
    op("qr", lambda a: tuple(np.abs(x) for x in np.linalg.qr(a)), sample(floats(3, 2)), compare=sizes(0, 1), **WIDE),
    op("linalg.svd", lambda a, full_matrices: tuple(np.abs(x) for x in np.linalg.svd(a, full_matrices)), sample(floats(3, 2), full_matrices=False), compare=svd_parts, **WIDE),
    op("svd", lambda a: (lambda u, s, vh: (np.abs(u), s, np.abs(vh.T)))(*np.linalg.svd(a, False)), sample(floats(3, 2)), compare=svd_parts, **WIDE),
    op("linalg.svdvals", lambda a: np.linalg.svd(a, compute_uv=False), sample(floats(3, 2)), sample(BATCH), **WIDE),
    op("linalg.eigh", lambda a: (lambda w, v: (w, np.abs(v)))(*np.linalg.eigh(a)), sample(HERMITIAN), fn=lambda a: fb.linalg.eigh((a + a.mT) / 2), compare=sizes(1), **WIDE),
    op("linalg.eigvalsh", np.linalg.eigvalsh, sample(HERMITIAN), sample(floats(2, 2, 2, build=symmetric)), fn=lambda a: fb.linalg.eigvalsh((a + a.mT) / 2), **WIDE),
    op("linalg.eigvals", np.linalg.eigvals, sample(SPREAD), **WIDE),
    op("linalg.eig", lambda a: (lambda w, v: (w, np.abs(v)))(*np.linalg.eig(a)), sample(SPREAD), compare=sizes(1), **WIDE),
    op("linalg.lu", lu, sample(A), **WIDE),
    op("linalg.lu_factor", lambda a: (lambda f, p: (f, (p + 1).astype(np.int32)))(*la.lu_factor(a)), sample(A), **WIDE),
    op("lu", lambda a: (lambda f, p: (f, (p + 1).astype(np.int32)))(*la.lu_factor(a)), sample(A), **WIDE),
    op("linalg.lu_solve", lambda a, b: np.linalg.solve(a, b), sample(A, floats(3, 2)), fn=lambda a, b: fb.linalg.lu_solve(*fb.linalg.lu_factor(a), b), **WIDE),
    op("lu_solve", lambda a, b: np.linalg.solve(a, b), sample(A, floats(3, 2)), fn=lambda a, b: fb.lu_solve(b, *fb.linalg.lu_factor(a)), **WIDE),
    op("lu_unpack", lu, sample(A), fn=lambda a: fb.lu_unpack(*fb.linalg.lu_factor(a)), **WIDE),
    op("linalg.lstsq", lambda a, b: np.linalg.lstsq(a, b)[0], sample(floats(4, 2), floats(4, 3)), fn=lambda a, b: fb.linalg.lstsq(a, b)[0], rtol=1e-6, meta=False, vmap=False, **WIDE),
    op("linalg.householder_product", lambda a, t: la.lapack.dorgqr(a, t)[0], sample(floats(4, 2), floats(2, low=0.2, high=1)), **WIDE),
    op("orgqr", lambda a, t: la.lapack.dorgqr(a, t)[0], sample(floats(4, 2), floats(2, low=0.2, high=1)), **WIDE),
    op("linalg.matrix_exp", la.expm, sample(floats(3, 3)), sample(floats(2, 2, 2)), rtol=1e-6, **WIDE),
    op("matrix_exp", la.expm, sample(floats(3, 3)), rtol=1e-6, **WIDE),
    *[op(n, np.linalg.matrix_power, sample(A, 3), sample(A, -2), sample(A, 0), **WIDE) for n in ("linalg.matrix_power", "matrix_power")],
    op("linalg.matrix_norm", matrix_norm, *[sample(floats(3, 2), o) for o in ("fro", "nuc", 1, -1, 2, -2, float("inf"))], twice=True, **WIDE),
    op("linalg.vector_norm", lambda x, ord=2: np.linalg.norm(x.ravel(), ord), *[sample(floats(3, 2, low=0.2), o) for o in (2, 1, 3, float("inf"), float("-inf"))], half=2),
    op("linalg.norm", np.linalg.norm, sample(floats(3, 2)), sample(floats(3, 2), "nuc"), sample(V3, 1), **WIDE),
    op("linalg.cond", np.linalg.cond, sample(A), sample(A, 1), sample(A, "fro"), rtol=1e-6, **WIDE),
    op("linalg.matrix_rank", np.linalg.matrix_rank, sample(A), sample(floats(3, 3, build=lambda a: a[:, :1] * a[:1])), differentiable=False, **WIDE),
    op("linalg.tensorinv", np.linalg.tensorinv, sample(floats(6, 2, 3, build=regular_tensor), 1), rtol=1e-6, **WIDE),
    op("linalg.tensorsolve", np.linalg.tensorsolve, sample(floats(2, 3, 6, build=regular_tensor), floats(2, 3)), rtol=1e-6, **WIDE),
]  # fmt: skip

# -- Fourier transforms --------------------------------------------------------------------------------------------------------------------
C5, C23, R6 = complexes(5), complexes(2, 3), floats(6)


def transform(name, *samples, **options):
    def reference(x, n=None, dim=None, norm=None):
        kwargs = {} if norm is None else {"norm": norm}
        if n is not None:
            kwargs["n"] = n
        if dim is not None:
            kwargs["axes" if name.endswith(("2", "n")) else "axis"] = dim
        return getattr(np.fft, name)(x, **kwargs)

    return op(f"fft.{name}", reference, *samples, dtypes=("float32",), **options)


FOURIER = [
    *[transform(n, sample(C5), sample(C23, dim=0), sample(C5, n=3), sample(C5, n=8, norm="ortho"), sample(floats(4))) for n in ("fft", "ifft")],
    transform("rfft", sample(R6), sample(floats(2, 5), n=4), sample(floats(4, 2), dim=0, norm="forward")),
    transform("irfft", sample(complexes(4)), sample(complexes(2, 3), n=5), sample(complexes(3, 2), dim=0, norm="ortho")),
    transform("hfft", sample(complexes(4)), sample(complexes(2, 3), n=5)),
    transform("ihfft", sample(R6), sample(floats(2, 5), norm="ortho")),
    *[transform(n, sample(complexes(2, 3, 2)), sample(C23, norm="ortho")) for n in ("fft2", "ifft2")],
    *[transform(n, sample(complexes(2, 3, 2)), sample(C23, norm="ortho"), sample(complexes(2, 3, 2), dim=(0, 2))) for n in ("fftn", "ifftn")],
    *[transform(n, sample(floats(2, 3, 4))) for n in ("rfft2", "rfftn")],
    *[transform(n, sample(complexes(2, 3, 3))) for n in ("irfft2", "irfftn")],
    op("fft.hfft2", lambda x: np.fft.hfft(np.fft.fft(x, axis=-2), axis=-1), sample(complexes(3, 4)), dtypes=("float32",)),
    op("fft.hfftn", lambda x: np.fft.hfft(np.fft.fft(x, axis=-2), axis=-1), sample(complexes(3, 4)), dtypes=("float32",)),
    op("fft.ihfft2", lambda x: np.fft.ifft(np.fft.ihfft(x, axis=-1), axis=-2), sample(floats(3, 4)), dtypes=("float32",)),
    op("fft.ihfftn", lambda x: np.fft.ifft(np.fft.ihfft(x, axis=-1), axis=-2), sample(floats(3, 4)), dtypes=("float32",)),
    *[op(f"fft.{n}", lambda x, n=n: getattr(np.fft, n)(x), sample(floats(5)), sample(floats(2, 3))) for n in ("fftshift", "ifftshift")],
    *[op(f"fft.{n}", getattr(np.fft, n), sample(6), sample(5, 0.5)) for n in ("fftfreq", "rfftfreq")],
]  # fmt: skip


# -- calculus, statistics, distances ------------------------------------------------------------------------------------------------------
def cdist(x, y, p=2.0):
    return sd.cdist(x, y, "minkowski", p=p) if not np.isinf(p) else sd.cdist(x, y, "chebyshev")


def pairwise(x, y, p=2.0, eps=1e-6, keepdim=False):
    return np.linalg.norm(x - y + eps, p, axis=-1, keepdims=keepdim)


def cosine(x, y, dim=1):
    return (x * y).sum(dim) / (np.linalg.norm(x, axis=dim) * np.linalg.norm(y, axis=dim))


CALCULUS = [
    op("diff", lambda x, n=1, dim=-1: np.diff(x, n, dim), sample(floats(2, 5)), sample(floats(4, 2), n=2, dim=0), sample(bools(4))),
    *[op(n, lambda y, x=None, dx=1.0, dim=-1: np.trapezoid(y, x, dx, dim), sample(floats(2, 5)), sample(floats(2, 5), dx=0.5), sample(floats(5), floats(5))) for n in ("trapezoid", "trapz")],
    op("cumulative_trapezoid", lambda y, dim=-1: scipy.integrate.cumulative_trapezoid(y, axis=dim), sample(floats(2, 5)), sample(floats(4, 2), dim=0)),
    op("gradient", lambda x, spacing=1: np.gradient(x, spacing), sample(floats(5)), sample(floats(4, 3)), sample(floats(5), spacing=0.5)),
    op("cov", lambda x, correction=1: np.cov(x, ddof=correction), sample(floats(2, 5)), sample(floats(5)), sample(floats(2, 5), correction=0), half=3),
    op("corrcoef", np.corrcoef, sample(floats(2, 5)), half=4, rtol=1e-6),
    op("cdist", cdist, *[sample(floats(3, 4), floats(2, 4), p=p) for p in (2.0, 1.0, 3.0, float("inf"))], half=8, dtypes=("float32",)),
    *[op(n, lambda x, p=2.0: sd.pdist(x, "minkowski", p=p), sample(floats(4, 3)), sample(floats(4, 3), p=1.0), dtypes=("float32",)) for n in ("pdist", "nn.functional.pdist")],
    *[op(n, pairwise, sample(floats(4, 3), floats(4, 3)), sample(floats(4, 3), floats(3), p=1.0, keepdim=True), half=3) for n in ("pairwise_distance", "nn.functional.pairwise_distance")],
    *[op(n, cosine, sample(floats(4, 3), floats(4, 3)), sample(floats(3, 2), floats(3, 2), dim=0), half=4) for n in ("cosine_similarity", "nn.functional.cosine_similarity")],
]  # fmt: skip
CASES = [*PRODUCTS, *LINALG, *FOURIER, *CALCULUS]
