"""Pooling, unfold and fold against loops over output positions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.base.errors import ShapeError
from flambeau.primitives.kernels import window as kernels


@st.composite
def pools(draw, dilated=True):
    dims = draw(st.integers(1, 3))
    ints = lambda lo, hi: tuple(draw(st.integers(lo, hi)) for _ in range(dims))  # noqa: E731
    kernel, stride, dilation = ints(1, 4), ints(1, 3), ints(1, 2) if dilated else (1,) * dims
    padding = tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in kernel)
    sizes = tuple(max(1, d * (k - 1) + 1 - lo - hi) + draw(st.integers(0, 4)) for d, k, (lo, hi) in zip(dilation, kernel, padding))
    params = dict(kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=draw(st.booleans()))
    return (draw(st.integers(0, 2)), draw(st.integers(1, 2)), *sizes), params


def window_positions(spatial, kernel, stride, padding, dilation, out):
    """For each output position, the input positions of its window that lie inside the input."""
    for o in itertools.product(*map(range, out)):
        axes = [[i * s - lo + j * d for j in range(k) if 0 <= i * s - lo + j * d < n]
                for i, n, k, s, (lo, _), d in zip(o, spatial, kernel, stride, padding, dilation)]
        yield o, list(itertools.product(*axes))


def loop_max_pool(x, out, kernel, stride, padding, dilation):
    values, indices = np.zeros(x.shape[:2] + out, x.dtype), np.zeros(x.shape[:2] + out, np.int64)
    for o, positions in window_positions(x.shape[2:], kernel, stride, padding, dilation, out):
        for n, c in itertools.product(range(x.shape[0]), range(x.shape[1])):
            best, where = None, -1
            for p in positions:
                v = x[(n, c, *p)]
                if best is None or v > best or np.isnan(v):
                    best, where = v, int(np.ravel_multi_index(p, x.shape[2:]))
            values[(n, c, *o)], indices[(n, c, *o)] = -np.inf if best is None else best, where
    return values, indices


@settings(max_examples=100, deadline=None)
@given(pools(), st.integers(0, 2**32 - 1))
def test_max_pool(case, seed):
    shape, params = case
    rng = np.random.default_rng(seed)
    x = rng.choice(np.array([-np.inf, -1.0, 0.0, 2.0, 3.0, np.inf, np.nan]), shape, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05])
    out = kernels.pool_output_shape(shape, **params)
    values, indices = kernels.max_pool(np, x, **params)
    ceil = params.pop("ceil_mode")
    expected, where = loop_max_pool(x, out[2:], **params)
    assert values.shape == out and indices.dtype == np.int64
    np.testing.assert_array_equal(values, expected)
    inside = where >= 0                                     # elsewhere the window saw padding only
    np.testing.assert_array_equal(indices[inside], where[inside])
    assert ((indices >= 0) & (indices < max(1, np.prod(shape[2:])))).all()
    where = indices
    np.testing.assert_array_equal(kernels.max_pool_values(np, x, **params, ceil_mode=ceil), expected)
    g = rng.standard_normal(values.shape)
    dx = np.zeros(shape)
    for n, c in itertools.product(range(shape[0]), range(shape[1])):
        for i, v in zip(where[n, c].ravel(), g[n, c].ravel()):
            dx[n, c].reshape(-1)[i] += v
    np.testing.assert_allclose(kernels.max_pool_grad(np, g, indices, input_shape=shape), dx, rtol=1e-14, atol=1e-14)


@settings(max_examples=100, deadline=None)
@given(pools(dilated=False), st.integers(0, 2**32 - 1))
def test_sum_pool_its_gradient_and_divisor(case, seed):
    shape, params = case
    dilation = params.pop("dilation")
    x = np.random.default_rng(seed).standard_normal(shape)
    got = kernels.sum_pool(np, x, **params)
    with_pad, without = (kernels.pool_divisor(np, shape[2:], **params, count_include_pad=flag) for flag in (True, False))
    ceil = params.pop("ceil_mode")
    g, dx = np.random.default_rng(seed + 1).standard_normal(got.shape), np.zeros(shape)
    for o, positions in window_positions(shape[2:], dilation=dilation, out=got.shape[2:], **params):
        np.testing.assert_allclose(got[(..., *o)], sum((x[(..., *p)] for p in positions), np.zeros(shape[:2])), rtol=1e-12, atol=1e-12)
        assert without[o] == len(positions)
        padded = [min(i * s - lo + k, n + hi) - (i * s - lo)
                  for i, n, k, s, (lo, hi) in zip(o, shape[2:], params["kernel"], params["stride"], params["padding"])]
        assert with_pad[o] == np.prod(padded)
        for p in positions:
            dx[(..., *p)] += g[(..., *o)]
    assert got.shape == kernels.pool_output_shape(shape, ceil_mode=ceil, **params)
    np.testing.assert_allclose(kernels.sum_pool_grad(np, g, input_shape=shape, **params), dx, rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(pools(), st.integers(0, 2**32 - 1))
def test_unfold_and_fold(case, seed):
    shape, params = case
    params.pop("ceil_mode")
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    columns = kernels.unfold(np, x, *params.values())
    dims = len(shape) - 2
    padded = np.pad(x, ((0, 0), (0, 0), *params["padding"]))
    out = columns.shape[2 + dims:]
    for k, o in itertools.product(itertools.product(*map(range, params["kernel"])), itertools.product(*map(range, out))):
        at = tuple(i * s + j * d for i, s, j, d in zip(o, params["stride"], k, params["dilation"]))
        np.testing.assert_array_equal(columns[(..., *k, *o)], padded[(..., *at)])
    c = rng.standard_normal(columns.shape)
    folded = kernels.fold(np, c, shape[2:], *params.values())
    assert folded.shape == shape
    np.testing.assert_allclose((folded * x).sum(), (c * columns).sum(), rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 7), st.integers(0, 8)), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_adaptive(axes, seed):
    sizes, out = zip(*axes)
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (2, 2, *sizes)).astype(np.float64)
    values, indices = kernels.adaptive_max_pool(np, x, output_size=out)
    assert values.shape == indices.shape == (2, 2, *out)
    average = x
    for axis, (n, m) in enumerate(axes):
        average = np.moveaxis(np.moveaxis(average, 2 + axis, -1) @ kernels.adaptive_average(np, n, m, np.float64).T, -1, 2 + axis)
    for o in itertools.product(*map(range, out)):
        box = tuple(slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(o, sizes, out))
        part = x[(..., *box)]
        np.testing.assert_array_equal(values[(..., *o)], part.max(axis=tuple(range(2, x.ndim))))
        np.testing.assert_allclose(average[(..., *o)], part.mean(axis=tuple(range(2, x.ndim))), rtol=1e-12, atol=1e-13)
        for n, c in itertools.product(range(2), range(2)):
            first = np.unravel_index(part[n, c].argmax(), part.shape[2:])
            expected = np.ravel_multi_index(tuple(f + b.start for f, b in zip(first, box)), sizes)
            assert indices[(n, c, *o)] == expected


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "int64", "uint8"])
def test_dtypes_are_kept(name):
    import ml_dtypes

    dtype = np.dtype(getattr(ml_dtypes, name)) if name == "bfloat16" else np.dtype(name)
    x = np.arange(36).reshape(1, 1, 6, 6).astype(dtype)
    values, indices = kernels.max_pool(np, x, kernel=(2, 2), stride=(2, 2), padding=((1, 1), (1, 1)), dilation=(1, 1))
    assert values.dtype == dtype and values.astype(int).tolist() == [[[[0, 2, 4, 5], [12, 14, 16, 17], [24, 26, 28, 29], [30, 32, 34, 35]]]]
    assert indices.tolist() == values.astype(int).tolist()
    assert kernels.max_pool_grad(np, values, indices, input_shape=x.shape).dtype == dtype
    total = kernels.sum_pool(np, x, kernel=(2, 2), stride=(3, 3), padding=((0, 0), (0, 0)))
    assert total.dtype == dtype and total.astype(int).tolist() == [[[[14, 26], [86, 98]]]]
    assert kernels.sum_pool_grad(np, total, input_shape=x.shape, kernel=(2, 2), stride=(3, 3), padding=((0, 0), (0, 0))).dtype == dtype


def test_whole_axis_windows_and_results_are_not_views():
    x = np.arange(24.0).reshape(1, 2, 3, 4)
    how = dict(kernel=(3, 4), stride=(1, 1), padding=((0, 0), (0, 0)))
    np.testing.assert_array_equal(kernels.sum_pool(np, x, **how), x.sum((2, 3), keepdims=True))
    np.testing.assert_array_equal(kernels.max_pool_values(np, x, **how, dilation=(1, 1)), x.max((2, 3), keepdims=True))
    identity = kernels.sum_pool(np, x, kernel=(1, 1), stride=(1, 2), padding=((0, 0), (0, 0)))
    assert not np.shares_memory(identity, x)
    assert not np.shares_memory(kernels.unfold(np, x, (1, 1), (1, 1), (0, 0), (1, 1)), x)


def test_refusals():
    x = np.zeros((1, 1, 4))
    with pytest.raises(ShapeError, match="half"):
        kernels.max_pool(np, x, kernel=(2,), stride=(1,), padding=(2,), dilation=(1,))
    with pytest.raises(ShapeError):
        kernels.sum_pool(np, x, kernel=(5,), stride=(1,), padding=(0,))
    with pytest.raises(ShapeError):
        kernels.fold(np, np.zeros((1, 1, 2, 4)), (4,), (2,), (1,), (0,), (1,))
    with pytest.raises(ShapeError):
        kernels.max_pool(np, x, kernel=(2,), stride=(0,), padding=(0,), dilation=(1,))
