"""The base class: groups, options, state dicts, hooks, pickling, errors. Results beside PyTorch's are in tests/parity."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ArgumentTypeError, GradientError
from flambeau.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook, required


def leaf(*values: float) -> fb.Tensor:
    return fb.tensor(list(values), requires_grad=True)


def descend(optimizer: fb.optim.Optimizer, params: list[fb.Tensor], steps: int = 1) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        sum((p**2).sum() for p in params).backward()
        optimizer.step()


def values(params: list[fb.Tensor]) -> list[list[float]]:
    return [p.tolist() for p in params]


def test_only_parameters_with_a_gradient_move():
    a, b = leaf(1.0), leaf(1.0)
    optimizer = fb.optim.Adam([a, b], lr=0.1)
    (a * 2).sum().backward()
    optimizer.step()
    assert a.item() == pytest.approx(0.9) and b.item() == 1.0
    assert list(optimizer.state_dict()["state"]) == [0]


def test_groups_have_options_of_their_own_that_may_change():
    a, b = leaf(1.0), leaf(1.0)
    optimizer = fb.optim.SGD([{"params": [a], "lr": 0.5}, {"params": b}], lr=0.1, momentum=0.0)
    a.grad, b.grad = fb.tensor([1.0]), fb.tensor([1.0])
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, pytest.approx(0.9))
    optimizer.param_groups[1]["lr"] = 0.4
    optimizer.step()
    assert (a.item(), b.item()) == (0.0, pytest.approx(0.5))


def test_the_groups_that_the_user_passes_are_not_changed():
    given = [{"params": [leaf(1.0)]}]
    fb.optim.SGD(given, lr=0.1)
    assert list(given[0]) == ["params"]


def test_add_param_group():
    a, b = leaf(1.0), leaf(1.0)
    optimizer = fb.optim.SGD([a], lr=0.1)
    optimizer.add_param_group({"params": [b], "lr": 0.2})
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.2]
    assert optimizer.state_dict()["param_groups"][1]["params"] == [1]


def test_named_parameters():
    a, b = leaf(1.0), leaf(1.0)
    optimizer = fb.optim.SGD([("w", a), ("b", b)], lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["w", "b"]
    assert optimizer.param_groups[0]["params"] == [a, b]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["w", "b"]
    plain = fb.optim.SGD([leaf(1.0), leaf(1.0)], lr=0.1)
    plain.load_state_dict(optimizer.state_dict())
    assert plain.param_groups[0]["param_names"] == ["w", "b"]
    optimizer.load_state_dict(fb.optim.SGD([leaf(1.0), leaf(1.0)], lr=0.1).state_dict())
    assert optimizer.param_groups[0]["param_names"] == ["w", "b"]


def test_zero_grad():
    a = leaf(1.0, 2.0)
    optimizer = fb.optim.SGD([a], lr=0.1)
    a.grad = fb.ones(2)
    kept = a.grad
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0.0, 0.0] and kept.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert a.grad is None


def test_closure_runs_with_gradients_on_and_its_loss_is_returned():
    a = leaf(2.0)
    optimizer = fb.optim.SGD([a], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (a**2).sum()
        loss.backward()
        return loss

    with fb.no_grad():
        assert optimizer.step(closure).item() == 4.0
    assert a.item() == pytest.approx(1.6)
    assert fb.is_grad_enabled()


def test_learning_rate_as_a_tensor():
    a, b = leaf(1.0), leaf(1.0)
    rate = fb.tensor(0.25)
    first, second = fb.optim.Adam([a], lr=rate), fb.optim.Adam([b], lr=0.25)
    for p in (a, b):
        p.grad = fb.tensor([3.0])
    first.step(), second.step()
    assert a.item() == b.item()
    rate.fill_(0.0)
    first.step()
    assert a.item() == b.item()


# -- state dicts -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [lambda p: fb.optim.Adam(p, lr=0.1, amsgrad=True), lambda p: fb.optim.SGD(p, lr=0.1, momentum=0.9)])
def test_a_restored_optimizer_goes_on_bit_for_bit(make):
    a, b = leaf(1.0, -2.0), leaf(3.0)
    optimizer = make([a, b])
    descend(optimizer, [a, b], 5)
    saved = copy.deepcopy(optimizer.state_dict())
    twins = [fb.tensor(p.tolist(), requires_grad=True) for p in (a, b)]
    restored = make(twins)
    restored.load_state_dict(saved)
    descend(optimizer, [a, b], 5)
    descend(restored, twins, 5)
    assert values([a, b]) == values(twins)


def test_loaded_tensors_are_copies_in_the_dtype_of_the_parameter():
    a = leaf(1.0)
    optimizer = fb.optim.Adam([a])
    descend(optimizer, [a])
    wide = fb.tensor([1.0], dtype=fb.float64, requires_grad=True)
    other = fb.optim.Adam([wide])
    other.load_state_dict(optimizer.state_dict())
    state = other.state[wide]
    assert state["exp_avg"].dtype is fb.float64 and state["step"].dtype is fb.float32
    descend(other, [wide])
    assert optimizer.state[a]["step"].item() == 1.0 and state["step"].item() == 2.0


def test_old_files_with_a_plain_step_and_without_new_options_load():
    a = leaf(1.0)
    optimizer = fb.optim.Adam([a])
    descend(optimizer, [a])
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0]["step"] = 1
    for name in ("foreach", "fused", "decoupled_weight_decay", "differentiable"):
        del saved["param_groups"][0][name]
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is False
    descend(optimizer, [a])
    assert optimizer.state[a]["step"].item() == 2.0


def test_loading_checks_groups_sizes_shapes_and_rule():
    a, b = leaf(1.0, 2.0), leaf(3.0)
    optimizer = fb.optim.Adam([a, b])
    descend(optimizer, [a, b])
    saved = optimizer.state_dict()
    with pytest.raises(ValueError, match="expected 1 parameters in group 0, got 2"):
        fb.optim.Adam([leaf(1.0)]).load_state_dict(saved)
    with pytest.raises(ValueError, match="expected 2 parameter groups, got 1"):
        fb.optim.Adam([{"params": [leaf(1.0)]}, {"params": [leaf(1.0)]}]).load_state_dict(saved)
    with pytest.raises(ValueError, match=r"exp_avg of shape \(3,\).*got \(2,\).*same order"):
        fb.optim.Adam([leaf(1.0, 2.0, 3.0), leaf(3.0)]).load_state_dict(saved)
    with pytest.raises(ValueError, match="expected a state with .*exp_avg.*got one with"):
        sgd = fb.optim.SGD([leaf(1.0, 2.0), leaf(3.0)], lr=0.1, momentum=0.9)
        descend(sgd, sgd.param_groups[0]["params"])
        optimizer.load_state_dict(sgd.state_dict())
    with pytest.raises(ValueError, match="state dict"):
        optimizer.load_state_dict({"w": 1})
    assert optimizer.state_dict()["state"][0]["step"].item() == 1.0  # a refused dict changes nothing


def test_pickle_and_deepcopy_keep_parameters_and_state_together():
    a = leaf(1.0, 2.0)
    optimizer = fb.optim.Adam([a], lr=0.1)
    descend(optimizer, [a], 3)
    for twin in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        p = twin.param_groups[0]["params"][0]
        assert p is not a and p.tolist() == a.tolist()
        assert next(iter(twin.state)) is p
        descend(twin, [p])
        twin.register_step_pre_hook(lambda *_: None)
    assert optimizer.state[a]["step"].item() == 3.0


def test_repr():
    text = repr(fb.optim.SGD([leaf(1.0)], lr=0.5))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n") and "    lr: 0.5\n" in text and text.endswith(")")


# -- hooks -------------------------------------------------------------------------------------------------------------
def test_step_hooks_run_in_order_and_can_be_removed():
    a = leaf(1.0)
    optimizer = fb.optim.SGD([a], lr=0.1)
    seen = []
    handles = [
        register_optimizer_step_pre_hook(lambda o, args, kwargs: seen.append("all before")),
        optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append("before")),
        optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append("after")),
        register_optimizer_step_post_hook(lambda o, args, kwargs: seen.append("all after")),
    ]
    optimizer.step()
    assert seen == ["all before", "before", "after", "all after"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(seen) == 4


def test_a_pre_hook_may_replace_the_arguments_and_nothing_else():
    optimizer = fb.optim.SGD([leaf(1.0)], lr=0.1)
    handle = optimizer.register_step_pre_hook(lambda o, args, kwargs: ((args[0], lambda: 7), {}))
    assert optimizer.step() == 7
    handle.remove()
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(TypeError, match="None or \\(args, kwargs\\)"):
        optimizer.step()


def test_an_optimizer_with_a_step_of_its_own_has_hooks_once():
    class Twice(fb.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            return super().step(closure)

    a = leaf(1.0)
    a.grad = fb.tensor([1.0])
    optimizer = Twice([a], lr=0.25)
    seen = []
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(a.item()))
    optimizer.step()
    assert seen == [0.5]


def test_state_dict_hooks():
    a = leaf(1.0)
    optimizer = fb.optim.SGD([a], lr=0.1)
    order = []
    optimizer.register_state_dict_pre_hook(lambda o: order.append(2))
    optimizer.register_state_dict_pre_hook(lambda o: order.append(1), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, d: {**d, "extra": 5})
    saved = optimizer.state_dict()
    assert order == [1, 2] and saved["extra"] == 5
    optimizer.register_load_state_dict_pre_hook(lambda o, d: d["param_groups"][0].update(lr=9.0))
    optimizer.register_load_state_dict_post_hook(lambda o: order.append(o.param_groups[0]["lr"]))
    optimizer.load_state_dict(saved)
    assert order[-1] == 9.0


# -- errors ------------------------------------------------------------------------------------------------------------
def test_errors_of_parameters():
    a = leaf(1.0)
    with pytest.raises(ArgumentTypeError, match="single tensor.*Try: put it into a list"):
        fb.optim.SGD(a, lr=0.1)
    with pytest.raises(ArgumentError, match=r"at least one parameter, got an empty parameter list.*Try: pass model.parameters\(\)"):
        fb.optim.SGD([], lr=0.1)
    with pytest.raises(ArgumentTypeError, match="tensors as parameters, got int"):
        fb.optim.SGD([3], lr=0.1)
    with pytest.raises(ArgumentTypeError, match="ordered collection.*got set"):
        fb.optim.SGD([{"params": {a}}], lr=0.1)
    with pytest.raises(ArgumentError, match="leaf tensors.*MulBackward"):
        fb.optim.SGD([a * 2], lr=0.1)
    with pytest.raises(ArgumentError, match="each parameter in one group.*group 0"):
        fb.optim.SGD([{"params": [a]}, {"params": [a]}], lr=0.1)
    with pytest.raises(ArgumentError, match="names for all parameters or for none"):
        fb.optim.SGD([("a", a), leaf(2.0)], lr=0.1)
    with pytest.raises(ArgumentTypeError, match='a dict with "params"'):
        fb.optim.SGD([a], lr=0.1).add_param_group([leaf(1.0)])
    with pytest.warns(UserWarning, match="duplicate parameters"):
        fb.optim.SGD([a, a], lr=0.1)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda p: fb.optim.SGD(p, lr=-0.1), r"SGD: expected lr >= 0, got lr=-0.1"),
        (lambda p: fb.optim.SGD(p, lr=float("nan")), "lr >= 0"),
        (lambda p: fb.optim.SGD(p, lr="fast"), "lr as a number, got 'fast'"),
        (lambda p: fb.optim.SGD(p, lr=fb.ones(2)), r"one element, got shape \(2,\)"),
        (lambda p: fb.optim.SGD(p, lr=0.1, momentum=-1), "momentum >= 0"),
        (lambda p: fb.optim.SGD(p, lr=0.1, nesterov=True), "momentum and no dampening"),
        (lambda p: fb.optim.Adam(p, betas=(0.9, 1.0)), r"0 <= betas\[1\] < 1, got betas\[1\]=1.0"),
        (lambda p: fb.optim.Adam(p, betas=0.9), "betas as a pair"),
        (lambda p: fb.optim.AdamW(p, eps=-1), "AdamW: expected eps >= 0"),
        (lambda p: fb.optim.Adam([{"params": p, "lr": -2}]), "lr=-2"),
    ],
)
def test_errors_of_options(make, message):
    with pytest.raises(ArgumentError, match=message):
        make([leaf(1.0)])


def test_a_required_option():
    class Own(fb.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": required})

    assert Own([{"params": [leaf(1.0)], "lr": 0.5}]).param_groups[0]["lr"] == 0.5
    with pytest.raises(ArgumentError, match="a value for 'lr' in each group"):
        Own([leaf(1.0)])


def test_a_class_without_a_rule_says_so():
    a = leaf(1.0)
    a.grad = fb.ones(1)
    with pytest.raises(NotImplementedError, match="update_one"):
        fb.optim.Optimizer([a], {"lr": 0.1}).step()


# -- differentiable steps ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name, options",
    [
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("Adam", {"amsgrad": True}),
        ("AdamW", {}),
        ("Adamax", {}),
        ("NAdam", {}),
        ("RAdam", {}),
        ("RMSprop", {"momentum": 0.5, "centered": True}),
        ("Adagrad", {}),
        ("Adadelta", {}),
        ("ASGD", {"t0": 1, "lambd": 0.1}),
    ],
)
def test_gradients_flow_through_differentiable_steps(name, options):
    def after(start: list[float], record: bool):
        x = fb.tensor(start, dtype=fb.float64, requires_grad=True)
        p = x.clone() if record else fb.tensor(start, dtype=fb.float64, requires_grad=True)
        optimizer = getattr(fb.optim, name)([p], lr=0.1, weight_decay=0.1, differentiable=record, **options)
        for _ in range(3):
            p.grad = (x**3 if record else fb.tensor(start, dtype=fb.float64) ** 3) + 0.5
            optimizer.step()
        return x, p

    start = [0.7, -1.3, 2.0]
    x, p = after(start, True)
    assert p.tolist() == pytest.approx(after(start, False)[1].tolist(), abs=1e-15)
    p.sum().backward()
    for i in range(3):
        up, down = list(start), list(start)
        up[i] += 1e-6
        down[i] -= 1e-6
        numeric = (after(up, False)[1].sum().item() - after(down, False)[1].sum().item()) / 2e-6
        np.testing.assert_allclose(x.grad[i].item(), numeric, rtol=1e-5)


def test_differentiable_options_are_refused():
    with pytest.raises(GradientError, match="lr as a tensor that requires grad"):
        fb.optim.SGD([leaf(1.0)], lr=fb.tensor(0.1, requires_grad=True), differentiable=True)
