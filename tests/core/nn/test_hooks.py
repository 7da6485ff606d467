"""Hooks around forward and on gradients."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn


class Two(nn.Module):
    def forward(self, x, y=None, *, scale=1.0):
        return x * scale, (x if y is None else y) + 1


def test_forward_hooks_see_and_replace():
    m, seen = nn.Identity(), []
    pre = m.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    post = m.register_forward_hook(lambda module, args, out: seen.append((args[0].item(), out.item())))
    last = m.register_forward_hook(lambda module, args, out: out * 10)
    assert m(fb.tensor(1.0)).item() == 20 and seen == [(2.0, 2.0)]
    pre.remove()
    last.remove()
    last.remove()
    assert m(fb.tensor(1.0)).item() == 1
    post.remove()
    assert not m._forward_hooks and not m._forward_pre_hooks


def test_hooks_with_kwargs_and_order():
    m, order = Two(), []
    m.register_forward_pre_hook(lambda module, args, kwargs: (args, {**kwargs, "scale": 3.0}), with_kwargs=True)
    m.register_forward_hook(lambda module, args, kwargs, out: order.append(("second", kwargs["scale"])), with_kwargs=True)
    m.register_forward_hook(lambda module, args, out: order.append("first"), prepend=True)
    assert m(fb.tensor(2.0), scale=1.0)[0].item() == 6
    assert order == ["first", ("second", 3.0)]
    m.register_forward_pre_hook(lambda module, args, kwargs: args, with_kwargs=True)
    with pytest.raises(ValueError, match="pre-hook"):
        m(fb.tensor(2.0))


def test_hooks_that_always_run():
    class Fails(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    m, seen = Fails(), []
    m.register_forward_hook(lambda module, args, out: seen.append(out), always_call=True)
    m.register_forward_hook(lambda module, args, out: seen.append("not this"))
    with pytest.raises(ZeroDivisionError):
        m(1)
    assert seen == [None]


def test_backward_hooks_see_both_ends():
    m, seen = nn.Linear(3, 2), []
    m.register_full_backward_hook(lambda module, gi, go: seen.append((gi[0].numpy().copy(), go[0].numpy().copy())))
    x = fb.randn(4, 3).requires_grad_()
    (m(x) * 2).sum().backward()
    (grad_in, grad_out) = seen[0]
    np.testing.assert_array_equal(grad_out, np.full((4, 2), 2.0, np.float32))
    np.testing.assert_allclose(grad_in, grad_out @ m.weight.detach().numpy(), rtol=1e-6)
    np.testing.assert_array_equal(grad_in, x.grad.numpy())


def test_backward_hooks_replace():
    m = nn.Identity()
    m.register_full_backward_pre_hook(lambda module, go: (go[0] * 3,))
    m.register_full_backward_hook(lambda module, gi, go: (gi[0] + go[0],))
    x = fb.ones(2, requires_grad=True)
    m(x).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    m.register_full_backward_hook(lambda module, gi, go: (None, None))
    with pytest.raises(ValueError, match="1 gradients"):
        m(x).sum().backward()


def test_backward_hooks_with_several_inputs_and_outputs():
    m, seen = Two(), []
    m.register_full_backward_hook(lambda module, gi, go: seen.append((gi, go)))
    x, y = fb.ones(2, requires_grad=True), fb.ones(2)
    a, b = m(x, y)
    assert not b.requires_grad
    a.sum().backward()
    ((gi, go),) = seen
    assert gi[0].tolist() == [1.0, 1.0] and gi[1] is None
    assert go[0].tolist() == [1.0, 1.0] and go[1] is None


def test_backward_hooks_without_gradients_of_inputs():
    m, seen = nn.Linear(3, 2), []
    m.register_full_backward_hook(lambda module, gi, go: seen.append((gi, go[0].shape)))
    m(fb.ones(4, 3)).sum().backward()
    assert seen == [((None,), (4, 2))] and m.weight.grad is not None
    with fb.no_grad():
        m(fb.ones(4, 3))
    assert len(seen) == 1


def test_gradients_of_gradients_pass_hooks():
    m = nn.Identity()
    m.register_full_backward_hook(lambda module, gi, go: None)
    x = fb.tensor(2.0, requires_grad=True)
    (g,) = fb.autograd.engine.grad(m(x) ** 3, x, create_graph=True)
    (gg,) = fb.autograd.engine.grad(g, x)
    assert g.item() == 12 and gg.item() == 12


def test_hooks_are_copied_with_the_module():
    m = nn.Identity()
    m.register_forward_hook(lambda module, args, out: out + 1)
    assert copy.deepcopy(m)(fb.tensor(1)).item() == 2


def test_in_place_writes_behind_hooks_keep_their_gradients():
    class Halves(nn.Module):
        def forward(self, x):
            return x.mul_(0.5)

    def gradient(hooked):
        m, seen = Halves(), []
        if hooked:
            m.register_full_backward_hook(lambda module, gi, go: seen.append((gi[0].tolist(), go[0].tolist())))
        x = fb.tensor([-1.0, 2.0, 3.0], requires_grad=True)
        h = x * x
        out = m(h).relu_()
        (h * out).sum().backward()
        return x.grad.tolist(), h.tolist(), seen

    plain, hooked = gradient(False), gradient(True)
    assert plain[:2] == hooked[:2] and len(hooked[2]) == 1
