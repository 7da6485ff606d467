"""Sorting, selecting, searching and counting against NumPy, on ties, NaN, empty and zero-dimensional inputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import flambeau as fb
from flambeau.base.errors import ArgumentError, DtypeError, IndexingError, ShapeError
from tests.core.ops.slopes import check

RNG = np.random.default_rng(0)
shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 10**6)


def few(shape: tuple, seed: int) -> np.ndarray:
    """Values with many ties, and some NaN."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, shape).astype("f8")
    return np.where(rng.random(shape) < 0.1, np.nan, x)


@given(shapes, seeds, st.integers(0, 2), st.booleans())
def test_sort_is_stable(shape: tuple, seed: int, dim: int, descending: bool) -> None:
    dim = dim % len(shape)
    x = few(shape, seed)
    values, at = fb.sort(fb.tensor(x), dim, descending)
    keys = np.where(np.isnan(x), np.inf, x)
    want = np.argsort(-keys if descending else keys, axis=dim, kind="stable")
    np.testing.assert_array_equal(at.numpy(), want)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, want, dim))
    np.testing.assert_array_equal(fb.argsort(fb.tensor(x), dim, descending).numpy(), want)


@given(shapes, seeds, st.data())
def test_topk_and_kthvalue(shape: tuple, seed: int, data: st.DataObject) -> None:
    x = few(shape, seed)
    n = shape[-1]
    k = data.draw(st.integers(1, n))
    ordered = np.sort(x, axis=-1)  # NaN last
    np.testing.assert_array_equal(fb.topk(fb.tensor(x), k).values.numpy(), ordered[..., ::-1][..., :k])
    np.testing.assert_array_equal(fb.topk(fb.tensor(x), k, largest=False).values.numpy(), ordered[..., :k])
    values, at = fb.kthvalue(fb.tensor(x), k)
    np.testing.assert_array_equal(values.numpy(), ordered[..., k - 1])
    np.testing.assert_array_equal(np.take_along_axis(x, at.numpy()[..., None], -1)[..., 0], ordered[..., k - 1])


@given(shapes, seeds)
def test_median_mode_quantile(shape: tuple, seed: int) -> None:
    x = few(shape, seed)
    t = fb.tensor(x)
    n = shape[-1]
    ordered = np.sort(x, axis=-1)
    middle = np.where(np.isnan(x).any(-1), np.nan, ordered[..., (n - 1) // 2])
    np.testing.assert_array_equal(fb.median(t, -1).values.numpy(), middle)
    with np.errstate(all="ignore"):
        counts = (~np.isnan(x)).sum(-1)
        low = np.take_along_axis(ordered, np.maximum((counts - 1) // 2, 0)[..., None], -1)[..., 0]
        np.testing.assert_array_equal(fb.nanmedian(t, -1).values.numpy(), low)
        plain = np.nan_to_num(x)
        for q in (0.0, 0.3, 0.5, 1.0):
            np.testing.assert_allclose(fb.quantile(fb.tensor(plain), q, -1).numpy(), np.quantile(plain, q, axis=-1))
            np.testing.assert_allclose(fb.quantile(t, q, -1).numpy(), np.quantile(x, q, axis=-1))
    rows = np.nan_to_num(x).reshape(-1, n)
    best = [min(set(r), key=lambda v: (-(r == v).sum(), v)) for r in rows]
    values, at = fb.mode(fb.tensor(rows), -1)
    np.testing.assert_array_equal(values.numpy(), best)
    assert at.tolist() == [int(np.flatnonzero(r == b)[-1]) for r, b in zip(rows, best, strict=True)]


@pytest.mark.parametrize("how", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_quantile_interpolation(how: str) -> None:
    x = RNG.standard_normal((3, 7))
    q = np.array([0.0, 0.15, 0.5, 0.9])
    np.testing.assert_allclose(fb.quantile(fb.tensor(x), fb.tensor(q), 1, interpolation=how).numpy(), np.quantile(x, q, axis=1, method=how))
    np.testing.assert_allclose(
        fb.quantile(fb.tensor(x), 0.4, keepdim=True, interpolation=how).numpy(), np.quantile(x, 0.4, keepdims=True, method=how)
    )


@given(shapes, seeds)
def test_unique(shape: tuple, seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 3, shape)
    values, inverse, counts = fb.unique(fb.tensor(x), return_inverse=True, return_counts=True)
    want, want_inverse, want_counts = np.unique(x, return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(values.numpy(), want)
    np.testing.assert_array_equal(inverse.numpy(), want_inverse.reshape(shape))
    np.testing.assert_array_equal(counts.numpy(), want_counts)
    np.testing.assert_array_equal(fb.unique(fb.tensor(x), dim=0).numpy(), np.unique(x, axis=0))
    runs, back, lengths = fb.unique_consecutive(fb.tensor(x), return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(runs.numpy()[back.numpy()], x)
    assert lengths.sum().item() == x.size
    assert (runs[1:] != runs[:-1]).all()


@given(seeds, st.booleans())
def test_searching(seed: int, right: bool) -> None:
    rng = np.random.default_rng(seed)
    edges, x = np.sort(rng.integers(0, 9, (2, 6)), axis=1), rng.integers(-1, 10, (2, 4))
    side = "right" if right else "left"
    want = np.stack([np.searchsorted(e, v, side) for e, v in zip(edges, x, strict=True)])
    np.testing.assert_array_equal(fb.searchsorted(fb.tensor(edges), fb.tensor(x), right=right).numpy(), want)
    np.testing.assert_array_equal(fb.bucketize(fb.tensor(x), fb.tensor(edges[0]), right=right).numpy(), np.searchsorted(edges[0], x, side))
    np.testing.assert_array_equal(fb.isin(fb.tensor(x), fb.tensor(edges)).numpy(), np.isin(x, edges))
    np.testing.assert_array_equal(fb.isin(fb.tensor(x), fb.tensor(edges), invert=True).numpy(), ~np.isin(x, edges))


def test_counts() -> None:
    x = RNG.integers(0, 6, 30)
    w = RNG.standard_normal(30)
    np.testing.assert_array_equal(fb.bincount(fb.tensor(x), minlength=8).numpy(), np.bincount(x, minlength=8))
    np.testing.assert_allclose(fb.bincount(fb.tensor(x), fb.tensor(w)).numpy(), np.bincount(x, w))
    for density in (False, True):
        hist, edges = fb.histogram(fb.tensor(w), 5, range=(-1.0, 2.0), density=density)
        want, want_edges = np.histogram(w, 5, (-1, 2), density=density)
        np.testing.assert_allclose(hist.numpy(), want)
        np.testing.assert_allclose(edges.numpy(), want_edges)
    np.testing.assert_array_equal(fb.histc(fb.tensor(w), 6, -2, 2).numpy(), np.histogram(w, 6, (-2, 2))[0])


def test_gradients_go_to_where_values_came_from() -> None:
    x = RNG.standard_normal((3, 5))
    check(lambda t: fb.sort(t, 1, descending=True).values, x)
    check(lambda t: [fb.topk(t, 2, 0).values, fb.kthvalue(t, 2, keepdim=True).values], x)
    check(lambda t: [fb.median(t), fb.median(t, 1).values, fb.quantile(t, 0.3, 0), fb.nanquantile(t, 0.8)], x)
    tied = fb.tensor([1.0, 2.0, 2.0, 3.0], requires_grad=True)
    fb.median(tied).backward()
    assert tied.grad.tolist() == [0.0, 0.5, 0.5, 0.0]


def test_small_inputs() -> None:
    point = fb.tensor(2.0)
    assert fb.sort(point).values.item() == 2.0
    assert fb.sort(point).indices.item() == 0
    assert fb.argsort(point).shape == ()
    assert fb.topk(point, 1).values.shape == ()
    assert fb.median(point).item() == 2.0
    empty = fb.zeros(0, 3)
    assert fb.sort(empty).values.shape == (0, 3)
    assert fb.topk(empty, 2).values.shape == (0, 2)
    assert fb.unique(empty).shape == (0,)
    assert fb.median(empty).isnan()
    assert fb.isin(fb.tensor([1]), fb.zeros(0)).tolist() == [False]
    for d in (fb.float16, fb.bfloat16, fb.int8, fb.bool, fb.uint8):
        assert fb.tensor([1, 0, 1], dtype=d).sort(descending=True).indices.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: fb.topk(fb.ones(3), 4), IndexingError, "k in"),
        (lambda: fb.kthvalue(fb.ones(3), 0), IndexingError, "k in"),
        (lambda: fb.sort(fb.ones(3), 1), IndexError, "dim"),
        (lambda: fb.sort(fb.ones(3, dtype=fb.complex64)), DtypeError, "order"),
        (lambda: fb.quantile(fb.ones(3), 1.5), ArgumentError, r"q in \[0, 1\]"),
        (lambda: fb.quantile(fb.ones(3, dtype=fb.int64), 0.5), DtypeError, "floating"),
        (lambda: fb.median(fb.ones(2, 0), 1), IndexingError, "at least one"),
        (lambda: fb.bincount(fb.tensor([-1])), ArgumentError, "not negative"),
        (lambda: fb.searchsorted(fb.ones(2, 3), fb.ones(3, 2)), ShapeError, "leading axes"),
        (lambda: fb.histc(fb.ones(3), 0), ArgumentError, "bins"),
    ],
)
def test_errors(call, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
