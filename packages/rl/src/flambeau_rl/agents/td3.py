"""Twin delayed deep deterministic policy gradient.

Fujimoto, van Hoof and Meger 2018, "Addressing function approximation error in actor-critic methods" (arXiv 1802.09477): of two
critics the less hopeful is believed, the policy is updated less often than they are, and there is noise on the actions of targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

import flambeau
from flambeau import Tensor, minimum, nn, no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau.optim import Adam
from flambeau_rl.adapters import Transition
from flambeau_rl.agents.continuous import ContinuousAgent, frozen_copy
from flambeau_rl.buffers import Transitions
from flambeau_rl.encoders import FlattenEncoder
from flambeau_rl.networks import draw_weights, follow, tower
from flambeau_rl.noise import make_noise
from flambeau_rl.schedules import schedule

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TD3Config:
    """The settings of TD3. Defaults are those of Stable-Baselines3 2.9 (`stable_baselines3/td3/td3.py`), noise included, unless said."""

    learning_rate: Annotated[float | str, "step size of Adam, a schedule"] = 1e-3
    buffer_size: Annotated[int, "transitions that are remembered"] = 1_000_000
    learning_starts: Annotated[int, "random steps before the first update"] = 100
    batch_size: Annotated[int, "transitions of an update"] = 256
    tau: Annotated[float, "how far the slow copies go towards the networks at each change"] = 0.005
    gamma: Annotated[float, "discount of a reward that comes a step later"] = 0.99
    train_freq: Annotated[int, "steps of each environment between two rounds of updates"] = 1
    gradient_steps: Annotated[int, "updates of a round; -1: as many as steps were done"] = 1
    n_steps: Annotated[int, "steps of a return"] = 1
    noise: Annotated[Literal["normal", "ornstein-uhlenbeck"], "kind of noise on actions while learning (the paper's)"] = "normal"
    noise_sigma: Annotated[float, "its deviation, for actions between -1 and 1 (the paper's)"] = 0.1
    policy_delay: Annotated[int, "updates of the critics for one of the policy and of the slow copies"] = 2
    target_policy_noise: Annotated[float, "deviation of the noise on actions in targets"] = 0.2
    target_noise_clip: Annotated[float, "the largest such noise"] = 0.5
    net_arch: Annotated[tuple[int, ...], "hidden units of all networks"] = (400, 300)

    def __post_init__(self) -> None:
        check("TD3Config", self)


def check(name: str, config: Any) -> None:
    """What the settings of all agents with continuous actions have to be."""
    for field in ("buffer_size", "batch_size", "train_freq", "n_steps"):
        if getattr(config, field) < 1:
            raise ArgumentError(explain(name, expected=f"{field} of 1 or more", got=str(getattr(config, field))))
    for field in ("tau", "gamma"):
        if not 0.0 <= getattr(config, field) <= 1.0:
            raise ArgumentError(explain(name, expected=f"{field} from 0 to 1", got=str(getattr(config, field))))
    schedule(config.learning_rate)


class Actor(nn.Module):
    """One action for an observation: `(N, *shape)` to `(N, A)` between -1 and 1."""

    def __init__(self, space: Any, actions: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = FlattenEncoder(space)
        self.mu = nn.Sequential(*tower(self.encoder.size, widths, nn.ReLU, actions), nn.Tanh())

    def forward(self, observations: Tensor) -> Tensor:
        return self.mu(self.encoder(observations))


class TD3(ContinuousAgent):
    """TD3 for a bounded Box of actions.

    >>> agent = TD3("Pendulum-v1", TD3Config(learning_starts=10, batch_size=8, net_arch=(16,)))
    >>> metrics = agent.learn(20)
    >>> agent.step, "critic_loss" in metrics
    (20, True)
    """

    name = "td3"
    config_type: ClassVar[type] = TD3Config
    config: TD3Config
    critics = 2

    def make_actor_critic(self) -> None:
        config = self.config
        self.model = nn.Module()
        self.model.actor = self._actor()
        self.model.actor_target = frozen_copy(self._actor(), self.model.actor)
        self.model.critic = self.critic(self.critics)
        self.model.critic_target = frozen_copy(self.critic(self.critics), self.model.critic)
        self.model.to(self.device)
        self.optimizer = Adam(list(self.model.critic.parameters()), lr=1.0)
        self.actor_optimizer = Adam(list(self.model.actor.parameters()), lr=1.0)
        self.noise = make_noise(config.noise, config.noise_sigma)
        self.extra_parts = {"actor_optimizer": self.actor_optimizer, "noise": self.noise}

    def _actor(self) -> Actor:
        made = Actor(self.spaces.observation, self.n_actions, self.config.net_arch)
        draw_weights(made, self.random.generator)
        return made

    @no_grad()
    def greedy(self, observations: Tensor) -> Tensor:
        return self._best(observations)

    def explore(self, observations: Array) -> Array:
        actions = self.greedy(self.tensor(observations)).cpu().numpy()
        return np.clip(actions + self.noise(actions.shape, self.random.generator), -1.0, 1.0).astype(np.float32)

    def observe(self, transition: Transition) -> bool:
        self.noise.reset(transition.ended)
        return super().observe(transition)

    def learn_from(self, batch: Transitions) -> dict[str, Any]:
        self.set_learning_rate(self.config.learning_rate, self.optimizer, self.actor_optimizer)
        measured = self._critic_step(batch)
        if self.updates % self.config.policy_delay == 0:
            measured |= self._actor_step(batch)
        return measured

    def make_steps(self) -> None:
        self._critic_step, self._actor_step = self.step_of(self._update_critic), self.step_of(self._update_actor)
        self._best = self.compiled(self.model.actor.forward)

    def _update_critic(self, batch: Transitions) -> dict[str, Tensor]:
        config = self.config
        with no_grad():
            noise = config.target_policy_noise * flambeau.randn(batch.actions.shape, generator=self.random.generator, device=self.device)
            noise = noise.clamp(-config.target_noise_clip, config.target_noise_clip)
            actions = (self.model.actor_target(batch.next_observations) + noise).clamp(-1.0, 1.0)
            targets = batch.rewards + batch.discounts * least(self.model.critic_target(batch.next_observations, actions))
        loss = errors(self.model.critic(batch.observations, batch.actions), targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return {"critic_loss": loss.detach()}

    def _update_actor(self, batch: Transitions) -> dict[str, Tensor]:
        loss = -self.model.critic(batch.observations, self.model.actor(batch.observations))[0].mean()
        self.actor_optimizer.zero_grad()
        loss.backward(inputs=list(self.model.actor.parameters()))
        self.actor_optimizer.step()
        tau = self.config.tau
        follow(self.model.critic_target.parameters(), self.model.critic.parameters(), tau)
        follow(self.model.actor_target.parameters(), self.model.actor.parameters(), tau)
        return {"actor_loss": loss.detach()}


def errors(critics: list[Tensor], targets: Tensor) -> Tensor:
    """The squared errors of all critics together."""
    return flambeau.stack([F.mse_loss(values, targets) for values in critics]).sum()


def least(values: list[Tensor]) -> Tensor:
    """The smallest of each element."""
    smallest = values[0]
    for other in values[1:]:
        smallest = minimum(smallest, other)
    return smallest
