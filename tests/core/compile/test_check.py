"""`compile(check=True)` finds what a program does not see, and leaves everything else as it would be."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.compiler import compile
from flambeau.graph.check import CheckError


def test_training_goes_on_as_without_the_check():
    def train(how):
        fb.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.BatchNorm1d(4), nn.Linear(4, 1))
        optimizer = fb.optim.Adam(net.parameters(), lr=0.05)
        total = fb.zeros(())

        def step(x):
            optimizer.zero_grad()
            loss = net(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            total.add_(loss.detach())
            return loss.item()

        run = how(step)
        losses = [run(fb.randn(6, 3, generator=fb.Generator().manual_seed(i))) for i in range(8)]
        return losses, total.item(), [v.tolist() for v in net.state_dict().values()]

    eager, checked = train(lambda f: f), train(lambda f: compile(f, check=True))
    np.testing.assert_allclose(checked[0], eager[0], rtol=1e-4)
    assert checked[1] == pytest.approx(eager[1], rel=1e-4)
    for a, b in zip(checked[2], eager[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_a_python_object_that_changes_is_found_with_the_result_and_the_operation():
    factors = [1.0]
    f = compile(lambda x: (x + 1, x * factors[0]), check=True)
    for _ in range(3):
        f(fb.ones(2))
    factors[0] = 5.0
    with pytest.raises(CheckError, match=r"result 1 .*made by mul at .*test_check.py:\d+"):
        f(fb.ones(2))


def test_a_write_that_is_not_what_it_was_is_found():
    state, steps = fb.zeros(2), [1.0]

    def f(x):
        state.add_(x * steps[0])
        return x

    g = compile(f, check=True)
    for _ in range(3):
        g(fb.ones(2))
    assert state.tolist() == [3, 3]
    steps[0] = 2.0
    with pytest.raises(CheckError, match="memory of shape"):
        g(fb.ones(2))


def test_branches_are_checked_too():
    def f(x):
        return x * 2 if x.sum() > 0 else x - 1

    g = compile(f, check=True)
    for n in (1, 1, -1, 2, -2, -1):
        assert g(fb.full((2,), float(n))).tolist() == f(fb.full((2,), float(n))).tolist()
