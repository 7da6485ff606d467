"""Schedulers: warnings, errors, state, and the warm-ups. Values beside PyTorch's are in tests/parity."""

from __future__ import annotations

import copy
import math
import pickle
import warnings

import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ArgumentTypeError

S = fb.optim.lr_scheduler


def optimizer(lr: float = 1.0, **options) -> fb.optim.Optimizer:
    return fb.optim.SGD([fb.ones(1, requires_grad=True)], lr=lr, **options)


def rates(scheduler, steps: int) -> list[float]:
    seen = []
    for _ in range(steps):
        seen += scheduler.get_last_lr()
        scheduler.optimizer.step()
        scheduler.step()
    return seen


def test_the_wrong_order_of_steps_is_a_warning():
    scheduler = S.ExponentialLR(optimizer(), 0.5)
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\) came before optimizer.step\(\)"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rates(S.ExponentialLR(optimizer(), 0.5), 3)


def test_get_lr_outside_of_step_is_a_warning():
    scheduler = S.ExponentialLR(optimizer(), 0.5)
    with pytest.warns(UserWarning, match=r"get_last_lr\(\)"):
        scheduler.get_lr()


def test_sequence_and_chain_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        o = optimizer()
        rates(S.SequentialLR(o, [S.LinearLR(o), S.StepLR(o, 3)], [4]), 10)
        o = optimizer()
        rates(S.ChainedScheduler([S.LinearLR(o), S.StepLR(o, 3)]), 10)


def test_a_scheduler_of_ones_own():
    class Halving(S.LRScheduler):
        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    class Thirds(S.LRScheduler):
        def rates(self):
            return [base / 3**self.last_epoch for base in self.base_lrs]

    assert rates(Halving(optimizer()), 3) == [1.0, 0.5, 0.25]
    assert rates(Thirds(optimizer()), 3) == [1.0, 1 / 3, 1 / 9]
    with pytest.raises(NotImplementedError, match="rates or get_lr"):
        S.LRScheduler(optimizer())


def test_last_rates_do_not_change_with_a_tensor():
    o = optimizer(fb.tensor(1.0))
    scheduler = S.ExponentialLR(o, 0.5)
    before = scheduler.get_last_lr()
    rates(scheduler, 1)
    assert before[0].item() == 1.0 and scheduler.get_last_lr()[0].item() == 0.5


def test_fractions_of_epochs_with_warm_restarts():
    o = optimizer()
    scheduler = S.CosineAnnealingWarmRestarts(o, T_0=2, T_mult=2)
    for epoch in (0.5, 1.75, 2.0, 4.0, 5.99, 6.0, 13.5, 14.0):
        o.step()
        scheduler.step(epoch)
        start, length = next((s, n) for s, n in ((0, 2), (2, 4), (6, 8), (14, 16)) if epoch < s + n)
        expected = (1 + math.cos(math.pi * (epoch - start) / length)) / 2
        assert scheduler.get_last_lr()[0] == pytest.approx(expected)


def test_callable_objects_keep_their_state_and_schedulers_pickle():
    o = optimizer()
    scheduler = S.get_cosine_schedule_with_warmup(o, 3, 20)
    rates(scheduler, 7)
    saved = copy.deepcopy(scheduler.state_dict())
    assert saved["lr_lambdas"] == [{"shape": "cosine", "warmup": 3, "total": 20, "cycles": 0.5}]
    other = S.get_cosine_schedule_with_warmup(optimizer(), 9, 99)
    other.load_state_dict(saved)
    twin = pickle.loads(pickle.dumps(scheduler))
    expected = rates(scheduler, 10)
    assert rates(other, 10) == expected == rates(twin, 10)


def test_warm_ups():
    assert rates(S.get_constant_schedule_with_warmup(optimizer(), 4), 7) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert rates(S.get_linear_schedule_with_warmup(optimizer(), 0, 4), 6) == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    cosine = rates(S.get_cosine_schedule_with_warmup(optimizer(), 2, 10), 11)
    assert cosine == pytest.approx([0.0, 0.5] + [(1 + math.cos(math.pi * i / 8)) / 2 for i in range(9)])
    assert rates(S.get_inverse_sqrt_schedule(optimizer(), 4), 18)[16] == pytest.approx(0.5)


def test_one_cycle_survives_a_first_phase_of_one_step():
    scheduler = S.OneCycleLR(optimizer(momentum=0.9), 1.0, total_steps=10, pct_start=0.1)
    assert rates(scheduler, 1) == [1.0]


def test_constant_zero_returns_to_the_full_rate():
    assert rates(S.ConstantLR(optimizer(), 0.0, 2), 4) == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda o: S.StepLR("adam", 3), ArgumentTypeError, "StepLR: expected an Optimizer, got str"),
        (lambda o: S.StepLR(o, 0), ArgumentError, "step_size > 0"),
        (lambda o: S.StepLR(o, 3, last_epoch=2), ArgumentError, "initial_lr in each group when resuming.*load the optimizer"),
        (lambda o: S.LambdaLR(o, [lambda e: 1, lambda e: 1]), ArgumentError, "1 functions, one a group, got 2"),
        (lambda o: S.LambdaLR(o, 0.5), ArgumentTypeError, "a function of the epoch as lr_lambda, got float"),
        (lambda o: S.ConstantLR(o, 2.0), ArgumentError, "0 <= factor <= 1"),
        (lambda o: S.LinearLR(o, 0.0), ArgumentError, "0 < start_factor <= 1"),
        (lambda o: S.LinearLR(o, 0.5, 1.5), ArgumentError, "0 <= end_factor <= 1"),
        (lambda o: S.PolynomialLR(o, 0), ArgumentError, "total_iters > 0"),
        (lambda o: S.CosineAnnealingLR(o, 0), ArgumentError, "T_max > 0"),
        (lambda o: S.CosineAnnealingWarmRestarts(o, 0), ArgumentError, "T_0 as an integer of 1 or more"),
        (lambda o: S.CosineAnnealingWarmRestarts(o, 3).step(-1), ArgumentError, "an epoch >= 0"),
        (lambda o: S.CyclicLR(o, 0.1, 1.0, mode="square"), ArgumentError, "'triangular', 'triangular2' or 'exp_range'"),
        (lambda o: S.CyclicLR(o, 0.1, 1.0, step_size_up=0), ArgumentError, "step sizes > 0"),
        (lambda o: S.CyclicLR(o, [0.1, 0.2], 1.0), ArgumentError, "1 values of base_lr, one a parameter group, got 2"),
        (
            lambda o: S.CyclicLR(fb.optim.Adagrad([fb.ones(1, requires_grad=True)]), 0.1, 1.0),
            ArgumentError,
            "momentum or betas.*cycle_momentum",
        ),
        (lambda o: S.OneCycleLR(o, 1.0), ArgumentError, "total_steps, or epochs and steps_per_epoch, got no epochs"),
        (lambda o: S.OneCycleLR(o, 1.0, total_steps=-1), ArgumentError, "total_steps as a positive integer"),
        (lambda o: S.OneCycleLR(o, 1.0, total_steps=9, pct_start=2.0), ArgumentError, r"pct_start as a float in \[0, 1\]"),
        (lambda o: S.OneCycleLR(o, 1.0, total_steps=9, anneal_strategy="exp"), ArgumentError, "'cos' or 'linear'"),
        (lambda o: rates(S.OneCycleLR(o, 1.0, total_steps=3), 5), ArgumentError, "at most 3 steps, got step 4.*Try: a larger total_steps"),
        (lambda o: S.ReduceLROnPlateau(o, factor=1.0), ArgumentError, "factor < 1"),
        (lambda o: S.ReduceLROnPlateau(o, "best"), ArgumentError, "mode 'min' or 'max'"),
        (lambda o: S.ReduceLROnPlateau(o, threshold_mode="x"), ArgumentError, "'rel' or 'abs'"),
        (lambda o: S.SequentialLR(o, [], []), ArgumentError, "at least one scheduler"),
        (lambda o: S.SequentialLR(o, [S.StepLR(o, 3)], [4]), ArgumentError, "one milestone less than schedulers"),
        (lambda o: S.SequentialLR(o, [S.StepLR(optimizer(), 3)], []), ArgumentError, "schedulers of one optimizer"),
        (lambda o: S.ChainedScheduler([S.ReduceLROnPlateau(o)]), ArgumentError, "schedulers that need no metric"),
        (lambda o: S.ChainedScheduler([3]), ArgumentTypeError, "a scheduler at position 0, got int"),
        (lambda o: S.get_linear_schedule_with_warmup(o, -1, 3), ArgumentError, "num_warmup_steps >= 0"),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make(optimizer(momentum=0.9))


def test_a_group_added_after_a_plateau_scheduler():
    o = optimizer()
    listed, single = S.ReduceLROnPlateau(o, patience=0, min_lr=[0.0]), S.ReduceLROnPlateau(o, patience=0, factor=0.5)
    o.add_param_group({"params": [fb.ones(1, requires_grad=True)]})
    single.step(1.0), single.step(1.0)
    assert [g["lr"] for g in o.param_groups] == [0.5, 0.5]
    listed.step(1.0)
    with pytest.raises(ArgumentError, match="2 values of min_lr.*min_lrs"):
        listed.step(1.0)
