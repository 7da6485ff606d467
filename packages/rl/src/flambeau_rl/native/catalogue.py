"""The native environments by the id of the Gymnasium environment that each equals."""

from __future__ import annotations

from flambeau.base.errors import ArgumentError, explain
from flambeau_rl.native.acrobot import Acrobot
from flambeau_rl.native.breakout import Breakout
from flambeau_rl.native.cartpole import CartPole
from flambeau_rl.native.mountain_car import MountainCar, MountainCarContinuous
from flambeau_rl.native.pendulum import Pendulum
from flambeau_rl.native.world import World

WORLDS: dict[str, type[World]] = {kind.id: kind for kind in (CartPole, Acrobot, MountainCar, MountainCarContinuous, Pendulum, Breakout)}


def world(id: str) -> World:
    """The rules of a native environment.

    >>> world("CartPole-v1").max_episode_steps
    500
    """
    if id not in WORLDS:
        raise ArgumentError(explain("native environment", expected=" or ".join(WORLDS), got=repr(id)))
    return WORLDS[id]()
