"""Distributional Q-learning with fixed support: Bellemare, Dabney and Munos 2017, "A distributional perspective on reinforcement learning"
(arXiv 1707.06887). The network says how likely each of `n_atoms` returns is; an action's value is the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import flambeau
from flambeau import Tensor, no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau_rl.agents.dqn import DQN, DQNConfig
from flambeau_rl.buffers import Transitions


@dataclass(frozen=True)
class C51Config(DQNConfig):
    """The settings of DQN, and the support. Defaults of the support are CleanRL's for CartPole (`cleanrl/c51.py`)."""

    n_atoms: Annotated[int, "returns whose probabilities are learnt"] = 101
    v_min: Annotated[float, "the smallest of these"] = -100.0
    v_max: Annotated[float, "the largest"] = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_atoms < 2 or self.v_min >= self.v_max:
            got = f"{self.n_atoms} from {self.v_min} to {self.v_max}"
            raise ArgumentError(explain("C51Config", expected="n_atoms of 2 or more from v_min up to v_max", got=got))


class C51(DQN):
    """Distributional Q-learning for Discrete actions."""

    name = "c51"
    config_type = C51Config
    config: C51Config

    def build_model(self) -> None:
        config = self.config
        self.atoms = config.n_atoms
        self.support = flambeau.linspace(config.v_min, config.v_max, config.n_atoms, device=self.device)
        super().build_model()

    def values(self, outputs: Tensor) -> Tensor:
        return (outputs.softmax(-1) * self.support).sum(-1)

    def losses(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        rows = flambeau.arange(len(batch), device=self.device)
        with no_grad():
            following = self.model.q_net_target(batch.next_observations)
            chooser = self.model.q_net(batch.next_observations) if self.config.double else following
            likely = following[rows, self.values(chooser).argmax(1)].softmax(-1)
            returns = batch.rewards.unsqueeze(1) + batch.discounts.unsqueeze(1) * self.support
            targets = project(likely, returns, self.support)
        outputs = self.model.q_net(batch.observations)[rows, batch.actions].log_softmax(-1)
        losses = -(targets * outputs).sum(-1)
        mean = (outputs.detach().exp() * self.support).sum(-1).mean()
        return losses, {"errors": losses.detach(), "mean_value": mean}


def project(likely: Tensor, returns: Tensor, support: Tensor) -> Tensor:
    """Share the probabilities `(N, atoms)` of `returns` `(N, atoms)` between the atoms of the support, nearest neighbours in proportion.

    >>> import flambeau
    >>> project(flambeau.tensor([[0.0, 1.0]]), flambeau.tensor([[0.0, 0.25]]), flambeau.tensor([0.0, 1.0]))
    tensor([[0.7500, 0.2500]])
    """
    step = support[1] - support[0]
    places = returns.clamp(support[0], support[-1]).unsqueeze(-1)
    shares = (1.0 - (places - support).abs() / step).clamp(0.0)  # (N, atoms, atoms)
    return (likely.unsqueeze(-1) * shares).sum(1)
