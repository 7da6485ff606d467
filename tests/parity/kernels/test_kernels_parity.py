"""Array kernels against PyTorch's operations: convolution, pooling, sorting, scanning, counting, special functions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.primitives.kernels import conv, scan, sort, special, unique, window

torch = pytest.importorskip("torch")
F = torch.nn.functional


def t(a):
    return torch.from_numpy(np.ascontiguousarray(a))


@st.composite
def windows(draw):
    dims = draw(st.integers(1, 3))
    ints = lambda lo, hi: tuple(draw(st.integers(lo, hi)) for _ in range(dims))
    kernel, stride, dilation = ints(1, 3), ints(1, 3), ints(1, 2)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    sizes = tuple(d * (k - 1) + 1 + draw(st.integers(0, 4)) for d, k in zip(dilation, kernel))
    return sizes, dict(kernel=kernel, stride=stride, padding=padding, dilation=dilation)


@settings(max_examples=80, deadline=None)
@given(windows(), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2**32 - 1), st.data())
def test_conv_and_its_gradients(case, groups, per_group, seed, data):
    sizes, how = case
    dims, rng = len(sizes), np.random.default_rng(seed)
    x = rng.standard_normal((2, groups * per_group, *sizes))
    w = rng.standard_normal((groups * 2, per_group, *how["kernel"]))
    params = dict(stride=how["stride"], padding=how["padding"], dilation=how["dilation"], groups=groups)
    tx, tw = t(x).requires_grad_(), t(w).requires_grad_()
    expected = getattr(F, f"conv{dims}d")(tx, tw, **params)
    got = conv.conv(np, x, w, **params)
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    g = rng.standard_normal(got.shape)
    expected.backward(t(g))
    np.testing.assert_allclose(conv.conv_input_grad(np, g, w, input_shape=x.shape, **params), tx.grad.numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(conv.conv_weight_grad(np, x, g, weight_shape=w.shape, **params), tw.grad.numpy(), rtol=1e-10, atol=1e-12)
    extra = tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(how["stride"], how["dilation"]))
    try:
        back = getattr(F, f"conv_transpose{dims}d")(t(got), t(w), output_padding=extra, **params)
    except RuntimeError:
        return
    shape = conv.conv_transpose_output_shape(got.shape, w.shape, output_padding=extra, **params)
    assert shape == tuple(back.shape)
    np.testing.assert_allclose(conv.conv_input_grad(np, got, w, input_shape=shape, **params), back.numpy(), rtol=1e-9, atol=1e-11)


@settings(max_examples=80, deadline=None)
@given(windows(), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_pooling(case, ceil_mode, count_include_pad, seed):
    sizes, how = case
    dims, rng = len(sizes), np.random.default_rng(seed)
    x = rng.integers(-3, 4, (2, 2, *sizes)).astype(np.float32)
    if seed % 3 == 0:
        x[rng.random(x.shape) < 0.1] = np.nan
    values, indices = getattr(F, f"max_pool{dims}d")(
        t(x), how["kernel"], how["stride"], how["padding"], how["dilation"], ceil_mode=ceil_mode, return_indices=True
    )
    mine, where = window.max_pool(np, x, **how, ceil_mode=ceil_mode)
    np.testing.assert_array_equal(mine, values.numpy())
    np.testing.assert_array_equal(where, indices.numpy())
    x = np.nan_to_num(x)
    how.pop("dilation")
    expected = getattr(F, f"avg_pool{dims}d")(
        t(x), how["kernel"], how["stride"], how["padding"], ceil_mode=ceil_mode, count_include_pad=count_include_pad
    )
    divisor = window.pool_divisor(np, sizes, **how, ceil_mode=ceil_mode, count_include_pad=count_include_pad)
    np.testing.assert_allclose(window.sum_pool(np, x, **how, ceil_mode=ceil_mode) / divisor, expected.numpy(), rtol=1e-5, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 8)), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_adaptive_pooling(axes, seed):
    sizes, out = zip(*axes)
    x = np.random.default_rng(seed).integers(-3, 4, (2, 2, *sizes)).astype(np.float32)
    values, indices = getattr(F, f"adaptive_max_pool{len(axes)}d")(t(x), out, return_indices=True)
    mine, where = window.adaptive_max_pool(np, x, output_size=out)
    np.testing.assert_array_equal(mine, values.numpy())
    np.testing.assert_array_equal(where, indices.numpy())
    average = x
    for axis, (n, m) in enumerate(axes):
        average = np.moveaxis(np.moveaxis(average, 2 + axis, -1) @ window.adaptive_average(np, n, m, np.float32).T, -1, 2 + axis)
    np.testing.assert_allclose(average, getattr(F, f"adaptive_avg_pool{len(axes)}d")(t(x), out).numpy(), rtol=1e-5, atol=1e-5)


def test_unfold_and_fold():
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 7))
    how = ((2, 3), (2, 1), (1, 1), (1, 2))
    columns = window.unfold(np, x, *how)
    expected = F.unfold(t(x), how[0], dilation=how[3], padding=how[2], stride=how[1])
    np.testing.assert_array_equal(columns.reshape(expected.shape), expected.numpy())
    folded = F.fold(expected, (6, 7), how[0], dilation=how[3], padding=how[2], stride=how[1])
    np.testing.assert_allclose(window.fold(np, columns, (6, 7), *how), folded.numpy(), rtol=1e-12)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([np.float32, np.float64, np.int64, np.int16]),
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.data(),
    st.integers(0, 2**32 - 1),
)
def test_sort_scan_and_count(dtype, shape, data, seed):
    rng, axis = np.random.default_rng(seed), data.draw(st.integers(0, len(shape) - 1))
    x = rng.integers(-3, 4, shape).astype(dtype)
    if dtype in (np.float32, np.float64) and seed % 2:
        x[rng.random(x.shape) < 0.2] = np.nan
    descending = bool(seed % 3)
    for mine, theirs in (
        (sort.sort(np, x, axis, descending), torch.sort(t(x), dim=axis, descending=descending, stable=True)),
        (scan.cummax(np, x, axis), torch.cummax(t(x), axis)),
        (scan.cummin(np, x, axis), torch.cummin(t(x), axis)),
    ):
        for a, b in zip(mine, theirs):
            assert a.dtype == b.numpy().dtype
            np.testing.assert_array_equal(a, b.numpy())
    k = data.draw(st.integers(1, x.shape[axis]))
    np.testing.assert_array_equal(sort.topk(np, x, k, axis, descending)[0], torch.topk(t(x), k, axis, descending)[0].numpy())
    np.testing.assert_array_equal(sort.kthvalue(np, x, k, axis)[0], torch.kthvalue(t(x), k, axis)[0].numpy())
    values, inverse, counts = torch.unique(t(x), return_inverse=True, return_counts=True)
    mine = unique.unique(np, x)
    for a, b in zip(mine, (values, inverse, counts)):
        if not np.isnan(np.asarray(x, float)).any():  # the order among NaN is nobody's promise
            np.testing.assert_array_equal(a, b.numpy())
    np.testing.assert_array_equal(mine[0], values.numpy())
    x = np.nan_to_num(x)
    np.testing.assert_array_equal(sort.mode(np, x, axis)[0], torch.mode(t(x), axis)[0].numpy())
    for a, b in zip(unique.unique(np, x, axis), torch.unique(t(x), return_inverse=True, return_counts=True, dim=axis)):
        np.testing.assert_array_equal(a, b.numpy())
    for a, b in zip(unique.unique_consecutive(np, x), torch.unique_consecutive(t(x), return_inverse=True, return_counts=True)):
        np.testing.assert_array_equal(a, b.numpy())
    boundaries = np.sort(x, axis=-1)
    for right in (False, True):
        expected = torch.searchsorted(t(boundaries), t(x), right=right)
        np.testing.assert_array_equal(sort.searchsorted(np, boundaries, x, right), expected.numpy())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_histc(bins, seed, dtype):
    x = np.random.default_rng(seed).standard_normal(500).astype(dtype)
    for low, high in ((0.0, 0.0), (-1.0, 1.0), (-0.3, 2.7)):
        np.testing.assert_array_equal(unique.histc(np, x, bins, low, high), torch.histc(t(x), bins, low, high).numpy())


def test_scans_of_floats():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 30)) * 50
    x[1, 3], x[2, 5] = -np.inf, np.inf
    np.testing.assert_allclose(scan.logcumsumexp(np, x, 1), torch.logcumsumexp(t(x), 1).numpy(), rtol=1e-12)
    x = rng.choice([0.0, 1.5, -0.7], (5, 12))
    tx = t(x).requires_grad_()
    out = torch.cumprod(tx, 1)
    g = rng.standard_normal(x.shape)
    out.backward(t(g))
    np.testing.assert_allclose(scan.cumprod_grad(np, g, x, 1), tx.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "name,low,high",
    [
        ("erf", -6, 6),
        ("erfc", -6, 26),
        ("erfcx", -20, 30),
        ("erfinv", -1, 1),
        ("lgamma", -20, 100),
        ("digamma", -20, 100),
        ("i0", -50, 50),
        ("i0e", -50, 50),
        ("i1", -50, 50),
        ("i1e", -50, 50),
        ("ndtr", -30, 9),
        ("ndtri", 0, 1),
        ("log_ndtr", -100, 9),
        ("sinc", -5, 5),
    ],
)
def test_special_functions(name, low, high):
    x = np.random.default_rng(0).uniform(low, high, 2000)
    theirs = getattr(torch.special, {"lgamma": "gammaln"}.get(name, name))
    np.testing.assert_allclose(getattr(special, name)(np, x), theirs(t(x)).numpy(), rtol=1e-11, atol=1e-14)
    edges = np.array([0.0, -0.0, 1.0, -1.0, -2.0, np.inf, -np.inf, np.nan])
    mine, other = getattr(special, name)(np, edges), theirs(t(edges)).numpy()
    known = ~(np.isinf(edges) & np.isin(name, ["i0", "i0e", "i1", "i1e", "sinc"]))  # PyTorch: NaN where a limit exists
    np.testing.assert_allclose(mine[known], other[known], rtol=1e-12, atol=1e-15)


def test_special_functions_of_two_arguments():
    rng = np.random.default_rng(0)
    a, x = 10 ** rng.uniform(-2, 2, 2000), 10 ** rng.uniform(-2, 2, 2000)
    np.testing.assert_allclose(special.igamma(np, a, x), torch.special.gammainc(t(a), t(x)).numpy(), rtol=1e-8, atol=1e-200)
    np.testing.assert_allclose(special.igammac(np, a, x), torch.special.gammaincc(t(a), t(x)).numpy(), rtol=1e-8, atol=1e-200)
    edge_a, edge_x = (v.ravel() for v in np.meshgrid([0.0, 1.0, np.inf, -1.0], [0.0, 1.0, np.inf, -1.0]))
    for mine, theirs in ((special.igamma, torch.special.gammainc), (special.igammac, torch.special.gammaincc)):
        np.testing.assert_allclose(mine(np, edge_a, edge_x), theirs(t(edge_a), t(edge_x)).numpy(), rtol=1e-15)
    s, q = 1 + 10 ** rng.uniform(-2, 1, 2000), 10 ** rng.uniform(-1, 3, 2000)
    np.testing.assert_allclose(special.zeta(np, s, q), torch.special.zeta(t(s), t(q)).numpy(), rtol=1e-11)
    for n in (1, 2, 5):  # PyTorch's trigamma has about 10 digits
        np.testing.assert_allclose(special.polygamma(np, n, q), torch.special.polygamma(n, t(q)).numpy(), rtol=1e-9 if n == 1 else 1e-11)
    y = np.array([0.0, 1.0, 2.0, np.nan, np.inf, -1.0])
    np.testing.assert_array_equal(special.xlogy(np, np.zeros(6), y), torch.xlogy(torch.zeros(6, dtype=torch.float64), t(y)).numpy())
