"""Every rule on small problems, and the rules that PyTorch does not have against their formulas in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError

RULES = {
    "SGD": {"lr": 0.05, "momentum": 0.9},
    "Adam": {"lr": 0.1},
    "AdamW": {"lr": 0.1, "weight_decay": 0.0},
    "Adamax": {"lr": 0.1},
    "NAdam": {"lr": 0.05},
    "RAdam": {"lr": 0.1},
    "RMSprop": {"lr": 0.02},
    "Adagrad": {"lr": 0.5},
    "Adadelta": {"lr": 5.0},
    "ASGD": {"lr": 0.2, "lambd": 0.0},
    "Rprop": {"lr": 0.05},
    "Adafactor": {"lr": 0.1},
    "Muon": {"lr": 0.03, "weight_decay": 0.0},
    "Lion": {"lr": 0.02},
}


@pytest.mark.parametrize("name", RULES)
def test_fits_a_linear_map(name):
    """Least squares with a known answer: the loss falls by a factor of 100 at least."""
    fb.manual_seed(0)
    x, truth = fb.randn(64, 5), fb.randn(5, 3)
    y = x @ truth
    w = fb.zeros(5, 3, requires_grad=True)
    optimizer = getattr(fb.optim, name)([w], **RULES[name])
    losses = []
    for _ in range(300):
        optimizer.zero_grad()
        loss = ((x @ w - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 100, losses[::50]


@pytest.mark.parametrize("name", RULES)
def test_empty_and_noncontiguous_parameters(name):
    options = RULES[name]
    rows = fb.zeros(4, 6)
    plain, strided = fb.zeros(3, 4, requires_grad=True), rows.T[::2].requires_grad_()
    empty = fb.zeros(0, 4, requires_grad=True)
    fb.manual_seed(1)
    for params in ([plain], [strided, empty]):
        optimizer = getattr(fb.optim, name)(params, **options)
        fb.manual_seed(1)
        for _ in range(3):
            params[0].grad = fb.randn(3, 4)
            empty.grad = fb.zeros(0, 4)
            optimizer.step()
    np.testing.assert_allclose(strided.detach().numpy(), plain.detach().numpy(), rtol=1e-5, atol=1e-7)
    assert rows.T[::2].tolist() == strided.tolist() and not rows.T[1::2].any()


def test_lion_is_its_formula():
    rng = np.random.default_rng(0)
    p, m = rng.standard_normal((4, 3)), np.zeros((4, 3))
    w = fb.tensor(p, requires_grad=True)
    optimizer = fb.optim.Lion([w], lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    for _ in range(20):
        g = rng.standard_normal((4, 3))
        w.grad = fb.tensor(g)
        optimizer.step()
        p = p * (1 - 0.01 * 0.1) - 0.01 * np.sign(0.9 * m + 0.1 * g)
        m = 0.95 * m + 0.05 * g
    np.testing.assert_allclose(w.detach().numpy(), p, rtol=1e-12)


def test_muon_orthogonalises():
    """The singular values of an update lie near 1 and its singular vectors are those of the momentum."""
    from flambeau.optim.muon import orthogonal

    rng = np.random.default_rng(0)
    for shape in ((20, 12), (12, 20), (8, 8)):
        x = rng.standard_normal(shape)
        u, _, vt = np.linalg.svd(x, full_matrices=False)
        made = orthogonal(fb.tensor(x, dtype=fb.float32), (3.4445, -4.7750, 2.0315), 5, 1e-7).float().numpy()
        core = u.T @ made @ vt.T
        assert np.all(np.diag(core) > 0.5) and np.all(np.diag(core) < 1.4)
        assert np.abs(core - np.diag(np.diag(core))).max() < 0.05


def test_adafactor_keeps_a_row_and_a_column():
    w = fb.zeros(3, 40, 50, requires_grad=True)
    w.grad = fb.ones(3, 40, 50)
    optimizer = fb.optim.Adafactor([w])
    optimizer.step()
    assert {k: tuple(v.shape) for k, v in optimizer.state[w].items()} == {"step": (), "row_var": (3, 40, 1), "col_var": (3, 1, 50)}


def test_large_parameters_are_updated_as_small_ones():
    fb.manual_seed(3)
    start, grad = fb.randn(300, 700), fb.randn(300, 700)
    whole = start.clone().requires_grad_()
    pieces = [start[i].clone().requires_grad_() for i in range(300)]
    for params, grads in (([whole], [grad]), (pieces, list(grad))):
        optimizer = fb.optim.AdamW(params, lr=0.1, amsgrad=True)
        for _ in range(3):
            for p, g in zip(params, grads, strict=True):
                p.grad = g
            optimizer.step()
    assert whole.tolist() == [p.tolist() for p in pieces]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda p: fb.optim.Muon([fb.ones(3, requires_grad=True)]), r"matrices as parameters, got shape \(3,\).*AdamW"),
        (lambda p: fb.optim.Muon(p, adjust_lr_fn="none"), "adjust_lr_fn to be one of"),
        (lambda p: fb.optim.Muon(p, ns_steps=100), "ns_steps < 100"),
        (lambda p: fb.optim.Adafactor(p, d=0.5), "d >= 1"),
        (lambda p: fb.optim.Adafactor(p, beta2_decay=0.8), "beta2_decay <= 0"),
        (lambda p: fb.optim.Adafactor(p, eps=(1e-3, None)), "eps as a pair"),
        (lambda p: fb.optim.Adafactor([fb.ones(2, 2, dtype=fb.complex64, requires_grad=True)]), "real parameters"),
        (lambda p: fb.optim.Rprop(p, etas=(1.5, 0.5)), r"0 < etas\[0\] < 1 < etas\[1\]"),
        (lambda p: fb.optim.Adadelta(p, rho=1.5), "0 <= rho < 1"),
        (lambda p: fb.optim.RMSprop(p, alpha=-1), "alpha >= 0"),
        (lambda p: fb.optim.Lion(p, betas=(0.9, 1.0)), r"betas\[1\] < 1"),
        (lambda p: fb.optim.NAdam(p, momentum_decay=-1), "momentum_decay >= 0"),
    ],
)
def test_errors_of_options(make, message):
    with pytest.raises(ArgumentError, match=message):
        make([fb.ones(2, 2, requires_grad=True)])
