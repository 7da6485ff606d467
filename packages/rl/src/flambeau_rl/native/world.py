"""What a native environment is: three functions of tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from gymnasium.spaces import Space

from flambeau import Tensor


class World(ABC):
    """The rules of an environment for a batch of N states, without any state of its own.

    A state is one row of numbers, so that a batch is one tensor `(N, k)`. The three functions have no Python branch on values: they work
    on every device, and `flambeau.compile` makes one program of them, a policy and its update.

    Attributes:
        id: the name under which Gymnasium knows the same environment, or our own.
        max_episode_steps: where an episode is cut off.
        draws: how many uniform random numbers a new episode needs, and a step.
    """

    id: ClassVar[str]
    max_episode_steps: ClassVar[int]
    observation_space: ClassVar[Space[Any]]
    action_space: ClassVar[Space[Any]]
    draws: ClassVar[int]

    @abstractmethod
    def begin(self, draws: Tensor) -> Tensor:
        """First states `(N, k)` from random numbers `(N, draws)` in [0, 1), float64."""

    @abstractmethod
    def step(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One action `(N, ...)` each: the states after it, rewards `(N,)` float32, and whether the episode ended in itself `(N,)` bool."""

    @abstractmethod
    def observe(self, state: Tensor) -> Tensor:
        """What is seen of the states: `(N, *shape)` in the dtype of the observation space."""


def uniform(draws: Tensor, low: float, high: float) -> Tensor:
    """Numbers from [0, 1) spread over [low, high)."""
    return low + (high - low) * draws
