"""Each check of the public contracts fails on something that breaks it, and only that check."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.autograd.function import Function
from flambeau.nn import Linear, Module
from flambeau.primitives import elementwise
from flambeau.testing import DatasetCase, LayerCase, ModelCase, OpCase, OptimizerCase, check, checks_of, floats, sample

INPUT = [sample(floats(2, 3))]


def broken(case):
    """The names of the checks that fail."""
    failed = set()
    for name, run_check in checks_of(case):
        try:
            run_check()
        except Exception:
            failed.add(name)
    if failed:
        with pytest.raises(AssertionError, match=f"{case.name} broke its contract"):
            check(case)
    return failed


class WrongSlope(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x


class WrongSecondSlope(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x.detach() ** 2


def changes_input(x):
    with fb.no_grad():
        x += 1
    return x * 1


def peeks(x):
    return x * 2 if float(x.sum()) > -1e9 else x


def by_strides(x):
    return x * (2.0 if x.is_contiguous() else 3.0)


def only_double(x):
    return x * 2 if x.dtype is fb.float64 else x.double() * 2


class Memory:
    """An operation with a memory."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return x * float(self.calls)


OPS = {
    "values": (lambda x: x * 2.001, {"values", "shapes"}),
    "input": (changes_input, {"values", "shapes", "gradient", "second_gradient", "meta", "layouts", "dtypes", "vmap"}),
    "gradient": (WrongSlope.apply, {"gradient", "values", "shapes"}),
    "peeks": (peeks, {"meta", "vmap", "shapes"}),
    "layout": (by_strides, {"layouts"}),
    "dtype": (only_double, {"dtypes", "meta"}),
}


@pytest.mark.parametrize("name", OPS)
def test_broken_operations(name):
    fn, expected = OPS[name]
    case = OpCase(name, fn, INPUT, reference=lambda x: x * 2, shapes=lambda s: sample(floats(*s)))
    found = broken(case)
    assert found, name
    assert found <= expected | {"vmap"}, (name, found)
    assert found & expected


def test_a_sound_operation_passes():
    assert broken(OpCase("double", lambda x: x * 2, INPUT, reference=lambda x: x * 2, shapes=lambda s: sample(floats(*s)))) == set()


def test_second_gradients():
    case = OpCase("cube", WrongSecondSlope.apply, INPUT, reference=lambda x: x**3, vmap=False, meta=False)
    assert broken(case) == {"second_gradient"}


def test_memory_between_calls():
    assert "values" in broken(OpCase("memory", Memory(), INPUT))


def test_missing_errors():
    accepted = [(lambda: fb.zeros(2), ValueError, "anything")]
    unclear = [(lambda: fb.zeros(2) + fb.zeros(3), RuntimeError, "a pattern that no message has")]
    for errors in (accepted, unclear):
        assert broken(OpCase("permissive", lambda x: x * 2, INPUT, errors=errors)) == {"errors"}


def test_wrong_shape_rules(monkeypatch):
    monkeypatch.setattr(elementwise.exp, "infer", lambda x: ((7,), x.dtype))
    with pytest.raises(AssertionError, match="primitive exp: its rule predicts"):
        check(OpCase("exp", fb.exp, INPUT, reference=np.exp))


class Odd(Linear):
    """A linear layer with one fault."""

    def __init__(self, fault):
        super().__init__(3, 2)
        self.fault = fault
        self.spare = fb.nn.Parameter(fb.zeros(2)) if fault == "training" else None
        self.calls = 0

    def train(self, mode=True):
        return super().train(True if self.fault == "modes" else mode)

    def forward(self, x):
        self.calls += 1
        out = super().forward(x)
        if self.fault == "values":
            out = out + self.calls
        if self.fault == "precision":
            out = out.float()
        if self.fault == "gradient":
            out = out + (out * out).detach()
        if self.fault == "meta":
            out = out * float(out.detach().sum() * 0 + 1)
        return out

    def __deepcopy__(self, memo):
        if self.fault == "copies":
            return self
        other = Odd(self.fault)
        other.load_state_dict(self.state_dict())
        return other.train(self.training)

    def load_state_dict(self, state_dict, strict=True, assign=False):
        return super().load_state_dict(state_dict, strict=self.fault != "state_dict", assign=assign)

    def __repr__(self):
        return "a layer" if self.fault == "printing" else "Odd()"


@pytest.mark.parametrize("fault", ["values", "state_dict", "modes", "copies", "training", "gradient", "precision", "meta", "printing", ""])
def test_broken_layers(fault):
    # a layer whose calls differ breaks every check that compares two calls
    allowed = {"values": {"values", "state_dict", "copies", "gradient"}, "precision": {"precision", "gradient"}}.get(
        fault, {fault} if fault else set()
    )
    found = broken(LayerCase("odd", lambda: Odd(fault), [sample(floats(4, 3))]))
    assert (fault in found) == bool(fault)
    assert found <= allowed


def test_broken_models():
    class Mixing(Module):
        def __init__(self):
            super().__init__()
            self.linear = Linear(3, 2)

        def forward(self, x):
            return self.linear(x - x.mean(0))

    skip = {"copies": "the class is made here"}
    assert broken(ModelCase("mixing", Mixing, INPUT, num_parameters=9, skip=skip)) == {"examples", "size"}


class Uphill(fb.optim.SGD):
    def step(self, closure=None):
        with fb.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p += group["lr"] * (p if p.grad is None else p.grad)


def test_broken_optimizers():
    found = broken(OptimizerCase("uphill", lambda p: Uphill(p, lr=0.1)))
    assert found == {"descent", "absent_gradients", "closures"}


class Growing:
    """A dataset that changes while it is read."""

    def __init__(self):
        self.reads = 0

    def __len__(self):
        return 4

    def __getitem__(self, index):
        self.reads += 1
        return fb.tensor(float(self.reads)), index


def test_broken_datasets():
    assert broken(DatasetCase("growing", Growing, 5, (fb.Tensor, str))) == {"size", "examples", "repetition", "bounds"}
