"""Attention as one primitive: values and gradients of first and second order against the formula written out."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.primitives.kernels import attention as kernels

F = fb.nn.functional
RNG = np.random.default_rng(0)


def normal(*shape, grad=True):
    return fb.tensor(RNG.standard_normal(shape), requires_grad=grad)


def written_out(q, k, v, mask, causal, scale=None):
    """The formula, with every head of k and v repeated."""
    times = q.shape[-3] // k.shape[-3] if q.dim() > 2 else 1
    if times > 1:
        k, v = k.repeat_interleave(times, -3), v.repeat_interleave(times, -3)
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    allowed = fb.ones(q.shape[-2], k.shape[-2], dtype=fb.bool)
    if causal:
        allowed = allowed.tril()
    if mask is not None and mask.dtype == fb.bool:
        allowed = allowed & mask
    if mask is not None and mask.dtype != fb.bool:
        scores = scores + mask.clamp(min=-1e300)
        allowed = allowed & (mask > float("-inf"))
    seeing = allowed.any(-1, keepdim=True)
    weights = scores.masked_fill(~(allowed | ~seeing), float("-inf")).softmax(-1)
    return (weights * seeing) @ v


BLIND = RNG.random((5, 7)) < 0.5
BLIND[2] = False
MASKS = {
    "none": None,
    "bool": fb.tensor(BLIND),
    "float": fb.tensor(np.where(BLIND, RNG.standard_normal((5, 7)), -np.inf)),
    "padding": fb.tensor(RNG.random((2, 1, 1, 7)) < 0.6),
    "heads": fb.tensor(RNG.standard_normal((4, 1, 7))),
    "full": fb.tensor(RNG.random((2, 4, 5, 7)) < 0.7),
}


@pytest.mark.parametrize(("mask", "causal"), [("none", True), *((name, False) for name in MASKS)])
@pytest.mark.parametrize("heads", [4, 2, 1])
def test_against_the_formula(mask, heads, causal):
    m = MASKS[mask]
    q, k, v, g = normal(2, 4, 5, 6), normal(2, heads, 7, 6), normal(2, heads, 7, 3), normal(2, 4, 5, 3)
    xs = [q, k, v, g]
    results = []
    for fn in (
        lambda: F.scaled_dot_product_attention(q, k, v, m, is_causal=causal, enable_gqa=True),
        lambda: written_out(q, k, v, m, causal),
    ):
        out = fn()
        grads = fb.autograd.grad(out, (q, k, v), g, create_graph=True)
        total = sum((a * fb.linspace(-1, 1, a.numel(), dtype=fb.float64).reshape(a.shape)).sum() for a in grads)
        results.append([out, *grads, *fb.autograd.grad(total, xs)])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), want.detach().numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "shapes", [[(5, 6), (7, 6), (7, 3)], [(3, 5, 6), (1, 7, 6), (3, 7, 3)], [(2, 1, 5, 6), (2, 4, 7, 6), (1, 1, 7, 3)]]
)
def test_broadcast_axes_in_front(shapes):
    q, k, v = (normal(*s) for s in shapes)
    out = F.scaled_dot_product_attention(q, k, v, scale=0.3)
    lead = np.broadcast_shapes(*(s[:-2] for s in shapes))
    want = written_out(*(x.expand(*lead, *x.shape[-2:]) for x in (q, k, v)), None, False, 0.3)
    np.testing.assert_allclose(out.detach().numpy(), want.detach().numpy(), rtol=1e-12)
    for got, expected in zip(fb.autograd.grad(out.sum(), (q, k, v)), fb.autograd.grad(want.sum(), (q, k, v)), strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-9, atol=1e-12)


def test_small_blocks_give_the_same(monkeypatch):
    q, k, v, g = normal(3, 2, 40, 4), normal(3, 2, 33, 4), normal(3, 2, 33, 5), normal(3, 2, 40, 5)
    padding = fb.tensor(RNG.random((3, 1, 1, 33)) < 0.8)
    found = []
    for rows, scores in ((64, 1 << 20), (7, 50)):
        monkeypatch.setattr(kernels, "_ROWS", rows)
        monkeypatch.setattr(kernels, "_SCORES", scores)
        for options in ({"is_causal": True}, {"attn_mask": padding}, {}):
            out = F.scaled_dot_product_attention(q, k, v, **options)
            found.append([out, *fb.autograd.grad(out, (q, k, v), g)])
    for one, other in zip(found[:3], found[3:], strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [fb.float32, fb.float16, fb.bfloat16])
def test_dtypes(dtype):
    x = [normal(2, 3, 8, 4).detach() for _ in range(4)]
    low = [t.to(dtype).requires_grad_() for t in x[:3]]
    exact = [t.to(dtype).double().requires_grad_() for t in x[:3]]
    out, want = F.scaled_dot_product_attention(*low, is_causal=True), written_out(*exact, None, True)
    assert out.dtype == dtype
    rough = {fb.float32: 1e-5, fb.float16: 4e-3, fb.bfloat16: 3e-2}[dtype]
    np.testing.assert_allclose(out.detach().double().numpy(), want.detach().numpy(), rtol=rough, atol=rough)
    grads = fb.autograd.grad(out, low, x[3].to(dtype))
    for got, expected in zip(grads, fb.autograd.grad(want, exact, x[3].to(dtype).double()), strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got.double().numpy(), expected.numpy(), rtol=rough, atol=2 * rough)


def test_a_mask_that_requires_grad_gets_it():
    q, k, v, m = normal(2, 5, 6), normal(2, 7, 6), normal(2, 7, 3), normal(5, 7)
    got = fb.autograd.grad(F.scaled_dot_product_attention(q, k, v, m).square().sum(), (q, m))
    want = fb.autograd.grad(written_out(q, k, v, m, False).square().sum(), (q, m))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)
