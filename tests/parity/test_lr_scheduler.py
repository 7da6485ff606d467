"""Every schedule beside PyTorch's over 150 steps: rates, momenta, warnings, and state dicts in both directions."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest

import flambeau as fb

torch = pytest.importorskip("torch")
STEPS = 150


def sequence(s, o):
    parts = [s.LinearLR(o, 0.1, total_iters=20), s.CosineAnnealingLR(o, 30, 0.001), s.StepLR(o, 7, 0.5)]
    return s.SequentialLR(o, parts, milestones=[20, 60])


def nested(s, o):
    inner = s.SequentialLR(o, [s.ConstantLR(o, 0.1, 5), s.ExponentialLR(o, 0.9)], milestones=[10])
    return s.SequentialLR(o, [inner, s.PolynomialLR(o, 40, 2.0)], milestones=[30])


CASES = {
    "lambda": lambda s, o: s.LambdaLR(o, lambda e: 0.95**e),
    "lambdas": lambda s, o: s.LambdaLR(o, [lambda e: 0.95**e, lambda e: 1 / (e + 1)]),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda e: 0.99 if e % 2 else 0.98),
    "step": lambda s, o: s.StepLR(o, 7, 0.7),
    "multi-step": lambda s, o: s.MultiStepLR(o, [30, 80, 80, 120], 0.3),
    "constant": lambda s, o: s.ConstantLR(o, 0.25, 40),
    "linear": lambda s, o: s.LinearLR(o, 0.2, 0.9, 60),
    "linear down": lambda s, o: s.LinearLR(o, 1.0, 0.0, 60),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.97),
    "polynomial": lambda s, o: s.PolynomialLR(o, 100, 1.7),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 33, 0.003),
    "cosine to zero": lambda s, o: s.CosineAnnealingLR(o, 25),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 10, 1, 0.01),
    "longer restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 3),
    "triangles": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 13, 21),
    "halving triangles": lambda s, o: s.CyclicLR(o, [0.01, 0.02], [0.2, 0.5], 8, mode="triangular2", base_momentum=0.6),
    "shrinking triangles": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 13, mode="exp_range", gamma=0.99, cycle_momentum=False),
    "own triangles": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 13, scale_fn=lambda x: 1 / (5 ** (x * 0.0001)), scale_mode="iterations"),
    "one cycle": lambda s, o: s.OneCycleLR(o, 0.3, total_steps=STEPS + 5),
    "one cycle in lines": lambda s, o: s.OneCycleLR(o, [0.3, 0.1], epochs=20, steps_per_epoch=10, anneal_strategy="linear", pct_start=0.4),
    "one cycle in three phases": lambda s, o: s.OneCycleLR(o, 0.3, total_steps=STEPS + 1, three_phase=True, div_factor=10.0),
    "sequence": sequence,
    "nested sequence": nested,
    "chain": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.98), s.CosineAnnealingLR(o, 40)]),
    "swa": lambda s, o: _swa(o)(o, swa_lr=0.007, anneal_epochs=12),
    "swa in lines": lambda s, o: _swa(o)(o, swa_lr=[0.007, 0.3], anneal_epochs=30, anneal_strategy="linear"),
    "swa at once": lambda s, o: _swa(o)(o, swa_lr=0.007, anneal_epochs=0),
}


def _swa(optimizer):
    return (torch if isinstance(optimizer, torch.optim.Optimizer) else fb).optim.swa_utils.SWALR


def pair(case, adam: bool = False):
    made = []
    for library in (fb, torch):
        params = [library.ones(2, requires_grad=True) for _ in range(2)]
        groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.5}]
        optimizer = library.optim.Adam(groups, lr=0.1) if adam else library.optim.SGD(groups, lr=0.1, momentum=0.9)
        made.append((optimizer, CASES[case](library.optim.lr_scheduler, optimizer)))
    return made


def readings(optimizer, scheduler):
    return [(float(g["lr"]), g.get("momentum", g.get("betas"))) for g in optimizer.param_groups], scheduler.get_last_lr()


def compare(mine, reference, step):
    (a, last_a), (b, last_b) = readings(*mine), readings(*reference)
    for (rate, momentum), (expected, expected_momentum) in zip(a, b, strict=True):
        np.testing.assert_allclose(rate, expected, rtol=1e-12, atol=1e-18, err_msg=f"step {step}")
        np.testing.assert_allclose(momentum, expected_momentum, rtol=1e-12, err_msg=f"momentum at step {step}")
    np.testing.assert_allclose(last_a, last_b, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("adam", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_rates_over_many_steps(case, adam):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own order of calls inside SequentialLR
        mine, reference = pair(case, adam)
    compare(mine, reference, "at the start")
    for step in range(STEPS):
        for optimizer, scheduler in (mine, reference):
            optimizer.step()
            scheduler.step()
        compare(mine, reference, step)


@pytest.mark.parametrize("case", CASES)
def test_state_dicts_carry_over_in_both_directions(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine, reference = pair(case)
        mine2, reference2 = pair(case)
        for optimizer, scheduler in (mine, reference):
            for _ in range(23):
                optimizer.step()
                scheduler.step()
        for (source_optimizer, source), (optimizer, scheduler) in ((reference, mine2), (mine, reference2)):
            scheduler.load_state_dict(copy.deepcopy(source.state_dict()))
            optimizer.load_state_dict(copy.deepcopy(source_optimizer.state_dict()))
        for step in range(40):
            for optimizer, scheduler in (mine, reference, mine2, reference2):
                optimizer.step()
                scheduler.step()
            compare(mine, reference, step)
            compare(mine2, reference, step)
            compare(mine, reference2, step)


@pytest.mark.parametrize("case", ["step", "multi-step", "constant", "linear", "exponential", "polynomial", "cosine", "longer restarts"])
def test_jumps_to_an_epoch(case):
    mine, reference = pair(case)
    for optimizer, _ in (mine, reference):
        optimizer.step()
    for epoch in (3, 50, 7, 81):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch calls the argument deprecated
            mine[1].step(epoch), reference[1].step(epoch)
        compare(mine, reference, epoch)


@pytest.mark.parametrize("case", ["step", "cosine", "linear", "exponential", "one cycle", "triangles", "restarts", "lambda"])
def test_resuming_with_last_epoch(case):
    made = []
    for library in (fb, torch):
        optimizer = library.optim.SGD([library.ones(1, requires_grad=True)], lr=0.1, momentum=0.9)
        optimizer.param_groups[0].update(initial_lr=0.2, max_lr=0.4, min_lr=0.01, max_momentum=0.9, base_momentum=0.8)
        s = library.optim.lr_scheduler
        make = {
            "step": lambda s=s, o=optimizer: s.StepLR(o, 5, 0.5, last_epoch=11),
            "cosine": lambda s=s, o=optimizer: s.CosineAnnealingLR(o, 20, 0.01, last_epoch=11),
            "linear": lambda s=s, o=optimizer: s.LinearLR(o, 0.1, total_iters=20, last_epoch=11),
            "exponential": lambda s=s, o=optimizer: s.ExponentialLR(o, 0.9, last_epoch=11),
            "one cycle": lambda s=s, o=optimizer: s.OneCycleLR(o, 0.4, total_steps=60, last_epoch=11),
            "triangles": lambda s=s, o=optimizer: s.CyclicLR(o, 0.1, 0.4, 7, last_epoch=11),
            "restarts": lambda s=s, o=optimizer: s.CosineAnnealingWarmRestarts(o, 7, 2, last_epoch=11),
            "lambda": lambda s=s, o=optimizer: s.LambdaLR(o, lambda e: 0.9**e, last_epoch=11),
        }[case]
        made.append((optimizer, make()))
    compare(*made, "at the start")
    for step in range(30):
        for optimizer, scheduler in made:
            optimizer.step()
            scheduler.step()
        compare(*made, step)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "max", "patience": 2, "cooldown": 3},
        {"threshold_mode": "abs", "threshold": 0.05, "patience": 1, "min_lr": [0.001, 0.2]},
        {"mode": "max", "threshold_mode": "abs", "factor": 0.5, "patience": 0, "min_lr": 0.01},
    ],
)
def test_plateaus(options):
    rng = np.random.default_rng(0)
    metrics = np.exp(-np.arange(STEPS) / 30) + 0.1 * rng.standard_normal(STEPS)
    made = []
    for library in (fb, torch):
        groups = [{"params": [library.ones(1, requires_grad=True)]}, {"params": [library.ones(1, requires_grad=True)], "lr": 0.5}]
        optimizer = library.optim.SGD(groups, lr=0.1, momentum=0.9)
        made.append((optimizer, library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **{"patience": 5, **options})))
    for step, metric in enumerate(metrics):
        for _, scheduler in made:
            scheduler.step(metric)
        compare(*made, step)
    assert made[0][1].get_last_lr()[0] < 0.1
    assert made[0][1].state_dict() == made[1][1].state_dict()


def test_learning_rates_as_tensors():
    made = []
    for library in (fb, torch):
        rate = library.tensor(0.5)
        optimizer = library.optim.SGD([library.ones(1, requires_grad=True)], lr=rate)
        made.append((rate, optimizer, library.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)))
    for _ in range(15):
        for _, optimizer, scheduler in made:
            optimizer.step()
            scheduler.step()
        np.testing.assert_allclose(made[0][0].item(), made[1][0].item(), rtol=1e-5)
    assert made[0][1].param_groups[0]["lr"] is made[0][0]
