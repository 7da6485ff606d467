"""Layouts say where NumPy's views lie; offsets in the arena never overlap while both are needed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.codegen.layout import Layout, channels_last, transposition
from flambeau.codegen.memory import Step, plan
from flambeau.codegen.nodes import Buffer

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(shape=shapes, data=st.data())
def test_views(shape: tuple[int, ...], data: st.DataObject) -> None:
    base = np.arange(np.prod(shape))
    array, layout = base.reshape(shape), Layout.contiguous(shape)
    for _ in range(data.draw(st.integers(1, 5))):
        ndim = array.ndim
        how = data.draw(st.sampled_from(["permute", "slice", "expand", "flip", "reshape", "diagonal"]))
        if how == "permute":
            axes = tuple(data.draw(st.permutations(range(ndim))))
            array, layout = array.transpose(axes), layout.permute(axes)
        elif how == "slice":
            cuts = st.one_of(
                st.just(slice(None)), st.slices(5), st.integers(-1, 0), st.none(), st.just(Ellipsis) if ndim else st.just(slice(None))
            )
            key = tuple(data.draw(st.lists(cuts, max_size=ndim, unique_by=lambda k: id(k) if k is not Ellipsis else "...")))
            if array.size == 0 or (..., *key)[1:].count(Ellipsis) > 1 or sum(k is not None and k is not Ellipsis for k in key) > ndim:
                continue
            array, layout = array[key if Ellipsis in key else (*key, ...)], layout.slice(key)
        elif how == "expand":
            new = (2, *(3 if n == 1 else n for n in array.shape))
            array, layout = np.broadcast_to(array, new), layout.expand(new)
        elif how == "flip" and ndim:
            array, layout = np.flip(array, 0), layout.flip((0,))
        elif how == "diagonal" and ndim > 1:
            d = data.draw(st.integers(-1, 1))
            array, layout = np.diagonal(array, d, 0, 1), layout.diagonal(d, 0, 1)
        elif how == "reshape" and array.size:
            new = (array.size,) if data.draw(st.booleans()) else (*array.shape[:-1], 1, *array.shape[-1:])
            moved = layout.reshape(new)
            if moved is None:
                continue
            array, layout = array.reshape(new), moved
        assert layout.shape == array.shape
        np.testing.assert_array_equal(layout.view(base), array)
        if array.size:
            low, high = layout.extent()
            assert (low, high) == (array.min(), array.max() + 1)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_arena(data: st.DataObject) -> None:
    buffers: list[Buffer] = []
    steps: list[Step] = []
    for _ in range(data.draw(st.integers(1, 12))):
        reads = data.draw(st.lists(st.sampled_from(buffers), unique=True, max_size=3)) if buffers else []
        new = Buffer((data.draw(st.integers(1, 64)),), np.dtype("f4"))
        buffers.append(new)
        steps.append(Step({b: {new} if data.draw(st.booleans()) else set() for b in reads}, [new]))
    offsets, size = plan(steps, set())
    last = {b: max([i for i, s in enumerate(steps) if b in s.reads or b in s.writes]) for b in buffers}
    for i, step in enumerate(steps):
        alive = [b for j, s in enumerate(steps[: i + 1]) for b in s.writes if last[b] >= i]
        for b in alive:
            assert offsets[b] % 64 == 0
            assert offsets[b] + b.nbytes <= size
            for other in alive:
                apart = offsets[b] + b.nbytes <= offsets[other] or offsets[other] + other.nbytes <= offsets[b]
                takes_over = {b, other} & set(step.writes) and offsets[b] == offsets[other] and b.nbytes == other.nbytes
                reader, writer = (b, other) if other in step.writes else (other, b)
                allowed = takes_over and writer in step.reads.get(reader, set()) and last[reader] == i
                assert b is other or apart or allowed


def test_images_with_their_channels_last() -> None:
    images = Layout.contiguous((2, 5, 4, 3)).permute((0, 3, 1, 2))
    assert channels_last([Layout.contiguous((2, 3, 5, 4)), images]) == (0, 2, 3, 1)
    assert channels_last([images.slice((slice(None), slice(None), slice(0, 5, 2), slice(None)))]) == (0, 2, 3, 1)
    assert channels_last([Layout.contiguous((1, 3, 1, 1)).expand((2, 3, 5, 4))]) is None
    assert channels_last([Layout.contiguous((2, 3, 5, 4)), Layout.contiguous((5, 4))]) is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(batch=st.integers(1, 3), rows=st.integers(2, 5), columns=st.integers(2, 5))
def test_transpositions(batch: int, rows: int, columns: int) -> None:
    plain = Layout.contiguous((batch, rows, columns))
    assert transposition(plain) is None
    assert transposition(plain.permute((0, 2, 1))) == (batch, rows, columns)
    assert transposition(plain.permute((1, 2, 0))) == ((1, batch, rows * columns) if batch > 1 else None)
