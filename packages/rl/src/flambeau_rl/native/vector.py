"""A native environment as a Gymnasium vector environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

import flambeau
from flambeau import Tensor, no_grad
from flambeau.base.errors import ArgumentError, explain
from flambeau_rl.native.catalogue import world as by_id
from flambeau_rl.native.world import World

Array = np.ndarray[Any, Any]


class NativeVectorEnv(VectorEnv[Array, Array, Array]):
    """N native environments side by side, with autoreset in the same step.

    Args:
        world: an id (see `WORLDS`) or a `World`.
        num_envs: how many.
        compiled: step in machine code (`flambeau.compile`), with the same results.
        device: where the states live.

    Attributes:
        state: `(N, k)`, the states; `elapsed`: `(N,)`, steps since the episodes began. `advance` changes both in place.

    >>> env = NativeVectorEnv("CartPole-v1", 3)
    >>> observations, _ = env.reset(seed=0)
    >>> observations, rewards, terminated, truncated, _ = env.step(np.array([0, 1, 0]))
    >>> observations.shape, rewards
    ((3, 4), array([1., 1., 1.], dtype=float32))
    """

    def __init__(self, world: str | World, num_envs: int = 1, *, compiled: bool = False, device: Any = "cpu") -> None:
        if num_envs < 1:
            raise ArgumentError(explain("NativeVectorEnv", expected="num_envs of 1 or more", got=str(num_envs)))
        self.world = by_id(world) if isinstance(world, str) else world
        self.num_envs = num_envs
        self.spec = gymnasium.registry.get(self.world.id) or EnvSpec(self.world.id)
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space, self.single_action_space = self.world.observation_space, self.world.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.device = flambeau.device(device)
        self.generator = flambeau.Generator(self.device)
        self.elapsed = flambeau.zeros(num_envs, dtype=flambeau.int64, device=self.device)
        self.state = self._beginnings()
        self._step = flambeau.compile(self.advance) if compiled else self.advance

    def __str__(self) -> str:
        return f"NativeVectorEnv({self.world.id!r}, {self.num_envs})"

    def _beginnings(self) -> Tensor:
        shape = (self.num_envs, self.world.draws)
        return self.world.begin(flambeau.rand(shape, dtype=flambeau.float64, generator=self.generator, device=self.device))

    def advance(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """One step on tensors: what is seen now `(N, *shape)`, rewards, terminated, truncated `(N,)`, and what was seen at the step's end.

        The first and the last differ where an episode ended and the next began.
        """
        with no_grad():
            state, rewards, terminated = self.world.step(self.state, actions)
            elapsed = self.elapsed + 1
            truncated = ~terminated & (elapsed >= self.world.max_episode_steps)
            final = self.world.observe(state)
            over = terminated | truncated
            state = flambeau.where(over.unsqueeze(1), self._beginnings(), state)
            self.state.copy_(state)
            self.elapsed.copy_(flambeau.where(over, 0, elapsed))
            return self.world.observe(state), rewards, terminated, truncated, final

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """Begin new episodes everywhere; `seed` decides them and all later ones."""
        if seed is not None:
            self.generator.manual_seed(seed)
        with no_grad():
            self.state.copy_(self._beginnings())
            self.elapsed.zero_()
            return _array(self.world.observe(self.state)), {}

    def step(self, actions: Array) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        """One action `(N, ...)` each. `infos` has `final_obs` where episodes ended."""
        actions = np.asarray(actions)
        if actions.shape != self.action_space.shape:
            raise ArgumentError(explain(str(self), expected=f"actions of shape {self.action_space.shape}", got=str(actions.shape)))
        observations, rewards, terminated, truncated, final = self._step(flambeau.from_numpy(actions).to(self.device))
        over = _array(terminated | truncated)
        infos: dict[str, Any] = {"final_obs": _array(final), "_final_obs": over} if over.any() else {}
        return _array(observations), _array(rewards), _array(terminated), _array(truncated), infos

    def state_dict(self) -> dict[str, Any]:
        """Everything for going on in the middle of the episodes."""
        return {"state": self.state.clone(), "elapsed": self.elapsed.clone(), "random": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        with no_grad():
            self.state.copy_(state["state"])
            self.elapsed.copy_(state["elapsed"])
        self.generator.set_state(state["random"])


def _array(tensor: Tensor) -> Array:
    return tensor.cpu().numpy()
