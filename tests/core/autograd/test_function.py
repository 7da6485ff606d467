"""Functions with derivatives of one's own."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import flambeau as fb
from flambeau.autograd import Function, grad, gradcheck, gradgradcheck
from flambeau.autograd.function import once_differentiable
from flambeau.base.errors import ArgumentTypeError, GradientError, ShapeError


def leaf(values, dtype=fb.float64):
    return fb.tensor(values, dtype=dtype, requires_grad=True)


class Product(Function):
    """Two outputs, the second without use of what is saved."""

    @staticmethod
    def forward(ctx, x, y, power):
        ctx.save_for_backward(x, y)
        ctx.power = power
        return (x * y) ** power, x + 2 * y

    @staticmethod
    def backward(ctx, g, h):
        x, y = ctx.saved_tensors
        slope = ctx.power * (x * y) ** (ctx.power - 1)
        return g * slope * y + h, g * slope * x + 2 * h, None


class Exp(Function):
    """New style, saving its output."""

    @staticmethod
    def forward(x):
        return x.exp()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


def test_values_and_gradients_of_any_order():
    x, y = leaf([0.5, -1.5, 2.0]), leaf([1.0, 2.0, -0.5])
    assert gradcheck(lambda x, y: Product.apply(x, y, 3), (x, y))
    assert gradgradcheck(lambda x, y: Product.apply(x, y, 3), (x, y))
    assert gradcheck(Exp.apply, (x,))
    assert gradgradcheck(Exp.apply, (x,))
    d = Exp.apply(x).sum()
    for _ in range(3):
        (d,) = grad(d.sum(), x, create_graph=True)
    np.testing.assert_allclose(d.detach().numpy(), np.exp(x.detach().numpy()))


def test_forward_is_not_recorded_and_no_grad_gives_plain_outputs():
    seen = []

    class Spy(Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            seen.append((fb.is_grad_enabled(), y.requires_grad, ctx.needs_input_grad))
            return y

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf([1.0])
    assert Spy.apply(x).requires_grad
    with fb.no_grad():
        assert not Spy.apply(x).requires_grad
    assert not Spy.apply(x.detach()).requires_grad
    assert seen == [(False, False, (True,)), (False, False, (True,)), (False, False, (False,))]


def test_none_gradients_and_missing_output_gradients():
    class Half(Function):
        @staticmethod
        def forward(ctx, x, y, materialize):
            ctx.set_materialize_grads(materialize)
            return x * 1, y * 1

        @staticmethod
        def backward(ctx, g, h):
            Half.seen = (g, h)
            return None, (None if h is None else h * 3), None

    x, y = leaf([1.0]), leaf([2.0])
    a, _ = Half.apply(x, y, True)
    assert grad(a, (x, y), allow_unused=True)[0] is None
    assert float(Half.seen[1]) == 0
    a, _ = Half.apply(x, y, False)
    assert grad(a, (x, y), allow_unused=True) == (None, None)
    assert Half.seen[1] is None


@pytest.mark.parametrize(
    "returned, error, words",
    [
        (lambda g: (g, g), GradientError, "expected 1 gradients"),
        (lambda g: (), GradientError, "got 0"),
        (lambda g: g[:1], ShapeError, r"gradient of shape \(3,\)"),
        (lambda g: 3.0, ArgumentTypeError, "tensor or None"),
    ],
)
def test_wrong_results_of_backward_are_named(returned, error, words):
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return returned(g)

    with pytest.raises(error, match=words):
        Wrong.apply(leaf([1.0, 2.0, 3.0])).sum().backward()


def test_expanded_gradients_are_summed_and_dtypes_follow_the_input():
    class Spread(Function):
        @staticmethod
        def forward(ctx, x):
            return x.expand(4, 3).clone()

        @staticmethod
        def backward(ctx, g):
            return g.float()

    x = leaf([1.0, 2.0, 3.0])
    Spread.apply(x).sum().backward()
    assert x.grad.dtype == fb.float64
    assert x.grad.tolist() == [4.0, 4.0, 4.0]


def test_gradient_for_an_argument_that_is_no_tensor_is_an_error():
    class Scale(Function):
        @staticmethod
        def forward(ctx, x, c):
            return x * c

        @staticmethod
        def backward(ctx, g):
            return g, g

    with pytest.raises(GradientError, match="None for argument 1"):
        Scale.apply(leaf([1.0]), 2.0).sum().backward()


def test_mark_non_differentiable():
    class Split(Function):
        @staticmethod
        def forward(ctx, x):
            rest = x.floor()
            ctx.mark_non_differentiable(rest)
            return x - rest, rest, x.argmax()

        @staticmethod
        def backward(ctx, g, h, i):
            assert float(h.abs().sum()) == 0
            return g

    x = leaf([1.25, 2.5])
    part, whole, at = Split.apply(x)
    assert part.requires_grad and not whole.requires_grad and not at.requires_grad
    part.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_mark_dirty_rebases_the_tensor_and_its_views():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf([1.0, 2.0])
    y = x * 3
    view = y[1:]
    z = Double.apply(y)
    assert z is y
    assert y.tolist() == [6.0, 12.0]
    (view.sum() + y.sum()).backward()
    assert x.grad.tolist() == [6.0, 12.0]
    with pytest.raises(GradientError, match="leaf"):
        Double.apply(leaf([1.0]))
    fresh = leaf([1.0, 2.0])
    part = fresh * 1
    Double.apply(part[:1])
    assert grad(part.sum(), fresh)[0].tolist() == [2.0, 1.0]


def test_dirty_tensors_must_be_inputs_and_returned():
    def make(mark, give):
        class Dirty(Function):
            @staticmethod
            def forward(ctx, x):
                other = x * 2
                ctx.mark_dirty(x if mark == "input" else other)
                return x if give == "input" else other

            @staticmethod
            def backward(ctx, g):
                return g

        return Dirty

    x = leaf([1.0]) * 1
    with pytest.raises(GradientError, match="inputs of forward"):
        make("other", "other").apply(x)
    with pytest.raises(GradientError, match="return every input"):
        make("input", "other").apply(x)


def test_an_input_returned_unchanged_is_another_tensor():
    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            return x, x

        @staticmethod
        def backward(ctx, g, h):
            return g * 10 + h

    x = leaf([1.0])
    a, b = Same.apply(x)
    assert a is not x and b is not a and x.is_leaf
    (a * 2 + b).sum().backward()
    assert x.grad.tolist() == [21.0]


def test_save_for_backward_takes_tensors_and_none_only():
    class Save(Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            assert ctx.saved_tensors[1] is None
            return g, None

    x = leaf([1.0])
    Save.apply(x, None).sum().backward()
    with pytest.raises(ArgumentTypeError, match="argument 1 of type int"):
        Save.apply(x, 3)


def test_saved_tensors_are_checked_and_dropped():
    x = leaf([1.0, 2.0])
    y = x * 1
    out, _ = Product.apply(y, y, 2)
    y.add_(1)
    with pytest.raises(GradientError, match="modified by an inplace operation"):
        out.sum().backward()
    out = Exp.apply(x)
    out.sum().backward()
    with pytest.raises(GradientError, match="second time"):
        out.sum().backward()


def test_saving_an_output_makes_no_cycle():
    gc.collect()
    gc.disable()
    try:
        y = Exp.apply(leaf([1.0]))
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_once_differentiable():
    class Once(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            assert not fb.is_grad_enabled()
            (x,) = ctx.saved_tensors
            return g * 2 * x

    x = leaf([3.0])
    (g,) = grad(Once.apply(x).sum(), x, create_graph=True)
    assert float(g) == 6.0
    with pytest.raises(GradientError, match="once_differentiable"):
        g.sum().backward()


def test_names_and_graph():
    y = Exp.apply(leaf([1.0]))
    assert y.grad_fn.name() == "ExpBackward"
    assert y.grad_fn.next_functions[0][0].name() == "AccumulateGrad"
    assert float(y.grad_fn.saved_tensors[0]) == pytest.approx(np.e)


def test_gradients_that_backward_returns_twice_are_not_shared():
    class Same(Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.kept = fb.ones(2)
            return x + y

        @staticmethod
        def backward(ctx, g):
            return ctx.kept, ctx.kept

    x, y = leaf([0.0, 0.0], fb.float32), leaf([0.0, 0.0], fb.float32)
    out = Same.apply(x, y)
    out.sum().backward(retain_graph=True)
    out.sum().backward()
    assert x.grad.tolist() == y.grad.tolist() == [2.0, 2.0]
