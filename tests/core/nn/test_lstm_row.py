"""An LSTM layer as one primitive equals the loop over steps, with first and second derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.nn import rnn


def by_steps(monkeypatch, on):
    monkeypatch.setattr(rnn.RNNBase, "_is_one_row", (lambda self, sizes, tensors: False) if on else ROW)


ROW = rnn.RNNBase._is_one_row


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2, "bias": False}, {"batch_first": True}])
@pytest.mark.parametrize("with_state", [False, True])
def test_equals_the_loop(options, with_state, monkeypatch):
    fb.manual_seed(0)
    net = nn.LSTM(3, 4, dtype=fb.float64, **options)
    x = fb.randn(5, 2, 3, dtype=fb.float64, requires_grad=True)
    if options.get("batch_first"):
        x = x.detach().transpose(0, 1).contiguous().requires_grad_()
    layers = net.num_layers * (2 if net.bidirectional else 1)
    state = [fb.randn(layers, 2, 4, dtype=fb.float64, requires_grad=True) for _ in range(2)]
    leaves = [x, *net.parameters(), *(state if with_state else [])]
    found = []
    for steps in (True, False):
        by_steps(monkeypatch, steps)
        y, (h, c) = net(x, tuple(state)) if with_state else net(x)
        outs = [y, h, c]
        for total in ((y * y).sum(), (c * c).sum() + h.sum(), (y * y).sum() + (c**3).sum()):
            grads = fb.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
            outs += [g for g in grads if g is not None]
            twice = sum((g * g).sum() for g in grads if g is not None)
            outs += fb.autograd.grad(twice, leaves, retain_graph=True)
            outs += [g for g in fb.autograd.grad(total, leaves, retain_graph=True, allow_unused=True) if g is not None]
        found.append([o.detach().numpy() for o in outs])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_packed_and_projected_sequences_keep_the_loop():
    net = nn.LSTM(3, 4, proj_size=2)
    assert net(fb.zeros(5, 2, 3))[0].shape == (5, 2, 2)
    packed = nn.utils.rnn.pack_padded_sequence(fb.randn(5, 2, 3), fb.tensor([5, 3]))
    out, (h, _) = nn.LSTM(3, 4)(packed)
    assert out.data.shape == (8, 4) and h.shape == (1, 2, 4)


@pytest.mark.parametrize("dtype", [fb.float16, fb.bfloat16])
def test_half_precision(dtype):
    fb.manual_seed(0)
    net = nn.LSTM(3, 4)
    x = fb.randn(6, 2, 3)
    want = net(x)[0]
    got = net.to(dtype)(x.to(dtype))[0]
    assert got.dtype == dtype
    np.testing.assert_allclose(got.detach().float().numpy(), want.detach().numpy(), atol=0.02)
