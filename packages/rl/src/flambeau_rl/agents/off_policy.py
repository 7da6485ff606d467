"""What agents share that learn from a memory of transitions: exploring, remembering, and updating now and then."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau import Tensor
from flambeau.base.errors import ArgumentError, explain
from flambeau_rl.adapters import Transition
from flambeau_rl.agent import Agent
from flambeau_rl.buffers import NStep, PrioritizedReplayBuffer, ReplayBuffer, Transitions, tensors

Array = np.ndarray[Any, Any]


class OffPolicyAgent(Agent):
    """Acts, remembers, and every `train_freq` steps of each environment does `gradient_steps` updates with transitions from its memory.

    The first `learning_starts` steps are random. A subclass writes `build_model`, `explore`, `random_actions`, `to_env`, `kept_action` and
    `learn_from`. Its config has `buffer_size`, `learning_starts`, `batch_size`, `gamma`, `train_freq`, `gradient_steps` and `n_steps`.
    """

    def build(self) -> None:
        self.build_model()
        self.buffer: ReplayBuffer | None = None
        self.joiner: NStep | None = None
        self.updates = 0
        self._acted: tuple[Array, Array] | None = None

    @abstractmethod
    def build_model(self) -> None:
        """Make `self.model` and `self.optimizer`."""

    @abstractmethod
    def explore(self, observations: Array) -> Array:
        """Actions as they are kept, `(N, ...)`, for observations while learning."""

    @abstractmethod
    def random_actions(self, count: int) -> Array:
        """Random actions as they are kept."""

    @abstractmethod
    def to_env(self, actions: Array) -> Array:
        """Kept actions as the environments take them."""

    @property
    @abstractmethod
    def kept_action(self) -> tuple[tuple[int, ...], Any]:
        """Shape and dtype of a kept action."""

    @abstractmethod
    def learn_from(self, batch: Transitions) -> dict[str, Any]:
        """One update, and what was measured, as tensors."""

    def step_of(self, improve: Callable[[Transitions], dict[str, Tensor]]) -> Callable[[Transitions], dict[str, Tensor]]:
        """A part of an update, as machine code where the agent is to use it."""
        step = self.compiled(lambda *parts: improve(Transitions(*parts)))
        return lambda batch: step(*tensors(batch))

    def act(self, observations: Array) -> Array:
        starting = self.step < self.config.learning_starts
        actions = self.random_actions(len(observations)) if starting else self.explore(observations)
        self._acted = (observations, actions)
        return self.to_env(actions)

    def observe(self, transition: Transition) -> bool:
        if self._acted is None:
            raise ArgumentError(explain(f"{type(self).__name__}.observe", expected="a call of act before each call", got="none"))
        count = len(transition.rewards)
        if self.buffer is None:
            self._make_memory(count)
        self._remember(*self._acted, transition)
        self._acted = None
        self.step += count
        return self._learn(count) or (self.total_steps is not None and self.step >= self.total_steps)

    def _learn(self, count: int) -> bool:
        config = self.config
        if self.step % (config.train_freq * count) or self.step <= config.learning_starts or not self.buffer:
            return False
        steps = config.gradient_steps if config.gradient_steps >= 0 else config.train_freq * count
        measured = [self._update() for _ in range(steps)]
        if measured:
            means = {name: float(np.mean([float(row[name]) for row in measured if name in row])) for name in measured[-1]}
            self.loss = means.get("loss")
            self.metrics = {**self.metrics, **means}
        return True

    def _update(self) -> dict[str, Any]:
        assert self.buffer is not None
        self.updates += 1
        return self.learn_from(self.buffer.sample(self.config.batch_size, self.random.generator, self.device))

    def _make_memory(self, n_envs: int) -> None:
        config, space = self.config, self.spaces.observation
        kinds = ((space.shape or (), space.dtype), self.kept_action)
        if getattr(config, "prioritized", False):
            self.buffer = PrioritizedReplayBuffer(config.buffer_size, *kinds, alpha=config.priority_alpha, beta=config.priority_beta)
        else:
            self.buffer = ReplayBuffer(config.buffer_size, *kinds)
        self.joiner = NStep(config.n_steps, config.gamma, n_envs) if config.n_steps > 1 else None

    def _remember(self, observations: Array, actions: Array, transition: Transition) -> None:
        assert self.buffer is not None
        following = transition.observations
        if len(transition.final_observations):
            following = following.copy()
            following[transition.truncated] = transition.final_observations
        keep = transition.valid
        if self.joiner is None:
            discounts = np.where(transition.terminated, 0.0, self.config.gamma)
            self.buffer.add(observations[keep], actions[keep], transition.rewards[keep], following[keep], discounts[keep])
            return
        rows = self.joiner.push(observations, actions, transition.rewards, following, transition.terminated, transition.ended, keep)
        if rows:
            self.buffer.add(*(np.stack(column) for column in zip(*rows)))

    def state_dict(self) -> dict[str, Any]:
        memory = {"updates": self.updates, "buffer": self.buffer.state_dict() if self.buffer is not None else None,
                  "joiner": self.joiner.state_dict() if self.joiner is not None else None}  # fmt: skip
        return {**super().state_dict(), "memory": memory}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        memory = state["memory"]
        self.updates = int(memory["updates"])
        if memory["buffer"] is not None:
            self._make_memory(self.environments.n_envs)
            assert self.buffer is not None
            self.buffer.load_state_dict(memory["buffer"])
            if self.joiner is not None and memory["joiner"] is not None:
                self.joiner.load_state_dict(memory["joiner"])
