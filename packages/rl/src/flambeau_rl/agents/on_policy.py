"""What agents share that learn from what they have just done: collecting a rollout with an actor and a critic."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np

from flambeau import Tensor, no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau_rl.adapters import Transition
from flambeau_rl.agent import Agent
from flambeau_rl.buffers import Batch, RolloutBuffer
from flambeau_rl.policies import ActorCritic

Array = np.ndarray[Any, Any]


class Acted(NamedTuple):
    """What `act` decided, until `observe` is told what came of it."""

    observations: Array
    actions: Array
    log_probs: Array
    values: Array


class OnPolicyAgent(Agent):
    """Plays `config.n_steps` steps in every environment, hands them to `update`, and forgets them.

    A subclass sets `self.optimizer` in `make_optimizer` and writes `update`. Its config has `n_steps`, `gamma`, `gae_lambda`, `net_arch`
    and `log_std_init`.
    """

    model: ActorCritic

    def build(self) -> None:
        config, spaces = self.config, self.spaces
        self.model = ActorCritic(
            spaces.observation, spaces.action, config.net_arch, log_std_init=config.log_std_init, generator=self.random.generator
        ).to(self.device)
        self.weights = list(self.model.parameters())
        self.optimizer = self.make_optimizer(self.weights)
        self.buffer: RolloutBuffer | None = None
        self._acted: Acted | None = None

    @abstractmethod
    def make_optimizer(self, weights: list[Any]) -> Any:
        """The optimizer of the policy's weights."""

    @abstractmethod
    def update(self, batch: Batch) -> dict[str, float]:
        """Learn from a rollout, and return what was measured."""

    def make_steps(self) -> None:
        self._decide = self.compiled(self._decide_eagerly)

    def _decide_eagerly(self, observations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        distribution, values = self.model(observations)
        actions = distribution.sample(self.random.generator)
        return actions, distribution.log_prob(actions), values

    @no_grad()
    def act(self, observations: Array) -> Array:
        self._acted = Acted(observations, *map(array, self._decide(self.tensor(observations))))
        return self.model.head.to_env(self._acted.actions)

    def observe(self, transition: Transition) -> bool:
        if self._acted is None:
            raise ArgumentError(explain(f"{type(self).__name__}.observe", expected="a call of act before each call", got="none"))
        if self.buffer is None:
            self.buffer = self._new_buffer(len(transition.rewards))
        self.buffer.add(*self._acted, self._with_cut_off_values(transition), transition.ended, transition.valid)
        self._acted = None
        self.step += len(transition.rewards)
        if not self.buffer.full:
            return False
        self.buffer.finish(self._values(transition.observations), gamma=self.config.gamma, gae_lambda=self.config.gae_lambda)
        self.metrics = self.update(self.buffer.batch(self.device))
        self.buffer.clear()
        return True

    def _new_buffer(self, n_envs: int) -> RolloutBuffer:
        space, head = self.spaces.observation, self.model.head
        return RolloutBuffer(self.config.n_steps, n_envs, (space.shape or (), space.dtype), (head.shape, head.dtype))

    def _with_cut_off_values(self, transition: Transition) -> Array:
        """The rewards, with the discounted value of what a time limit cut off."""
        if not len(transition.final_observations):
            return transition.rewards
        rewards = transition.rewards.copy()
        rewards[transition.truncated] += self.config.gamma * self._values(transition.final_observations)
        return rewards

    @no_grad()
    def _values(self, observations: Array) -> Array:
        return array(self.model.values(self.tensor(observations)))

    @no_grad()
    def predict_batch(self, observations: Tensor, deterministic: bool) -> Array:
        distribution = self.model.distribution(observations)
        actions = distribution.mode() if deterministic else distribution.sample(self.random.generator)
        return self.model.head.to_env(array(actions))


def array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy()


def explained_variance(batch: Batch) -> float:
    """How much of the variation of the returns the values foresaw: 1 is all of it, 0 none, below 0 worse than a constant."""
    returns, values = array(batch.returns), array(batch.values)
    variance = float(np.var(returns))
    return 1.0 - float(np.var(returns - values)) / variance if variance else float("nan")
