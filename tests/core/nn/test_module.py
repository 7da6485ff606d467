"""Module: registration, walks, modes, moves, attributes, text."""

from __future__ import annotations

import copy
import pickle

import pytest

import flambeau as fb
from flambeau import nn
from flambeau.base.epoch import epoch
from flambeau.base.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from flambeau.nn.tree import MissingAttribute


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.block = nn.Sequential(nn.Linear(3, 3), nn.Identity())
        self.scale = nn.Parameter(fb.ones(1))
        self.register_buffer("steps", fb.tensor(0))
        self.mask = nn.Buffer(fb.ones(3), persistent=False)
        self.note = "text"

    def forward(self, x):
        return self.block(self.first(x)) * self.scale


def names(pairs):
    return [name for name, _ in pairs]


def test_registration_and_walks():
    net = Net()
    assert names(net.named_parameters()) == ["scale", "first.weight", "first.bias", "block.0.weight", "block.0.bias"]
    assert names(net.named_parameters(recurse=False)) == ["scale"]
    assert names(net.named_parameters(prefix="net"))[0] == "net.scale"
    assert names(net.named_buffers()) == ["steps", "mask"]
    assert names(net.named_modules()) == ["", "first", "block", "block.0", "block.1"]
    assert names(net.named_children()) == ["first", "block"]
    assert [p is q for p, q in zip(net.parameters(), [net.scale, net.first.weight])] == [True, True]
    assert list(net.children()) == [net.first, net.block]
    assert "first" in dir(net) and "steps" in dir(net) and "scale" in dir(net)


def test_shared_modules_and_parameters_count_once():
    net = nn.Module()
    net.a = nn.Linear(2, 2)
    net.b = net.a
    net.c = nn.Linear(2, 2)
    net.c.weight = net.a.weight
    assert names(net.named_parameters()) == ["a.weight", "a.bias", "c.bias"]
    assert len(names(net.named_parameters(remove_duplicate=False))) == 6
    assert names(net.named_modules()) == ["", "a", "c"]
    assert names(net.named_modules(remove_duplicate=False)) == ["", "a", "b", "c"]
    assert len(list(net.children())) == 2


def test_attributes_change_kind():
    net = Net()
    net.scale = None
    assert net.scale is None and "scale" in net._parameters and len(list(net.parameters())) == 4
    net.scale = nn.Parameter(fb.zeros(1))
    assert len(list(net.parameters())) == 5
    net.note = nn.Linear(1, 1)
    assert "note" in net._modules and "note" not in net.__dict__
    net.note = nn.Parameter(fb.zeros(1))
    assert "note" in net._parameters and "note" not in net._modules
    net.steps = fb.tensor(3)
    assert net._buffers["steps"].item() == 3
    del net.note, net.steps, net.first
    assert not hasattr(net, "note") and not hasattr(net, "steps") and not hasattr(net, "first")
    net.plain = fb.ones(2)
    assert "plain" not in net._buffers and "plain" not in net._parameters


def test_wrong_assignments_are_refused():
    net = Net()
    with pytest.raises(ArgumentTypeError, match="scale.*Parameter or None.*Tensor.*Parameter\\(value\\)"):
        net.scale = fb.ones(1)
    with pytest.raises(ArgumentTypeError, match="first.*Module or None.*int"):
        net.first = 3
    with pytest.raises(ArgumentTypeError, match="steps.*Tensor or None.*int"):
        net.steps = 3
    with pytest.raises(KeyError, match="no dot"):
        net.register_parameter("a.b", None)
    with pytest.raises(KeyError, match="in use"):
        net.register_buffer("forward", fb.ones(1))
    with pytest.raises(TypeError, match="Module or None"):
        net.add_module("x", 3)
    with pytest.raises(ArgumentError, match="leaf"):
        net.register_parameter("y", (nn.Parameter(fb.ones(1)) * 2).as_subclass(nn.Parameter))

    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match="super\\(\\).__init__"):
        Early()


def test_missing_attributes_suggest():
    net = Net()
    with pytest.raises(AttributeError, match="'frist'. Did you mean 'first'"):
        net.frist  # noqa: B018
    with pytest.raises(AttributeError, match="Did you mean 'weight'"):
        net.get_parameter("first.weigth")
    with pytest.raises(AttributeError, match="block"):
        net.get_submodule("blok.0")
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)


def test_access_by_dotted_name():
    net = Net()
    assert net.get_submodule("block.0") is net.block[0] and net.get_submodule("") is net
    assert net.get_parameter("block.0.weight") is net.block[0].weight
    assert net.get_buffer("steps") is net.steps
    with pytest.raises(MissingAttribute):
        net.get_buffer("scale")
    replacement = nn.Linear(3, 3)
    net.set_submodule("block.0", replacement)
    assert net.block[0] is replacement
    with pytest.raises(MissingAttribute):
        net.set_submodule("block.7", replacement, strict=True)


def test_modes_and_gradients():
    net = Net()
    assert net.training and net.eval() is net and not net.block[1].training
    assert net.train().block[1].training
    with pytest.raises(ArgumentTypeError):
        net.train("yes")
    net(fb.ones(2, 4)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(float(p.grad.abs().sum()) == 0 for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert not net(fb.ones(2, 4)).requires_grad


def test_conversions_keep_the_parameter_objects():
    net = Net()
    weight = net.first.weight
    net(fb.ones(2, 4)).sum().backward()
    assert net.to(fb.float64) is net and net.first.weight is weight
    assert weight.dtype is fb.float64 and weight.grad.dtype is fb.float64 and weight.is_leaf and weight.requires_grad
    assert net.steps.dtype is fb.int64
    for name, dtype in (("half", fb.float16), ("bfloat16", fb.bfloat16), ("float", fb.float32), ("double", fb.float64)):
        assert getattr(net, name)().first.weight.dtype is dtype and net.steps.dtype is fb.int64
    assert net.type(fb.float32).steps.dtype is fb.float32
    with pytest.raises(DtypeError, match="floating"):
        net.to(fb.int32)
    meta = Net().to("meta")
    assert meta.first.weight.is_meta and meta.to_empty(device="cpu").first.weight.is_cpu


def test_apply_goes_bottom_up():
    order = []
    net = Net()
    assert net.apply(lambda m: order.append(type(m).__name__)) is net
    assert order == ["Linear", "Linear", "Identity", "Sequential", "Net"]


def test_copies_and_pickles_are_independent():
    net = Net()
    net(fb.ones(2, 4)).sum().backward()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert type(other.first.weight) is nn.Parameter and other.first.weight.requires_grad
        assert other.first.weight.grad is None
        assert bool((other(fb.ones(2, 4)) == net(fb.ones(2, 4))).all())
        with fb.no_grad():
            other.first.weight.add_(1)
        assert not bool((other.first.weight == net.first.weight).any())
    shared = nn.Module()
    shared.a = shared.b = nn.Linear(2, 2)
    twin = copy.deepcopy(shared)
    assert twin.a is twin.b and twin.a is not shared.a


def test_repr():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Linear(in_features=4, out_features=3, bias=True)\n"
        "  (block): Sequential(\n"
        "    (0): Linear(in_features=3, out_features=3, bias=True)\n"
        "    (1): Identity()\n"
        "  )\n"
        ")"
    )


def test_errors_name_the_module():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Sequential(nn.Identity(), nn.Linear(4, 3))])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    with pytest.raises(ShapeError) as caught:
        Outer()(fb.ones(2, 5))
    assert caught.value.__notes__ == ["In module Outer.layers.0.1: Linear(in_features=4, out_features=3, bias=True)"]


def test_configuration_changes_bump_the_epoch():
    net = Net()
    before = epoch.count

    def bumps(change):
        nonlocal before
        change()
        moved = epoch.count > before
        before = epoch.count
        return moved

    assert bumps(lambda: setattr(net, "rate", 0.5))
    assert not bumps(lambda: setattr(net, "rate", net.rate))
    assert bumps(lambda: setattr(net, "rate", 0.25))
    assert bumps(net.eval)
    assert not bumps(net.eval)
    assert bumps(net.train)
    assert bumps(lambda: setattr(net, "scale", nn.Parameter(fb.zeros(1))))
    assert bumps(lambda: setattr(net, "steps", fb.tensor(1)))
    assert bumps(net.double)
    assert bumps(lambda: net.first.register_forward_hook(print))
    assert bumps(lambda: delattr(net, "rate"))
    assert not bumps(lambda: list(net.parameters()))
    net.first._forward_hooks.clear()
    assert not bumps(lambda: net(fb.ones(2, 4, dtype=fb.float64)))


def test_parameters():
    data = fb.ones(2, 3)
    p = nn.Parameter(data)
    assert p.requires_grad and p.is_leaf and isinstance(p, fb.Tensor) and type(p * 2) is fb.Tensor
    with fb.no_grad():
        p.add_(1)
    assert float(data.sum()) == 12  # shared memory
    assert not nn.Parameter(fb.tensor([1]), requires_grad=False).requires_grad
    with pytest.raises(RuntimeError, match="floating"):
        nn.Parameter(fb.tensor([1]))
    with pytest.raises(TypeError, match="Tensor"):
        nn.Parameter([1.0])
    computed = (p * 2)[0]
    assert nn.Parameter(computed).is_leaf
    p.tag = "kept"
    p.grad = fb.ones(2, 3)
    copied = copy.deepcopy(p)
    assert copied.tag == "kept" and copied.grad is None and p.grad is not None and type(copied) is nn.Parameter
    again = pickle.loads(pickle.dumps(p))
    assert type(again) is nn.Parameter and again.requires_grad and again.tag == "kept"
    assert repr(p).startswith("Parameter containing:\ntensor(") and repr(p).count("Parameter") == 1
