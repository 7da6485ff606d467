"""Initialisers: distributions and errors (bit equality with PyTorch is a parity test)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import flambeau as fb
from flambeau.nn import init


def values(fill, shape=(200, 300), seed=1):
    generator = fb.Generator().manual_seed(seed)
    return fill(fb.empty(*shape), generator).numpy()


def pvalue(x, distribution):
    return stats.kstest(x.ravel(), distribution.cdf).pvalue


@pytest.mark.parametrize(
    ("fill", "distribution"),
    [
        (lambda t, g: init.uniform_(t, -2.0, 3.0, g), stats.uniform(-2, 5)),
        (lambda t, g: init.normal_(t, 1.0, 2.0, g), stats.norm(1, 2)),
        (lambda t, g: init.xavier_uniform_(t, 2.0, g), stats.uniform(-2 * math.sqrt(6 / 500), 4 * math.sqrt(6 / 500))),
        (lambda t, g: init.xavier_normal_(t, 1.0, g), stats.norm(0, math.sqrt(2 / 500))),
        (lambda t, g: init.kaiming_normal_(t, nonlinearity="relu", generator=g), stats.norm(0, math.sqrt(2 / 300))),
        (lambda t, g: init.kaiming_uniform_(t, math.sqrt(5), generator=g), stats.uniform(-1 / math.sqrt(300), 2 / math.sqrt(300))),
        (lambda t, g: init.trunc_normal_(t, 0.0, 1.0, -2.0, 2.0, g), stats.truncnorm(-2, 2)),
        (lambda t, g: init.trunc_normal_(t, 0.0, 1.0, 1.0, 1.5, g), stats.truncnorm(1, 1.5)),
    ],
)
def test_distributions(fill, distribution):
    x = values(fill)
    assert pvalue(x, distribution) > 1e-3
    np.testing.assert_array_equal(x, values(fill))
    assert not np.array_equal(x, values(fill, seed=2))


def test_constants():
    assert init.constant_(fb.empty(2, 2), 3.0).tolist() == [[3.0, 3.0], [3.0, 3.0]]
    np.testing.assert_array_equal(init.eye_(fb.empty(2, 3)).numpy(), np.eye(2, 3))
    weight = init.dirac_(fb.empty(4, 2, 3), groups=2)
    x = fb.randn(1, 4, 7)
    np.testing.assert_array_equal(fb.nn.functional.conv1d(x, weight, padding=1, groups=2).numpy(), x.numpy())


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 3, 2)])
def test_orthogonal(shape):
    q = init.orthogonal_(fb.empty(*shape, dtype=fb.float64), 2.0).numpy().reshape(shape[0], -1) / 2
    gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


def test_sparse():
    x = init.sparse_(fb.empty(10, 6), 0.25).numpy()
    assert ((x == 0).sum(axis=0) == 3).all()


def test_leaves_that_require_grad_are_filled():
    p = fb.nn.Parameter(fb.zeros(3, 3))
    assert init.normal_(p) is p and p.is_leaf and p.requires_grad and float(p.detach().abs().sum()) > 0


def test_errors():
    with pytest.raises(ValueError, match="2 axes"):
        init.xavier_uniform_(fb.empty(3))
    with pytest.raises(ValueError, match="mode"):
        init.kaiming_uniform_(fb.empty(3, 3), mode="fan")
    with pytest.raises(ValueError, match="Did you mean 'relu'"):
        init.calculate_gain("relo")
    with pytest.raises(ValueError, match="groups"):
        init.dirac_(fb.empty(3, 2, 3), groups=2)
    with pytest.raises(ValueError, match="2 or more"):
        init.orthogonal_(fb.empty(3))
    with pytest.warns(UserWarning, match="2 std"):
        init.trunc_normal_(fb.empty(3), 5.0, 1.0, -1.0, 1.0)
