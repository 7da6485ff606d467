"""Convolution against a direct loop over outputs and kernel positions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.base.errors import ShapeError
from flambeau.primitives.kernels import conv as kernels


def loop_conv(x, w, stride, padding, dilation, groups):
    """The definition, one output position at a time."""
    x = np.pad(x, ((0, 0), (0, 0), *padding))
    kernel, per_group = w.shape[2:], w.shape[0] // groups
    out = tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation))
    result = np.zeros((x.shape[0], w.shape[0], *out), dtype=np.result_type(x, w))
    for o, position in itertools.product(range(w.shape[0]), itertools.product(*map(range, out))):
        channels = slice(o // per_group * w.shape[1], (o // per_group + 1) * w.shape[1])
        at = tuple(slice(p * s, p * s + d * (k - 1) + 1, d) for p, s, d, k in zip(position, stride, dilation, kernel))
        window = x[(slice(None), channels, *at)]
        result[(slice(None), o, *position)] = (window * w[o]).sum(axis=tuple(range(1, window.ndim)))
    return result


@st.composite
def cases(draw):
    dims = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    ints = lambda lo, hi: tuple(draw(st.integers(lo, hi)) for _ in range(dims))  # noqa: E731
    kernel, stride, dilation = ints(1, 3), ints(1, 3), ints(1, 2)
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(dims))
    sizes = tuple(max(1, d * (k - 1) + 1 - lo - hi) + draw(st.integers(0, 3)) for d, k, (lo, hi) in zip(dilation, kernel, padding))
    per_group = draw(st.integers(1, 3))
    x_shape = (draw(st.integers(0, 3)), groups * per_group, *sizes)
    w_shape = (groups * draw(st.integers(1, 2)), per_group, *kernel)
    return x_shape, w_shape, dict(stride=stride, padding=padding, dilation=dilation, groups=groups)


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(0, 2**32 - 1))
def test_forward_and_both_transposes(case, seed):
    x_shape, w_shape, params = case
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    expected = loop_conv(x, w, *params.values())
    got = kernels.conv(np, x, w, **params)
    assert got.shape == expected.shape == kernels.conv_output_shape(x_shape, w_shape, **params)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    g = rng.standard_normal(expected.shape)
    dx = kernels.conv_input_grad(np, g, w, input_shape=x_shape, **params)
    dw = kernels.conv_weight_grad(np, x, g, weight_shape=w_shape, **params)
    assert dx.shape == x_shape and dw.shape == w_shape
    # conv is linear in x and in w, so the transposes are pinned down by <g, conv(a, w)> = <dx, a> for every a, and the same for w
    a, b = rng.standard_normal(x_shape), rng.standard_normal(w_shape)
    np.testing.assert_allclose((g * loop_conv(a, w, *params.values())).sum(), (dx * a).sum(), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose((g * loop_conv(x, b, *params.values())).sum(), (dw * b).sum(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("groups,channels", [(1, 4), (4, 4), (2, 4)])
def test_chunked_batches_agree_with_single_samples(monkeypatch, groups, channels):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((7, channels, 9, 12)), rng.standard_normal((8, channels // groups, 3, 3))
    params = dict(stride=(1, 2), padding=((1, 1), (1, 0)), dilation=(1, 1), groups=groups)
    whole = kernels.conv(np, x, w, **params)
    g = rng.standard_normal(whole.shape)
    dx = kernels.conv_input_grad(np, g, w, input_shape=x.shape, **params)
    dw = kernels.conv_weight_grad(np, x, g, weight_shape=w.shape, **params)
    monkeypatch.setattr(kernels, "_CHUNK", 3 * 4 * 9 * 9 * 6)
    np.testing.assert_allclose(kernels.conv(np, x, w, **params), whole, rtol=1e-12)
    np.testing.assert_allclose(kernels.conv_input_grad(np, g, w, input_shape=x.shape, **params), dx, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(kernels.conv_weight_grad(np, x, g, weight_shape=w.shape, **params), dw, rtol=1e-12, atol=1e-13)


def test_long_depthwise_kernel_takes_the_matrix_path():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 150)), rng.standard_normal((6, 1, 80))
    params = dict(stride=(2,), padding=((5, 5),), dilation=(1,), groups=3)
    expected = loop_conv(x, w, *params.values())
    np.testing.assert_allclose(kernels.conv(np, x, w, **params), expected, rtol=1e-11, atol=1e-11)
    g = rng.standard_normal(expected.shape)
    dx = kernels.conv_input_grad(np, g, w, input_shape=x.shape, **params)
    dw = kernels.conv_weight_grad(np, x, g, weight_shape=w.shape, **params)
    assert math.isclose((g * expected).sum(), (dx * x).sum(), rel_tol=1e-10)
    assert math.isclose((g * expected).sum(), (dw * w).sum(), rel_tol=1e-10)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "complex64", "int64"])
def test_dtypes_are_kept(name, groups):
    import ml_dtypes

    dtype = np.dtype(getattr(ml_dtypes, name)) if name == "bfloat16" else np.dtype(name)
    rng = np.random.default_rng(1)
    x, w = (rng.integers(-3, 4, s).astype(dtype) for s in ((2, 2, 6, 5), (4, 2 // groups, 3, 3)))
    params = dict(stride=(1, 1), padding=((1, 1), (1, 1)), dilation=(1, 1), groups=groups)
    got = kernels.conv(np, x, w, **params)
    expected = loop_conv(x.astype(complex), w.astype(complex), *params.values())
    assert got.dtype == dtype
    np.testing.assert_array_equal(got.astype(complex), expected)        # small integers: exact in every dtype
    assert kernels.conv_input_grad(np, got, w, input_shape=x.shape, **params).dtype == dtype
    assert kernels.conv_weight_grad(np, x, got, weight_shape=w.shape, **params).dtype == dtype


def test_transposed_convolution_with_output_padding():
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((2, 4, 5)), rng.standard_normal((4, 3, 3))
    how = dict(stride=(3,), padding=((0, 0),), dilation=(2,), groups=1)
    shape = kernels.conv_transpose_output_shape(x.shape, w.shape, output_padding=(2,), **how)
    got = kernels.conv_input_grad(np, x, w, input_shape=shape, **how)
    expected = np.zeros(shape)
    for i, k in itertools.product(range(5), range(3)):
        expected[:, :, i * 3 + k * 2] += x[:, :, i] @ w[:, :, k]
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


def test_infinities_do_not_leak_through_padding():
    x = np.full((1, 1, 3), np.inf)
    got = kernels.conv(np, x, np.array([[[1.0, 0.5, 2.0]]]), stride=(1,), padding=((1, 1),), dilation=(1,), groups=1)
    np.testing.assert_array_equal(got, np.full((1, 1, 3), np.inf))


@pytest.mark.parametrize("x_shape,w_shape,groups", [
    ((1, 3, 4), (2, 2, 3), 1), ((1, 4, 4), (3, 2, 3), 2), ((1, 2, 2), (2, 2, 5), 1), ((2, 4), (2, 4), 1),
])
def test_shapes_that_do_not_fit_are_refused(x_shape, w_shape, groups):
    with pytest.raises(ShapeError):
        kernels.conv(np, np.zeros(x_shape), np.zeros(w_shape), stride=(1,), padding=((0, 0),), dilation=(1,), groups=groups)
