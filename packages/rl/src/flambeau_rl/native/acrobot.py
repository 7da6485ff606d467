"""Acrobot-v1: swing a double pendulum above a line by the torque of its inner joint (Sutton 1996, with the equations of the book)."""

from __future__ import annotations

import math

import numpy as np
from gymnasium.spaces import Box, Discrete

import flambeau
from flambeau import Tensor
from flambeau_rl.native.world import World, uniform

SECONDS, GRAVITY = 0.2, 9.8
FASTEST = (4 * math.pi, 9 * math.pi)
_HIGH = np.array([1.0, 1.0, 1.0, 1.0, *FASTEST], np.float32)


class Acrobot(World):
    """A state is both angles (rad) and both angular velocities (rad/s), float64, integrated by the Runge-Kutta method of order 4.

    Links of 1 m and 1 kg, whose centres are in their middles, with moments of inertia of 1. Every step but the last earns -1.
    """

    id = "Acrobot-v1"
    max_episode_steps = 500
    observation_space = Box(-_HIGH, _HIGH, dtype=np.float32)
    action_space = Discrete(3)
    draws = 4

    def begin(self, draws: Tensor) -> Tensor:
        return uniform(draws, -0.1, 0.1).float().double()  # Gymnasium rounds the first state

    def step(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        torque = (actions - 1).to(state.dtype)
        first = _change(state, torque)
        second = _change(state + SECONDS / 2.0 * first, torque)
        third = _change(state + SECONDS / 2.0 * second, torque)
        fourth = _change(state + SECONDS * third, torque)
        one, two, spin_one, spin_two = (state + SECONDS / 6.0 * (first + 2 * second + 2 * third + fourth)).unbind(1)
        one, two = _wrapped(one), _wrapped(two)
        spin_one, spin_two = spin_one.clamp(-FASTEST[0], FASTEST[0]), spin_two.clamp(-FASTEST[1], FASTEST[1])
        high = -one.cos() - (two + one).cos() > 1.0
        return flambeau.stack([one, two, spin_one, spin_two], 1), high.float() - 1.0, high

    def observe(self, state: Tensor) -> Tensor:
        one, two, spin_one, spin_two = state.unbind(1)
        return flambeau.stack([one.cos(), one.sin(), two.cos(), two.sin(), spin_one, spin_two], 1).float()


def _change(state: Tensor, torque: Tensor) -> Tensor:
    """The derivative of the state by time."""
    one, two, spin_one, spin_two = state.unbind(1)
    cos, sin = two.cos(), two.sin()
    d1 = 0.25 + (1.25 + cos) + 2.0
    d2 = (0.25 + 0.5 * cos) + 1.0
    phi2 = 0.5 * GRAVITY * (one + two - math.pi / 2.0).cos()
    phi1 = -0.5 * spin_two**2 * sin - spin_two * spin_one * sin + 1.5 * GRAVITY * (one - math.pi / 2).cos() + phi2
    turn_two = (torque + d2 / d1 * phi1 - 0.5 * spin_one**2 * sin - phi2) / (1.25 - d2**2 / d1)
    turn_one = -(d2 * turn_two + phi1) / d1
    return flambeau.stack([spin_one, spin_two, turn_one, turn_two], 1)


def _wrapped(angle: Tensor) -> Tensor:
    """An angle between -pi and pi; within a step the joints turn by less than two rounds."""
    for _ in range(2):
        angle = flambeau.where(angle > math.pi, angle - 2 * math.pi, angle)
        angle = flambeau.where(angle < -math.pi, angle + 2 * math.pi, angle)
    return angle
