"""float16 and bfloat16 in machine code: stored in two bytes, computed in float32, rounded as the kernels round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb
from tests.core.codegen.programs import LEVELS, build, captured, llvm

F = fb.nn.functional
RNG = np.random.default_rng(0)
KINDS = [fb.bfloat16, fb.float16]


def same(fn: Any, *arrays: np.ndarray, level: str = LEVELS[0], rough: float = 0.0, native: bool = True) -> None:
    """Machine code equals the interpreter, exactly or within `rough` (relative to the largest number)."""
    from flambeau.graph.interpret import interpret

    graph, inputs = captured(fn, *arrays)
    program = build(graph, target=llvm.host(level))
    assert program.native or not native
    for got, want in zip(program.run(inputs), interpret(graph, inputs), strict=True):
        assert got.dtype == want.dtype
        a, b = got.astype("f8"), want.astype("f8")
        if rough:
            np.testing.assert_allclose(a, b, rtol=rough, atol=rough * np.abs(b).max())
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_conversions_are_exact(kind: Any, level: str) -> None:
    patterns = np.arange(0, 2**32, 65537 * 3, dtype=np.uint64).astype("u4").view("f4")
    ties = np.array(
        [1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 65519.0, 65520.0, 3.4e38, 1e-45, -0.0, np.inf, np.nan], "f4"
    )
    same(
        lambda x: (x.to(kind), x.to(kind).float(), x.to(kind).to(fb.int32)),
        np.concatenate([patterns[np.abs(patterns) < 1e4], ties[:4]]),
        level=level,
    )
    same(lambda x: x.to(kind), np.concatenate([patterns, ties]), level=level)


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_rounded(kind: Any) -> None:
    x, y = (RNG.standard_normal((37, 50)).astype("f4") for _ in range(2))
    same(
        lambda x, y: (
            x.to(kind) * y.to(kind) + 0.1 - y.to(kind) / 3,
            (x.to(kind) > y.to(kind)),
            fb.where(x > 0, x.to(kind), y.to(kind)).relu(),
        ),
        x,
        y,
    )
    same(lambda x: (x.to(kind).T.contiguous(), fb.cat([x.to(kind), x.to(kind)[:, :3]], 1), x.to(kind)[:, ::2] * 2, x.to(kind).amax(1)), x)
    same(lambda x: F.pad(x.to(kind), (1, 2), value=0.3), x)


@pytest.mark.parametrize("kind", KINDS)
def test_compound_rows(kind: Any) -> None:
    rough = 2.0**-8 if kind == fb.bfloat16 else 2.0**-10
    x, g = (RNG.standard_normal((20, 48)).astype("f4") for _ in range(2))

    def net(x: Any, g: Any) -> Any:
        x, w = x.to(kind).detach().requires_grad_(), g[:, :20].to(kind).detach().requires_grad_()
        y = F.softmax(F.layer_norm(x, (48,)).tanh(), -1) * g.to(kind)
        z = w @ y
        return z.detach(), y.sum(0).detach(), *fb.autograd.grad(z.float().square().sum(), (x, w))

    same(net, x, g, rough=8 * rough)


def test_attention_and_a_linear_layer() -> None:
    q, k, v = (RNG.standard_normal((2, 3, 17, 8)).astype("f4") for _ in range(3))
    same(lambda q, k, v: F.scaled_dot_product_attention(*(t.bfloat16() for t in (q, k, v)), is_causal=True), q, k, v, rough=2.0**-7)
    net = fb.nn.Linear(8, 5).bfloat16()
    same(lambda x: net(x.bfloat16()).detach(), q, rough=2.0**-7)
