"""Gymnasium's vector environments, all read in the same way, whatever they do at the end of an episode.

Gymnasium knows three ways to begin the next episode (`metadata["autoreset_mode"]`), and reading one as another trains on wrong data:

| mode        | observation that comes with the end                | then                                                         |
|-------------|----------------------------------------------------|--------------------------------------------------------------|
| `SAME_STEP` | of the next episode; the last is in `final_obs`    | the next step is an ordinary one                             |
| `NEXT_STEP` | the last of the episode                            | the next step only resets: its action and reward mean nothing |
| `DISABLED`  | the last of the episode                            | somebody must call `reset` with a mask: here it is done      |
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau_rl.errors import EnvironmentFault
from flambeau_rl.snapshot import NoSnapshot, restore, take

Array = np.ndarray[Any, Any]
KEPT_EPISODES = 100  # over which mean returns are taken, as Stable-Baselines3 does


def vectorize(env: Any, n_envs: int = 1) -> Any:
    """A vector environment from whatever there is.

    Args:
        env: an environment's id, a function that makes one, an environment, or a vector environment (which is returned as it is).
        n_envs: how many, for an id or a function.

    >>> vectorize("CartPole-v1", 2).num_envs
    2
    """
    if isinstance(env, str):
        makers: list[Callable[[], Any]] = [lambda: gymnasium.make(env)] * n_envs
    elif isinstance(env, gymnasium.Env):
        makers = [lambda: env]
    elif hasattr(env, "num_envs") and hasattr(env, "single_action_space"):
        return env
    elif callable(env):
        makers = [env] * n_envs
    else:
        got = f"a {type(env).__name__}"
        raise ArgumentTypeError(explain("env", expected="an id, a function, or a Gymnasium environment (vector or not)", got=got))
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


@dataclass(frozen=True, slots=True)
class Transition:
    """What came of one action in each of N environments.

    Attributes:
        observations: `(N, *shape)`, what to act on next.
        rewards: `(N,)`, float32.
        terminated: `(N,)` bool, the episode ended in itself; nothing comes after it.
        truncated: `(N,)` bool, the episode was cut off; what would have come after it has a value.
        final_observations: `(K, *shape)`, the last observations of the K truncated episodes, in the order of the environments.
        valid: `(N,)` bool, False where the step only reset the environment.
    """

    observations: Array
    rewards: Array
    terminated: Array
    truncated: Array
    final_observations: Array
    valid: Array

    @property
    def ended(self) -> Array:
        """`(N,)` bool, whether the episode ended in either way."""
        return self.terminated | self.truncated


class Environments:
    """N environments, checked, counted and resumable.

    Args:
        env: as for `vectorize`.

    Attributes:
        observations: what to act on, after `reset`.
        episodes: the latest 100 finished episodes, as pairs (return, length).
        finished: those that the latest step finished, as triples (environment, return, length).
        steps: steps done so far in each environment.
    """

    def __init__(self, env: Any) -> None:
        self.env = vectorize(env)
        self.n_envs = int(self.env.num_envs)
        self.observation_space = self.env.single_observation_space
        self.action_space = self.env.single_action_space
        self.name = _name_of(self.env)
        self._settle = _SETTLERS[_mode_of(self.env, self.name)]
        self._is_float = np.issubdtype(self.observation_space.dtype, np.floating) if self.observation_space.dtype is not None else False
        self._shape = (self.n_envs, *(self.observation_space.shape or ()))
        self._all = np.ones(self.n_envs, np.bool_)
        self.observations: Array | None = None
        self.episodes: deque[tuple[float, int]] = deque(maxlen=KEPT_EPISODES)
        self.finished: list[tuple[int, float, int]] = []
        self.steps = 0
        self._clear()

    def _clear(self) -> None:
        self._returns = np.zeros(self.n_envs)
        self._lengths = np.zeros(self.n_envs, np.int64)
        self._resetting = np.zeros(self.n_envs, np.bool_)  # whose next step only resets

    def reset(self, seed: int | None = None) -> Array:
        """Begin a new episode everywhere."""
        observations, _ = self.env.reset(seed=seed)
        self._clear()
        self.observations = self._checked(observations, "the observation after reset")
        return self.observations

    def step(self, actions: Array) -> Transition:
        """Do one action `(N, ...)` in each environment.

        Raises EnvironmentFault for numbers that are not finite and shapes that are not the space's.
        """
        self.steps += 1
        try:
            observations, rewards, terminated, truncated, infos = self.env.step(actions)
        except Exception as error:
            error.add_note(f"This happened in step {self.steps} of {self.name}.")
            raise
        observations = self._checked(observations, "observation")
        rewards = self._finite(np.asarray(rewards, np.float32), "reward")
        valid = ~self._resetting if self._resetting.any() else self._all
        truncated = truncated & ~terminated
        ended = terminated | truncated
        final = observations[:0]
        if ended.any():
            observations, final = self._settle(self, observations, ended, truncated, infos)
        elif self._resetting.any():
            self._resetting = np.zeros(self.n_envs, np.bool_)
        self.observations = observations
        self._count(rewards, ended, valid)
        return Transition(self.observations, rewards, terminated, truncated, final, valid)

    def _count(self, rewards: Array, ended: Array, valid: Array) -> None:
        self._returns += rewards
        self._lengths += valid
        self.finished = []
        if ended.any():
            self.finished = [(int(i), float(self._returns[i]), int(self._lengths[i])) for i in np.flatnonzero(ended)]
            self.episodes.extend((total, length) for _, total, length in self.finished)
            self._returns[ended] = 0.0
            self._lengths[ended] = 0

    def _checked(self, observations: Any, field: str) -> Array:
        if not isinstance(observations, np.ndarray) or observations.shape != self._shape:
            got = str(observations.shape) if isinstance(observations, np.ndarray) else f"a {type(observations).__name__}"
            raise EnvironmentFault(explain(self._where(field), expected=f"an array of shape {self._shape}", got=got))
        if self._is_float:
            self._finite(observations, field)
        return observations.copy()  # an environment may write the next observation into the same memory

    def _finite(self, numbers: Array, field: str) -> Array:
        if not np.isfinite(numbers).all():
            env, *place = (int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
            got = f"{numbers[(env, *place)]} in {field}{place or ''} of environment {env}"
            raise EnvironmentFault(explain(self._where(field), expected="finite numbers", got=got))
        return numbers

    def _where(self, field: str) -> str:
        return f"{self.name}, step {self.steps}, {field}"

    def mean_return(self) -> float:
        """The mean over the latest 100 episodes, nan while there is none."""
        return float(np.mean([episode[0] for episode in self.episodes])) if self.episodes else float("nan")

    def mean_length(self) -> float:
        """Likewise, the number of steps."""
        return float(np.mean([episode[1] for episode in self.episodes])) if self.episodes else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Everything for going on in the middle of the episodes; `snapshot` is None where the environment cannot be read."""
        try:
            snapshot, reason = take(self.env), ""
        except NoSnapshot as error:
            snapshot, reason = None, str(error)
        return {
            "snapshot": snapshot,
            "reason": reason,
            "observations": self.observations,
            "returns": self._returns,
            "lengths": self._lengths,
            "resetting": self._resetting,
            "episodes": [list(episode) for episode in self.episodes],
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken. Where that cannot be, the environments begin new episodes and a warning says so."""
        self.steps = state["steps"]
        self.episodes.clear()
        self.episodes.extend((episode[0], episode[1]) for episode in state["episodes"])
        self.reset(seed=self.steps)
        try:
            if state["snapshot"] is None:
                raise NoSnapshot(state["reason"])
            restore(self.env, state["snapshot"])
        except NoSnapshot as error:
            self.reset(seed=self.steps)
            warnings.warn(f"{self.name} begins new episodes, so this run will differ from one without a break. {error}", stacklevel=2)
            return
        self.observations = np.array(state["observations"])
        self._returns, self._lengths = np.array(state["returns"]), np.array(state["lengths"])
        self._resetting = np.array(state["resetting"])


def _same_step(self: Environments, observations: Array, ended: Array, truncated: Array, infos: dict[str, Any]) -> tuple[Array, Array]:
    if not truncated.any():
        return observations, observations[:0]
    finals = infos.get("final_obs")
    if finals is None or any(finals[i] is None for i in np.flatnonzero(truncated)):
        raise EnvironmentFault(explain(self._where("infos"), expected="final_obs of the episodes that were truncated", got="none"))
    rows = np.stack([np.asarray(finals[i]) for i in np.flatnonzero(truncated)])
    return observations, self._finite(rows, "final_obs") if self._is_float else rows


def _next_step(self: Environments, observations: Array, ended: Array, truncated: Array, infos: dict[str, Any]) -> tuple[Array, Array]:
    self._resetting = ended
    return observations, observations[truncated]


def _disabled(self: Environments, observations: Array, ended: Array, truncated: Array, infos: dict[str, Any]) -> tuple[Array, Array]:
    begun, _ = self.env.reset(options={"reset_mask": ended})
    return self._checked(begun, "the observation after reset"), observations[truncated]


_SETTLERS = {AutoresetMode.SAME_STEP: _same_step, AutoresetMode.NEXT_STEP: _next_step, AutoresetMode.DISABLED: _disabled}


def _name_of(env: Any) -> str:
    inner = getattr(env, "envs", None)
    for candidate in (env, inner[0] if inner else None):
        spec = getattr(candidate, "spec", None)
        if spec is not None:
            return str(spec.id)
    return type(inner[0].unwrapped if inner else env).__name__


def _mode_of(env: Any, name: str) -> AutoresetMode:
    mode = env.metadata.get("autoreset_mode")
    try:
        return mode if isinstance(mode, AutoresetMode) else AutoresetMode(mode)
    except ValueError:
        expected = 'metadata["autoreset_mode"] of "NextStep", "SameStep" or "Disabled"'
        raise ArgumentError(
            explain(name, expected=expected, got=repr(mode), hint="make the environment with gymnasium 1.1 or newer")
        ) from None
