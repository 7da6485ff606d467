"""Special functions against SciPy over wide ranges, and where SciPy itself is off against numbers of 30 digits."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from scipy import special

from flambeau.base.errors import ArgumentError
from flambeau.primitives.kernels import special as kernels

rng = np.random.default_rng(0)
EDGES = np.array([0.0, -0.0, 1.0, -1.0, 1e-310, -1e-310, 1e-20, -1e-20, np.nan])
LINE = np.concatenate([rng.uniform(-6, 6, 4000), rng.uniform(-26, 26, 4000), 10 ** rng.uniform(-300, 1.4, 1000), EDGES])
HALF_LINE = np.concatenate([rng.uniform(0, 20, 4000), 10 ** rng.uniform(-300, 300, 1000), 1 + 10 ** rng.uniform(-10, 0, 1000),
                            2 - 10 ** rng.uniform(-10, 0, 1000), [0.0, 1.0, 2.0, 3.0, np.inf, np.nan]])
UNIT = np.concatenate([rng.uniform(-1, 1, 4000), 1 - 10 ** rng.uniform(-16, 0, 1000), 10 ** rng.uniform(-300, 0, 1000),
                       [0.0, 1.0, -1.0, 2.0, -2.0, np.nan]])

ZEROS_OF_LGAMMA = [-1.0101273664695701269e-9, -5.7720744027504826216e-6, -0.020324499149577653705, -0.000042275208772153458011,
                   -4.2278436975733279119e-10, 4.2278437040226696476e-10]


def agree(got, expected, rtol):
    with np.errstate(all="ignore"):
        assert got.dtype == expected.dtype and got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=0)


@pytest.mark.parametrize("name,x,rtol", [
    ("erf", LINE, 1e-15), ("erfc", LINE, 1e-13), ("erfcx", LINE, 1e-13), ("ndtr", LINE, 1e-13), ("log_ndtr", LINE, 1e-13),
    ("i0", LINE, 1e-14), ("i0e", LINE, 1e-14), ("i1", LINE, 1e-14), ("i1e", LINE, 1e-14),
    ("erfinv", UNIT, 3e-15), ("ndtri", UNIT, 3e-15),
])
def test_against_scipy(name, x, rtol):
    with np.errstate(all="ignore"):
        expected = getattr(special, name)(x)
    got = getattr(kernels, name)(np, x)
    small = np.abs(expected) < 1e-307                       # denormal results carry fewer digits
    agree(np.where(small, 0.0, got), np.where(small, 0.0, expected), rtol)
    signed = (expected == expected) & (expected != 0.0)
    np.testing.assert_array_equal(np.signbit(got[signed]), np.signbit(expected[signed]))
    if name in ("erf", "erfinv", "i1", "i1e"):
        assert np.signbit(got[(x == 0) & np.signbit(x)]).all()


@pytest.mark.parametrize("name", ["erfc", "erfinv", "ndtr", "ndtri", "log_ndtr", "lgamma", "digamma", "i0", "i0e", "i1", "i1e", "sinc"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_short_floats_are_rounded_from_a_finer_result(name, dtype):
    x = np.concatenate([rng.uniform(-0.999, 5, 300), [0.0, 0.5, np.inf, np.nan]]).astype(dtype).reshape(2, 152)
    got = getattr(kernels, name)(np, x)
    with np.errstate(all="ignore"):
        fine = getattr(kernels, name)(np, x.astype(np.float64))
        expected = fine.astype(dtype)
    assert got.dtype == dtype and got.shape == x.shape
    np.testing.assert_array_equal(got.astype(float), expected.astype(float))
    assert getattr(kernels, name)(np, x[:, :0]).shape == (2, 0)


def test_float32_erf_is_within_two_ulp():
    bits = np.arange(0, 0x40A00000, 997, dtype=np.uint32)            # every 997th float from 0 to 5
    x = bits.view(np.float32)
    for sign in (np.float32(1), np.float32(-1)):
        got = kernels.erf(np, sign * x)
        exact = special.erf((sign * x).astype(np.float64))
        assert got.dtype == np.float32
        assert (np.abs(got - exact) / np.spacing(np.maximum(np.abs(exact).astype(np.float32), np.float32(1e-38)))).max() <= 2.0
    edges = np.array([np.inf, -np.inf, np.nan, -0.0, 1e-45, 100.0], dtype=np.float32)
    np.testing.assert_array_equal(kernels.erf(np, edges), np.array([1, -1, np.nan, -0.0, 1e-45, 1], dtype=np.float32))
    assert np.signbit(kernels.erf(np, edges)[3])
    half = np.linspace(-4, 4, 1001).astype(np.float16)
    np.testing.assert_array_equal(kernels.erf(np, half), special.erf(half.astype(np.float64)).astype(np.float32).astype(np.float16))


def test_infinities_and_denormals():
    inf = np.array([np.inf, -np.inf])
    for name, expected in (("erf", [1, -1]), ("erfc", [0, 2]), ("erfcx", [0, np.inf]), ("ndtr", [1, 0]), ("log_ndtr", [0, -np.inf]),
                           ("i0", [np.inf, np.inf]), ("i1", [np.inf, -np.inf]), ("i0e", [0, 0]), ("i1e", [0, -0.0]), ("sinc", [0, 0]),
                           ("lgamma", [np.inf, np.inf]), ("digamma", [np.inf, np.nan]), ("ndtri", [np.nan, np.nan]),
                           ("erfinv", [np.nan, np.nan])):
        np.testing.assert_array_equal(getattr(kernels, name)(np, inf), expected, err_msg=name)
    np.testing.assert_allclose(kernels.erfc(np, np.array([26.6])), [1.08851258854e-309], rtol=1e-3)     # not flushed to 0
    np.testing.assert_allclose(kernels.i0(np, np.array([713.0])), [6.705128263670999e307], rtol=1e-13)      # no early overflow


def test_the_gamma_family():
    np.testing.assert_allclose(kernels.lgamma(np, HALF_LINE), special.gammaln(HALF_LINE), rtol=1e-14, atol=1e-15)
    # next to its zeros at 1 and 2, mpmath, 30 digits
    x = np.array([1 + 1.75e-9, 1.00001, 1.95, 1.9999, 2 - 1e-9, 2 + 1e-9])
    np.testing.assert_allclose(kernels.lgamma(np, x), ZEROS_OF_LGAMMA, rtol=1e-15)
    agree(kernels.digamma(np, HALF_LINE[HALF_LINE > 0]), special.psi(HALF_LINE[HALF_LINE > 0]), 1e-14)
    for n in (1, 2, 3, 7):
        x = HALF_LINE[(HALF_LINE > 1e-20) & (HALF_LINE < 1e30)]
        agree(kernels.polygamma(np, n, x), special.polygamma(n, x), 1e-13)
    negative = -rng.uniform(0, 60, 3000)
    np.testing.assert_allclose(kernels.lgamma(np, negative), special.gammaln(negative), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(kernels.digamma(np, negative), special.psi(negative), rtol=3e-12, atol=1e-13)
    np.testing.assert_array_equal(kernels.lgamma(np, np.array([0.0, -1.0, -7.0, 1.0, 2.0])), [np.inf, np.inf, np.inf, 0.0, 0.0])
    np.testing.assert_array_equal(kernels.digamma(np, np.array([0.0, -0.0, -1.0, -7.0])), [-np.inf, np.inf, np.nan, np.nan])
    # mpmath, 30 digits, where SciPy has lost some
    np.testing.assert_allclose(kernels.digamma(np, np.array([-35.999953354132145])), [-21434.5286662608906660641708], rtol=1e-14)
    np.testing.assert_array_equal(kernels.polygamma(np, 0, HALF_LINE), kernels.digamma(np, HALF_LINE))
    with pytest.raises(ArgumentError):
        kernels.polygamma(np, -1, HALF_LINE)


def test_hurwitz_zeta():
    x, q = 1 + 10 ** rng.uniform(-3, 1.7, 3000), 10 ** rng.uniform(-2, 4, 3000)
    agree(kernels.zeta(np, x, q), special.zeta(x, q), 1e-14)
    np.testing.assert_array_equal(kernels.zeta(np, np.array([1.0, 0.5, 2.0, 2.0, 2.5, np.nan]), np.array([1.0, 1.0, 0.0, -3.0, -0.5, 1.0])),
                                  [np.inf, np.nan, np.inf, np.inf, np.nan, np.nan])
    np.testing.assert_allclose(kernels.zeta(np, np.array([2.0]), np.array([-1.5])), [np.pi**2 / 2 + 4 / 9 + 4], rtol=1e-14)
    agree(kernels.zeta(np, 3.0, np.array([[1.0], [2.0]], np.float32)), special.zeta(3.0, [[1.0], [2.0]]).astype(np.float32), 1e-7)


def test_incomplete_gamma():
    a, x = 10 ** rng.uniform(-4, 2, 4000), 10 ** rng.uniform(-4, 2.3, 4000)
    for mine, theirs in ((kernels.igamma, special.gammainc), (kernels.igammac, special.gammaincc)):
        got, expected = mine(np, a, x), theirs(a, x)
        keep = expected > 1e-200
        np.testing.assert_allclose(got[keep], expected[keep], rtol=2e-13)
        assert (got[~keep] < 1e-199).all()
    a = 10 ** rng.uniform(0, 3, 3000)
    x = np.abs(a * (1 + rng.standard_normal(3000) / np.sqrt(a) * 3))
    np.testing.assert_allclose(kernels.igamma(np, a, x), special.gammainc(a, x), rtol=1e-12)
    np.testing.assert_allclose(kernels.igammac(np, a, x), special.gammaincc(a, x), rtol=1e-12)
    # mpmath, 30 digits, where SciPy has lost them
    np.testing.assert_allclose(kernels.igamma(np, np.array([986041.9974676216]), np.array([981480.663347225])),
                               [2.10970574271727156350490891302e-6], rtol=1e-13)


def test_incomplete_gamma_edges_and_continuity():
    a = np.array([0.0, 0.0, 1.0, np.inf, 2.0, np.inf, -1.0, 1.0, np.nan])
    x = np.array([0.0, 1.0, 0.0, 1.0, np.inf, np.inf, 1.0, -1.0, 1.0])
    np.testing.assert_array_equal(kernels.igamma(np, a, x), [np.nan, 1, 0, 0, 1, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(kernels.igammac(np, a, x), [np.nan, 0, 1, 1, 0, np.nan, np.nan, np.nan, np.nan])
    # neighbouring methods agree where they meet: x = 0.7 a and 1.3 a for large a, a = 100, x = 1.1
    for a, x in ((100.0, 70.0), (100.0, 130.0), (5000.0, 3500.0), (100.0, 90.0), (100.0, 115.0), (0.8, 1.1), (1.5, 1.1), (8.0, 9.0)):
        step = 1e-12
        at = np.array([a * (1 - step), a, a * (1 + step)]), np.array([x * (1 - step), x, x * (1 + step)])
        p = kernels.igamma(np, *(v[:, None] if i == 0 else v for i, v in enumerate(at)))
        np.testing.assert_allclose(p, p[1, 1], rtol=1e-8)
    total = kernels.igamma(np, np.float32(3.0) * np.ones(4, np.float32), np.linspace(0, 9, 4, dtype=np.float32))
    assert total.dtype == np.float32


def test_xlogy_and_sinc():
    x, y = np.array([0.0, 0.0, 0.0, 2.0, np.nan, 0.0]), np.array([0.0, np.inf, np.nan, 3.0, 0.0, -1.0])
    np.testing.assert_array_equal(kernels.xlogy(np, x, y), special.xlogy(x, y))
    np.testing.assert_array_equal(kernels.xlog1py(np, x, y), special.xlog1py(x, y))
    assert kernels.xlogy(np, x.astype(np.float32), y.astype(np.float32)).dtype == np.float32
    t = rng.uniform(-30, 30, 1000)
    np.testing.assert_allclose(kernels.sinc(np, t), np.sinc(t), rtol=1e-11, atol=1e-15)
    np.testing.assert_array_equal(kernels.sinc(np, np.arange(-3.0, 4.0)), [0, 0, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(kernels.expm1(np, t), np.expm1(t))
    np.testing.assert_array_equal(kernels.log1p(np, np.abs(t)), np.log1p(np.abs(t)))
