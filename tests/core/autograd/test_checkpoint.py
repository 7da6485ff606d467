"""Checkpointing gives the same gradients, keeps less, and notices functions that do not repeat themselves."""

from __future__ import annotations

import gc
import weakref
from contextlib import contextmanager

import numpy as np
import pytest

import flambeau as fb
from flambeau.autograd import grad, gradcheck, gradgradcheck
from flambeau.base.errors import ArgumentError, GradientError
from flambeau.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def leaf(values):
    return fb.tensor(values, dtype=fb.float64, requires_grad=True)


def same(a, b):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradients_of_inputs_and_of_what_the_function_holds(reentrant):
    x, w = leaf([0.5, -1.0]), leaf([2.0, 3.0])
    f = lambda x: ((x * w).exp() * x, x.sin())
    a, b = f(x)
    want = grad((a * b).sum(), [x, w])
    a, b = checkpoint(f, x, use_reentrant=reentrant)
    (a * b).sum().backward()
    same(x.grad, want[0])
    same(w.grad, want[1])


@pytest.mark.parametrize("reentrant", [False, True])
def test_random_numbers_repeat(reentrant):
    x = leaf([1.0, 1.0, 1.0])
    masks = []

    def f(x):
        masks.append(fb.rand(3, dtype=fb.float64))
        return (x * masks[-1]).exp()

    fb.manual_seed(0)
    out = checkpoint(f, x, use_reentrant=reentrant)
    after = fb.rand(1)
    out.sum().backward()
    assert (masks[0] == masks[1]).all()
    fb.manual_seed(0)
    f(x)
    assert (fb.rand(1) == after).all()  # the backward pass draws from no one else's stream
    masks.clear()
    checkpoint(f, x, use_reentrant=reentrant, preserve_rng_state=False).sum().backward()
    assert not (masks[0] == masks[1]).all()


def test_higher_orders():
    w = leaf([2.0, 3.0])
    f = lambda x: checkpoint(lambda x: (x * w).sin() * x.exp(), x, use_reentrant=False)
    assert gradcheck(f, (leaf([0.5, -1.0]),))
    assert gradgradcheck(f, (leaf([0.5, -1.0]),))


def test_keyword_arguments_containers_and_inputs_without_gradient():
    w = leaf([2.0])
    f = lambda a, *, b, k: {"y": (a[0] * w).exp() * b + k}
    out = checkpoint(f, [fb.ones(1, dtype=fb.float64)], b=leaf([3.0]), k=1, use_reentrant=False)
    out["y"].sum().backward()
    assert float(w.grad) == pytest.approx(3 * np.exp(2))


def test_values_are_dropped_and_the_function_runs_once_more():
    runs, inner = [], []

    def f(x):
        runs.append(1)
        h = x.exp()
        inner.append(weakref.ref(h))
        return (h * h).sin()

    x = leaf([1.0])
    y = checkpoint(f, x, use_reentrant=False)
    gc.collect()
    assert inner[0]() is None
    y.sum().backward(retain_graph=True)
    assert len(runs) == 2
    y.sum().backward()
    assert len(runs) == 3
    same(x.grad, 2 * grad(f(x).sum(), x)[0])


def test_early_stop():
    reached = []

    def f(x):
        y = x.exp()
        reached.append(1)
        z = y * y
        reached.append(2)
        return z + 1

    x = leaf([1.0])
    checkpoint(f, x, use_reentrant=False).sum().backward()
    assert reached == [1, 2, 1]  # the product is the last to save anything
    reached.clear()
    checkpoint(f, x, use_reentrant=False, early_stop=False).sum().backward()
    assert reached == [1, 2, 1, 2]


@pytest.mark.parametrize("reentrant", [False, True])
def test_nested(reentrant):
    x, w = leaf([0.5, -1.0]), leaf([2.0, 3.0])
    inner = lambda x: (x.sin() * w).exp()
    outer = lambda x: checkpoint(inner, checkpoint(inner, x * w, use_reentrant=reentrant) * 2, use_reentrant=reentrant).cos()
    checkpoint(outer, x, use_reentrant=reentrant).sum().backward()
    want = grad(inner(inner(x * w) * 2).cos().sum(), [x, w])
    same(x.grad, want[0])
    same(w.grad, want[1])


def test_a_checkpoint_around_another_keeps_its_own_inputs_only():
    kept = []

    def outer(x):
        h = x * 2
        kept.append(weakref.ref(h))
        return checkpoint(lambda h: h.exp().sin(), h, use_reentrant=False)

    x = leaf([1.0])
    y = checkpoint(outer, x, use_reentrant=False)
    gc.collect()
    assert kept[0]() is None
    y.sum().backward()
    assert float(x.grad) == pytest.approx(2 * np.exp(2) * np.cos(np.exp(2)))


def test_without_gradients_nothing_happens():
    x = leaf([1.0])
    with fb.no_grad():
        assert not checkpoint(fb.exp, x, use_reentrant=False).requires_grad
        assert not checkpoint(fb.exp, x, use_reentrant=True).requires_grad


def changing(first, later):
    calls = []

    def f(x):
        calls.append(1)
        return first(x) if len(calls) == 1 else later(x)

    return f


@pytest.mark.parametrize(
    "first, later, words",
    [
        (lambda x: x.exp(), lambda x: x[:1].exp() + x, r"shape \(1,\).*shape \(2,\)"),
        (lambda x: x.exp(), lambda x: x + 1, "0 values saved by the recomputation, 1"),
        (lambda x: x.exp(), lambda x: x.float().exp(), "float32.*float64"),
    ],
)
def test_functions_that_change(first, later, words):
    x = leaf([1.0, 2.0])
    with pytest.raises(CheckpointError, match=words):
        checkpoint(changing(first, later), x, use_reentrant=False).sum().backward()


def test_the_check_can_be_left_out():
    x = leaf([1.0, 2.0])
    f = changing(lambda x: x.exp(), lambda x: x.exp()[None])
    with pytest.raises(CheckpointError):
        checkpoint(changing(lambda x: x.exp(), lambda x: x[None].exp()), x, use_reentrant=False).sum().backward()
    checkpoint(f, x, use_reentrant=False, determinism_check="none").sum().backward()
    same(x.grad, x.exp())


def test_contexts():
    log = []

    @contextmanager
    def note(name):
        log.append(name)
        yield
        log.append(f"end {name}")

    x = leaf([1.0])
    y = checkpoint(lambda x: x.exp(), x, use_reentrant=False, context_fn=lambda: (note("forward"), note("again")))
    y.sum().backward()
    assert log == ["forward", "end forward", "again", "end again"]


def test_wrong_uses():
    x = leaf([1.0])
    with pytest.warns(UserWarning, match="use_reentrant"):
        checkpoint(fb.exp, x)
    with pytest.warns(UserWarning, match="none of the inputs"):
        checkpoint(lambda a: a * x, fb.ones(1), use_reentrant=True)
    with pytest.raises(ArgumentError, match="positional"):
        checkpoint(lambda x, k: x, x, k=1, use_reentrant=True)
    with pytest.raises(ArgumentError, match="determinism_check"):
        checkpoint(fb.exp, x, use_reentrant=False, determinism_check="strict")
    with pytest.raises(ArgumentError, match="context_fn"):
        checkpoint(fb.exp, x, use_reentrant=True, context_fn=lambda: (None, None))
    with pytest.raises(GradientError, match="use_reentrant=False"):
        grad(checkpoint(fb.exp, x, use_reentrant=True).sum(), x)


def test_modules_and_sequences():
    fb.manual_seed(0)
    model = fb.nn.Sequential(fb.nn.Linear(3, 4), fb.nn.Dropout(0.5), fb.nn.Tanh(), fb.nn.Linear(4, 2), fb.nn.Tanh())
    x = fb.randn(5, 3)
    fb.manual_seed(1)
    model(x).sum().backward()
    want = [p.grad.clone() for p in model.parameters()]
    for reentrant in (False, True):
        for segments in (1, 2, 5):
            model.zero_grad()
            fb.manual_seed(1)
            checkpoint_sequential(model, segments, x.clone().requires_grad_(), use_reentrant=reentrant).sum().backward()
            for p, w in zip(model.parameters(), want):
                np.testing.assert_allclose(p.grad.numpy(), w.numpy(), rtol=1e-5)
    with pytest.raises(ArgumentError, match="1 to 5"):
        checkpoint_sequential(model, 6, x)
