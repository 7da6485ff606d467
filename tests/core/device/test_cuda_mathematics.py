"""Sorting, products, linear algebra, transforms on the stand-in for CuPy: the same values and gradients as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.linalg import LinAlgError
from tests.core.device.test_cuda import compare, pretended_gpu

__all__ = ["pretended_gpu"]  # a fixture for all tests here

CODES = """
x.sort(1)[0]|x.topk(2)[0]|x.kthvalue(2)[0]|x.mode()[0]|x.median()|x.median(1)[0]|x.nanmedian(0)[0]|m.quantile(x, 0.3, 1)|x.unique()
x.unique(dim=0)|x.unique_consecutive()|m.searchsorted(x[0].sort()[0], x)|m.bucketize(x, x[0].sort()[0])|m.isin(x, x[0])
m.bincount((x > 0).long().flatten())|m.histc(x, 4)|m.histogram(x, 4)[0]|m.einsum('ij,kj->ik', x, x)|m.einsum('ii->i', x @ x.mT)
m.einsum('ij,jk,kl->il', x, x.mT, x)|m.tensordot(x, x.mT, 1)|m.kron(x, x)|m.linalg.multi_dot([x, x.mT, x])
m.linalg.inv(x @ x.mT + 1 * m.eye(3, dtype=x.dtype))|m.linalg.det(x @ x.mT)|m.linalg.slogdet(x @ x.mT)[1]|m.linalg.cholesky(x @ x.mT)
m.linalg.qr(x)|m.linalg.svdvals(x)|m.linalg.svd(x, False)|m.linalg.eigh(x @ x.mT)|m.linalg.eigvalsh(x @ x.mT)
m.linalg.eigvals(x @ x.mT).real|m.linalg.lu(x)|m.linalg.pinv(x)|m.linalg.matrix_exp(x @ x.mT)|m.linalg.solve(x @ x.mT, x)
m.linalg.solve_triangular(x @ x.mT, x, upper=True)|m.linalg.lu_solve(*m.linalg.lu_factor(x @ x.mT), x)|m.linalg.matrix_rank(x)
m.linalg.lstsq(x, x)[0]|m.linalg.norm(x, 'nuc')|m.linalg.cond(x)|m.linalg.householder_product(x.mT, x[:, 0])
m.linalg.matrix_power(x @ x.mT, -2)|m.linalg.inv_ex(x @ x.mT)[0]|m.fft.fft(x).abs()|m.fft.rfft(x, 6).abs()|m.fft.irfft(x, 5)
m.fft.fft2(x).abs()|m.stft(x, 4, return_complex=True, pad_mode='constant', window=m.ones(4, dtype=x.dtype)).abs()
m.istft(m.stft(x, 4, 1, window=m.ones(4, dtype=x.dtype), return_complex=True, pad_mode='constant'), 4, 1, window=m.ones(4, dtype=x.dtype))
m.special.ndtr(x)|m.special.erfcx(x)|m.special.xlog1py(x, x * x)|m.special.entr(x * x)|m.special.i1(x)|m.cdist(x, x + 1)|m.cov(x)
m.corrcoef(x)|m.diff(x)|m.trapezoid(x)|m.gradient(x)[0]|m.isclose(x, x)|x.put(m.tensor([0, 3]), x[0, :2])
x.index_reduce(0, m.tensor([0, 0, 1]), x, 'amax')|x.triu(1)|x.diagonal(1)|m.block_diag(x, x)|m.cartesian_prod(x[0], x[1])
"""


@pytest.mark.parametrize("code", [c for line in CODES.split("\n") for c in line.split("|") if c])
def test_as_on_the_cpu(code: str) -> None:
    compare(code, x=(3, 4))


def test_a_singular_matrix_is_named_where_nothing_raises(pretended_gpu, monkeypatch) -> None:
    """CuPy's solvers answer NaN where NumPy's raise."""
    inverse = np.linalg.inv

    def quiet(x):
        out = np.full(x.shape, np.nan, x.dtype)
        for item in np.ndindex(x.shape[:-2]):
            if np.linalg.matrix_rank(np.asarray(x[item])) == x.shape[-1]:
                out[item] = inverse(np.asarray(x[item]))
        return pretended_gpu.xp.asarray(out)

    monkeypatch.setattr(pretended_gpu.xp.linalg, "inv", quiet, raising=False)
    with pytest.raises(LinAlgError, match="batch item 1 of shape"):
        fb.linalg.inv(fb.stack([fb.eye(2), fb.zeros(2, 2)]).cuda())


def test_gradients_reach_a_number_on_the_cpu() -> None:
    """A zero-dimensional CPU tensor that meets a GPU keeps its history."""
    scale = fb.tensor(2.0, requires_grad=True)
    x = fb.ones(3, device="cuda")
    (x * scale).sum().backward()
    fb.where(x > 0, scale, 0.0).sum().backward()
    assert scale.grad.item() == 6.0
    assert scale.grad.is_cpu
