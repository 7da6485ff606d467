"""MountainCar-v0 and MountainCarContinuous-v0: get a weak car out of a valley by swinging (Moore 1990)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from gymnasium.spaces import Box, Discrete

import flambeau
from flambeau import Tensor
from flambeau_rl.native.world import World, uniform

LEFT, RIGHT, FASTEST = -1.2, 0.6, 0.07
GRAVITY = 0.0025
_SPACE = Box(np.array([LEFT, -FASTEST], np.float32), np.array([RIGHT, FASTEST], np.float32), dtype=np.float32)


class MountainCar(World):
    """A state is position and velocity, float64. Actions push to the left, not, or to the right. Every step earns -1."""

    id = "MountainCar-v0"
    max_episode_steps = 200
    observation_space = _SPACE
    action_space = Discrete(3)
    draws = 1
    goal: ClassVar[float] = 0.5

    def begin(self, draws: Tensor) -> Tensor:
        position = uniform(draws[:, 0], -0.6, -0.4)
        return flambeau.stack([position, flambeau.zeros_like(position)], 1)

    def step(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        position, speed = state.unbind(1)
        speed = speed + ((actions - 1).to(state.dtype) * 0.001 + (3 * position).cos() * -GRAVITY)
        state, there = _moved(position, speed, self.goal)
        return state, flambeau.full_like(position, -1.0, dtype=flambeau.float32), there

    def observe(self, state: Tensor) -> Tensor:
        return state.float()


class MountainCarContinuous(World):
    """A state is position and velocity, float32. An action pushes with a force from -1 to 1, which costs its square; arriving earns 100."""

    id = "MountainCarContinuous-v0"
    max_episode_steps = 999
    observation_space = _SPACE
    action_space = Box(-1.0, 1.0, (1,), np.float32)
    draws = 1
    goal: ClassVar[float] = 0.45

    def begin(self, draws: Tensor) -> Tensor:
        position = uniform(draws[:, 0], -0.6, -0.4).float()
        return flambeau.stack([position, flambeau.zeros_like(position)], 1)

    def step(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        position, speed = state.unbind(1)
        action = actions[:, 0]
        slope = GRAVITY * (3 * position).double().cos()  # Python's cosine is double
        speed = speed + (action.clamp(-1.0, 1.0) * 0.0015 - slope.float())
        state, there = _moved(position, speed, self.goal)
        return state, 100.0 * there.float() - (0.1 * action.double().square()).float(), there

    def observe(self, state: Tensor) -> Tensor:
        return state


def _moved(position: Tensor, speed: Tensor, goal: float) -> tuple[Tensor, Tensor]:
    """The state after a move at this speed, which the walls stop, and whether the goal is reached."""
    speed = speed.clamp(-FASTEST, FASTEST)
    position = (position + speed).clamp(LEFT, RIGHT)
    speed = flambeau.where((position <= LEFT) & (speed < 0), 0.0, speed)
    return flambeau.stack([position, speed], 1), (position >= goal) & (speed >= 0)
