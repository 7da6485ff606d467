"""Small environments whose every number is known beforehand."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv


class Scripted(gymnasium.Env):
    """Episode k lasts `lengths[k % len]` steps; a negative length is cut off instead of ending in itself.

    The observation is (episode, step within it); the reward of a step is 100 * episode + step + action.
    """

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Discrete(3)

    def __init__(self, lengths: tuple[int, ...] = (2, -3, 1)) -> None:
        self.lengths = lengths
        self.episode = -1
        self.at = 0

    def _observation(self) -> np.ndarray:
        return np.array([self.episode, self.at], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode, self.at = self.episode + 1, 0
        return self._observation(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.at += 1
        length = self.lengths[self.episode % len(self.lengths)]
        over = self.at == abs(length)
        return self._observation(), 100.0 * self.episode + self.at + float(action), over and length > 0, over and length < 0, {}


class Guess(gymnasium.Env):
    """Name the observation: episodes of one step, reward 1 for the right answer (for a Box: minus the squared error)."""

    def __init__(self, space: gymnasium.Space) -> None:
        self.action_space = space
        self.observation_space = space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.answer = self.observation_space.sample()
        return self.answer, {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        error = np.asarray(action, np.float64) - self.answer
        reward = -float(np.mean(error**2)) if isinstance(self.action_space, Box) else float(np.mean(error == 0))
        return self.answer, reward, True, False, {}


SPACES = [
    Discrete(3),
    Discrete(3, start=-1),
    MultiDiscrete([2, 3]),
    MultiDiscrete([[2, 3], [2, 2]], start=[[1, 0], [-1, 0]]),
    MultiBinary(3),
    MultiBinary([2, 2]),
    Box(-1.0, 1.0, (2,)),
    Box(np.array([[-1.0, 0.0]], np.float64), np.array([[1.0, 2.0]], np.float64), dtype=np.float64),
]


def vector(make: Any, n_envs: int, mode: AutoresetMode = AutoresetMode.SAME_STEP, **options: Any) -> SyncVectorEnv:
    return SyncVectorEnv([make] * n_envs, autoreset_mode=mode, **options)
