"""Which program runs: train and eval, hooks, settings, closures, shapes, modules; and that a replaced state is seen."""

from __future__ import annotations

import copy
import logging
import pickle
import threading
import warnings

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.compiler import KINDS, compile


def count(f):
    f = getattr(f, "_compiled", f)
    return sum(f.captures.values())


def agree(f, fn, *args):
    np.testing.assert_allclose(f(*args).detach().numpy(), fn(*args).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_train_and_eval_keep_their_programs():
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    f = compile(lambda x: net(x).detach(), fullgraph=True)
    for i in range(12):
        net.train(i % 2 == 0)
        f(fb.randn(4, 3))
        if not net.training:
            agree(f, net, fb.randn(4, 3))
    assert count(f) == 2


def test_hooks_come_and_go_without_new_captures():
    layer = nn.Linear(2, 2)
    f = compile(lambda x: layer(x).detach(), fullgraph=True)
    x = fb.ones(1, 2)

    def hook(module, args, out):
        return out * 10

    for _ in range(4):
        for _ in range(2):
            agree(f, layer, x)
        with layer.register_forward_hook(hook):
            for _ in range(2):
                agree(f, layer, x)
    assert count(f) <= 1 + 4  # hooks that are other objects are another state, no hook is the same state again
    assert all(len(v) <= 8 for v in f.programs.values())


def test_frozen_and_thawed_parameters():
    net = nn.Linear(2, 1)

    def step(x):
        net.zero_grad()
        net(x).sum().backward()
        return x * 1

    f = compile(step, fullgraph=True)
    for frozen in (False, False, True, True, False, True):
        net.weight.requires_grad_(not frozen)
        net.weight.grad = None
        f(fb.ones(1, 2))
        assert (net.weight.grad is None) == frozen


def test_parameters_that_are_replaced():
    layer = nn.Linear(2, 2)
    f = compile(lambda x: layer(x).detach(), fullgraph=True)
    x = fb.ones(1, 2)
    for _ in range(3):
        f(x)
    layer.weight.data = fb.full((2, 2), 2.0)
    layer.bias.data = fb.zeros(2)
    assert f(x).tolist() == [[4, 4]]
    layer.weight = nn.Parameter(fb.full((2, 2), 3.0))
    assert f(x).tolist() == [[6, 6]]
    layer.load_state_dict({"weight": fb.full((2, 2), 4.0), "bias": fb.ones(2)})
    assert f(x).tolist() == [[9, 9]]
    layer.load_state_dict({"weight": fb.full((2, 2), 1.0), "bias": fb.ones(2)}, assign=True)
    assert f(x).tolist() == [[3, 3]]
    layer.double()
    assert f(x.double()).dtype == fb.float64


def test_functional_call_between_runs_changes_nothing():
    layer = nn.Linear(2, 2)
    f = compile(lambda x: layer(x).detach(), fullgraph=True)
    for _ in range(6):
        f(fb.ones(1, 2))
        fb.func.functional_call(layer, {"weight": fb.zeros(2, 2)}, fb.ones(1, 2))
    assert count(f) == 1


def test_an_optimizer_whose_state_is_loaded_or_grows():
    def run(compiled):
        fb.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        optimizer = fb.optim.Adam(net[0].parameters(), lr=0.1)

        def step(x):
            optimizer.zero_grad()
            loss = net(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        f = compile(step) if compiled else step
        losses = []
        for i in range(12):
            losses.append(f(fb.ones(2, 2)).item())
            if i == 3:
                saved = copy.deepcopy(optimizer.state_dict())
            if i == 6:
                optimizer.load_state_dict(saved)
            if i == 8:
                optimizer.add_param_group({"params": net[1].parameters(), "lr": 0.01})
            if i == 10:
                optimizer.param_groups[0]["weight_decay"] = 0.1
        return losses

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(run(True), run(False), rtol=1e-4)


@pytest.mark.parametrize("name", ["RAdam", "NAdam", "ASGD", "Adagrad", "Adadelta", "Adamax", "Rprop", "Lion", "Muon", "Adafactor", "SGD"])
def test_every_rule_trains_as_eagerly(name):
    """Rules whose form changes after some steps (RAdam), whose numbers depend on the shape (Muon), which make state late (SGD)."""
    options = {"Muon": {"lr": 0.01}, "SGD": {"lr": 0.01, "momentum": 0.9}, "ASGD": {"lr": 0.01, "t0": 4}}.get(name, {"lr": 0.01})

    def run(compiled):
        fb.manual_seed(0)
        w, v = fb.randn(3, 4).requires_grad_(), fb.randn(2, 3).requires_grad_()
        optimizer = getattr(fb.optim, name)([w, v], **options)

        def step(x):
            optimizer.zero_grad()
            loss = ((v @ w @ x) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss.detach()

        f = compile(step) if compiled else step
        data = fb.Generator().manual_seed(1)
        return [f(fb.randn(4, 5, generator=data)).item() for _ in range(12)], w.tolist(), v.tolist()

    for a, b in zip(run(True), run(False), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4)


def test_a_schedule_changes_numbers_only():
    w = fb.ones(2, requires_grad=True)
    optimizer = fb.optim.SGD([w], lr=1.0)

    @compile(fullgraph=True)
    def step():
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()

    for i in range(6):
        optimizer.param_groups[0]["lr"] = 1.0 / (i + 1)
        before = w.tolist()
        step()
        np.testing.assert_allclose(w.tolist(), np.array(before) - 1.0 / (i + 1), rtol=1e-6)
    assert count(step) == 1


@pytest.mark.parametrize("check", [False, True])
def test_a_schedule_inside_goes_on(check):
    def run(compiled):
        w = fb.ones(2, requires_grad=True)
        optimizer = fb.optim.Adam([w], lr=0.1)
        schedule = fb.optim.lr_scheduler.ChainedScheduler(
            [fb.optim.lr_scheduler.StepLR(optimizer, 2, 0.5), fb.optim.lr_scheduler.ConstantLR(optimizer, 0.5, 3)]
        )

        def step(x):
            optimizer.zero_grad()
            (w * x).sum().backward()
            optimizer.step()
            schedule.step()

        f = compile(step, fullgraph=True, check=check) if compiled else step
        seen = []
        for i in range(8):
            f(fb.full((2,), float(i + 1)))
            seen.append((w.tolist(), optimizer.param_groups[0]["lr"], schedule.get_last_lr()))
        return seen, f

    (found, f), (expected, _) = run(True), run(False)
    assert count(f) == 1
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-5)
        assert a[1:] == b[1:]


@pytest.mark.filterwarnings("ignore:.*runs uncompiled")
def test_a_schedule_by_a_metric_runs_uncompiled():
    w = fb.ones(2, requires_grad=True)
    optimizer = fb.optim.SGD([w], lr=0.1)
    schedule = fb.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)

    @compile
    def step(x):
        schedule.step(x.sum())

    for _ in range(6):
        step(fb.ones(2))
    assert optimizer.param_groups[0]["lr"] < 1e-4


def test_variables_that_are_bound_to_other_tensors():
    state = fb.zeros(2)

    def f(x):
        return x + state

    g = compile(f, fullgraph=True)
    for n in range(4):
        state = fb.full((2,), float(n))
        assert g(fb.ones(2)).tolist() == [1.0 + n] * 2


def test_default_dtype_and_modes_are_part_of_it():
    f = compile(lambda: fb.zeros(2), fullgraph=True)
    for _ in range(3):
        assert f().dtype == fb.float32
    fb.set_default_dtype(fb.float64)
    try:
        assert f().dtype == fb.float64
    finally:
        fb.set_default_dtype(fb.float32)
    assert f().dtype == fb.float32


def test_each_capture_says_why(caplog, capsys, monkeypatch):
    net = nn.Linear(2, 2)
    f = compile(lambda x: net(x).detach())
    monkeypatch.setenv("FLAMBEAU_LOG", "recompiles")
    with caplog.at_level(logging.INFO, "flambeau.compile"):
        f(fb.ones(1, 2)), f(fb.ones(1, 2))
        net.eval()
        f(fb.ones(1, 2))
        f(fb.ones(3, 2)), f(fb.ones(3, 2))
    texts = [r.message for r in caplog.records]
    assert "new kind" in texts[0] and "training of a Linear changed" in texts[1] and "float32[3, 2]" in texts[2]
    assert texts[1] in capsys.readouterr().err


def test_too_many_shapes_run_uncompiled_with_one_warning():
    f = compile(lambda x: x.sum())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for n in range(1, KINDS + 6):
            assert f(fb.ones(n)).item() == n
    assert len(seen) == 1 and "kinds of arguments" in str(seen[0].message)


def test_sizes_that_come_again_and_again():
    net = nn.Linear(3, 2)
    f = compile(lambda x: net(x).detach(), fullgraph=True)
    for i in range(20):
        agree(f, net, fb.randn(1 + i % 4, 3))
    assert count(f) == 4


def test_a_compiled_module_is_still_the_module():
    fb.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    f = fb.compile(net)
    assert isinstance(f, nn.Module) and f[0] is net[0] and len(f) == 3
    assert [n for n, _ in f.named_parameters()][0] == "_orig_mod.0.weight"
    assert f.eval() is f and not net.training and not net[1].training
    x = fb.randn(2, 3)
    for _ in range(4):
        agree(f, net, x)
    f.extra = 5
    assert net.extra == 5 and f.extra == 5
    other = fb.compile(nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 2)).eval())
    other.load_state_dict(f.state_dict())
    agree(other, net, x)
    again = pickle.loads(pickle.dumps(f))
    agree(again, net, x)
    agree(copy.deepcopy(f), net, x)
    optimizer = fb.optim.SGD(f.parameters(), lr=0.1)
    f(x).sum().backward()
    optimizer.step()
    agree(f, net, x)
    f.train()
    assert net[1].training


def test_methods_have_programs_for_each_object():
    class Scaler:
        def __init__(self, k):
            self.k = fb.tensor(float(k))

        @compile
        def scale(self, x):
            return x * self.k

    a, b = Scaler(2), Scaler(3)
    for _ in range(4):
        assert a.scale(fb.ones(())).item() == 2 and b.scale(fb.ones(())).item() == 3


def test_compiled_functions_call_compiled_functions():
    inner = compile(lambda x: x.sin())
    outer = compile(lambda x: inner(x) * 2 if inner(x).sum() > 0 else inner(x))
    for n in (1.0, 1.0, -1.0, 2.0, -1.0):
        x = fb.full((2,), n)
        np.testing.assert_allclose(outer(x).numpy(), (np.sin(x.numpy()) * (2 if n > 0 else 1)), rtol=1e-6)


def test_threads_share_a_program():
    def double(x):
        y = (x * 2).sum()
        return y * 1 if y > 300 else y.item()

    f = compile(double)
    for n in (1, 1, 2, 3, 1):
        f(fb.full((100,), float(n)))
    wrong = []

    def work(n):
        for _ in range(200):
            found = float(f(fb.full((100,), float(n))))
            if found != 200.0 * n:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
