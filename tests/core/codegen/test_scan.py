"""Scans and sorting of short lines as machine code, against NumPy's kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as fb
from tests.core.codegen.programs import LEVELS, captured, check

from flambeau.codegen.build import build  # isort: skip

RNG = np.random.default_rng(0)
SPECIAL = np.array([1.0, np.nan, -np.inf, np.inf, -0.0, 0.0, 2.0, 2.0, -np.inf, np.nan, 1.0], "f4")
SCANS: dict[str, Any] = {
    "cumsum": lambda x: [x.cumsum(k) for k in range(x.ndim)],
    "cumprod": lambda x: [x.cumprod(k) for k in range(x.ndim)],
    "cummax": lambda x: [t for k in range(x.ndim) for t in x.cummax(k)],
    "cummin": lambda x: [t for k in range(x.ndim) for t in x.cummin(k)],
    "logcumsumexp": lambda x: [x.logcumsumexp(k) for k in range(x.ndim)],
}
ORDERS: dict[str, Any] = {
    "sort": lambda x: [t for k in range(x.ndim) for d in (False, True) for t in x.sort(k, descending=d)],
    "argsort": lambda x: [x.argsort(0), x.argsort(-1, descending=True)],
    "topk": lambda x: [t for big in (True, False) for t in x.topk(2, -1, largest=big)],
    "kthvalue": lambda x: [*x.kthvalue(2, 0), *x.kthvalue(1, -1, keepdim=True)],
}


def floats(*shape: int, dtype: str = "f4") -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.parametrize("level", LEVELS)
def test_scans(name: str, level: str) -> None:
    for shape in ((9,), (3, 40), (40, 3), (2, 5, 17)):
        for dtype in ("f4", "f8"):
            assert check(SCANS[name], floats(*shape, dtype=dtype), level=level).native
    check(lambda x: SCANS[name](x.mT), floats(5, 6), level=level)
    if name != "logcumsumexp":
        check(SCANS[name], RNG.integers(-3, 4, (4, 7)), level=level)


@pytest.mark.parametrize("name", SCANS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_scans_of_special_values(name: str) -> None:
    for k in range(3):
        x = np.roll(SPECIAL, k)[: 11 - k]
        check(SCANS[name], x)
        check(SCANS[name], np.stack([x, x[::-1]]))


def test_sums_are_those_of_numpy_bit_by_bit() -> None:
    x = floats(300, 300)
    graph, arrays = captured(lambda x: [x.cumsum(0), x.cumsum(1)], x)
    for got, axis in zip(build(graph).run(arrays), (0, 1)):
        np.testing.assert_array_equal(got, x.cumsum(axis))


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("level", LEVELS)
def test_orders(name: str, level: str) -> None:
    integers = RNG.integers(-2, 3, (4, 12)).astype("i4"), RNG.integers(0, 3, (3, 9)).astype("u1")
    for x in (floats(3, 20), floats(20, 3), floats(2, 5, 9), *integers):
        assert check(ORDERS[name], x, level=level).native
    check(ORDERS[name], np.stack([SPECIAL, SPECIAL[::-1]]), level=level)


def test_sort_of_wide_values_and_bools() -> None:
    check(ORDERS["sort"], floats(3, 20, dtype="f8"))
    check(ORDERS["sort"], RNG.integers(-2, 3, (4, 12)))
    check(lambda x: x.sort(1), floats(2, 500))  # too long for counting: NumPy's


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("level", LEVELS)
def test_binary_search(right: bool, level: str) -> None:
    for n in (1, 2, 3, 7, 64, 100):
        sequence = np.sort(RNG.integers(-5, 5, n)).astype("f4")
        values = np.array([*range(-6, 7), 0.5, np.nan, np.inf, -np.inf], "f4")
        assert check(lambda s, x: fb.searchsorted(s, x, right=right), sequence, values, level=level).native
        check(lambda s, x: fb.searchsorted(s, x, right=right), np.r_[sequence, np.float32(np.nan)], values, level=level)
    check(lambda s, x: fb.searchsorted(s, x, right=right), np.arange(9), RNG.integers(-2, 12, (40, 300)), level=level)
    check(lambda s, x: fb.bucketize(x, s, right=right), np.arange(9.0), floats(5, 6, dtype="f8"), level=level)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([0.0, -0.0, 1.0, np.nan, np.inf, -1.5]), min_size=2, max_size=20), st.booleans())
def test_ties_keep_their_order(values: list[float], descending: bool) -> None:
    check(lambda x: [*x.sort(0, descending=descending), *x.topk(2, 0, largest=descending)], np.array(values, "f4"))
