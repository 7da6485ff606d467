"""Distributions over actions: what a policy's outputs mean.

Each is made from a batch of network outputs and answers for the whole batch: `sample`, `mode`, `log_prob` and `entropy`. Actions `(N,)` or
`(N, A)` give log-probabilities and entropies `(N,)`. All of it is tensor arithmetic without branches on values.

`flambeau.distributions` has PyTorch's interface, which draws from the global generator only. An agent has a generator of its own, so that
nothing else in the program changes what it does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import flambeau
from flambeau import Tensor, no_grad
from flambeau.nn import functional as F

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


class Distribution(Protocol):
    """What every distribution over actions can do."""

    def sample(self, generator: Any = None) -> Tensor:
        """A random action for each row, without gradient."""

    def mode(self) -> Tensor:
        """The most probable action of each row."""

    def log_prob(self, actions: Tensor) -> Tensor:
        """The logarithm of each action's probability (or density), `(N,)`."""

    def entropy(self) -> Tensor:
        """The entropy of each row in nats, `(N,)`."""


class Categorical:
    """One of K actions, from logits `(N, K)`; actions `(N,)`, int64.

    >>> d = Categorical(flambeau.tensor([[0.0, 0.0]]))
    >>> d.log_prob(flambeau.tensor([1])), d.entropy()
    (tensor([-0.6931]), tensor([0.6931]))
    """

    def __init__(self, logits: Tensor) -> None:
        self.log_probs = logits.log_softmax(-1)

    @no_grad()
    def sample(self, generator: Any = None) -> Tensor:
        # The first of K exponential clocks with rates p to ring is a sample (the Gumbel trick, in logarithms).
        uniform = flambeau.rand(self.log_probs.shape, generator=generator, device=self.log_probs.device)
        return (self.log_probs - (-uniform.log()).log()).argmax(-1)

    def mode(self) -> Tensor:
        return self.log_probs.argmax(-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        return self.log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.log_probs.exp() * self.log_probs).sum(-1)


class MultiCategorical:
    """Several independent choices, of K1, K2, ... actions, from logits `(N, K1 + K2 + ...)`; actions `(N, A)`, int64."""

    def __init__(self, logits: Tensor, counts: Sequence[int]) -> None:
        self.parts = [Categorical(part) for part in logits.split(list(counts), -1)]

    def sample(self, generator: Any = None) -> Tensor:
        return flambeau.stack([part.sample(generator) for part in self.parts], -1)

    def mode(self) -> Tensor:
        return flambeau.stack([part.mode() for part in self.parts], -1)

    def log_prob(self, actions: Tensor) -> Tensor:
        return flambeau.stack([part.log_prob(actions[:, i]) for i, part in enumerate(self.parts)], -1).sum(-1)

    def entropy(self) -> Tensor:
        return flambeau.stack([part.entropy() for part in self.parts], -1).sum(-1)


class Bernoulli:
    """A independent yes-or-no choices, from logits `(N, A)`; actions `(N, A)` of 0.0 and 1.0."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @no_grad()
    def sample(self, generator: Any = None) -> Tensor:
        uniform = flambeau.rand(self.logits.shape, generator=generator, device=self.logits.device)
        return (uniform < self.logits.sigmoid()).float()

    def mode(self) -> Tensor:
        return (self.logits > 0.0).float()

    def log_prob(self, actions: Tensor) -> Tensor:
        return (actions * self.logits - F.softplus(self.logits)).sum(-1)

    def entropy(self) -> Tensor:
        return (F.softplus(self.logits) - self.logits * self.logits.sigmoid()).sum(-1)


class DiagGaussian:
    """Independent normal numbers with means `(N, A)` and one log standard deviation for each, `(A,)`; actions `(N, A)`."""

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.mean = mean
        self.log_std = log_std

    @no_grad()
    def sample(self, generator: Any = None) -> Tensor:
        noise = flambeau.randn(self.mean.shape, generator=generator, device=self.mean.device)
        return self.mean + self.log_std.exp() * noise

    def mode(self) -> Tensor:
        return self.mean

    def log_prob(self, actions: Tensor) -> Tensor:
        scaled = (actions - self.mean) * (-self.log_std).exp()
        return (-0.5 * scaled * scaled - self.log_std - _LOG_SQRT_2PI).sum(-1)

    def entropy(self) -> Tensor:
        return (self.log_std + (0.5 + _LOG_SQRT_2PI)).sum(-1).expand(self.mean.shape[0])
