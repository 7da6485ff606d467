"""Gather, scatter and what picks along an axis, as machine code: against the interpreter (NumPy), with hostile indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as fb
from tests.core.codegen.programs import LEVELS, captured, check

from flambeau.codegen.build import build  # isort: skip
from flambeau.codegen.lower import Lowering  # isort: skip

F = fb.nn.functional
RNG = np.random.default_rng(0)


def ints(high: int, *shape: int, low: int = 0, dtype: str = "i8") -> np.ndarray:
    return RNG.integers(low, high, shape).astype(dtype)


def floats(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("f4")


CASES: dict[str, tuple[Any, list[np.ndarray]]] = {
    "rows": (lambda x, i: x[i], [floats(7, 33), ints(7, 5, 4, low=-7)]),
    "one axis of three": (lambda x, i: x[:, i], [floats(3, 9, 5), ints(9, 4)]),
    "two axes": (lambda x, i, j: x[i, j], [floats(6, 7, 20), ints(6, 4, 1), ints(7, 3, low=-7)]),
    "axes apart": (lambda x, i, j: x[i, :, j], [floats(6, 5, 7), ints(6, 4), ints(7, 4)]),
    "strided table": (lambda x, i: x.T[i], [floats(8, 9), ints(9, 12)]),
    "computed table and index": (lambda x, i: (x * 2)[(i + 1).clamp(max=6)], [floats(7, 17), ints(7, 5)]),
    "a single element": (lambda x, i: x[i], [floats(9), ints(9)]),
    "gather": (lambda x, i: x.gather(1, i), [floats(4, 100), ints(100, 4, 6)]),
    "gather fewer rows": (lambda x, i: x.gather(0, i), [floats(9, 5), ints(9, 3, 4)]),
    "gather one each": (lambda x, i: x.gather(1, i), [floats(6, 11), ints(11, 6, 1)]),
    "gather of int32 indices": (lambda x, i: x.gather(2, i), [floats(2, 3, 70), ints(70, 2, 3, 2, dtype="i4")]),
    "take": (lambda x, i: x.take(i), [floats(4, 5), ints(20, 3, 3, low=-20)]),
    "embedding": (lambda w, i: F.embedding(i, w), [floats(10, 24), ints(10, 3, 4)]),
    "bools": (lambda x, i: (x > 0)[i], [floats(5, 6), ints(5, 4)]),
    "scatter": (lambda x, i, v: x.scatter(1, i, v), [floats(4, 100), ints(100, 4, 30), floats(4, 30)]),
    "scatter_add": (lambda x, i, v: x.scatter_add(0, i, v), [floats(5, 6), ints(5, 40, 6), floats(40, 6)]),
    "scatter one each": (lambda x, i, v: x.scatter(1, i, v), [floats(6, 9), ints(9, 6, 1), floats(6, 1)]),
    "scatter integers": (lambda x, i: x.scatter_add(0, i, i), [ints(9, 5), ints(5, 40)]),
    "scatter_reduce": (lambda x, i, v: [x.scatter_reduce(0, i, v, how) for how in ("prod", "amax", "amin", "mean")],
                       [floats(5, 6), ints(5, 7, 6), floats(7, 6)]),
    "index_add": (lambda x, i, v: x.index_add(0, i, v, alpha=2), [floats(5, 33), ints(5, 60, low=-5), floats(60, 33)]),
    "index_add columns": (lambda x, i, v: x.index_add(1, i, v), [floats(5, 9), ints(9, 30), floats(5, 30)]),
    "index_copy": (lambda x, i, v: x.index_copy(0, i, v), [floats(5, 33), ints(5, 9), floats(9, 33)]),
    "index_put": (lambda x, i, j, v: x.index_put((i, j), v, True), [floats(5, 6), ints(5, 50), ints(6, 50), floats(50)]),
    "put of a row": (lambda x, i, v: x.index_put((i,), v), [floats(5, 6), ints(5, 3), floats(6)]),
    "argmax": (lambda x: [x.argmax(1), x.argmin(0), x.argmax(), *x.max(1, keepdim=True), *x.min(0)], [floats(7, 50)]),
    "argmax with ties": (lambda x: [x.argmax(1), x.argmin(1), (x > 0).argmax(1)], [ints(3, 20, 40, dtype="f4")]),
    "argmax of integers": (lambda x: [x.argmax(1), x.argmin(0)], [ints(5, 9, 9, dtype="u1")]),
    "triangle": (lambda x: [x.triu(1), x.tril(-2), x.new_ones(4, 5).tril()], [floats(2, 7, 9)]),
    "one_hot": (lambda i: F.one_hot(i, 7), [ints(7, 4, 3)]),
    "cross entropy": (lambda x, t: F.cross_entropy(x, t), [floats(9, 50), ints(50, 9)]),
    "cross entropy of images": (lambda x, t: F.cross_entropy(x, t, ignore_index=2), [floats(2, 5, 3, 4), ints(5, 2, 3, 4)]),
    "nll with weights": (lambda x, t, w: F.nll_loss(x.log_softmax(1), t, w), [floats(9, 5), ints(5, 9), np.abs(floats(5))]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("level", LEVELS)
def test_same_as_numpy(name: str, level: str) -> None:
    fn, arrays = CASES[name]
    assert check(fn, *arrays, level=level).native


def test_nan_and_signed_zero_are_picked_as_they_are() -> None:
    x = np.array([[-0.0, np.nan, np.inf], [1.0, -0.0, np.nan]], "f4")
    graph, arrays = captured(lambda x, i: (x * 1).gather(1, i), x, np.array([[0], [1]]))
    assert np.signbit(build(graph).run(arrays)[0]).all()
    check(lambda x: [x.argmax(1), x.argmin(1)], np.array([[1.0, np.nan, 3.0, np.nan], [np.inf, 0, np.inf, -np.inf]], "f4"))


def test_large_ones_run_in_shares_and_add_up_in_order() -> None:
    x, i, v = floats(50, 64), ints(50, 4000), floats(4000, 64)
    graph, arrays = captured(lambda x, i, v: [x.index_add(0, i, v), x[i]], x, i, v)
    added, read = build(graph).run(arrays)
    expected = x.copy()
    for row, value in zip(i, v):  # one by one, in order
        expected[row] += value
    np.testing.assert_array_equal(added, expected)
    np.testing.assert_array_equal(read, x[i])


def test_cross_entropy_is_one_kernel_each_way() -> None:
    from flambeau.codegen.fuse import fuse

    def loss(x: Any, t: Any) -> Any:
        x = x.detach().requires_grad_()
        return fb.autograd.grad(F.cross_entropy(x, t), [x])

    graph, _ = captured(loss, floats(64, 1000), ints(1000, 64))
    low = Lowering(graph)
    groups = fuse(low.nodes, [x.buffer for x in low.results])  # type: ignore[union-attr]
    large = [g for g in groups if any(b.size == 64000 for n in g.nodes for b in n.outputs)]
    assert len(large) <= 2, [[n.name for n in g.nodes] for g in large]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_random_indices(data: Any) -> None:
    """Any axes, broadcast indices, repeats and negative numbers."""
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    axes = sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    common = data.draw(st.lists(st.integers(1, 5), max_size=2))
    indices = []
    for a in axes:
        mine = [1 if data.draw(st.booleans()) else n for n in common]
        indices.append(np.random.default_rng(a).integers(-shape[a], shape[a], mine))
    x = np.random.default_rng(1).standard_normal(shape).astype("f4")

    def both(x: Any, *tensors: Any) -> Any:
        key: list[Any] = [slice(None)] * len(shape)
        for a, i in zip(axes, tensors):
            key[a] = i
        y = x * 1
        y[tuple(key)] = x[tuple(key)] * 2 + 1
        return x[tuple(key)], x.index_put(tuple(None if isinstance(k, slice) else k for k in key), x[tuple(key)], True), y

    assert check(both, x, *indices).native
