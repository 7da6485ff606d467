"""Linear algebra against PyTorch: values and gradients, real and complex, single and batched."""

from __future__ import annotations

import pytest

from tests.parity.agreement import agree, arrays

torch = pytest.importorskip("torch")


def spd(x):
    """Positive-definite matrices made from any."""
    return x @ x.mH + 0.5 * x.shape[-1] * _eye(x)


def _eye(x):
    lib = torch if isinstance(x, torch.Tensor) else __import__("flambeau")
    return lib.eye(x.shape[-1], dtype=x.dtype)


SQUARE = {
    "cholesky": lambda t, x: [t.linalg.cholesky(spd(x)), t.linalg.cholesky(spd(x), upper=True), t.cholesky(spd(x))],
    "cholesky_solve": lambda t, x: [t.cholesky_solve(x, t.linalg.cholesky(spd(x))), t.cholesky_inverse(t.linalg.cholesky(spd(x)))],
    "inv": lambda t, x: [t.linalg.inv(x), t.inverse(x), x.inverse()],
    "det": lambda t, x: [t.linalg.det(x), x.det()],
    "slogdet": lambda t, x: [*t.linalg.slogdet(x), t.logdet(spd(x)).real],
    "solve": lambda t, x: [t.linalg.solve(x, x.mT), t.linalg.solve(x, x.mT, left=False)],
    "solve_vector": lambda t, x: t.linalg.solve(x, x[..., 0]),
    "solve_triangular": lambda t, x: [
        t.linalg.solve_triangular(x, x.mT, upper=True),
        t.linalg.solve_triangular(x, x, upper=False, unitriangular=True),
        t.linalg.solve_triangular(x, x.mT, upper=False, left=False),
    ],
    "eigvalsh": lambda t, x: [t.linalg.eigvalsh(spd(x)), t.linalg.eigvalsh(x + x.mH, UPLO="U")],
    "eigh": lambda t, x: [
        e(t.linalg.eigh(spd(x)))
        for e in (lambda r: r[0], lambda r: r[1].abs(), lambda r: (r[1] * (1 + r[0]).log().unsqueeze(-2)) @ r[1].mH)
    ],
    "eig": lambda t, x: [
        t.linalg.eigvals(x).abs().sort(-1)[0],
        (lambda r: (r[1] * r[0].exp().unsqueeze(-2)) @ t.linalg.inv(r[1]))(t.linalg.eig(x)),
    ],
    "matrix_exp": lambda t, x: [t.linalg.matrix_exp(x), t.matrix_exp(5 * x)],
    "matrix_power": lambda t, x: [t.linalg.matrix_power(x, 5), x.matrix_power(0), t.linalg.matrix_power(x, -2)],
    "lu": lambda t, x: list(t.linalg.lu(x)),
    "lu_factor": lambda t, x: [t.linalg.lu_factor(x)[0], t.linalg.lu_factor(x)[1]],
    "lu_solve": lambda t, x: [
        t.linalg.lu_solve(*t.linalg.lu_factor(x), x.mT),
        t.linalg.lu_solve(*t.linalg.lu_factor(x), x.mT, adjoint=True),
    ],
    "lu_solve_right": lambda t, x: [t.linalg.lu_solve(*t.linalg.lu_factor(x), x.mT, left=False)],
    "ex": lambda t, x: [*t.linalg.inv_ex(x), *t.linalg.solve_ex(x, x.mT), *t.linalg.cholesky_ex(spd(x))],
    "cond": lambda t, x: [t.linalg.cond(x), t.linalg.cond(x, -2)],
    "triangular_solve": lambda t, x: list(t.triangular_solve(x.mT, x, upper=False))[:1],
}


@pytest.mark.parametrize("name", SQUARE)
@pytest.mark.parametrize("kind", ["f8", "c16"])
@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 3)])
@pytest.mark.filterwarnings("ignore:torch")
def test_square(name: str, kind: str, shape: tuple) -> None:
    agree(torch, SQUARE[name], *arrays(shape, kind=kind, seed=5), rtol=1e-6, atol=1e-8)


ANY = {
    "qr": lambda t, x: list(t.linalg.qr(x)),
    "svdvals": lambda t, x: [t.linalg.svdvals(x), t.svd(x)[1]],
    "svd": lambda t, x: [
        (lambda u, s, vh: [s, u.abs(), vh.abs(), (u * (s + 1).log().unsqueeze(-2)) @ vh])(*t.linalg.svd(x, full_matrices=False))
    ],
    "pinv": lambda t, x: [t.linalg.pinv(x), t.pinverse(x)],
    "lu": lambda t, x: list(t.linalg.lu(x)),
    "rank": lambda t, x: [t.linalg.matrix_rank(x), t.linalg.matrix_rank(x @ x.mH, hermitian=True)],
    "norms": lambda t, x: [t.linalg.matrix_norm(x, p) for p in ("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf"))],
    "norm_dims": lambda t, x: [
        t.linalg.norm(x),
        t.linalg.matrix_norm(x, 2, dim=(1, 0), keepdim=True),
        t.linalg.norm(x, 3, dim=-1),
        t.linalg.norm(x, dim=(0, 1)),
    ],
    "lstsq": lambda t, x: t.linalg.lstsq(x, x[..., :2] + 1)[0],
    "vecdot": lambda t, x: [t.linalg.vecdot(x, x + 1), t.linalg.diagonal(x, offset=1)],
}


@pytest.mark.parametrize("name", ANY)
@pytest.mark.parametrize("kind", ["f8", "c16"])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 3), (2, 3, 4)])
def test_any_shape(name: str, kind: str, shape: tuple) -> None:
    grad = not (name == "svd" and kind == "c16")  # below: the gauge must not show
    agree(torch, ANY[name], *arrays(shape, kind=kind, seed=6), rtol=1e-6, atol=1e-8, grad=grad)


def test_what_pytorch_does_not_differentiate() -> None:
    x = arrays((2, 3, 3))[0]
    agree(
        torch,
        lambda t, x: [t.linalg.cond(x, 1), t.linalg.cond(x, "fro"), t.linalg.cond(x, "nuc"), t.linalg.qr(x, mode="r").R.abs()],
        x,
        grad=False,
    )


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 3, 3)])
def test_complex_svd_gradient(shape: tuple) -> None:
    agree(
        torch,
        lambda t, x: (lambda u, s, vh: [s, (u * (s + 1).log().unsqueeze(-2)) @ vh])(*t.linalg.svd(x, False)),
        *arrays(shape, kind="c16"),
        rtol=1e-6,
    )


def test_full_factors() -> None:
    x = arrays((5, 3))[0]
    agree(
        torch,
        lambda t, x: [abs(v) for v in t.linalg.qr(x, mode="complete")] + [t.svd(x, some=False)[0].abs(), t.linalg.svd(x)[2].abs()],
        x,
        grad=False,
    )


def test_broadcast_solve() -> None:
    a, b = arrays((1, 3, 3), (2, 3, 2))
    agree(torch, lambda t, a, b: [t.linalg.solve(a, b), t.linalg.solve_triangular(a, b, upper=False)], a, b, rtol=1e-7)


def test_householder_product() -> None:
    a, tau = arrays((5, 3), (3,))
    agree(torch, lambda t, a, tau: [t.linalg.householder_product(a, tau), t.orgqr(a, tau[:2])], a, tau)


def test_tensor_systems() -> None:
    a, b = arrays((2, 3, 6), (2, 3))
    agree(torch, lambda t, a, b: [t.linalg.tensorinv(a.reshape(6, 2, 3), ind=1), t.linalg.tensorsolve(a, b)], a, b, rtol=1e-7)


def test_lstsq_results() -> None:
    a, b = arrays((6, 3), (6, 2))
    agree(torch, lambda t, a, b: [*t.linalg.lstsq(a, b, driver="gelsd")], a, b, grad=False, rtol=1e-7)
    agree(torch, lambda t, a, b: [t.linalg.lstsq(a, b, driver="gels")[0], t.linalg.lstsq(a.mT, b[:3], driver="gels")[0]], a, b, rtol=1e-7)


def test_large_lu_and_triangular() -> None:
    a, b = arrays((2, 90, 90), (2, 90, 3))
    agree(
        torch,
        lambda t, a, b: [*t.linalg.lu(a), t.linalg.solve_triangular(a + 90 * t.eye(90, dtype=t.float64), b, upper=True)],
        a,
        b,
        rtol=1e-6,
        atol=1e-7,
    )


def test_float32() -> None:
    x = arrays((3, 3), kind="f4")[0]
    agree(
        torch,
        lambda t, x: [
            t.linalg.inv(x),
            t.linalg.det(x),
            t.linalg.svdvals(x),
            t.linalg.eigvals(x).abs().sort()[0],
            t.linalg.matrix_exp(x),
            *t.linalg.lu(x),
        ],
        x,
        rtol=1e-4,
        atol=1e-4,
        grad=False,
    )
