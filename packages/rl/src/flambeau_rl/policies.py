"""Policies: modules that turn observations into distributions over actions, and values.

Submodules and parameters are named as in Stable-Baselines3's `ActorCriticPolicy`, so state dicts have the same keys and shapes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gymnasium.spaces import Space

import flambeau
from flambeau import Tensor, nn
from flambeau_rl.distributions import Distribution
from flambeau_rl.encoders import FlattenEncoder
from flambeau_rl.heads import make_head
from flambeau_rl.networks import tower


class TwoTowers(nn.Module):
    """Two multilayer perceptrons over the same features: one for the actions, one for the value."""

    def __init__(self, size: int, widths: Sequence[int], activation: type[nn.Module]) -> None:
        super().__init__()
        self.policy_net = tower(size, widths, activation)
        self.value_net = tower(size, widths, activation)


class ActorCritic(nn.Module):
    """A policy and a value function with `widths` hidden units each, and nothing shared.

    Weights begin orthogonal, with gain sqrt(2), 0.01 for the actions and 1 for the value; biases begin at 0 (Engstrom et al. 2020,
    "Implementation matters in deep policy gradients"; Stable-Baselines3's `ortho_init`).

    Args:
        observation_space: a Box, Discrete, MultiDiscrete or MultiBinary space of one environment.
        action_space: likewise.
        widths: hidden units, a number for each layer.
        activation: the module class between layers.
        log_std_init: with a Box of actions, where the logarithm of the standard deviation begins.
        generator: draws the weights.

    >>> from gymnasium.spaces import Box, Discrete
    >>> policy = ActorCritic(Box(-1, 1, (4,)), Discrete(2))
    >>> distribution, values = policy(flambeau.zeros(3, 4))
    >>> tuple(distribution.mode().shape), tuple(values.shape)
    ((3,), (3,))
    """

    def __init__(
        self,
        observation_space: Space[Any],
        action_space: Space[Any],
        widths: Sequence[int] = (64, 64),
        *,
        activation: type[nn.Module] = nn.Tanh,
        log_std_init: float = 0.0,
        generator: Any = None,
    ) -> None:
        super().__init__()
        self.head = make_head(action_space)
        self.encoder = FlattenEncoder(observation_space)
        last = widths[-1] if widths else self.encoder.size
        self.mlp_extractor = TwoTowers(self.encoder.size, widths, activation)
        self.action_net = nn.Linear(last, self.head.size)
        self.value_net = nn.Linear(last, 1)
        scale = nn.Parameter(flambeau.full((self.head.size,), log_std_init)) if self.head.has_scale else None
        self.register_parameter("log_std", scale)
        self._initialise(generator)

    def _initialise(self, generator: Any) -> None:
        gains = {self.action_net: 0.01, self.value_net: 1.0}
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.orthogonal_(module.weight, gains.get(module, math.sqrt(2.0)), generator=generator)
                nn.init.zeros_(module.bias)

    def forward(self, observations: Tensor) -> tuple[Distribution, Tensor]:
        """The distribution over actions and the value `(N,)` of each observation `(N, *shape)`."""
        features = self.encoder(observations)
        outputs = self.action_net(self.mlp_extractor.policy_net(features))
        values = self.value_net(self.mlp_extractor.value_net(features))
        return self.head.distribution(outputs, self.log_std), values.squeeze(-1)

    def distribution(self, observations: Tensor) -> Distribution:
        """The distribution over actions alone."""
        outputs = self.action_net(self.mlp_extractor.policy_net(self.encoder(observations)))
        return self.head.distribution(outputs, self.log_std)

    def values(self, observations: Tensor) -> Tensor:
        """The values alone, `(N,)`."""
        return self.value_net(self.mlp_extractor.value_net(self.encoder(observations))).squeeze(-1)
