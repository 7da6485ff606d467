"""Environments written in Flambeau's operations: a batch of them steps at once, and compiles together with a policy and its update."""

from flambeau_rl.native.catalogue import WORLDS, world
from flambeau_rl.native.vector import NativeVectorEnv
from flambeau_rl.native.world import World

__all__ = ["WORLDS", "NativeVectorEnv", "World", "world"]
