"""Compiled training equals eager training, step by step: same seeds, same losses, same weights."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.compiler import compile

F = nn.functional


class Gan:
    """Two players with an optimizer each."""

    def __init__(self):
        self.g = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        self.d = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
        self.optimizers = [fb.optim.Adam(self.g.parameters(), 1e-3, (0.5, 0.9)), fb.optim.Adam(self.d.parameters(), 1e-3, (0.5, 0.9))]
        self.modules = [self.g, self.d]

    def step(self, x):
        real = x[:, :2] * 2 + 1
        fake = self.g(x)
        loss_d = F.softplus(-self.d(real)).mean() + F.softplus(self.d(fake.detach())).mean()
        self.optimizers[1].zero_grad()
        loss_d.backward()
        self.optimizers[1].step()
        loss_g = F.softplus(-self.d(fake)).mean()
        self.optimizers[0].zero_grad()
        loss_g.backward()
        self.optimizers[0].step()
        return loss_d.detach() + loss_g.detach()


class Supervised:
    """A model, a loss and an optimizer."""

    def __init__(self, model, optimizer, batch, loss=lambda out, x: (out**2).mean(), clip=None):
        self.model, self.batch, self.loss, self.clip = model, batch, loss, clip
        self.optimizers = [optimizer(model.parameters())]
        self.modules = [model]

    def step(self, x):
        out = self.model(x)
        loss = self.loss(out, x)
        self.optimizers[0].zero_grad()
        loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizers[0].step()
        return loss.detach()


def mlp():
    net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2))
    return Supervised(net, lambda p: fb.optim.Adam(p, 1e-2), (8, 4), clip=0.5)


def cnn():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(36, 3)
    )
    return Supervised(
        net,
        lambda p: fb.optim.SGD(p, 0.05, momentum=0.9, nesterov=True, weight_decay=1e-4),
        (5, 1, 6, 6),
        loss=lambda out, x: F.cross_entropy(out, fb.arange(5) % 3),
    )


class LastState(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(3, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0]) - x


def lstm():
    return Supervised(LastState(), lambda p: fb.optim.RMSprop(p, 1e-3), (6, 4, 3))


class TinyGpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.place = nn.Embedding(11, 8), nn.Embedding(6, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True, norm_first=True)
        self.blocks, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 11)

    def forward(self, x):
        tokens = (x * 3).abs().long() % 11
        h = self.embed(tokens) + self.place(fb.arange(6))
        h = self.blocks(h, mask=nn.Transformer.generate_square_subsequent_mask(6), is_causal=True)
        return F.cross_entropy(self.head(h).flatten(0, 1), tokens.flatten())


def gpt():
    # A bias of keys has no effect, so its gradient is rounding noise: with a larger eps Adam does not turn it into steps.
    return Supervised(TinyGpt(), lambda p: fb.optim.AdamW(p, 3e-3, eps=1e-4), (2, 6), loss=lambda out, x: out)


def train(make, compiled, steps=50):
    fb.manual_seed(0)
    task = make()
    shape = getattr(task, "batch", (8, 4))
    step = compile(task.step, fullgraph=True) if compiled else task.step
    schedule = fb.optim.lr_scheduler.CosineAnnealingLR(task.optimizers[0], steps)
    data = fb.Generator().manual_seed(1)
    losses = []
    for _ in range(steps):
        losses.append(step(fb.randn(*shape, generator=data)).item())
        schedule.step()
    state = [v.numpy() for m in task.modules for v in m.state_dict().values()]
    return losses, state, step


@pytest.mark.parametrize("make", [mlp, cnn, lstm, gpt, Gan])
def test_compiled_training_is_eager_training(make):
    eager, weights, _ = train(make, False)
    compiled, same_weights, step = train(make, True)
    assert len(step.programs) == 1 and next(iter(step.captures.values())) == 1, "one capture serves the whole run, schedule and all"
    np.testing.assert_allclose(compiled, eager, rtol=2e-4, atol=1e-5)
    for a, b in zip(same_weights, weights):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4)
