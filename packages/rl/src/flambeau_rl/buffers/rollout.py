"""A rollout: the latest T steps of N environments, for agents that learn from what they have just done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, explain
from flambeau_rl.returns import gae

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """Steps in any order, as tensors with the same first axis."""

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def __len__(self) -> int:
        return int(self.log_probs.shape[0])

    def take(self, rows: Tensor) -> Batch:
        """The rows with these numbers."""
        return Batch(*(part[rows] for part in tensors(self)))


def tensors(batch: Any) -> tuple[Tensor, ...]:
    """The fields of a batch in order."""
    return tuple(getattr(batch, field.name) for field in fields(batch))


class RolloutBuffer:
    """Room for `n_steps` steps of `n_envs` environments, in arrays `(time, environment, ...)`.

    `add` the steps one after the other; when the buffer is `full`, `finish` computes advantages and returns, and `batch` gives everything
    as tensors. `clear` makes room for the next rollout.
    """

    def __init__(self, n_steps: int, n_envs: int, observation: tuple[tuple[int, ...], Any], action: tuple[tuple[int, ...], Any]) -> None:
        """`observation` and `action` are pairs of shape and dtype, of one environment."""
        size = (n_steps, n_envs)
        self.observations = np.zeros((*size, *observation[0]), observation[1])
        self.actions = np.zeros((*size, *action[0]), action[1])
        self.rewards, self.values, self.log_probs, self.advantages, self.returns = (np.zeros(size, np.float32) for _ in range(5))
        self.ended = np.zeros(size, np.bool_)
        self.valid = np.zeros(size, np.bool_)
        self.position = 0

    @property
    def full(self) -> bool:
        """Whether there is no room for another step."""
        return self.position == len(self.rewards)

    def clear(self) -> None:
        """Begin a new rollout."""
        self.position = 0

    def add(self, observations: Array, actions: Array, log_probs: Array, values: Array, rewards: Array, ended: Array, valid: Array) -> None:
        """One step of every environment.

        Args:
            observations: what the actions were chosen on.
            actions, log_probs, values: what the policy said.
            rewards: with the value of what a time limit cut off.
            ended: whether the episode ended with this step.
            valid: False where the environment used the step to reset itself; such a step is not learnt from.
        """
        if self.full:
            raise ArgumentError(explain("RolloutBuffer.add", expected="room for a step", got="a full buffer", hint="clear()"))
        t = self.position
        self.observations[t], self.actions[t], self.log_probs[t] = observations, actions, log_probs
        self.values[t], self.rewards[t], self.ended[t], self.valid[t] = values, rewards, ended, valid
        self.position = t + 1

    def finish(self, last_values: Array, *, gamma: float, gae_lambda: float) -> None:
        """Compute `advantages` and `returns` (advantages plus values), given the values `(N,)` of the states after the last step."""
        self.advantages[...] = gae(self.rewards, self.values, self.ended, last_values, gamma=gamma, gae_lambda=gae_lambda)
        np.add(self.advantages, self.values, out=self.returns)

    def batch(self, device: Any = "cpu") -> Batch:
        """All valid steps in one batch on a device."""
        parts = (self.observations, self.actions, self.log_probs, self.values, self.advantages, self.returns)
        if self.valid.all():
            rows = (part.reshape(-1, *part.shape[2:]).copy() for part in parts)
        else:
            rows = (part[self.valid] for part in parts)
        return Batch(*(flambeau.from_numpy(part).to(device) for part in rows))


def minibatches(batch: Batch, size: int, generator: Any = None) -> Iterator[Batch]:
    """The rows of a batch in random order, `size` at a time; the last minibatch may be smaller."""
    count = len(batch)
    if count <= size:
        yield batch  # one minibatch holds everything, in whatever order
        return
    order = flambeau.randperm(count, generator=generator, device=batch.log_probs.device)
    for start in range(0, count, size):
        yield batch.take(order[start : start + size])
