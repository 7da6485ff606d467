"""Special functions against SciPy; calculus, covariances, distances, comparison, indexing and types against NumPy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import scipy.spatial.distance as sd
import scipy.special as sp

import flambeau as fb
from flambeau.base.errors import ArgumentError, DeviceError, DtypeError, GradientError, IndexingError, ShapeError
from tests.core.ops.slopes import check

RNG = np.random.default_rng(3)
X = np.concatenate([np.linspace(-6, 6, 31), [0.0]])

SPECIAL = {
    "gammaln": sp.gammaln,
    "psi": sp.digamma,
    "erf": sp.erf,
    "erfc": sp.erfc,
    "erfcx": sp.erfcx,
    "ndtr": sp.ndtr,
    "log_ndtr": sp.log_ndtr,
    "i0": sp.i0,
    "i0e": sp.i0e,
    "i1": sp.i1,
    "i1e": sp.i1e,
    "expit": sp.expit,
    "exp2": sp.exp2,
    "expm1": sp.expm1,
    "entr": sp.entr,
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str) -> None:
    x = X[np.mod(X, 1) != 0] if name in ("gammaln", "psi") else X
    np.testing.assert_allclose(getattr(fb.special, name)(fb.tensor(x)).numpy(), SPECIAL[name](x), rtol=1e-10, atol=1e-13)


def test_special_values_of_two() -> None:
    a, x = RNG.uniform(0.5, 5, 20), RNG.uniform(0.1, 9, 20)
    for name, want in (("gammainc", sp.gammainc), ("gammaincc", sp.gammaincc), ("xlogy", sp.xlogy), ("xlog1py", sp.xlog1py)):
        np.testing.assert_allclose(getattr(fb.special, name)(fb.tensor(a), fb.tensor(x)).numpy(), want(a, x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fb.special.zeta(fb.tensor(a + 1), fb.tensor(x)).numpy(), sp.zeta(a + 1, x), rtol=1e-9)
    np.testing.assert_allclose(fb.special.polygamma(2, fb.tensor(x)).numpy(), sp.polygamma(2, x), rtol=1e-9)
    np.testing.assert_allclose(fb.special.multigammaln(fb.tensor(x + 2), 3).numpy(), [sp.multigammaln(v + 2, 3) for v in x], rtol=1e-9)
    p = RNG.uniform(0.01, 0.99, 20)
    np.testing.assert_allclose(fb.special.ndtri(fb.tensor(p)).numpy(), sp.ndtri(p), rtol=1e-9, atol=1e-12)
    assert fb.special.xlog1py(fb.tensor(0.0), fb.tensor(-1.0)).item() == 0.0


@pytest.mark.parametrize("name", ["ndtr", "log_ndtr", "erfcx", "i0e", "i1", "i1e", "gammaln"])
def test_special_derivatives(name: str) -> None:
    check(getattr(fb.special, name), RNG.uniform(0.3, 2.5, 4))


def test_more_special_derivatives() -> None:
    x, y = RNG.uniform(0.5, 2, 4), RNG.uniform(0.5, 2, 4)
    check(lambda x, y: [fb.special.xlog1py(x, y), fb.special.entr(x)], x, y)
    check(lambda y: [fb.special.gammainc(fb.tensor(x), y), fb.special.gammaincc(fb.tensor(x), y)], y)
    with pytest.raises(GradientError, match="second operand"):
        fb.special.zeta(fb.tensor(x).requires_grad_(), fb.tensor(y))


def test_differences_and_integrals() -> None:
    y, x = RNG.standard_normal((4, 6)), np.sort(RNG.standard_normal(6))
    t = fb.tensor(y)
    np.testing.assert_allclose(fb.diff(t, 2, 0).numpy(), np.diff(y, 2, 0))
    np.testing.assert_allclose(fb.diff(t, prepend=t[:, :1]).numpy(), np.diff(y, prepend=y[:, :1]))
    np.testing.assert_allclose(fb.trapezoid(t, fb.tensor(x)).numpy(), np.trapezoid(y, x))
    np.testing.assert_allclose(fb.trapezoid(t, dx=0.5, dim=0).numpy(), np.trapezoid(y, dx=0.5, axis=0))
    np.testing.assert_allclose(fb.cumulative_trapezoid(t)[:, -1].numpy(), np.trapezoid(y))
    for order in (1, 2):
        for ours, theirs in zip(fb.gradient(t, edge_order=order), np.gradient(y, edge_order=order), strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs)
        np.testing.assert_allclose(
            fb.gradient(t, spacing=[fb.tensor(x)], dim=1, edge_order=order)[0].numpy(), np.gradient(y, x, axis=1, edge_order=order)
        )
    check(lambda t: [fb.diff(t), fb.trapezoid(t, t.square()), *fb.gradient(t, spacing=2.0)], y[:3, :4])


def test_covariance() -> None:
    y = RNG.standard_normal((3, 8))
    f, a = RNG.integers(1, 4, 8), RNG.uniform(0.5, 2, 8)
    t = fb.tensor(y)
    np.testing.assert_allclose(fb.cov(t).numpy(), np.cov(y))
    np.testing.assert_allclose(fb.cov(t, correction=0).numpy(), np.cov(y, ddof=0))
    np.testing.assert_allclose(fb.cov(t, fweights=fb.tensor(f), aweights=fb.tensor(a)).numpy(), np.cov(y, fweights=f, aweights=a))
    np.testing.assert_allclose(fb.corrcoef(t).numpy(), np.corrcoef(y))
    z = y + 1j * RNG.standard_normal((3, 8))
    np.testing.assert_allclose(fb.cov(fb.tensor(z)).numpy(), np.cov(z))
    check(lambda t: [fb.cov(t), fb.corrcoef(t)], y[:2, :4])


@pytest.mark.parametrize("p, name", [(2.0, "euclidean"), (1.0, "cityblock"), (np.inf, "chebyshev")])
@pytest.mark.parametrize("rows", [4, 40])
def test_distances(p: float, name: str, rows: int) -> None:
    x, y = RNG.standard_normal((rows, 5)), RNG.standard_normal((3, 5))
    np.testing.assert_allclose(fb.cdist(fb.tensor(x), fb.tensor(y), p).numpy(), sd.cdist(x, y, name), rtol=1e-9)


def test_distance_derivatives() -> None:
    x, y = RNG.standard_normal((3, 2)), RNG.standard_normal((2, 2))
    check(lambda x, y: [fb.cdist(x, y, p) for p in (1.5, 2.0)], x, y)
    check(lambda x, y: fb.cdist(x, y, compute_mode="use_mm_for_euclid_dist"), x, y)
    same = fb.tensor(x).requires_grad_()
    fb.cdist(same, same).sum().backward()
    assert same.grad.isfinite().all()


def test_closeness() -> None:
    x, y = np.array([1.0, np.inf, -np.inf, np.nan, 5.0, 0.0]), np.array([1.0 + 1e-6, np.inf, np.inf, np.nan, 5.1, 1e-9])
    for options in ({}, {"equal_nan": True}, {"rtol": 0.1}, {"atol": 1.0}, {"rtol": 0.0, "atol": 0.0}):
        np.testing.assert_array_equal(fb.isclose(fb.tensor(x), fb.tensor(y), **options).numpy(), np.isclose(x, y, **options))
    assert fb.allclose(fb.ones(2), fb.ones(2))
    assert not fb.equal(fb.ones(2), fb.ones(3))
    assert fb.equal(fb.arange(3), fb.arange(3))
    with pytest.raises(DtypeError, match="one dtype"):
        fb.isclose(fb.ones(2), fb.ones(2, dtype=fb.float64))


def test_putting_and_unravelling() -> None:
    x = fb.arange(6).reshape(2, 3)
    assert x.put(fb.tensor([0, -1, 0]), fb.tensor([10, 20, 1]), accumulate=True).tolist() == [[11, 1, 2], [3, 4, 25]]
    x.put_(fb.tensor([[1, 2]]), fb.tensor([[7, 8]]))
    assert x.tolist() == [[0, 7, 8], [3, 4, 5]]
    with pytest.raises(IndexingError):
        x.put(fb.tensor([6]), fb.tensor([0]))
    y = fb.tensor([[1.0, 2.0], [3.0, 4.0]])
    out = y.index_reduce(0, fb.tensor([1, 1]), fb.tensor([[5.0, 1.0], [2.0, 9.0]]), "amax")
    assert out.tolist() == [[1.0, 2.0], [5.0, 9.0]]
    at = fb.unravel_index(fb.tensor([0, 5, 23]), (2, 3, 4))
    np.testing.assert_array_equal(np.stack([a.numpy() for a in at]), np.stack(np.unravel_index([0, 5, 23], (2, 3, 4))))
    assert y.where(y > 2, 0.0).tolist() == [[0.0, 0.0], [3.0, 4.0]]
    assert fb.ones(3, 4).sum_to_size(1, 4).tolist() == [[3.0] * 4]
    with pytest.raises(ShapeError):
        fb.ones(3, 4).sum_to_size(2, 4)


def test_types_and_formats() -> None:
    assert isinstance(fb.ones(2), fb.FloatTensor)
    assert not isinstance(fb.ones(2), fb.LongTensor)
    assert not isinstance(1.0, fb.FloatTensor)
    assert fb.LongTensor([1, 2]).dtype is fb.int64
    assert fb.HalfTensor(2, 3).shape == (2, 3)
    assert fb.ones(1).layout is fb.strided
    assert pickle.loads(pickle.dumps(fb.channels_last)) is fb.channels_last
    assert copy.deepcopy(fb.preserve_format) is fb.preserve_format
    assert repr(fb.contiguous_format) == "flambeau.contiguous_format"
    fb.set_default_tensor_type(fb.DoubleTensor)
    try:
        assert fb.ones(1).dtype is fb.float64
    finally:
        fb.set_default_tensor_type("flambeau.FloatTensor")
    assert fb.typename(fb.ones(1)) == "flambeau.FloatTensor"
    assert fb.can_cast(fb.int64, fb.float16)
    assert not fb.can_cast(fb.float32, fb.int64)


def test_conversion_by_type() -> None:
    x = fb.tensor([1.5, 2.0])
    for kind in (fb.LongTensor, "LongTensor", "torch.LongTensor", fb.int64, int):
        assert x.type(kind).dtype is fb.int64
    assert x.double().type(fb.Tensor).dtype is fb.float32 and x.double().type("torch.Tensor").dtype is fb.float32
    assert x.bfloat16().type() == "flambeau.BFloat16Tensor" and x.to(fb.complex64).type() == "flambeau.ComplexFloatTensor"
    assert x.to("meta").type() == "flambeau.meta.FloatTensor" and x.type_as(fb.ones(1, device="meta", dtype=fb.int8)).device.type == "meta"
    with pytest.raises(TypeError, match="type: expected the name of a tensor type, got 'torch.FlotTensor'. Did you mean 'FloatTensor'"):
        x.type("torch.FlotTensor")
    if not fb.cuda.is_available():
        for kind in (fb.cuda.FloatTensor, "torch.cuda.FloatTensor"):
            with pytest.raises((fb.base.errors.DeviceError, ImportError), match="cuda"):
                x.type(kind)


def test_switches_and_namespaces() -> None:
    before = fb.get_num_threads()
    fb.set_num_threads(3)
    assert fb.get_num_threads() == 3
    fb.set_num_threads(before)
    with pytest.raises(ArgumentError, match="positive"):
        fb.set_num_threads(0)
    assert fb.get_device_module("cpu").device_count() == 1
    if not fb.accelerator.is_available():
        assert fb.accelerator.current_accelerator() is None
        with pytest.raises(DeviceError, match="accelerator"):
            fb.accelerator.synchronize()
    with pytest.raises(AssertionError, match="so it is"):
        fb._assert(fb.tensor(False), "so it is")
    state = fb.random.get_rng_state()
    with fb.random.fork_rng():
        fb.rand(3)
    assert fb.equal(state, fb.random.get_rng_state())
    assert fb.ones(1).__array_namespace__() is fb
