"""Indices in compiled programs: wrong ones raise what eager code raises and change nothing; writes go into place."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import IndexingError
from flambeau.compiler import compile

F = fb.nn.functional


def warm(fn, *args):
    """fn compiled, called until it replays."""
    compiled = compile(fn, fullgraph=True)
    for _ in range(3):
        compiled(*args)
    return compiled


def message(fn, *args):
    with pytest.raises(IndexingError) as caught:
        fn(*args)
    return str(caught.value)


WRONG = [
    (lambda x, i: x[i], [0, 9, -1]),
    (lambda x, i: x[i], [0, -5, 2]),
    (lambda x, i: x[:, i], [0, 3, 1]),
    (lambda x, i: x.gather(0, i[:, None]), [0, 1, -1]),
    (lambda x, i: x.gather(1, i[:, None]), [0, 1, 3]),
    (lambda x, i: x.index_select(0, i), [7, 0, 0]),
    (lambda x, i: x.take(i), [0, 12, 0]),
    (lambda x, i: x.scatter(0, i[:, None], x[:3, :1]), [0, 0, 4]),
    (lambda x, i: x.index_add(0, i, x[:3]), [0, 0, 4]),
    (lambda x, i: F.embedding(i, x), [3, -1, 2]),
    (lambda x, i: F.one_hot(i, 4), [3, 4, 2]),
    (lambda x, i: F.cross_entropy(x[:3], i), [0, 1, 3]),
    (lambda x, i: F.nll_loss(x[:3], i, ignore_index=1), [0, 1, -1]),
    (lambda x, i: x[i + 1], [0, 3, 0]),
    (lambda x, i: fb.nn.functional.multi_margin_loss(x[:3], i), [0, 5, 0]),
]


@pytest.mark.parametrize(("fn", "wrong"), WRONG)
def test_wrong_indices_raise_as_eagerly(fn, wrong):
    x = fb.randn(4, 3)
    compiled = warm(fn, x, fb.tensor([0, 1, 2]))
    assert message(compiled, x, fb.tensor(wrong)) == message(fn, x, fb.tensor(wrong))
    np.testing.assert_allclose(compiled(x, fb.tensor([0, 1, 2])), fn(x, fb.tensor([0, 1, 2])), rtol=1e-6)


def test_an_error_leaves_parameters_and_counters_alone():
    table = fb.nn.Embedding(5, 4)
    seen = fb.zeros(3)
    optimizer = fb.optim.Adam(table.parameters(), 0.1)

    def step(i, j):
        seen.add_(1)
        loss = (table(i) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return table.weight.detach()[j]

    compiled = warm(step, fb.tensor([0, 1]), fb.tensor([1]))
    for wrong in ([[0, 5], [1]], [[0, 1], [7]]):
        before = [table.weight.detach().numpy().copy(), seen.numpy().copy(), optimizer.state[table.weight]["exp_avg"].numpy().copy()]
        with pytest.raises(IndexingError):
            compiled(*map(fb.tensor, wrong))
        after = [table.weight.detach().numpy(), seen.numpy(), optimizer.state[table.weight]["exp_avg"].numpy()]
        for a, b in zip(before, after):
            np.testing.assert_array_equal(a, b)


def test_a_buffer_is_written_in_its_place():
    store, at = fb.zeros(100, 4), fb.zeros(1, dtype=fb.int64)

    def push(x):
        store[at] = x
        store[50] = x[0]
        at.add_(1)
        return store[at - 1]

    compiled, memory = warm(push, fb.ones(1, 4)), store.data_ptr()
    start = int(at)
    for k in range(5):
        x = fb.full((1, 4), float(k))
        np.testing.assert_array_equal(compiled(x), x)
    assert int(at) == start + 5 and store.data_ptr() == memory
    np.testing.assert_array_equal(store[start : start + 5, 0], [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(store[50], [4] * 4)


def test_embedding_gradients_add_up_repeats():
    table = fb.nn.Embedding(6, 3, padding_idx=2)

    def grads(i):
        return fb.autograd.grad((table(i) * fb.arange(1.0, 5.0)[:, None]).sum(), [table.weight])[0]

    compiled = warm(grads, fb.tensor([0, 1, 2, 3]))
    for i in ([1, 1, 1, 1], [2, 5, 2, 0], [4, 3, 4, 3]):
        np.testing.assert_allclose(compiled(fb.tensor(i)), grads(fb.tensor(i)))
