"""Tensors that share memory: arguments with each other, with state, and results with either."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.compiler import compile


def test_a_result_that_is_a_view_of_an_argument():
    f = compile(lambda x: (x[0], x.t(), x.detach()), fullgraph=True)
    for i in range(4):
        x = fb.full((2, 3), float(i))
        row, turned, same = f(x)
        row.add_(10)
        turned[2, 1] = 5
        same[1, 0] = 7
        assert x.tolist() == [[i + 10.0] * 3, [7.0, i, 5.0]]


def test_a_result_that_is_a_view_of_state():
    state = fb.zeros(4)
    f = compile(lambda x: state.add_(x)[1:3], fullgraph=True)
    for i in range(1, 4):
        view = f(fb.ones(4))
        assert view.tolist() == [i, i]
        view.fill_(i)
    assert state.tolist() == [3, 3, 3, 3]


def test_a_result_that_is_state_itself():
    state = fb.zeros(2)

    def f(x):
        state.copy_(x)
        return state

    g = compile(f, fullgraph=True)
    for i in range(4):
        assert g(fb.full((2,), float(i))) is state and state.tolist() == [i, i]


def test_results_that_share_memory_with_each_other():
    def f(x):
        y = x + 1
        return y, y[1], y.view(4)

    g = compile(f, fullgraph=True)
    for _ in range(4):
        y, row, flat = g(fb.zeros(2, 2))
        row.fill_(5)
        flat[0] = 9
        assert y.tolist() == [[9, 1], [5, 5]]


def test_one_result_twice():
    g = compile(lambda x: [z := x * 2, z], fullgraph=True)
    for _ in range(3):
        a, b = g(fb.ones(2))
        assert a is b


def writes_first(x, y):
    x.add_(1)
    return x + y


@pytest.mark.filterwarnings("ignore:.*runs uncompiled")
def test_arguments_that_share_memory_only_sometimes():
    f = compile(writes_first)
    for i in range(8):
        a, b = fb.full((3,), float(i)), fb.ones(3)
        expected = writes_first(a.clone(), b.clone())
        np.testing.assert_array_equal(f(a, b).numpy(), expected.numpy())
        c = fb.full((3,), float(i))
        assert f(c, c).tolist() == [2.0 * (i + 1)] * 3
        d = fb.arange(4.0)
        e = d.clone()
        assert f(d[:3], d[1:]).tolist() == writes_first(e[:3], e[1:]).tolist()
        assert d.tolist() == e.tolist()


def test_an_argument_that_is_the_state():
    state = fb.zeros(3)

    def f(x):
        state.add_(1)
        return x * 2

    g = compile(f)
    for _ in range(4):
        assert g(fb.ones(3)).tolist() == [2, 2, 2]
    for i in range(4):
        assert g(state).tolist() == [2.0 * (5 + i)] * 3


def test_an_argument_that_is_a_view_of_the_state():
    state = fb.zeros(2, 2)

    def f(x):
        state.mul_(2).add_(1)
        return x + 0

    g = compile(f)
    value = 0.0
    for i in range(8):
        value = value * 2 + 1
        out = g(state[1]) if i % 2 else g(fb.zeros(2))
        assert out.tolist() == ([value] * 2 if i % 2 else [0, 0])


def test_writes_to_a_strided_argument():
    f = compile(lambda x: x.mul_(2).sum(), fullgraph=True)
    for i in range(4):
        whole = fb.full((4, 4), float(i))
        f(whole[::2, 1::2])
        expected = np.full((4, 4), float(i))
        expected[::2, 1::2] *= 2
        np.testing.assert_array_equal(whole.numpy(), expected)


def test_a_numpy_array_behind_a_tensor_is_written():
    array = np.zeros(3, np.float32)
    t = fb.from_numpy(array)
    f = compile(lambda: t.add_(1), fullgraph=True)
    for _ in range(4):
        f()
    assert array.tolist() == [4, 4, 4]


def test_a_view_kept_outside_sees_writes():
    state = fb.zeros(2, 3)
    row = state[1]
    f = compile(lambda x: state.copy_(x), fullgraph=True)
    for i in range(4):
        f(fb.full((2, 3), float(i)))
        assert row.tolist() == [i] * 3


def test_inputs_are_not_kept_or_changed():
    f = compile(lambda x: x.clone().mul_(3), fullgraph=True)
    for i in range(4):
        x = fb.full((3,), float(i))
        out = f(x)
        out.fill_(100)
        assert x.tolist() == [i] * 3


def test_a_result_may_be_given_back_as_an_argument():
    f = compile(lambda x: x * 2 + 1, fullgraph=True)
    x = fb.zeros(3)
    for _ in range(5):
        x = f(x)
    assert x.tolist() == [31] * 3


def test_large_results_have_memory_of_their_own():
    f = compile(lambda x: x + 1, fullgraph=True)
    kept = [f(fb.full((50, 50), float(i))) for i in range(5)]
    assert [k[0, 0].item() for k in kept] == [1, 2, 3, 4, 5]
    kept[0].fill_(9)
    assert kept[1][3, 3].item() == 2


def test_swapping_two_states():
    a, b = fb.zeros(2), fb.ones(2)

    def f():
        t = a.clone()
        a.copy_(b)
        b.copy_(t)

    g = compile(f, fullgraph=True)
    for i in range(5):
        g()
        assert a[0].item() == (i + 1) % 2 and b[0].item() == i % 2


def test_a_target_network_follows():
    net, target = fb.nn.Linear(2, 2), fb.nn.Linear(2, 2)
    optimizer = fb.optim.SGD(net.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        loss = ((net(x) - target(x).detach()) ** 2).mean()
        loss.backward()
        optimizer.step()
        with fb.no_grad():
            for p, q in zip(target.parameters(), net.parameters()):
                p.mul_(0.9).add_(q, alpha=0.1)
        return loss.detach()

    results = []
    start = [t.detach().clone() for m in (net, target) for t in m.parameters()]
    for f in (step, compile(step, fullgraph=True)):
        with fb.no_grad():
            for t, s in zip([*net.parameters(), *target.parameters()], start):
                t.copy_(s)
        results.append([f(fb.ones(3, 2)).item() for _ in range(6)] + [p.tolist() for p in target.parameters()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5)


def test_gradient_accumulation_over_micro_batches():
    w = fb.ones(2, requires_grad=True)
    optimizer = fb.optim.SGD([w], lr=0.1)
    accumulate = compile(lambda x: (w * x).sum().backward(), fullgraph=True)
    update = compile(lambda: (optimizer.step(), optimizer.zero_grad()), fullgraph=True)
    expected = np.ones(2)
    for i in range(6):
        for k in range(3):
            accumulate(fb.full((2,), float(i + k)))
        update()
        expected = expected - 0.1 * (3 * i + 3)
        np.testing.assert_allclose(w.detach().numpy(), expected, rtol=1e-5)


def test_an_index_error_leaves_state_as_it_was():
    table, state = fb.arange(4.0), fb.zeros(2)
    w = fb.ones(2, requires_grad=True)
    optimizer = fb.optim.Adam([w], lr=0.1)

    def f(i):
        state.add_(1)
        optimizer.zero_grad()
        (w * table[i]).sum().backward()
        optimizer.step()
        return state * 1

    g = compile(f, fullgraph=True)
    for _ in range(3):
        g(fb.tensor([1, 2]))
    before = (state.tolist(), w.tolist(), [v.tolist() for v in optimizer.state[w].values()])
    with pytest.raises(IndexError):
        g(fb.tensor([1, 9]))
    assert (state.tolist(), w.tolist(), [v.tolist() for v in optimizer.state[w].values()]) == before
