"""A memory of transitions, for agents that learn from what anybody did at any time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, explain

Array = np.ndarray[Any, Any]
Kind = tuple[tuple[int, ...], Any]  # shape and dtype


@dataclass(frozen=True, slots=True)
class Transitions:
    """Transitions in any order, as tensors with the same first axis.

    Attributes:
        discounts: what the value of `next_observations` counts: gamma to the number of steps in between, 0 after an end.
        rows: where in the memory each comes from.
        weights: importance weights, which correct for drawing some more often than others; 1 where all are drawn alike.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    discounts: Tensor
    weights: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return int(self.rewards.shape[0])


class ReplayBuffer:
    """The latest `capacity` transitions, drawn uniformly. Oldest ones make room for new ones.

    Args:
        capacity: how many transitions.
        observation: shape and dtype of one observation.
        action: likewise.

    >>> buffer = ReplayBuffer(100, ((2,), np.float32), ((), np.int64))
    >>> rows = buffer.add(np.zeros((3, 2)), np.zeros(3), np.ones(3), np.zeros((3, 2)), np.full(3, 0.99))
    >>> len(buffer), buffer.sample(4, flambeau.Generator().manual_seed(0)).rewards
    (3, tensor([1., 1., 1., 1.]))
    """

    def __init__(self, capacity: int, observation: Kind, action: Kind) -> None:
        if capacity < 1:
            raise ArgumentError(explain("ReplayBuffer", expected="capacity of 1 or more", got=str(capacity)))
        self.capacity = capacity
        self.observations, self.next_observations = (np.zeros((capacity, *observation[0]), observation[1]) for _ in range(2))
        self.actions = np.zeros((capacity, *action[0]), action[1])
        self.rewards, self.discounts = (np.zeros(capacity, np.float32) for _ in range(2))
        self.position = self.size = 0

    def __len__(self) -> int:
        return self.size

    def add(self, observations: Array, actions: Array, rewards: Array, next_observations: Array, discounts: Array) -> Array:
        """Keep transitions `(N, ...)`, and return the rows in which they are."""
        rows = (self.position + np.arange(len(rewards))) % self.capacity
        self.observations[rows], self.actions[rows], self.rewards[rows] = observations, actions, rewards
        self.next_observations[rows], self.discounts[rows] = next_observations, discounts
        self.position = int(self.position + len(rewards)) % self.capacity
        self.size = min(self.size + len(rewards), self.capacity)
        return rows

    def sample(self, count: int, generator: Any = None, device: Any = "cpu") -> Transitions:
        """`count` transitions, drawn with replacement. Raises ArgumentError from an empty memory."""
        if not self.size:
            raise ArgumentError(explain("ReplayBuffer.sample", expected="transitions", got="an empty buffer"))
        rows = flambeau.randint(0, self.size, (count,), generator=generator).numpy()
        return self.take(rows, np.ones(count, np.float32), device)

    def take(self, rows: Array, weights: Array, device: Any = "cpu") -> Transitions:
        """The transitions of these rows."""
        parts = (self.observations, self.actions, self.rewards, self.next_observations, self.discounts)
        return Transitions(*(flambeau.from_numpy(part).to(device) for part in (*(part[rows] for part in parts), weights, rows)))

    def state_dict(self) -> dict[str, Any]:
        """The transitions, and where the next goes."""
        names = ("observations", "actions", "rewards", "next_observations", "discounts")
        return {"position": self.position, "size": self.size, **{name: getattr(self, name)[: self.size].copy() for name in names}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Hold what `state_dict` gave. Raises ArgumentError where it does not fit."""
        size = int(state["size"])
        if size > self.capacity:
            raise ArgumentError(explain("ReplayBuffer.load_state_dict", expected=f"{self.capacity} transitions or fewer", got=str(size)))
        for name in ("observations", "actions", "rewards", "next_observations", "discounts"):
            getattr(self, name)[:size] = np.asarray(state[name])
        self.position, self.size = int(state["position"]), size


class PrioritizedReplayBuffer(ReplayBuffer):
    """Draws transitions in proportion to how wrong the agent was about them (Schaul et al. 2016, arXiv 1511.05952).

    New transitions get the largest priority that was seen. Weights `(size * p)**-beta`, divided by the largest of the batch, correct for
    the drawing.

    Args:
        alpha: 0 draws uniformly, 1 in full proportion.
        beta: 0 corrects nothing, 1 all; may be set while learning.
    """

    def __init__(self, capacity: int, observation: Kind, action: Kind, *, alpha: float = 0.6, beta: float = 0.4) -> None:
        super().__init__(capacity, observation, action)
        self.alpha, self.beta = alpha, beta
        self.tree = SumTree(capacity)
        self.largest = 1.0

    def add(self, observations: Array, actions: Array, rewards: Array, next_observations: Array, discounts: Array) -> Array:
        rows = super().add(observations, actions, rewards, next_observations, discounts)
        self.tree.set(rows, np.full(len(rows), self.largest))
        return rows

    def sample(self, count: int, generator: Any = None, device: Any = "cpu") -> Transitions:
        if not self.size:
            raise ArgumentError(explain("PrioritizedReplayBuffer.sample", expected="transitions", got="an empty buffer"))
        uniform = flambeau.rand(count, generator=generator, dtype=flambeau.float64).numpy()
        rows = self.tree.find((np.arange(count) + uniform) / count * self.tree.total)  # one from each of `count` equal slices
        rows = np.minimum(rows, self.size - 1)  # rounding may lead beyond the last
        weights = (self.size * self.tree.values(rows) / self.tree.total) ** -self.beta
        return self.take(rows, (weights / weights.max()).astype(np.float32), device)

    def update(self, rows: Tensor, errors: Tensor) -> None:
        """Tell how wrong the agent was about the transitions of a batch."""
        priorities = (np.abs(errors.detach().cpu().numpy().astype(np.float64)) + 1e-6) ** self.alpha
        self.largest = max(self.largest, float(priorities.max()))
        self.tree.set(rows.cpu().numpy(), priorities)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "priorities": self.tree.values(np.arange(self.size)), "largest": self.largest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.tree.set(np.arange(self.size), np.asarray(state["priorities"]))
        self.largest = float(state["largest"])


class SumTree:
    """Numbers of 0 or more whose running sums can be searched, and changed, in logarithmic time.

    >>> tree = SumTree(4)
    >>> tree.set(np.arange(4), np.array([1.0, 2.0, 3.0, 4.0]))
    >>> tree.total, tree.find(np.array([0.5, 1.0, 6.5]))
    (10.0, array([0, 1, 3]))
    """

    def __init__(self, size: int) -> None:
        self.leaves = 1 << max(size - 1, 0).bit_length()
        self.nodes = np.zeros(2 * self.leaves)  # node i is the sum of nodes 2i and 2i + 1; the leaves come last

    @property
    def total(self) -> float:
        """The sum of all."""
        return float(self.nodes[1])

    def values(self, rows: Array) -> Array:
        """The numbers at these places."""
        return self.nodes[self.leaves + rows]

    def set(self, rows: Array, values: Array) -> None:
        """Put numbers at these places; of several for one place the last stays."""
        places = self.leaves + rows
        self.nodes[places] = values
        while places.size and places[0] > 1:
            places = np.unique(places // 2)
            self.nodes[places] = self.nodes[2 * places] + self.nodes[2 * places + 1]

    def find(self, sums: Array) -> Array:
        """For each number the first place at which the running sum is above it."""
        places, sums = np.ones(len(sums), np.int64), sums.copy()
        while places.size and places[0] < self.leaves:
            left = self.nodes[2 * places]
            right = sums >= left
            sums = np.where(right, sums - left, sums)
            places = 2 * places + right
        return places - self.leaves


class NStep:
    """Joins `n` steps of each environment to one transition: `r1 + gamma r2 + ...`, then the state n steps later.

    An end makes the sum shorter; so does a time limit, whose last observation still has its value.
    """

    def __init__(self, n: int, gamma: float, n_envs: int) -> None:
        if n < 1:
            raise ArgumentError(explain("NStep", expected="n of 1 or more", got=str(n)))
        self.n, self.gamma = n, gamma
        self.waiting: list[list[tuple[Array, Array, float]]] = [[] for _ in range(n_envs)]

    def push(
        self, observations: Array, actions: Array, rewards: Array, following: Array, terminated: Array, ended: Array, valid: Array
    ) -> list[Any]:
        """One step of each environment in, finished transitions `(observation, action, return, next observation, discount)` out."""
        done: list[Any] = []
        for i in np.flatnonzero(valid):
            waiting = self.waiting[i]
            waiting.append((observations[i], actions[i], float(rewards[i])))
            while waiting and (ended[i] or len(waiting) == self.n):
                total = sum(self.gamma**k * reward for k, (_, _, reward) in enumerate(waiting))
                discount = 0.0 if terminated[i] else self.gamma ** len(waiting)
                done.append((waiting[0][0], waiting[0][1], total, following[i], discount))
                waiting.pop(0)
        return done

    def state_dict(self) -> dict[str, Any]:
        """The steps that wait for what comes after them."""
        return {"waiting": [[list(step) for step in waiting] for waiting in self.waiting]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.waiting = [[(np.asarray(o), np.asarray(a), float(r)) for o, a, r in waiting] for waiting in state["waiting"]]
