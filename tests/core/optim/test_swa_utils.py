"""Averaged models, their averaging functions, batch norm statistics, and the schedule's errors."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError
from flambeau.optim import swa_utils


class Net(fb.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = fb.nn.Parameter(fb.zeros(2, 3))
        self.register_buffer("seen", fb.tensor([0.0]))

    def forward(self, x):
        return x @ self.weight


def train(model, averaged, steps):
    """Values that the parameters take, one a step."""
    fb.manual_seed(0)
    values = []
    for step in range(steps):
        with fb.no_grad():
            model.weight.copy_(fb.randn(2, 3))
            model.seen.fill_(float(step))
        averaged.update_parameters(model)
        values.append(model.weight.detach().numpy().copy())
    return np.array(values)


def ema(values, decay):
    average = values[0]
    for value in values[1:]:
        average = decay * average + (1 - decay) * value
    return average


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, lambda v: v.mean(0)),
        ({"avg_fn": swa_utils.get_swa_avg_fn()}, lambda v: v.mean(0)),
        ({"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}, lambda v: v.mean(0)),
        ({"avg_fn": swa_utils.get_ema_avg_fn(0.7)}, lambda v: ema(v, 0.7)),
        ({"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.7)}, lambda v: ema(v, 0.7)),
    ],
)
def test_averages(options, expected):
    model = Net()
    averaged = swa_utils.AveragedModel(model, **options)
    values = train(model, averaged, 6)
    np.testing.assert_allclose(averaged.module.weight.detach().numpy(), expected(values), rtol=1e-5, atol=1e-7)
    assert averaged.n_averaged.item() == 6
    assert averaged.module.seen.item() == 5.0  # buffers are copied
    x = fb.ones(1, 2)
    assert averaged(x).tolist() == averaged.module(x).tolist()


def test_buffers_can_be_averaged():
    model = Net()
    averaged = swa_utils.AveragedModel(model, use_buffers=True)
    train(model, averaged, 5)
    assert averaged.module.seen.item() == pytest.approx(2.0)


def test_state_goes_through_a_state_dict_with_pytorch_names():
    model = Net()
    averaged = swa_utils.AveragedModel(model)
    train(model, averaged, 3)
    saved = averaged.state_dict()
    assert list(saved) == ["n_averaged", "module.weight", "module.seen"]
    other = swa_utils.AveragedModel(Net())
    other.load_state_dict(saved)
    assert other.n_averaged.item() == 3 and other.module.weight.tolist() == averaged.module.weight.tolist()


def test_update_bn_takes_plain_means_and_restores_the_model():
    fb.manual_seed(0)
    model = fb.nn.Sequential(fb.nn.BatchNorm1d(2), fb.nn.Linear(2, 1)).eval()
    norm = model[0]
    norm.running_mean.fill_(9.0)
    batches = [fb.randn(4, 2) * 2 + 1 for _ in range(5)]
    swa_utils.update_bn([(b, "label") for b in batches], model)
    stacked = np.array([b.numpy() for b in batches])
    np.testing.assert_allclose(norm.running_mean.numpy(), stacked.mean((0, 1)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(norm.running_var.numpy(), stacked.var(1, ddof=1).mean(0), rtol=1e-5)
    assert norm.momentum == 0.1 and not model.training and not norm.training
    swa_utils.update_bn(iter(batches), Net())  # nothing to do


def test_a_failing_batch_leaves_the_model_as_it_was():
    model = fb.nn.BatchNorm1d(2).eval()
    with pytest.raises(RuntimeError):
        swa_utils.update_bn([fb.zeros(4, 3)], model)
    assert model.momentum == 0.1 and not model.training


def test_errors():
    with pytest.raises(ArgumentError, match=r"a decay in \[0, 1\], got 1.5"):
        swa_utils.get_ema_avg_fn(1.5)
    with pytest.raises(ArgumentError, match="one of avg_fn and multi_avg_fn, got both"):
        swa_utils.AveragedModel(Net(), avg_fn=swa_utils.get_swa_avg_fn(), multi_avg_fn=swa_utils.get_swa_multi_avg_fn())
    optimizer = fb.optim.SGD([fb.ones(1, requires_grad=True)], lr=1.0)
    with pytest.raises(ArgumentError, match="'cos' or 'linear'"):
        swa_utils.SWALR(optimizer, 0.1, anneal_strategy="exp")
    with pytest.raises(ArgumentError, match="anneal_epochs as an integer >= 0"):
        swa_utils.SWALR(optimizer, 0.1, anneal_epochs=-1)
