"""Linear algebra against NumPy and SciPy; gradients against differences; errors that name the matrix."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg as sl

import flambeau as fb
from flambeau.base.errors import ArgumentError, DtypeError, GradientError, ShapeError
from flambeau.linalg import LinAlgError
from tests.core.ops.slopes import check

KINDS = ["f8", "c16"]


def matrix(*shape: int, kind: str = "f8", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if kind == "c16" else x


def spd(x):
    return x @ x.mH + x.shape[-1] * fb.eye(x.shape[-1], dtype=x.dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 3, 3), (0, 3, 3), (1, 1)])
def test_square_values(kind: str, shape: tuple) -> None:
    a = matrix(*shape, kind=kind)
    t = fb.tensor(a)
    eye = np.broadcast_to(np.eye(shape[-1]), shape)
    np.testing.assert_allclose((t @ fb.linalg.inv(t)).numpy(), eye, atol=1e-10)
    np.testing.assert_allclose(fb.linalg.det(t).numpy(), np.linalg.det(a), rtol=1e-10)
    sign, log = fb.linalg.slogdet(t)
    np.testing.assert_allclose((sign * log.exp()).numpy(), np.linalg.det(a), rtol=1e-10)
    b = matrix(*shape[:-1], 2, kind=kind, seed=1)
    np.testing.assert_allclose((t @ fb.linalg.solve(t, fb.tensor(b))).numpy(), b, atol=1e-10)
    p, low, up = fb.linalg.lu(t)
    np.testing.assert_allclose((p @ low @ up).numpy(), a, atol=1e-12)
    w, v = fb.linalg.eig(t)
    np.testing.assert_allclose((t.to(v.dtype) @ v).numpy(), (v * w.unsqueeze(-2)).numpy(), atol=1e-9)
    h = spd(t)
    low = fb.linalg.cholesky(h)
    np.testing.assert_allclose((low @ low.mH).numpy(), h.numpy(), atol=1e-10)
    w, v = fb.linalg.eigh(h)
    np.testing.assert_allclose(((v * w.unsqueeze(-2)) @ v.mH).numpy(), h.numpy(), atol=1e-10)
    np.testing.assert_allclose(fb.linalg.eigvalsh(h).numpy(), np.linalg.eigvalsh(h.numpy()), rtol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 4), (0, 3), (2, 0)])
def test_any_shape_values(kind: str, shape: tuple) -> None:
    a = matrix(*shape, kind=kind)
    t = fb.tensor(a)
    for mode in ("reduced", "complete"):
        q, r = fb.linalg.qr(t, mode)
        np.testing.assert_allclose((q @ r).numpy(), a, atol=1e-12)
        np.testing.assert_allclose((q.mH @ q).numpy(), np.broadcast_to(np.eye(q.shape[-1]), (*shape[:-2], *q.shape[-1:] * 2)), atol=1e-12)
    if 0 in shape:
        return
    for full in (True, False):
        u, s, vh = fb.linalg.svd(t, full)
        k = min(shape[-2:])
        np.testing.assert_allclose(((u[..., :k] * s.unsqueeze(-2)) @ vh[..., :k, :]).numpy(), a, atol=1e-12)
    np.testing.assert_allclose(fb.linalg.pinv(t).numpy(), np.linalg.pinv(a), atol=1e-11)
    np.testing.assert_allclose(fb.linalg.svdvals(t).numpy(), np.linalg.svd(a, compute_uv=False), atol=1e-12)
    p, low, up = fb.linalg.lu(t)
    np.testing.assert_allclose((p @ low @ up).numpy(), a, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
@pytest.mark.parametrize("kind", KINDS)
def test_matrix_exp(scale: float, kind: str) -> None:
    a = matrix(3, 4, 4, kind=kind) * scale
    want = np.stack([sl.expm(m) for m in a])
    np.testing.assert_allclose(fb.linalg.matrix_exp(fb.tensor(a)).numpy(), want, rtol=1e-9, atol=1e-10 * np.abs(want).max())


def test_exponential_of_what_is_not_finite_is_nan() -> None:
    a = np.stack([np.eye(2), np.full((2, 2), np.inf)])
    out = fb.linalg.matrix_exp(fb.tensor(a)).numpy()
    np.testing.assert_allclose(out[0], np.e * np.eye(2))
    assert np.isnan(out[1]).all()


@pytest.mark.parametrize("n", [5, 40, 97])
@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("unit", [True, False])
def test_triangular_systems_read_one_triangle(n: int, upper: bool, unit: bool) -> None:
    a = matrix(n, n) * 0.1 + 2 * np.eye(n)
    b = matrix(n, 3, seed=1)
    x = fb.linalg.solve_triangular(fb.tensor(a), fb.tensor(b), upper=upper, unitriangular=unit)
    np.testing.assert_allclose(x.numpy(), sl.solve_triangular(a, b, lower=not upper, unit_diagonal=unit), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("n", [6, 70])
def test_lu_pivots_as_lapack(n: int) -> None:
    a = matrix(n, n)
    packed, pivots = fb.linalg.lu_factor(fb.tensor(a))
    want, want_pivots = sl.lu_factor(a)
    np.testing.assert_allclose(packed.numpy(), want, rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(pivots.numpy() - 1, want_pivots)


def test_rank_condition_least_squares() -> None:
    a = matrix(6, 2) @ matrix(2, 4, seed=1)
    assert fb.linalg.matrix_rank(fb.tensor(a)).item() == 2
    b = matrix(6, 3, seed=2)
    got = fb.linalg.lstsq(fb.tensor(a), fb.tensor(b), driver="gelsd")
    want, _, rank, values = np.linalg.lstsq(a, b, rcond=None)
    np.testing.assert_allclose(got.solution.numpy(), want, atol=1e-10)
    assert got.rank.item() == rank
    assert got.residuals.numel() == 0
    np.testing.assert_allclose(got.singular_values.numpy(), values, atol=1e-12)
    c = matrix(3, 3)
    for p in (None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"):
        np.testing.assert_allclose(fb.linalg.cond(fb.tensor(c), p).item(), np.linalg.cond(c, p), rtol=1e-9)
    assert fb.linalg.cond(fb.zeros(2, 2), 1).item() == np.inf


@pytest.mark.parametrize("order", ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(order) -> None:
    a = matrix(3, 5)
    np.testing.assert_allclose(fb.linalg.norm(fb.tensor(a), order).item(), np.linalg.norm(a, order), rtol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2, 3.5, np.inf, -np.inf, -1])
def test_vector_norms(order: float) -> None:
    a = matrix(7)
    np.testing.assert_allclose(fb.linalg.norm(fb.tensor(a), order).item(), np.linalg.norm(a, order), rtol=1e-12)


GRADIENTS = {
    "inv": lambda x: fb.linalg.inv(x),
    "det": lambda x: fb.linalg.det(x),
    "slogdet": lambda x: fb.linalg.slogdet(x),
    "cholesky": lambda x: fb.linalg.cholesky(spd(x)),
    "qr": lambda x: fb.linalg.qr(x),
    "lu_factor": lambda x: fb.linalg.lu_factor(x).LU,
    "solve": lambda x: fb.linalg.solve(x, x.mT + 1),
    "solve_triangular": lambda x: [
        fb.linalg.solve_triangular(x, x.mT, upper=True),
        fb.linalg.solve_triangular(x, x.mT, upper=False, unitriangular=True),
    ],
    "eigvalsh": lambda x: fb.linalg.eigvalsh(x + x.mH),
    "eigh": lambda x: (lambda r: (r[1] * (0.1 * r[0]).exp().unsqueeze(-2)) @ r[1].mH)(fb.linalg.eigh(x + x.mH)),
    "eigvals": lambda x: (fb.linalg.eigvals(x) ** 3).sum(-1),
    "eig": lambda x: (lambda r: (r[1] * r[0].exp().unsqueeze(-2)) @ fb.linalg.inv(r[1]))(fb.linalg.eig(x)),
    "matrix_exp": lambda x: fb.linalg.matrix_exp(x),
    "svdvals": lambda x: fb.linalg.svdvals(x),
    "svd": lambda x: (lambda u, s, vh: (u * (s + 1).log().unsqueeze(-2)) @ vh)(*fb.linalg.svd(x, False)),
    "pinv": lambda x: fb.linalg.pinv(x),
}


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients(name: str, kind: str) -> None:
    second = (name, kind) not in {
        ("qr", "c16"),
        ("svd", "c16"),
        ("eig", "c16"),
        ("lu_factor", "c16"),
        ("cholesky", "c16"),
    }  # slow, and as the real ones
    check(GRADIENTS[name], matrix(3, 3, kind=kind, seed=3) + 1.5 * np.diag([1.0, 2.0, 4.0]), second=second)


@pytest.mark.parametrize("name", ["qr", "svdvals", "svd", "pinv", "lu_factor"])
@pytest.mark.parametrize("shape", [(4, 2), (2, 4)])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_other_shapes(name: str, shape: tuple, kind: str) -> None:
    check(GRADIENTS[name], matrix(*shape, kind=kind, seed=4), second=kind == "f8")


def test_gradient_of_a_singular_determinant() -> None:
    check(lambda x: fb.linalg.det(x), np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]]), second=False)
    check(lambda x: fb.linalg.det(x), np.zeros((2, 2)) + np.array([[1.0, 0.0], [0.0, 0.0]]), second=False)


def test_singular_matrices_are_named() -> None:
    a = fb.eye(3).repeat(2, 2, 1, 1)
    a[1, 0, 2, 2] = 0
    for f in (fb.linalg.inv, lambda x: fb.linalg.solve(x, fb.ones(3, 1))):
        with pytest.raises(LinAlgError, match=r"invertible matrix.*batch item \(1, 0\) of shape \(3, 3\)"):
            f(a)
    with pytest.raises(LinAlgError, match=r"positive-definite.*batch item 1 "):
        fb.linalg.cholesky(fb.stack([fb.eye(2), -fb.eye(2)]))
    with pytest.raises(RuntimeError, match="a matrix of shape"):
        fb.linalg.inv(fb.zeros(2, 2))
    with pytest.raises(LinAlgError, match="NaN"):
        fb.linalg.svd(fb.full((2, 2), float("nan")))


def test_ex_forms_report_instead() -> None:
    a = fb.stack([fb.eye(2) * 2, fb.zeros(2, 2)])
    inverse, info = fb.linalg.inv_ex(a)
    assert info.tolist() == [0, 1]
    assert inverse[0].tolist() == [[0.5, 0.0], [0.0, 0.5]]
    assert inverse[1].isnan().all()
    assert fb.linalg.solve_ex(a, fb.ones(2, 2, 1)).info.tolist() == [0, 1]
    assert fb.linalg.cholesky_ex(fb.stack([fb.eye(2), -fb.eye(2)])).info.tolist() == [0, 1]
    with pytest.raises(LinAlgError):
        fb.linalg.inv_ex(a, check_errors=True)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: fb.linalg.inv(fb.ones(2, 3)), ShapeError, "square"),
        (lambda: fb.linalg.inv(fb.ones(2, 2, dtype=fb.int64)), DtypeError, "float32"),
        (lambda: fb.linalg.qr(fb.ones(2, 2), "thin"), ArgumentError, "reduced"),
        (lambda: fb.linalg.solve(fb.eye(3), fb.ones(2)), ShapeError, "3 rows"),
        (lambda: fb.linalg.solve(fb.eye(3), fb.ones(3, dtype=fb.float64)), DtypeError, "one dtype"),
        (lambda: fb.linalg.matrix_norm(fb.ones(2, 2), 7), ArgumentError, "nuc"),
        (lambda: fb.linalg.multi_dot([fb.ones(2, 3), fb.ones(2, 3)]), ShapeError, "inner sizes"),
        (lambda: fb.linalg.lu(fb.eye(2), pivot=False), ArgumentError, "pivot=True"),
        (lambda: fb.linalg.qr(fb.ones(3, 2, requires_grad=True), "complete").Q.sum().backward(), GradientError, "reduced"),
    ],
)
def test_errors(call, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_shapes_without_data() -> None:
    x = fb.empty(5, 4, 3, device="meta")
    assert [tuple(t.shape) for t in fb.linalg.svd(x)] == [(5, 4, 4), (5, 3), (5, 3, 3)]
    assert [tuple(t.shape) for t in fb.linalg.qr(x)] == [(5, 4, 3), (5, 3, 3)]
    assert fb.linalg.eigvals(fb.empty(3, 3, device="meta")).dtype is fb.complex64
    assert fb.linalg.inv(fb.empty(2, 3, 3, device="meta")).shape == (2, 3, 3)
    assert fb.linalg.pinv(x).shape == (5, 3, 4)
