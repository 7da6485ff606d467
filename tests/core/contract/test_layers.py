"""Every layer of flambeau.nn, every optimizer and the datasets keep their contracts (flambeau.testing)."""

from __future__ import annotations

import inspect

import pytest

import flambeau as fb
from flambeau import nn, optim
from flambeau.testing import DatasetCase, ModelCase, OptimizerCase, check, floats, run, sample
from tests.core.contract import layers_table

LAYERS = {case.name: case for case in layers_table.CASES}
# Bases and containers, which have tests of their own (tests/core/nn).
NO_LAYERS = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "RNNBase", "RNNCellBase"}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    check(LAYERS[name])


def test_every_layer_has_a_case():
    classes = {n for n, c in vars(nn).items() if inspect.isclass(c) and issubclass(c, nn.Module) and not n.startswith("_")}
    tested = {name.partition(" ")[0] for name in LAYERS}
    assert classes - tested - NO_LAYERS == set()
    assert len(LAYERS) == len(layers_table.CASES)


WRONG_RATE = "lr|learning"
OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.5),
    "Adam": lambda p: optim.Adam(p, lr=0.1),
    "AdamW": lambda p: optim.AdamW(p, lr=0.1),
    "Adamax": lambda p: optim.Adamax(p, lr=0.1),
    "NAdam": lambda p: optim.NAdam(p, lr=0.1),
    "RAdam": lambda p: optim.RAdam(p, lr=0.1),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.3),
    "Adadelta": lambda p: optim.Adadelta(p, lr=10.0),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.05),
    "Rprop": lambda p: optim.Rprop(p, lr=0.05),
    "ASGD": lambda p: optim.ASGD(p, lr=0.1),
    "Lion": lambda p: optim.Lion(p, lr=0.05),
    "Adafactor": lambda p: optim.Adafactor(p, lr=0.3),
}
LEAST = {"Rprop": {"groups": "its steps have a least size, whatever lr is"}}
CASES = [
    OptimizerCase(
        name,
        make,
        skip=LEAST.get(name, {}),
        errors=[(lambda name=name: getattr(optim, name)([nn.Parameter(fb.zeros(2))], lr=-1.0), ValueError, WRONG_RATE)],
    )
    for name, make in OPTIMIZERS.items()
]
ONE_GROUP = {"groups": "it takes one group, as in PyTorch", "absent_gradients": "it treats all parameters as one vector"}
CASES.append(OptimizerCase("LBFGS", lambda p: optim.LBFGS(p, lr=0.5), closure=True, steps=5, skip=ONE_GROUP))
CASES.append(OptimizerCase("Muon", lambda p: optim.Muon(p, lr=0.1), vectors=False))
test_optimizer = run(CASES)


def test_every_optimizer_has_a_case():
    classes = {n for n, c in vars(optim).items() if inspect.isclass(c) and issubclass(c, optim.Optimizer)} - {"Optimizer"}
    assert classes - {case.name for case in CASES} == set()


def pairs():
    return fb.data.TensorDataset(fb.arange(12.0).reshape(6, 2), fb.arange(6))


test_dataset = run(
    [
        DatasetCase("TensorDataset", pairs, 6, (fb.Tensor, fb.Tensor)),
        DatasetCase("Subset", lambda: fb.data.Subset(pairs(), [4, 1, 3]), 3, (fb.Tensor, fb.Tensor)),
        DatasetCase("ConcatDataset", lambda: fb.data.ConcatDataset([pairs(), pairs()]), 12, (fb.Tensor, fb.Tensor)),
        DatasetCase("StackDataset", lambda: fb.data.StackDataset(fb.arange(4), fb.arange(4) * 2), 4, (fb.Tensor, fb.Tensor)),
    ]
)


def perceptron():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))


def convolutional():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))


test_model = run(
    [
        ModelCase("perceptron", perceptron, [sample(floats(5, 3))], num_parameters=26, shapes=[(5, 2)]),
        ModelCase("convolutional", convolutional, [sample(floats(3, 1, 4, 4))], num_parameters=42, shapes=[(3, 2)]),
    ]
)
