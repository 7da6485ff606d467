"""Linear layers as machine code: what follows a product is done in its registers, whatever the layout of its operands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb
from tests.core.codegen.programs import LEVELS, build, captured, check, llvm

F = fb.nn.functional


def arrays(*shapes: tuple[int, ...], d: str = "f4") -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal(s) / s[-1] ** 0.5).astype(d) for s in shapes]


def kernels(program: Any) -> int:
    """How many steps a program has."""
    return sum(len(s.steps) for s in program.segments)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("m", "k", "n"), [(64, 4, 64), (5, 7, 3), (100, 300, 70), (17, 512, 600)])
def test_linear_layers(m: int, k: int, n: int, level: str) -> None:
    plain = check(lambda x, w: F.linear(x, w), *arrays((m, k), (n, k)), level=level)
    for act in (F.relu, F.gelu, F.silu, F.sigmoid, F.tanh):
        program = check(lambda x, w, b, act=act: act(F.linear(x, w, b)), *arrays((m, k), (n, k), (n,)), level=level)
        assert kernels(program) == kernels(plain)

    def step(x: Any, w: Any, b: Any) -> Any:
        x, w, b = (t.detach().requires_grad_() for t in (x, w, b))
        y = F.relu(F.linear(x, w, b))
        return y, *fb.autograd.grad((y * y).sum(), [x, w, b])

    check(step, *arrays((m, k), (n, k), (n,)), level=level)
    check(step, *arrays((2, 3, m // 4, k), (n, k), (n,)), level=level)


@pytest.mark.parametrize("d", ["f4", "f8"])
def test_layouts_residuals_and_dtypes(d: str) -> None:
    x, w, b, z = arrays((6, 4, 40), (40, 33), (33,), (6, 4, 33), d=d)
    check(lambda x, w, b, z: F.relu(x @ w + b) + z, x, w, b, z)
    check(lambda x, w, b, z: (x.transpose(0, 1) @ w) * z.transpose(0, 1), x, w, b, z)
    check(lambda x, w, b, z: (x[:, ::2] @ w[:, 3:20]) + z[:, :2, 1:18], x, w, b, z)
    check(lambda x, w, b, z: ((x @ w) > b) & (z > 0), x, w, b, z)
    check(lambda x, w, b, z: (x @ w).transpose(1, 2) + z.transpose(1, 2), x, w, b, z)
    check(lambda x, w, b, z: fb.softmax(x @ w + b, -1) @ w.T, x, w, b, z)
    check(lambda x, w, b, z: ((x @ w).mean(0), (x @ w + b).amax((0, 1))), x, w, b, z)
    check(lambda x, w, b, z: fb.where(fb.arange(33) % 2 == 0, x @ w, 0.5), x, w, b, z)


def test_rows_at_distances_that_are_bad_for_caches() -> None:
    x, w = arrays((40, 512), (70, 512))
    check(lambda x, w: F.linear(x, w), x, w)
    check(lambda x, w: x.T @ (x @ w.T), x, w)


def test_long_sums_are_cut_into_blocks() -> None:
    x, w = arrays((5, 9000), (20, 9000), d="f8")
    check(lambda x, w: F.relu(F.linear(x, w)), x, w)


@pytest.mark.parametrize("level", LEVELS)
def test_weights_updated_in_place_are_read_first(level: str) -> None:
    """The update of a weight fuses with its gradient's product, and waits for the other reader of the weight."""
    x, v, w = arrays((20, 30), (40, 30), (10, 40))

    def step(x: Any, v: Any, w: Any) -> Any:
        a, b = v.detach().requires_grad_(), w.detach().requires_grad_()
        y = F.linear(F.tanh(F.linear(x, a)), b)
        g, h = fb.autograd.grad((y * y).sum(), [a, b])
        return v - 0.1 * g, w - 0.1 * h

    graph, inputs = captured(step, x, v, w)
    at = [next(i for i, a in enumerate(inputs) if a.shape == b.shape) for b in (v, w)]
    free = build(graph, target=llvm.host(level))
    want = free.run(inputs)
    program = build(graph, {0: at[0], 1: at[1]}, llvm.host(level))
    assert kernels(program) == kernels(free), "no copies at the end"
    mine = [a.copy() for a in inputs]
    call = program.bind(mine, [mine[at[0]], mine[at[1]]])
    for got, expected in zip(call(), want, strict=True):
        np.testing.assert_array_equal(got, expected)
