"""Sorting, counting and scanning kernels against plain Python."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flambeau.base.errors import ArgumentError
from flambeau.primitives.kernels import scan, sort, unique

DTYPES = [np.float32, np.float64, np.float16, np.dtype(ml_dtypes.bfloat16), np.int64, np.int32, np.int16, np.int8, np.uint8, np.bool_]


@st.composite
def arrays(draw, min_side=0, dtypes=DTYPES):
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=min_side, max_side=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if dtype.kind in "fV":
        pool = np.array([-np.inf, -2.5, -1.0, -0.0, 0.0, 0.5, 3.0, 1e-40, np.inf, np.nan])
    elif dtype.kind == "b":
        pool = np.array([False, True])
    else:
        pool = np.array([np.iinfo(dtype).min, 0, 1, 2, 3, np.iinfo(dtype).max], dtype=dtype)
    with np.errstate(all="ignore"):
        return rng.choice(pool, shape).astype(dtype), draw(st.integers(-len(shape), len(shape) - 1))


def key(v):
    """Python's sort key with NaN largest."""
    v = float(v) if isinstance(v, (np.floating, ml_dtypes.bfloat16)) else int(v)
    return (math.isnan(v), 0 if math.isnan(v) else v)


def lines(x, axis):
    """Every line along the axis: its position, and the values as a list."""
    moved = np.moveaxis(x, axis, -1)
    for at in np.ndindex(moved.shape[:-1]):
        yield at, list(moved[at])


def same(a, b):
    np.testing.assert_array_equal(np.asarray(a, dtype=float), np.asarray(b, dtype=float))


@settings(max_examples=200, deadline=None)
@given(arrays(), st.booleans())
def test_sort_is_stable_with_nan_largest(case, descending):
    x, axis = case
    values, index = sort.sort(np, x, axis, descending)
    assert values.dtype == x.dtype and values.shape == index.shape == x.shape and index.dtype == np.int64
    np.testing.assert_array_equal(sort.argsort(np, x, axis, descending), index)
    for at, line in lines(x, axis):
        order = sorted(range(len(line)), key=lambda i: key(line[i]))
        if descending:
            order = sorted(range(len(line)), key=lambda i: tuple(-k for k in key(line[i])))
        assert np.moveaxis(index, axis, -1)[at].tolist() == order
        same(np.moveaxis(values, axis, -1)[at], [line[i] for i in order])
        zeros = [np.signbit(float(line[i])) for i in order]
        assert [np.signbit(float(v)) for v in np.moveaxis(values, axis, -1)[at]] == zeros


@settings(max_examples=150, deadline=None)
@given(arrays(min_side=1), st.booleans(), st.data())
def test_topk_and_kthvalue(case, largest, data):
    x, axis = case
    k = data.draw(st.integers(0, x.shape[axis]))
    values, index = sort.topk(np, x, k, axis, largest)
    loose, _ = sort.topk(np, x, k, axis, largest, in_order=False)
    assert values.dtype == x.dtype and index.dtype == np.int64
    for at, line in lines(x, axis):
        order = sorted(range(len(line)), key=lambda i: tuple(-k for k in key(line[i])) if largest else key(line[i]))[:k]
        same(np.moveaxis(values, axis, -1)[at], [line[i] for i in order])
        got = np.moveaxis(index, axis, -1)[at].tolist()
        same([line[i] for i in got], [line[i] for i in order])
        assert len(set(got)) == k
        if x.dtype.itemsize < 8:
            assert got == order  # equal values: the earlier position first
        assert sorted(map(key, np.moveaxis(loose, axis, -1)[at])) == sorted(key(line[i]) for i in order)
    if k:
        value, where = sort.kthvalue(np, x, k, axis)
        for at, line in lines(x, axis):
            same(value[at], sorted(line, key=key)[k - 1])
            same(line[int(where[at])], value[at])


@settings(max_examples=150, deadline=None)
@given(arrays(min_side=1))
def test_mode(case):
    x, axis = case
    value, index = sort.mode(np, x, axis)
    for at, line in lines(x, axis):
        counts = {v: sum(1 for w in line if w == v) for v in line if v == v}
        best = min((v for v in counts if counts[v] == max(counts.values())), key=key) if counts else None
        if best is None:
            assert np.isnan(float(value[at]))
        else:
            same(value[at], best)
            assert int(index[at]) == max(i for i, v in enumerate(line) if v == best)


@settings(max_examples=150, deadline=None)
@given(arrays())
def test_cummax_and_cummin(case):
    x, axis = case
    for mine, better in ((scan.cummax, lambda v, b: v >= b), (scan.cummin, lambda v, b: v <= b)):
        values, index = mine(np, x, axis)
        assert values.dtype == x.dtype and index.dtype == np.int64 and values.shape == index.shape == x.shape
        for at, line in lines(x, axis):
            best, where = None, 0
            for i, v in enumerate(line):
                if best is None or v != v or (best == best and better(v, best)):
                    best, where = v, i
                same(np.moveaxis(values, axis, -1)[at][i], best)
                assert np.moveaxis(index, axis, -1)[at][i] == where


@settings(max_examples=60, deadline=None)
@given(arrays(dtypes=[np.float64, np.float32]))
def test_logcumsumexp_and_the_doubling_scan(case):
    x, axis = case
    x = np.where(np.isnan(x), 700.0, x).astype(x.dtype)
    got = scan.logcumsumexp(np, x, axis)
    with np.errstate(all="ignore"):
        shift = np.where(np.isfinite(x), x, 0.0).max(initial=0.0)
        expected = np.log(np.cumsum(np.exp(x.astype(np.longdouble) - shift), axis=axis)) + shift
    assert got.dtype == x.dtype
    np.testing.assert_allclose(got, expected.astype(float), rtol=1e-5 if x.dtype == np.float32 else 1e-13, atol=1e-6)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(scan.accumulate_by_doubling(np, np.logaddexp, x, axis), got, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(scan.accumulate_by_doubling(np, np.maximum, x, axis), scan.cummax(np, x, axis)[0])


@settings(max_examples=100, deadline=None)
@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6), st.integers(0, 2**32 - 1), st.data())
def test_cumprod_grad_with_zeros(shape, seed, data):
    rng, axis = np.random.default_rng(seed), data.draw(st.integers(0, len(shape) - 1))
    x = rng.choice([0.0, 0.5, -1.5, 2.0], shape, p=[0.2, 0.3, 0.3, 0.2])
    g = rng.standard_normal(shape)
    got = np.moveaxis(scan.cumprod_grad(np, g, x, axis), axis, -1)
    for at, line in lines(x, axis):
        gs = np.moveaxis(g, axis, -1)[at]
        for k in range(len(line)):
            expected = sum(gs[j] * math.prod(line[i] for i in range(j + 1) if i != k) for j in range(k, len(line)))
            assert math.isclose(got[at][k], expected, rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=150, deadline=None)
@given(arrays())
def test_unique(case):
    x, axis = case
    values, inverse, counts = unique.unique(np, x)
    expected = sorted(x.ravel(), key=key)
    distinct = [v for i, v in enumerate(expected) if i == 0 or v != expected[i - 1]]
    same(values, distinct)
    assert values.dtype == x.dtype and inverse.shape == x.shape and inverse.dtype == counts.dtype == np.int64
    same(values[inverse], x)
    np.testing.assert_array_equal(counts, np.bincount(inverse.ravel(), minlength=len(values)))
    run_values, run_inverse, run_counts = unique.unique_consecutive(np, x)
    same(run_values[run_inverse], x)
    flat = x.ravel()
    assert len(run_values) == sum(1 for i in range(len(flat)) if i == 0 or flat[i] != flat[i - 1])
    np.testing.assert_array_equal(np.repeat(np.arange(len(run_counts)), run_counts), run_inverse.ravel())


@settings(max_examples=150, deadline=None)
@given(arrays(min_side=1))
def test_unique_slices(case):
    x, axis = case
    values, inverse, counts = unique.unique(np, x, axis)
    rows = [tuple(map(key, np.take(x, i, axis).ravel())) for i in range(x.shape[axis])]
    clean = [r for r in rows if not any(nan for nan, _ in r)]
    same(np.take(values, inverse, axis), x)
    got = [tuple(map(key, np.take(values, i, axis).ravel())) for i in range(values.shape[axis])]
    assert got == sorted(got) and len(got) == len(set(clean)) + len(rows) - len(clean)
    np.testing.assert_array_equal(counts, np.bincount(inverse, minlength=len(got)))
    runs, run_inverse, run_counts = unique.unique_consecutive(np, x, axis)
    same(np.take(runs, run_inverse, axis), x)
    assert run_counts.sum() == x.shape[axis]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 9), st.integers(0, 5), st.integers(1, 4), st.booleans(), st.integers(0, 2**32 - 1))
def test_searchsorted(m, n, batch, right, seed):
    rng = np.random.default_rng(seed)
    boundaries = np.sort(rng.integers(-3, 4, (batch, 2, m)), axis=-1).astype(np.float32)
    values = rng.choice([-4.0, -2.0, 0.0, 1.0, 1.5, 3.0, np.inf, np.nan], (batch, 2, n)).astype(np.float32)
    got = sort.searchsorted(np, boundaries, values, right)
    assert got.dtype == np.int64 and got.shape == values.shape
    for at in np.ndindex(batch, 2):
        expected = np.searchsorted(boundaries[at], values[at], side="right" if right else "left")
        np.testing.assert_array_equal(got[at], expected)
        np.testing.assert_array_equal(sort.searchsorted(np, boundaries[at], values, right)[at], expected)


def test_counting():
    np.testing.assert_array_equal(unique.bincount(np, np.array([1, 3, 1]), minlength=5), [0, 2, 0, 1, 0])
    assert unique.bincount(np, np.array([], np.int64)).shape == (0,)
    weighted = unique.bincount(np, np.array([0, 1, 1], np.uint8), np.array([0.5, 1, 2], np.float32))
    assert weighted.dtype == np.float32 and weighted.tolist() == [0.5, 3.0]
    assert unique.bincount(np, np.array([0]), np.array([2])).dtype == np.float64
    x = np.array([0.0, 0.5, 1.0, 1.0, 2.0, 3.0, -0.1, 3.1, np.nan], np.float32)
    np.testing.assert_array_equal(unique.histc(np, x, 3, 0.0, 3.0), np.array([2, 2, 2], np.float32))
    np.testing.assert_array_equal(unique.histc(np, np.array([1.0, 1.0]), 4, 0.0, 0.0), [0, 0, 2, 0])
    np.testing.assert_array_equal(unique.histc(np, np.array([1.0, 3.0, 2.0]), 2, 0.0, 0.0), [1, 2])
    assert unique.histc(np, np.zeros(0, np.float16), 2, 0.0, 0.0).tolist() == [0, 0]
    rng = np.random.default_rng(0)
    y, w = rng.standard_normal(500), rng.standard_normal(500)
    edges = np.array([-1.0, -0.5, 0.1, 2.0])
    np.testing.assert_array_equal(unique.histogram(np, y, edges), np.histogram(y, edges)[0])
    np.testing.assert_allclose(unique.histogram(np, y, edges, w), np.histogram(y, edges, weights=w)[0], rtol=1e-12)


def test_scalars():
    x = np.array(2.0)
    assert [a.tolist() for a in sort.sort(np, x, 0)] == [2.0, 0] and [a.tolist() for a in sort.topk(np, x, 1, 0)] == [2.0, 0]
    assert [a.tolist() for a in sort.kthvalue(np, x, 1, 0)] == [2.0, 0] and [a.tolist() for a in sort.mode(np, x, 0)] == [2.0, 0]
    assert [a.tolist() for a in scan.cummax(np, x, 0)] == [2.0, 0] and scan.logcumsumexp(np, x, 0) == 2.0
    assert [a.tolist() for a in unique.unique(np, x)] == [[2.0], 0, [1]]
    assert sort.argsort(np, x, 0) == 0 and scan.cumprod_grad(np, x, x, 0) == 2.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: sort.topk(np, np.zeros(3), 4, 0),
        lambda: sort.kthvalue(np, np.zeros(3), 0, 0),
        lambda: sort.mode(np, np.zeros((2, 0)), 1),
        lambda: unique.bincount(np, np.array([-1])),
        lambda: unique.bincount(np, np.array([1.0])),
        lambda: unique.histc(np, np.zeros(3), 0, 0, 1),
        lambda: unique.bincount(np, np.array([1]), np.zeros(2)),
        lambda: unique.histc(np, np.array([np.inf, 0.0]), 3, 0, 0),
        lambda: sort.searchsorted(np, np.zeros((2, 3)), np.zeros((3, 3))),
    ],
)
def test_refusals(call):
    with pytest.raises(ArgumentError):
        call()
