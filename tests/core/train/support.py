"""Small models and loops for the tests of training."""

from __future__ import annotations

import flambeau as fb
from flambeau import nn, optim
from flambeau.train import Callback, Trainer


def mse(output, target):
    return (output - target).square().mean()


def batches(count=6, size=4, seed=0):
    """Pairs of (size, 3) inputs and (size, 1) targets that a linear model can fit."""
    generator = fb.Generator().manual_seed(seed)
    inputs = [fb.randn(size, 3, generator=generator) for _ in range(count)]
    return [(x, x @ fb.tensor([[1.0], [-2.0], [0.5]]) + 0.1) for x in inputs]


def trainer(callbacks=(), seed=0, lr=0.05, **options):
    """A trainer of a linear model; the same seed gives the same parameters."""
    fb.manual_seed(seed)
    model = nn.Linear(3, 1)
    return Trainer(model, optim.SGD(model.parameters(), lr=lr, momentum=0.9), mse, callbacks=callbacks, **options)


class Recorder(Callback):
    """Notes the events that it is told, with the position."""

    def __init__(self):
        self.events = []

    def __getattribute__(self, name):
        if not name.startswith("on_"):
            return super().__getattribute__(name)
        return lambda loop, *details: self.events.append((name.removeprefix("on_"), loop.epoch, loop.step, *details))


def weights(model):
    """All parameters as bytes, to compare bit for bit."""
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}
