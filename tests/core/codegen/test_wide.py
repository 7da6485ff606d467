"""Large reductions: in parts, the same bits on any number of threads; norms, softmax and losses in few kernels, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import flambeau as fb
from flambeau.codegen.nodes import Node
from tests.core.codegen.programs import LEVELS, build, captured, check, llvm

F = fb.nn.functional
RNG = np.random.default_rng(0)


def steps(program: Any) -> int:
    """How many steps a program has."""
    return sum(1 if isinstance(s, Node) else len(s.steps) for s in program.segments)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((140_001,), 0), ((131_072,), 0), ((3, 50_000), (0, 1)), ((70_000, 2), 0), ((1031, 131), 0), ((4, 40_000), 1), ((40_000, 4), 1)],
)
def test_reductions_in_parts(shape: Any, axis: Any, level: str) -> None:
    x = RNG.standard_normal(shape).astype("f4")
    graph, inputs = captured(lambda t: (t.sum(axis), t.amax(axis), (t * t).sum(axis) * 2 + 1, t + 1), x)
    program = build(graph, target=llvm.host(level))
    for _ in range(2):
        total, largest, squares, other = program.run(inputs)
    exact = x.astype("f8")
    np.testing.assert_allclose(total, exact.sum(axis), rtol=1e-5, atol=1e-4 * np.sqrt(x.size))
    np.testing.assert_array_equal(largest, x.max(axis))
    np.testing.assert_allclose(squares, (exact**2).sum(axis) * 2 + 1, rtol=1e-5)
    np.testing.assert_array_equal(other, x + 1)


@pytest.mark.parametrize("d", ["i4", "f8", "?"])
def test_reductions_in_parts_of_other_dtypes(d: str) -> None:
    x = RNG.integers(0, 3, (517, 300)).astype(d)
    check(lambda t: (t.sum(), t.sum(0), t.amax(), t.amin(0), t.any(0), t.all()), x)


def test_nan_and_infinity_spread() -> None:
    x = np.ones((600, 256), "f4")
    x[599, 3], x[5, 7], x[300, 9] = np.nan, np.inf, -np.inf
    check(lambda t: (t.sum(0), t.amax(0), t.amin(0), t.amax(), t.sum()), x)
    check(lambda t: (F.softmax(t, 1), F.softmax(t, 0), F.log_softmax(t, 1)), x)


@pytest.mark.parametrize("shape", [(300_000,), (1024, 256)])
def test_threads_do_not_matter(shape: Any) -> None:
    x = RNG.standard_normal(shape).astype("f4")
    found = []
    before = fb.get_num_threads()
    try:
        for threads in (1, 2, 3):
            fb.set_num_threads(threads)
            graph, inputs = captured(lambda t: (t.sum(), (t * t).sum(0), F.softmax(t, 0), t.mean() + t), x)
            found.append(build(graph).run(inputs))
    finally:
        fb.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_value_of_the_whole_is_not_waited_for_inside_a_kernel() -> None:
    """Clipping by the norm: the sum in two steps, then the maps on all threads."""
    x = RNG.standard_normal((512, 512)).astype("f4")
    program = check(lambda t: t * (1.0 / ((t * t).sum().sqrt() + 1e-6)).clamp(max=1.0), x)
    assert steps(program) == 3


@pytest.mark.parametrize("level", LEVELS)
def test_cross_entropy_is_native(level: str) -> None:
    x, t = RNG.standard_normal((37, 11)).astype("f4"), RNG.integers(0, 11, 37)
    t[3] = t[36] = -100

    def loss(x: Any, t: Any) -> Any:
        x = x.detach().requires_grad_()
        value = F.cross_entropy(x, t)
        return value.detach(), fb.autograd.grad(value, x)[0]

    graph, inputs = captured(loss, x, t)
    program = build(graph, target=llvm.host(level))
    assert program.native
    value, grad = program.run(inputs)
    keep = t != -100
    log = scipy.special.log_softmax(x.astype("f8"), 1)
    np.testing.assert_allclose(value, -log[keep, t[keep]].mean(), rtol=1e-6)
    want = np.where(keep[:, None], np.exp(log) - (np.arange(11) == t[:, None]), 0) / keep.sum()
    np.testing.assert_allclose(grad, want, rtol=1e-5, atol=1e-8)


def test_class_losses_of_images() -> None:
    x, t = RNG.standard_normal((2, 5, 3, 4)).astype("f4"), RNG.integers(0, 5, (2, 3, 4))
    check(lambda x, t: F.cross_entropy(x, t, ignore_index=2, reduction="none"), x, t)
    check(lambda x, t: F.nll_loss(x, t.to(fb.int32).to(fb.int64)), x, t)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm", "group_norm"])
def test_norms_with_gradients(kind: str, level: str) -> None:
    x, g = (RNG.standard_normal((6, 8, 40)).astype("f4") for _ in range(2))
    w, b = (RNG.standard_normal(8 if kind == "group_norm" else 40).astype("f4") for _ in range(2))

    def both(x: Any, g: Any, w: Any, b: Any) -> Any:
        x, w, b = (t.detach().requires_grad_() for t in (x, w, b))
        if kind == "group_norm":
            y = F.group_norm(x, 2, w, b)
        else:
            y = F.layer_norm(x, (40,), w, b) if kind == "layer_norm" else F.rms_norm(x, (40,), w) + b
        return y.detach(), *fb.autograd.grad(y, (x, w, b), g)

    assert check(both, x, g, w, b, level=level, tolerance=2e-5).native


def test_layer_norm_takes_one_kernel_forward_and_three_backward() -> None:
    x, g = (RNG.standard_normal((300, 256)).astype("f4") for _ in range(2))
    w, b = (RNG.standard_normal(256).astype("f4") for _ in range(2))

    def both(x: Any, g: Any, w: Any, b: Any) -> Any:
        x, w, b = (t.detach().requires_grad_() for t in (x, w, b))
        return fb.autograd.grad(F.layer_norm(x, (256,), w, b), (x, w, b), g)

    program = check(both, x, g, w, b, tolerance=2e-5)
    assert steps(program) <= 6  # column sums are two steps each
