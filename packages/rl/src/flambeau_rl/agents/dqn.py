"""Deep Q-learning.

Mnih et al. 2015, "Human-level control through deep reinforcement learning"; with double Q-learning (van Hasselt, Guez and Silver 2016,
arXiv 1509.06461), duelling networks (Wang et al. 2016, arXiv 1511.06581), prioritised replay (Schaul et al. 2016, arXiv 1511.05952) and
returns of n steps where the settings say so.

In short: remember every step; from random ones learn what each action is worth, its reward plus the discounted worth of the best action
after it, which a copy of the network that changes slowly says; take the best action, except for a share of random ones that shrinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from gymnasium.spaces import Discrete

import flambeau
from flambeau import Tensor, nn, no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau.nn.utils import clip_grad_norm_
from flambeau.optim import Adam
from flambeau_rl.agents.off_policy import OffPolicyAgent
from flambeau_rl.buffers import PrioritizedReplayBuffer, Transitions
from flambeau_rl.networks import draw_weights, follow
from flambeau_rl.q_functions import QNetwork
from flambeau_rl.schedules import schedule
from flambeau_rl.spaces import unsupported

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class DQNConfig:
    """The settings of DQN. Defaults are those of Stable-Baselines3 2.9 (`stable_baselines3/dqn/dqn.py`), or of a named paper."""

    learning_rate: Annotated[float | str, "step size of Adam, a schedule"] = 1e-4
    buffer_size: Annotated[int, "transitions that are remembered"] = 1_000_000
    learning_starts: Annotated[int, "random steps before the first update"] = 100
    batch_size: Annotated[int, "transitions of an update"] = 32
    tau: Annotated[float, "how far the slow copy goes towards the network each time; 1 copies"] = 1.0
    gamma: Annotated[float, "discount of a reward that comes a step later"] = 0.99
    train_freq: Annotated[int, "steps of each environment between two rounds of updates"] = 4
    gradient_steps: Annotated[int, "updates of a round; -1: as many as steps were done"] = 1
    target_update_interval: Annotated[int, "steps between two changes of the slow copy"] = 10_000
    exploration_fraction: Annotated[float, "share of the learning over which random actions become rarer"] = 0.1
    exploration_initial_eps: Annotated[float, "share of random actions at first"] = 1.0
    exploration_final_eps: Annotated[float, "share of random actions in the end"] = 0.05
    max_grad_norm: Annotated[float, "gradients with a larger norm are scaled down to it"] = 10.0
    net_arch: Annotated[tuple[int, ...], "hidden units"] = (64, 64)
    n_steps: Annotated[int, "steps of a return"] = 1
    double: Annotated[bool, "the network chooses the best next action, the slow copy says its worth"] = False
    dueling: Annotated[bool, "separate streams for state and actions"] = False
    prioritized: Annotated[bool, "draw transitions by the size of their error"] = False
    priority_alpha: Annotated[float, "0 draws uniformly, 1 in full proportion (Schaul et al., proportional variant)"] = 0.6
    priority_beta: Annotated[float, "where the correction for the drawing begins; it ends at 1 (likewise)"] = 0.4

    def __post_init__(self) -> None:
        for name in ("buffer_size", "batch_size", "train_freq", "target_update_interval", "n_steps"):
            if getattr(self, name) < 1:
                raise ArgumentError(explain(type(self).__name__, expected=f"{name} of 1 or more", got=str(getattr(self, name))))
        for name in ("tau", "gamma", "exploration_fraction", "exploration_initial_eps", "exploration_final_eps"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ArgumentError(explain(type(self).__name__, expected=f"{name} from 0 to 1", got=str(getattr(self, name))))
        schedule(self.learning_rate)


class QPair(nn.Module):
    """The network and its slow copy."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.q_net: QNetwork = make()
        self.q_net_target: QNetwork = make()
        self.q_net_target.load_state_dict(self.q_net.state_dict())
        self.q_net_target.requires_grad_(False)


class DQN(OffPolicyAgent):
    """Deep Q-learning for Discrete actions.

    >>> agent = DQN("CartPole-v1", DQNConfig(learning_starts=10))
    >>> metrics = agent.learn(40)
    >>> agent.step, "loss" in metrics
    (40, True)
    """

    name = "dqn"
    config_type: ClassVar[type] = DQNConfig
    config: DQNConfig
    atoms = 1

    def build_model(self) -> None:
        space = self.spaces.action
        if not isinstance(space, Discrete):
            raise unsupported(f"{type(self).__name__}, action space", space)
        self.choices, self.start = int(space.n), int(space.start)
        self.model = QPair(self._network).to(self.device)
        self.weights = list(self.model.q_net.parameters())
        self.optimizer = Adam(self.weights, lr=1.0)

    def _network(self) -> QNetwork:
        config = self.config
        network = QNetwork(self.spaces.observation, self.choices, config.net_arch, atoms=self.atoms, dueling=config.dueling)
        draw_weights(network, self.random.generator)
        return network

    @property
    def kept_action(self) -> tuple[tuple[int, ...], Any]:
        return (), np.int64

    @property
    def epsilon(self) -> float:
        """The share of random actions now."""
        config = self.config
        done = (1.0 - self.remaining) / config.exploration_fraction if config.exploration_fraction else 1.0
        return config.exploration_initial_eps + min(done, 1.0) * (config.exploration_final_eps - config.exploration_initial_eps)

    def explore(self, observations: Array) -> Array:
        count, epsilon = len(observations), self.epsilon
        uniform = flambeau.rand(count, generator=self.random.generator).numpy()
        return np.where(uniform < epsilon, self.random_actions(count), self.best(self.tensor(observations)))

    def random_actions(self, count: int) -> Array:
        return flambeau.randint(0, self.choices, (count,), generator=self.random.generator).numpy()

    def to_env(self, actions: Array) -> Array:
        return actions + self.start if self.start else actions

    @no_grad()
    def best(self, observations: Tensor) -> Array:
        """The most valuable action of each observation."""
        return self._choose(observations).cpu().numpy()

    def values(self, outputs: Tensor) -> Tensor:
        """The values `(N, actions)` that a network's outputs mean."""
        return outputs

    def predict_batch(self, observations: Tensor, deterministic: bool) -> Array:
        actions = self.best(observations)
        if not deterministic:
            uniform = flambeau.rand(len(actions), generator=self.random.generator).numpy()
            actions = np.where(uniform < self.epsilon, self.random_actions(len(actions)), actions)
        return self.to_env(actions)

    def observe(self, transition: Any) -> bool:
        before = self.step
        learnt = super().observe(transition)
        interval = self.config.target_update_interval
        if self.step // interval > before // interval:
            follow(self.model.q_net_target.parameters(), self.weights, self.config.tau)
        return learnt

    def _learn(self, count: int) -> bool:
        self.set_learning_rate(self.config.learning_rate)
        if isinstance(self.buffer, PrioritizedReplayBuffer):
            self.buffer.beta = 1.0 - self.remaining * (1.0 - self.config.priority_beta)
        return super()._learn(count)

    def learn_from(self, batch: Transitions) -> dict[str, Any]:
        measured = self._improve(batch)
        errors = measured.pop("errors")
        if isinstance(self.buffer, PrioritizedReplayBuffer):
            self.buffer.update(batch.rows, errors)
        return measured

    def make_steps(self) -> None:
        self._improve = self.step_of(self._improve_eagerly)
        self._choose = self.compiled(lambda observations: self.values(self.model.q_net(observations)).argmax(-1))

    def _improve_eagerly(self, batch: Transitions) -> dict[str, Tensor]:
        losses, measured = self.losses(batch)
        loss = (losses * batch.weights).mean()
        self.optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(self.weights, self.config.max_grad_norm)
        self.optimizer.step()
        return {"loss": loss.detach(), **measured}

    def losses(self, batch: Transitions) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each transition `(N,)`; `errors` are what priorities are made of."""
        with no_grad():
            following = self.model.q_net_target(batch.next_observations)
            chooser = self.model.q_net(batch.next_observations) if self.config.double else following
            worth = following.gather(1, chooser.argmax(1, keepdim=True)).squeeze(1)
            targets = batch.rewards + batch.discounts * worth
        values = self.model.q_net(batch.observations).gather(1, batch.actions.unsqueeze(1)).squeeze(1)
        losses = F.smooth_l1_loss(values, targets, reduction="none")
        return losses, {"errors": (values - targets).detach(), "mean_value": values.detach().mean()}
