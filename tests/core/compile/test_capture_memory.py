"""A run under capture frees what an ordinary run frees, and is not misled when memory is used again."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import flambeau as fb
from flambeau.graph.capture import traced
from flambeau.graph.interpret import interpret


def test_intermediate_arrays_go_when_their_tensors_do():
    x, seen = fb.randn(1000), []

    def f():
        y = x * 2
        seen.append(weakref.ref(y._a))
        z = y.view(10, 100)[1:].exp()
        seen.append(weakref.ref(z._a))
        del y
        assert seen[0]() is None
        return z.sum()

    result, capture = traced(f)
    assert seen[1]() is None
    assert set(capture.memories) == set(capture.roots)
    assert len(capture.memories) == 2  # of x, and of the result
    assert result.item() == pytest.approx(float(np.exp(x.numpy()[100:] * 2).sum()), rel=1e-5)


def test_backward_frees_what_it_has_used():
    x, w, seen = fb.randn(8, 50), fb.randn(50, 50, requires_grad=True), []

    def f():
        y = (x @ w).tanh()
        seen.append(weakref.ref(y._a))
        loss = (y @ w).square().mean()
        del y
        assert seen[0]() is not None  # saved for backward
        loss.backward()
        return loss.detach()

    traced(f)
    assert seen[0]() is None


def test_memory_that_is_used_again_is_another_value():
    """Temporaries of one size come and go, so that addresses and ids return; views and writes hit the right ones."""
    x = fb.randn(64)

    def f():
        total = fb.zeros(64)
        for i in range(40):
            t = x * float(i)
            t.view(8, 8)[1].add_(1.0)
            total = total + t.view(8, 8).t().reshape(64)
        return total

    result, capture = traced(f)
    graph = capture.graph
    value = capture.read(result)
    graph.results = [value]
    (again,) = interpret(graph, capture.outside)
    expected = np.zeros(64, np.float32)
    for i in range(40):
        t = (x.numpy() * np.float32(i)).reshape(8, 8).copy()
        t[1] += 1
        expected = expected + t.T.reshape(64)
    assert np.allclose(result.numpy(), expected, rtol=1e-6)
    assert np.array_equal(again, result.numpy())
