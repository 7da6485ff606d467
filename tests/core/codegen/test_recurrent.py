"""LSTM layers in machine code, forward and backward, against the kernels that NumPy runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from tests.core.codegen.programs import LEVELS, build, captured, check

RNG = np.random.default_rng(0)


def trained(net: Any) -> Any:
    """Outputs, last state and gradients of everything."""

    def run(x: Any, g: Any) -> Any:
        x = x.detach().requires_grad_()
        y, (h, c) = net(x)
        total = (y * g).sum() + (h * h).sum() + (c * 0.3).sum()
        return y.detach(), c.detach(), *fb.autograd.grad(total, [x, *net.parameters()])

    return run


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("steps", "batch", "width", "hidden"), [(5, 7, 3, 16), (3, 1, 4, 5), (1, 13, 2, 33), (4, 20, 8, 70)])
def test_sizes(steps: int, batch: int, width: int, hidden: int, level: str) -> None:
    fb.manual_seed(0)
    net = nn.LSTM(width, hidden)
    x, g = RNG.standard_normal((steps, batch, width)).astype("f4"), RNG.standard_normal((steps, batch, hidden)).astype("f4")
    assert check(trained(net), x, g, level=level, tolerance=3e-5).native


@pytest.mark.parametrize("options", [{"bidirectional": True}, {"num_layers": 2}, {"batch_first": True}])
def test_kinds(options: Any) -> None:
    fb.manual_seed(0)
    net = nn.LSTM(3, 12, **options)
    shape = (4, 6, 12 * (2 if net.bidirectional else 1))
    check(trained(net), RNG.standard_normal((4, 6, 3)).astype("f4"), RNG.standard_normal(shape).astype("f4"), tolerance=3e-5)


def test_float64() -> None:
    fb.manual_seed(0)
    net = nn.LSTM(3, 12, dtype=fb.float64)
    check(trained(net), RNG.standard_normal((4, 6, 3)), RNG.standard_normal((4, 6, 12)))


def test_threads_do_not_matter() -> None:
    fb.manual_seed(0)
    net = nn.LSTM(8, 40)
    x, g = RNG.standard_normal((6, 23, 8)).astype("f4"), RNG.standard_normal((6, 23, 40)).astype("f4")
    found = []
    before = fb.get_num_threads()
    try:
        for threads in (1, 2, 3):
            fb.set_num_threads(threads)
            graph, inputs = captured(trained(net), x, g)
            found.append(build(graph).run(inputs))
    finally:
        fb.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
