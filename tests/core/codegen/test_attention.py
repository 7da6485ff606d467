"""Attention in machine code, forward and backward, against the kernels that NumPy runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb
from tests.core.codegen.programs import LEVELS, build, captured, check, llvm

F = fb.nn.functional
RNG = np.random.default_rng(0)


def normal(*shape: int, d: str = "f4") -> np.ndarray:
    return RNG.standard_normal(shape).astype(d)


def both(mask: Any = None, **options: Any) -> Any:
    """Attention and its gradients; arguments q, k, v, g and maybe a mask."""

    def run(q: Any, k: Any, v: Any, g: Any, *masks: Any) -> Any:
        q, k, v = (t.detach().requires_grad_() for t in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, *masks, **options)
        return out.detach(), *fb.autograd.grad(out, (q, k, v), g)

    return run


SHAPES = [
    ((2, 3), 20, 20, 8, 8),
    ((1, 2), 5, 9, 3, 4),
    ((2,), 130, 300, 16, 24),
    ((), 50, 70, 33, 17),
    ((1, 1), 97, 97, 64, 64),
    ((3, 2), 1, 40, 16, 16),
]


@pytest.mark.parametrize(
    ("shape", "causal", "level"),
    [*((s, s[1] > 40, LEVELS[0]) for s in SHAPES), *((SHAPES[i], not i % 2, level) for level in LEVELS[1:] for i in (0, 3))],
)
def test_shapes(shape: Any, causal: bool, level: str) -> None:
    lead, length, source, e, d = shape
    arrays = [normal(*lead, length, e), normal(*lead, source, e), normal(*lead, source, d), normal(*lead, length, d)]
    assert check(both(is_causal=causal), *arrays, level=level, tolerance=2e-5).native


@pytest.mark.parametrize(
    ("shape", "kind", "d"),
    [
        ((45, 70), "b", "f4"),
        ((2, 1, 1, 70), "b", "f4"),
        ((4, 1, 70), "f", "f8"),
        ((2, 4, 45, 70), "f", "f4"),
        ((45, 1), "b", "f8"),
        ((45, 1), "f", "f4"),
    ],
)
def test_masks(shape: Any, kind: str, d: str) -> None:
    arrays = [normal(2, 4, 45, 8, d=d), normal(2, 4, 70, 8, d=d), normal(2, 4, 70, 5, d=d), normal(2, 4, 45, 5, d=d)]
    seen = RNG.random(shape) < 0.6
    seen[..., 0, :] = False  # rows that see nothing
    mask = seen if kind == "b" else np.where(seen, RNG.standard_normal(shape), -np.inf).astype(d)
    check(both(), *arrays, mask, tolerance=2e-5)


@pytest.mark.parametrize("level", LEVELS[1:])
def test_masks_on_every_processor(level: str) -> None:
    arrays = [normal(2, 10, 8), normal(2, 33, 8), normal(2, 33, 5), normal(2, 10, 5)]
    check(both(), *arrays, RNG.random((10, 33)) < 0.6, level=level, tolerance=2e-5)
    check(both(scale=-0.4), *arrays, normal(10, 33), level=level, tolerance=2e-5)


@pytest.mark.parametrize(("heads", "causal"), [(1, False), (2, True)])
def test_heads_that_share(heads: int, causal: bool) -> None:
    arrays = [normal(2, 4, 60, 8), normal(2, heads, 60, 8), normal(2, heads, 60, 8), normal(2, 4, 60, 8)]
    check(both(is_causal=causal, enable_gqa=True), *arrays, tolerance=2e-5)


def test_heads_that_share_with_a_mask() -> None:
    arrays = [normal(2, 4, 30, 8), normal(2, 2, 41, 8), normal(2, 2, 41, 8), normal(2, 4, 30, 8)]
    check(both(enable_gqa=True), *arrays, normal(4, 1, 41), tolerance=2e-5)


def test_views_are_read_where_they_lie() -> None:
    """Heads cut out of one projection, as in a transformer: (N, L, 3, H, E)."""

    def run(x: Any, g: Any) -> Any:
        x = x.detach().requires_grad_()
        q, k, v = x.permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        return out.detach(), fb.autograd.grad(out, x, g)[0]

    check(run, normal(2, 37, 3, 4, 8), normal(2, 37, 4, 8), tolerance=2e-5)
    check(lambda q, k, v: F.scaled_dot_product_attention(q.mT, k[..., ::2], v.flip(1)), normal(2, 5, 12), normal(2, 7, 9), normal(2, 7, 3))
    check(lambda q, k, v: F.scaled_dot_product_attention(q, k, v), normal(2, 4, 12, 8), normal(1, 1, 7, 8), normal(2, 1, 7, 3))


def test_large_scores_stay_finite() -> None:
    q, k, v, g = normal(2, 300, 16) * 100, normal(2, 600, 16) * 100, normal(2, 600, 8), normal(2, 300, 8)
    k[:, 500:] *= 3  # the largest scores come late
    graph, inputs = captured(both(), q, k, v, g)
    results = build(graph).run(inputs)
    assert all(np.isfinite(r).all() for r in results)
    scores = q.astype("f8") @ k.astype("f8").transpose(0, 2, 1) / 4
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    np.testing.assert_allclose(results[0], weights / weights.sum(-1, keepdims=True) @ v, atol=0.02)


def test_threads_do_not_matter() -> None:
    arrays = [normal(3, 200, 16) for _ in range(4)]
    found = []
    before = fb.get_num_threads()
    try:
        for threads in (1, 2, 3):
            fb.set_num_threads(threads)
            graph, inputs = captured(both(is_causal=True), *arrays)
            found.append(build(graph).run(inputs))
    finally:
        fb.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_no_array_of_all_scores() -> None:
    arrays = [normal(2, 600, 8) for _ in range(4)]
    graph, _ = captured(both(is_causal=True), *arrays)
    program = build(graph, target=llvm.host())
    assert program.working < 2 * 600 * 600 * 4
