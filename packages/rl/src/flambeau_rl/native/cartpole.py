"""CartPole-v1: balance a pole on a cart (Barto, Sutton and Anderson 1983)."""

from __future__ import annotations

import math

import numpy as np
from gymnasium.spaces import Box, Discrete

import flambeau
from flambeau import Tensor
from flambeau_rl.native.world import World, uniform

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
TOTAL = CART + POLE
FAR, TILTED = 2.4, 12 * 2 * math.pi / 360
_HIGH = np.array([2 * FAR, np.inf, 2 * TILTED, np.inf], np.float32)


class CartPole(World):
    """A state is position (m), velocity (m/s), angle (rad) and angular velocity (rad/s), float64, integrated by Euler's method.

    Every step earns 1. The episode ends when the cart is 2.4 m or the pole 12 degrees off.
    """

    id = "CartPole-v1"
    max_episode_steps = 500
    observation_space = Box(-_HIGH, _HIGH, dtype=np.float32)
    action_space = Discrete(2)
    draws = 4

    def begin(self, draws: Tensor) -> Tensor:
        return uniform(draws, -0.05, 0.05)

    def step(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, speed, angle, spin = state.unbind(1)
        force = FORCE * (2 * actions - 1).to(state.dtype)
        cos, sin = angle.cos(), angle.sin()
        push = (force + POLE * HALF_LENGTH * spin.square() * sin) / TOTAL
        turning = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4.0 / 3.0 - POLE * cos.square() / TOTAL))
        driving = push - POLE * HALF_LENGTH * turning * cos / TOTAL
        x, speed = x + SECONDS * speed, speed + SECONDS * driving
        angle, spin = angle + SECONDS * spin, spin + SECONDS * turning
        fallen = (x.abs() > FAR) | (angle.abs() > TILTED)
        return flambeau.stack([x, speed, angle, spin], 1), flambeau.ones_like(x, dtype=flambeau.float32), fallen

    def observe(self, state: Tensor) -> Tensor:
        return state.float()
