"""The derivative of gamma quantiles, against differences of SciPy's inverse."""

from __future__ import annotations

import numpy as np
from scipy import special

import flambeau as fb
from flambeau.primitives.kernels.special import gamma_slope


def test_against_differences_of_the_quantile():
    rng = np.random.default_rng(0)
    a = np.exp(rng.uniform(np.log(1e-3), np.log(1e5), 500))
    q = rng.uniform(1e-6, 1 - 1e-6, 500)
    a, q = a[special.gammaincinv(a, q) > 1e-290], q[special.gammaincinv(a, q) > 1e-290]
    x = special.gammaincinv(a, q)
    step = a * 1e-5
    quantile = lambda by: special.gammaincinv(a + by, q)
    expected = (8 * (quantile(step) - quantile(-step)) - (quantile(2 * step) - quantile(-2 * step))) / (12 * step)
    np.testing.assert_allclose(gamma_slope(np, a, x), expected, rtol=1e-8)


def test_edges():
    a, x = np.array([0.5, -1.0, 2.0, np.nan]), np.array([0.0, 1.0, -1.0, 1.0])
    np.testing.assert_array_equal(gamma_slope(np, a, x), [0.0, np.nan, np.nan, np.nan])


def test_xlogy_at_zero_has_the_slope_of_its_first_operand():
    x = fb.tensor([0.0, 0.0, 2.0], requires_grad=True)
    fb.xlogy(x, fb.tensor([3.0, 0.0, 3.0])).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [np.log(3), 0.0, np.log(3)], rtol=1e-6)
