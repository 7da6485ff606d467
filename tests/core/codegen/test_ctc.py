"""The CTC loss and its gradient as machine code, against the kernels of arrays."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import flambeau as fb
from flambeau.nn import functional as F
from flambeau.primitives import ctc as rows
from flambeau.primitives.kernels import ctc as kernels


def example(steps, batch, classes, labels, *, spread=1.0, dtype=np.float64, blank=0, seed=0):
    """Log-probabilities, labels (padded with what must not be read), lengths that differ, among them 0 and impossible ones."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((steps, batch, classes)) * spread
    x = (x - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)) - x.max(-1, keepdims=True)).astype(dtype)
    targets = rng.integers(0, classes, (batch, labels))
    given, wanted = rng.integers(0, steps + 1, batch), rng.integers(0, labels + 1, batch)
    given[0] = steps
    for row, count in zip(targets, wanted, strict=True):
        row[count:] = -100
    return x, targets, given, wanted


@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ((20, 5, 7, 6), {}), ((1, 3, 4, 2), {}), ((60, 40, 50, 20), {}), ((7, 2, 3, 1), dict(blank=2)), ((9, 3, 5, 0), {}),
        ((300, 4, 20, 30), dict(spread=40.0)), ((30, 6, 9, 5), dict(dtype=np.float32, blank=8)), ((12, 1, 1, 3), {}),
    ],
)  # fmt: skip
def test_machine_code_and_arrays_agree(sizes, options, zero_infinity):
    x, targets, given, wanted = example(*sizes, **options)
    g = np.random.default_rng(1).standard_normal(sizes[1]).astype(x.dtype)
    params = dict(blank=options.get("blank", 0))
    arrays = [fb.from_numpy(a) for a in (x, targets, given, wanted)]
    loss = fb.compile(lambda *a: rows.ctc(*a, **params, zero_infinity=zero_infinity))
    grad = fb.compile(lambda *a: rows.ctc_grad(*a, **params, zero_infinity=zero_infinity))
    close = dict(rtol=1e-6, atol=1e-6) if x.dtype == np.float32 else dict(rtol=1e-11, atol=1e-12)
    expected = kernels.ctc(np, x, targets, given, wanted, **params)
    np.testing.assert_allclose(loss(*arrays).numpy(), expected, **close)
    expected = kernels.ctc_grad(np, x, targets, given, wanted, g, **params, zero_infinity=zero_infinity)
    np.testing.assert_allclose(grad(*arrays, fb.from_numpy(g)).numpy(), expected, **close)


def test_scores_in_another_layout():
    x, targets, given, wanted = example(15, 4, 6, 5)
    turned = fb.from_numpy(np.ascontiguousarray(x.transpose(1, 0, 2)))
    rest = [fb.from_numpy(a) for a in (targets, given, wanted)]
    found = fb.compile(lambda x: rows.ctc(x.transpose(0, 1), *rest, blank=0, zero_infinity=False))(turned)
    np.testing.assert_allclose(found.numpy(), kernels.ctc(np, x, targets, given, wanted, blank=0), rtol=1e-12)


def test_large_losses_take_the_same_way_eagerly():
    x, targets, given, wanted = example(120, 16, 30, 12, dtype=np.float32)
    given[:], wanted[:] = 120, 12
    targets = np.abs(targets) % 30 + (targets == 0)
    scores = fb.from_numpy(x).requires_grad_()
    loss = F.ctc_loss(scores, fb.from_numpy(targets), given, wanted, reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), kernels.ctc(np, x, targets, given, wanted, blank=0), rtol=1e-6)
    loss.sum().backward()
    expected = kernels.ctc_grad(np, x, targets, given, wanted, np.ones(16, np.float32), blank=0, zero_infinity=False)
    np.testing.assert_allclose(scores.grad.numpy(), expected, rtol=1e-5, atol=1e-6)
