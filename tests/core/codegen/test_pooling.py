"""Pooling and its gradients as machine code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.codegen.pooling import seen_by, windows
from tests.core.codegen.programs import LEVELS, check

F = fb.nn.functional
CASES: list[tuple[tuple[int, ...], Callable[[Any], Any]]] = [
    ((2, 3, 9, 8), lambda x: F.max_pool2d(x, 2)),
    ((2, 20, 9, 8), lambda x: F.max_pool2d(x, 3, 2, 1)),
    ((2, 70, 7), lambda x: F.max_pool1d(x, 3, 1, 1, dilation=2)),
    ((2, 3, 4, 5, 6), lambda x: F.max_pool3d(x, 2, ceil_mode=True)),
    ((2, 3, 9, 8), lambda x: F.avg_pool2d(x, 3, 2, 1)),
    ((2, 33, 9, 8), lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False)),
    ((2, 33, 9, 8), lambda x: F.adaptive_avg_pool2d(x, (3, 4))),
    ((2, 33, 9, 8), lambda x: F.adaptive_max_pool2d(x, (4, 3))),
    ((2, 33, 9, 8), lambda x: F.adaptive_avg_pool2d(x, 1)),
    ((2, 5, 9), lambda x: F.avg_pool1d(x, 4, 3)),
    ((1, 2, 4, 4, 4), lambda x: F.avg_pool3d(x, 2, 2, 1)),
    ((2, 5, 9), lambda x: F.lp_pool1d(x, 2, 3)),
]


def array(shape: tuple[int, ...], d: str = "f4") -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(d)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("d", ["f4", "f8"])
@pytest.mark.parametrize(("shape", "pool"), CASES)
def test_values_and_gradients(shape: tuple[int, ...], pool: Callable[[Any], Any], d: str, level: str) -> None:
    def run(x: Any) -> Any:
        x = x.detach().requires_grad_()
        y = pool(x * 2)
        return y, fb.autograd.grad((y * y).sum(), [x])[0]

    assert check(run, array(shape, d), level=level).native
    assert check(lambda x: pool(x.transpose(0, 1)), array(shape, d), level=level).native


@pytest.mark.parametrize("level", LEVELS)
def test_positions_of_ties_nan_and_infinities(level: str) -> None:
    x = np.random.default_rng(0).integers(-2, 3, (2, 18, 7, 9)).astype("f4")
    x[0, :9, ::3, 1::2] = np.nan
    x[1, 3:, 2:, :5] = -np.inf
    x[1, :2] = np.inf
    check(lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True), x, level=level)
    check(lambda x: F.adaptive_max_pool2d(x, 4, return_indices=True), x, level=level)
    check(lambda x: F.max_pool2d(x, 2), x, level=level)


def test_windows_of_nothing_but_padding() -> None:
    check(lambda x: F.max_pool1d(x, 3, 3, 1, dilation=5, return_indices=True), array((1, 2, 10)))
    check(lambda x: F.avg_pool1d(x, 2, 3, 1, ceil_mode=True), array((1, 2, 4)))


def test_pooling_of_integers_is_python() -> None:
    check(lambda x: F.max_pool2d(x, 2), np.arange(32).reshape(1, 2, 4, 4))


def test_tables_are_transposes_of_each_other() -> None:
    for size, out, kernel, stride, low in ((9, 5, 3, 2, 1), (8, 3, 4, 3, 1), (7, 3, 2, 3, 0), (5, 2, 3, 3, 1)):
        forward, back = windows(size, out, kernel, stride, low), seen_by(size, out, kernel, stride, low)
        pairs = {(i, f + k) for i, (f, n) in enumerate(zip(forward.first, forward.count, strict=True)) for k in range(n)}
        mirrored = {(f + k, p) for p, (f, n) in enumerate(zip(back.first, back.count, strict=True)) for k in range(n)}
        assert pairs == mirrored
