"""Results of a compiled function that require grad: `backward` outside gives the gradients of eager code."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.base.errors import GradientError
from flambeau.compiler import compile


def leaf(*values):
    return fb.tensor(list(values), requires_grad=True)


def check(fn, make, use=lambda out: out.sum().backward(), params=(), calls=4):
    """Gradients of arguments and parameters, and results, agree with eager code in every call."""
    compiled = compile(fn)
    for i in range(calls):
        found = []
        for f in (fn, compiled):
            fb.manual_seed(i)
            args = make(i)
            for p in params:
                p.grad = None
            out = f(*args)
            use(out)
            tensors = [t for t in (*args, *params) if isinstance(t, fb.Tensor)]
            outs = out if isinstance(out, tuple) else (out,)
            found.append([o.detach().numpy().copy() for o in outs] + [None if t.grad is None else t.grad.numpy().copy() for t in tensors])
        for a, b in zip(*found, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6, err_msg=f"call {i}")
    return compiled


def random(i, *shapes):
    g = fb.Generator().manual_seed(i)
    return tuple(fb.randn(*s, generator=g).requires_grad_() for s in shapes)


def test_a_forward_pass_of_a_model():
    fb.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    f = check(net, lambda i: random(i, (5, 3)), params=list(net.parameters()))
    assert sum(f._compiled.captures.values()) == 1
    check(lambda x: nn.functional.cross_entropy(net(x), fb.tensor([0, 1, 0])), lambda i: random(i, (3, 3)), params=list(net.parameters()))


def test_several_results_of_which_some_are_used():
    def fn(x, y):
        return x * y, (x + y).exp(), x.detach() * 2, (x > 0)

    check(fn, lambda i: random(i, (4,), (4,)), use=lambda out: (out[0].sum() + out[1].sum() * 2).backward())
    check(fn, lambda i: random(i, (4,), (4,)), use=lambda out: out[1].sum().backward())
    check(fn, lambda i: random(i, (4,), (4,)), use=lambda out: (out[0] * out[1] * out[0]).sum().backward())


def test_arguments_without_grad_and_unused_ones():
    check(lambda x, y, z: x * y, lambda i: (random(i, (3,))[0], fb.ones(3), random(i, (3,))[0]))


def test_arguments_that_are_themselves_computed():
    w = leaf(2.0, 3.0)
    f = compile(lambda h: (h * h).sum())
    for _ in range(4):
        w.grad = None
        f(w * 3).backward()
        assert w.grad.tolist() == [36, 54]


def test_two_calls_before_backward_keep_their_own_values():
    w = leaf(1.0, 2.0)
    f = compile(lambda x: (w * x * x).sum())
    for _ in range(3):
        f(fb.ones(2))
    w.grad = None
    a, b = f(fb.tensor([1.0, 2.0])), f(fb.tensor([3.0, 4.0]))
    (a * 10 + b).backward()
    assert w.grad.tolist() == [19, 56]


def test_retain_graph_and_a_second_backward():
    w = leaf(1.0, 2.0)
    f = compile(lambda: (w * w).sum())
    for _ in range(3):
        loss = f()
    loss.backward(retain_graph=True)
    loss.backward()
    assert w.grad.tolist() == [4, 8]
    with pytest.raises(GradientError, match="second time"):
        loss.backward()


def test_second_derivatives_are_refused():
    w = leaf(1.0, 2.0)
    f = compile(lambda: (w**3).sum())
    for _ in range(3):
        loss = f()
    with pytest.raises(GradientError, match="first derivatives of a compiled function"):
        fb.autograd.grad(loss, w, create_graph=True)


def test_grad_of_some_inputs():
    f = compile(lambda x, y: (x * y).sum())
    for _ in range(3):
        x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
        assert fb.autograd.grad(f(x, y), y)[0].tolist() == [1, 2]
        assert y.grad is None


def test_a_parameter_changed_between_forward_and_backward_is_noticed():
    w = leaf(1.0, 2.0)
    f = compile(lambda x: (w * w * x).sum())
    for _ in range(3):
        loss = f(fb.ones(2))
    with fb.no_grad():
        w.mul_(2)
    with pytest.raises(GradientError, match="inplace"):
        loss.backward()


def test_no_grad_outside_and_inside():
    w = leaf(1.0, 2.0)
    f = compile(lambda x: w * x)
    for _ in range(3):
        with fb.no_grad():
            assert not f(fb.ones(2)).requires_grad
        assert f(fb.ones(2)).requires_grad

    def frozen(x):
        with fb.no_grad():
            h = x * w
        return h * w

    check(frozen, lambda i: random(i, (2,)), params=[w])


def test_hooks_of_parameters_run_once():
    w = leaf(1.0, 2.0)
    f = compile(lambda x: (w * x).sum())
    w.register_hook(lambda g: g * 10)
    for _ in range(4):
        w.grad = None
        f(fb.ones(2)).backward()
        assert w.grad.tolist() == [10, 10]


def test_state_that_is_written_while_the_result_requires_grad():
    fb.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    copies = {k: v.clone() for k, v in net.state_dict().items()}
    seen = []
    for compiled in (False, True):
        net.load_state_dict(copies)
        f = compile(net.forward) if compiled else net
        rounds = []
        for i in range(5):
            fb.manual_seed(i)
            net.zero_grad()
            f(fb.randn(6, 3)).pow(2).sum().backward()
            rounds.append([p.grad.tolist() for p in net.parameters()] + [net[1].running_mean.tolist(), net[1].num_batches_tracked.item()])
        seen.append(rounds)
    for a, b in zip(*seen, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(y, x, rtol=1e-4, atol=1e-5)


def test_an_input_that_the_function_overwrites_later():
    def fn(x, buffer):
        y = (x * x + buffer.exp()).log()
        x.data.add_(1)
        buffer.add_(1)
        return y.sum()

    check(fn, lambda i: (random(i, (3,))[0], fb.full((3,), float(i))))


def test_a_whole_training_loop_with_backward_and_step_outside():
    def train(compiled):
        fb.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        optimizer = fb.optim.Adam(net.parameters(), lr=1e-2)
        forward = compile(lambda x: net(x).pow(2).mean()) if compiled else lambda x: net(x).pow(2).mean()
        step = compile(optimizer.step) if compiled else optimizer.step
        losses = []
        for i in range(12):
            optimizer.zero_grad()
            loss = forward(fb.randn(8, 4, generator=fb.Generator().manual_seed(i)))
            loss.backward()
            step()
            losses.append(loss.item())
        return losses, [p.tolist() for p in net.parameters()]

    (eager, weights), (found, same) = train(False), train(True)
    np.testing.assert_allclose(found, eager, rtol=1e-4)
    for a, b in zip(same, weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_views_and_repeated_results():
    def fn(x):
        y = x * 2
        return y, y[0], y

    compiled = compile(fn)
    for _ in range(3):
        x = fb.ones(2, 2).requires_grad_()
        y, first, again = compiled(x)
        assert again is y
        (y.sum() + first.sum() * 3).backward()
        assert x.grad.tolist() == [[8, 8], [2, 2]]
