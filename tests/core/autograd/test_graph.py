"""Hooks on saved values, hooks on several gradients, edges, versions."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.autograd import Function, grad, gradgradcheck, graph
from flambeau.base.errors import ArgumentError, ArgumentTypeError, GradientError


def leaf(values):
    return fb.tensor(values, dtype=fb.float64, requires_grad=True)


class Doubled:
    """Pack hooks that keep twice the value, and notes of what they saw."""

    def __init__(self):
        self.packed, self.unpacked = 0, 0

    def __enter__(self):
        def pack(t):
            self.packed += 1
            return t + t

        def unpack(t):
            self.unpacked += 1
            return t / 2 if t.is_floating_point() else t // 2

        self.block = graph.saved_tensors_hooks(pack, unpack)
        self.block.__enter__()
        return self

    def __exit__(self, *exc):
        self.block.__exit__(*exc)


def test_saved_inputs_outputs_and_several_outputs():
    x = leaf([3.0, 1.0, 2.0])
    with Doubled() as seen:
        y = (x * x).exp().cummax(0).values
    assert (seen.packed, seen.unpacked) == (5, 0)  # x twice, exp's output, cummax's values and places
    (g,) = grad(y.sum(), x, retain_graph=True)
    assert seen.unpacked > 0
    want = (x * x).exp().cummax(0).values
    np.testing.assert_allclose(g.numpy(), grad(want.sum(), x)[0].numpy())
    assert not x.grad


def test_hooks_leave_higher_orders_alone():
    def f(x):
        with Doubled():
            return (x.sin() * x).exp().sum()

    assert gradgradcheck(f, (leaf([0.5, -0.25]),))


def test_hooks_of_functions():
    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            y = x**3
            ctx.save_for_backward(x, y, None)
            return y

        @staticmethod
        def backward(ctx, g):
            x, y, nothing = ctx.saved_tensors
            assert nothing is None
            return g * 3 * y / x

    x = leaf([2.0])
    with Doubled() as seen:
        y = Cube.apply(x)
    assert seen.packed == 2
    assert gradgradcheck(Cube.apply, (x,))
    y.sum().backward()
    assert float(x.grad) == 12


def test_the_innermost_hooks_count_and_end_with_their_block():
    x = leaf([1.0])
    with Doubled() as outer:
        with Doubled() as inner:
            x.exp()
        x.exp()
    x.exp()
    assert (outer.packed, inner.packed) == (1, 1)


def test_unpack_must_return_a_tensor():
    x = leaf([1.0])
    with graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = x.exp()
    with pytest.raises(ArgumentTypeError, match="returns a tensor"):
        y.sum().backward()


def test_disabled_hooks():
    with graph.disable_saved_tensors_hooks("not in this part"):
        with pytest.raises(GradientError, match="not in this part"), Doubled():
            pass
    with Doubled():
        pass


def test_save_on_cpu():
    x = leaf([1.0, 2.0])
    with graph.save_on_cpu():
        y = x * 1
        z = y * y
    y.data.zero_()  # the values that count are copies
    assert grad(z.sum(), x)[0].tolist() == [2.0, 4.0]


def test_multi_grad_hooks():
    a, b, c = leaf([1.0]), leaf([2.0]), leaf([3.0])
    seen = []
    handle = graph.register_multi_grad_hook([a, b, c], lambda gs: seen.append([None if g is None else float(g) for g in gs]))
    (a * b).sum().backward()
    (a * b * c).sum().backward()
    grad((a * b * c).sum(), [a])
    assert seen == [[2.0, 1.0, None], [6.0, 3.0, 2.0], [6.0, None, None]]
    handle.remove()
    (a * b).sum().backward()
    assert len(seen) == 3
    with graph.register_multi_grad_hook((a, a), lambda gs: seen.append(len(gs))):
        (a * 2).sum().backward()
    assert seen[-1] == 2
    first = []
    graph.register_multi_grad_hook([a, b], lambda g: first.append(float(g)), mode="any")
    y = (a * b).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert len(first) == 2
    with pytest.raises(ArgumentError, match="'all' or 'any'"):
        graph.register_multi_grad_hook([a], print, mode="some")
    with pytest.raises(GradientError, match="require grad"):
        graph.register_multi_grad_hook([fb.ones(1)], print)


def test_edges():
    x = leaf([3.0, 1.0])
    values, _ = x.sort()
    edge = graph.get_gradient_edge(values)
    assert (edge.node, edge.output_nr) == (values.grad_fn, 0)
    y = (values**2).sum()
    del values
    assert [g.tolist() for g in grad(y, [edge, x])] == [[2.0, 6.0], [6.0, 2.0]]
    with pytest.raises(GradientError):
        graph.get_gradient_edge(fb.ones(1))


def test_increment_version():
    x = leaf([1.0])
    h, k = x * 1, x * 1
    y = h * h + k * k
    graph.increment_version([h, k])
    assert h._version == k._version == 1
    with pytest.raises(GradientError, match="inplace"):
        y.sum().backward()
