"""Soft actor-critic.

Haarnoja et al. 2018, "Soft actor-critic algorithms and applications" (arXiv 1812.05905): learn what actions are worth when being random is
worth something too, and find the price at which the policy is as random as wanted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

import flambeau
from flambeau import Tensor, nn, no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau.optim import Adam
from flambeau_rl.agents.continuous import ContinuousAgent, frozen_copy
from flambeau_rl.agents.td3 import check, errors, least
from flambeau_rl.buffers import Transitions
from flambeau_rl.encoders import FlattenEncoder
from flambeau_rl.networks import draw_weights, follow, tower

Array = np.ndarray[Any, Any]
LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0  # as in Stable-Baselines3


@dataclass(frozen=True)
class SACConfig:
    """The settings of SAC. Defaults are those of Stable-Baselines3 2.9 (`stable_baselines3/sac/sac.py`)."""

    learning_rate: Annotated[float | str, "step size of Adam for all networks, a schedule"] = 3e-4
    buffer_size: Annotated[int, "transitions that are remembered"] = 1_000_000
    learning_starts: Annotated[int, "random steps before the first update"] = 100
    batch_size: Annotated[int, "transitions of an update"] = 256
    tau: Annotated[float, "how far the slow critics go towards the critics at each change"] = 0.005
    gamma: Annotated[float, "discount of a reward that comes a step later"] = 0.99
    train_freq: Annotated[int, "steps of each environment between two rounds of updates"] = 1
    gradient_steps: Annotated[int, "updates of a round; -1: as many as steps were done"] = 1
    n_steps: Annotated[int, "steps of a return"] = 1
    ent_coef: Annotated[float | None, "what a nat of entropy is worth; none: learnt"] = None
    ent_coef_init: Annotated[float, "where learning it begins"] = 1.0
    target_entropy: Annotated[float | None, "the entropy to aim at; none: minus the number of action dimensions"] = None
    target_update_interval: Annotated[int, "updates for one change of the slow critics"] = 1
    net_arch: Annotated[tuple[int, ...], "hidden units of all networks"] = (256, 256)

    def __post_init__(self) -> None:
        check("SACConfig", self)
        if self.ent_coef is not None and self.ent_coef < 0:
            raise ArgumentError(explain("SACConfig", expected="ent_coef of 0 or more, or none", got=str(self.ent_coef)))


class SquashedActor(nn.Module):
    """Normal numbers through a tanh: `(N, *shape)` to means and log deviations `(N, A)`."""

    def __init__(self, space: Any, actions: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = FlattenEncoder(space)
        self.latent_pi = tower(self.encoder.size, widths, nn.ReLU)
        last = widths[-1] if widths else self.encoder.size
        self.mu, self.log_std = nn.Linear(last, actions), nn.Linear(last, actions)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        latent = self.latent_pi(self.encoder(observations))
        return self.mu(latent), self.log_std(latent).clamp(LOG_STD_MIN, LOG_STD_MAX)

    def sample(self, observations: Tensor, generator: Any) -> tuple[Tensor, Tensor]:
        """Actions between -1 and 1, and the logarithms of their densities `(N,)`, both with gradient."""
        mean, log_std = self(observations)
        noise = flambeau.randn(mean.shape, generator=generator, device=mean.device)
        raw = mean + log_std.exp() * noise
        density = -0.5 * noise * noise - log_std - 0.5 * math.log(2.0 * math.pi)
        squashed = 2.0 * (math.log(2.0) - raw - F.softplus(-2.0 * raw))  # log(1 - tanh(raw)**2), right where tanh is 1
        return raw.tanh(), (density - squashed).sum(-1)


class SAC(ContinuousAgent):
    """Soft actor-critic for a bounded Box of actions.

    >>> agent = SAC("Pendulum-v1", SACConfig(learning_starts=10, batch_size=8, net_arch=(16,)))
    >>> metrics = agent.learn(20)
    >>> agent.step, "ent_coef" in metrics
    (20, True)
    """

    name = "sac"
    config_type = SACConfig
    config: SACConfig

    def make_actor_critic(self) -> None:
        config = self.config
        self.model = nn.Module()
        self.model.actor = SquashedActor(self.spaces.observation, self.n_actions, config.net_arch)
        draw_weights(self.model.actor, self.random.generator)
        self.model.critic = self.critic(2)
        self.model.critic_target = frozen_copy(self.critic(2), self.model.critic)
        start = math.log(config.ent_coef_init if config.ent_coef is None else max(config.ent_coef, 1e-30))
        self.log_ent_coef = nn.Parameter(flambeau.tensor([start]).to(self.device))
        self.model.to(self.device)
        self.optimizer = Adam(list(self.model.critic.parameters()), lr=1.0)
        self.actor_optimizer = Adam(list(self.model.actor.parameters()), lr=1.0)
        self.entropy_optimizer = Adam([self.log_ent_coef], lr=1.0)
        self.target_entropy = float(-self.n_actions) if config.target_entropy is None else config.target_entropy
        self.extra_parts = {
            "actor_optimizer": self.actor_optimizer, "entropy_optimizer": self.entropy_optimizer, "entropy": self._Price(self.log_ent_coef)
        }  # fmt: skip

    class _Price:
        """The price of entropy as a part of a checkpoint."""

        def __init__(self, value: Tensor) -> None:
            self.value = value

        def state_dict(self) -> dict[str, Any]:
            return {"log_ent_coef": self.value.detach().clone()}

        @no_grad()
        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.value.copy_(state["log_ent_coef"])

    @no_grad()
    def greedy(self, observations: Tensor) -> Tensor:
        return self._best(observations)

    @no_grad()
    def drawn(self, observations: Tensor) -> Tensor:
        return self._draw(observations)

    def explore(self, observations: Array) -> Array:
        return self.drawn(self.tensor(observations)).cpu().numpy()

    def learn_from(self, batch: Transitions) -> dict[str, Any]:
        self.set_learning_rate(self.config.learning_rate, self.optimizer, self.actor_optimizer, self.entropy_optimizer)
        measured = self._improve(batch)
        if self.updates % self.config.target_update_interval == 0:
            self._follow()
        return measured

    def make_steps(self) -> None:
        self._improve = self.step_of(self._improve_eagerly)
        self._follow = self.compiled(self._follow_eagerly)
        self._best = self.compiled(lambda observations: self.model.actor(observations)[0].tanh())
        self._draw = self.compiled(lambda observations: self.model.actor.sample(observations, self.random.generator)[0])

    def _follow_eagerly(self) -> None:
        follow(self.model.critic_target.parameters(), self.model.critic.parameters(), self.config.tau)

    def _improve_eagerly(self, batch: Transitions) -> dict[str, Tensor]:
        actions, log_probs = self.model.actor.sample(batch.observations, self.random.generator)
        price = self.log_ent_coef.detach().exp()
        measured = {"ent_coef": price}
        if self.config.ent_coef is None:
            measured["ent_coef_loss"] = self._update_price(log_probs.detach())
        measured["critic_loss"] = self._update_critics(batch, price)
        loss = (price * log_probs - least(self.model.critic(batch.observations, actions))).mean()
        self.actor_optimizer.zero_grad()
        loss.backward(inputs=list(self.model.actor.parameters()))
        self.actor_optimizer.step()
        return {**measured, "actor_loss": loss.detach()}

    def _update_price(self, log_probs: Tensor) -> Tensor:
        loss = -(self.log_ent_coef * (log_probs + self.target_entropy)).mean()
        self.entropy_optimizer.zero_grad()
        loss.backward()
        self.entropy_optimizer.step()
        return loss.detach()

    def _update_critics(self, batch: Transitions, price: Tensor) -> Tensor:
        with no_grad():
            actions, log_probs = self.model.actor.sample(batch.next_observations, self.random.generator)
            worth = least(self.model.critic_target(batch.next_observations, actions)) - price * log_probs
            targets = batch.rewards + batch.discounts * worth
        loss = 0.5 * errors(self.model.critic(batch.observations, batch.actions), targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()
