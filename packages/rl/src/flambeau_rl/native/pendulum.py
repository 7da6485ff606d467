"""Pendulum-v1: swing a pendulum up and hold it there with little torque."""

from __future__ import annotations

import math

import numpy as np
from gymnasium.spaces import Box

import flambeau
from flambeau import Tensor
from flambeau_rl.native.world import World, uniform

FASTEST, STRONGEST, SECONDS, GRAVITY = 8.0, 2.0, 0.05, 10.0
_HIGH = np.array([1.0, 1.0, FASTEST], np.float32)


class Pendulum(World):
    """A state is angle (rad, 0 is up) and angular velocity (rad/s), float64. A step costs the squares of angle, speed and torque.

    Episodes have no end of their own: they are cut off after 200 steps.
    """

    id = "Pendulum-v1"
    max_episode_steps = 200
    observation_space = Box(-_HIGH, _HIGH, dtype=np.float32)
    action_space = Box(-STRONGEST, STRONGEST, (1,), np.float32)
    draws = 2

    def begin(self, draws: Tensor) -> Tensor:
        return flambeau.stack([uniform(draws[:, 0], -math.pi, math.pi), uniform(draws[:, 1], -1.0, 1.0)], 1)

    def step(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        angle, spin = state.unbind(1)
        torque = actions[:, 0].float().clamp(-STRONGEST, STRONGEST)
        off = (angle + math.pi) % (2 * math.pi) - math.pi
        cost = off**2 + 0.1 * spin**2 + (0.001 * torque**2).double()
        spin = spin + (3 * GRAVITY / 2 * angle.sin() + (3.0 * torque).double()) * SECONDS
        spin = spin.clamp(-FASTEST, FASTEST)
        never = flambeau.zeros_like(angle, dtype=flambeau.bool)
        return flambeau.stack([angle + spin * SECONDS, spin], 1), -cost.float(), never

    def observe(self, state: Tensor) -> Tensor:
        angle, spin = state.unbind(1)
        return flambeau.stack([angle.cos(), angle.sin(), spin], 1).float()
