"""Functions that say what actions are worth: of an observation alone (for a choice of actions), or of an observation and an action.

Submodules are named as in Stable-Baselines3, so state dicts of its plain networks have the same keys and shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gymnasium.spaces import Space

import flambeau
from flambeau import Tensor, nn
from flambeau_rl.encoders import FlattenEncoder
from flambeau_rl.networks import tower


class QNetwork(nn.Module):
    """The value of each of `n` actions: observations `(N, *shape)` to `(N, n)`.

    Args:
        atoms: with more than 1, the outputs are `(N, n, atoms)`.
        dueling: one stream for the state, one for what an action is better than the mean (Wang et al. 2016, arXiv 1511.06581).
    """

    def __init__(self, space: Space[Any], n: int, widths: Sequence[int], *, atoms: int = 1, dueling: bool = False) -> None:
        super().__init__()
        self.encoder = FlattenEncoder(space)
        self.n, self.atoms = n, atoms
        self.value_net: nn.Module | None = None
        if dueling:
            *lower, last = widths
            below = lower[-1] if lower else self.encoder.size
            self.features = tower(self.encoder.size, lower, nn.ReLU)
            self.value_net = tower(below, (last,), nn.ReLU, atoms)
            self.advantage_net = tower(below, (last,), nn.ReLU, n * atoms)
        else:
            self.q_net = tower(self.encoder.size, widths, nn.ReLU, n * atoms)

    def forward(self, observations: Tensor) -> Tensor:
        features = self.encoder(observations)
        if self.value_net is None:
            values = self._shaped(self.q_net(features))
        else:
            features = self.features(features)
            advantages = self._shaped(self.advantage_net(features))
            values = self._shaped(self.value_net(features), 1) + advantages - advantages.mean(1, keepdim=True)
        return values

    def _shaped(self, outputs: Tensor, n: int | None = None) -> Tensor:
        return outputs if self.atoms == 1 else outputs.reshape(-1, n or self.n, self.atoms)


class ContinuousCritic(nn.Module):
    """`count` independent values of an action: observations `(N, *shape)` and actions `(N, A)` to a list of `(N,)`."""

    def __init__(self, space: Space[Any], actions: int, widths: Sequence[int], count: int = 2) -> None:
        super().__init__()
        self.encoder = FlattenEncoder(space)
        self.names = [f"qf{i}" for i in range(count)]
        for name in self.names:
            self.add_module(name, tower(self.encoder.size + actions, widths, nn.ReLU, 1))

    def forward(self, observations: Tensor, actions: Tensor) -> list[Tensor]:
        features = flambeau.cat([self.encoder(observations), actions], 1)
        return [getattr(self, name)(features).squeeze(-1) for name in self.names]
