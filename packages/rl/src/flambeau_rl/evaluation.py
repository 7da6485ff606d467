"""How good is an agent? Whole episodes, counted fairly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from flambeau.base.errors import ArgumentError, explain
from flambeau_rl.adapters import Environments, vectorize


class Player(Protocol):
    """Whoever can choose actions."""

    def predict(self, observations: Any, deterministic: bool = True) -> Any:
        """Actions for a batch of observations."""


@dataclass(frozen=True)
class Evaluation:
    """The returns (sums of rewards) and lengths of some episodes."""

    returns: tuple[float, ...] = field(repr=False)
    lengths: tuple[int, ...] = field(repr=False)

    @property
    def mean_return(self) -> float:
        """The mean of the returns."""
        return float(np.mean(self.returns))

    @property
    def std_return(self) -> float:
        """The standard deviation of the returns."""
        return float(np.std(self.returns))

    @property
    def mean_length(self) -> float:
        """The mean number of steps."""
        return float(np.mean(self.lengths))

    def __str__(self) -> str:
        return f"{self.mean_return:.1f} +/- {self.std_return:.1f} over {len(self.returns)} episodes"


def evaluate(
    agent: Player, env: Any, n_episodes: int = 100, *, deterministic: bool = True, seed: int | None = None, n_envs: int = 1
) -> Evaluation:
    """Let an agent play whole episodes.

    Every environment plays a number of episodes that is fixed beforehand. (Taking the first `n_episodes` to finish anywhere would prefer
    short ones.)

    Args:
        agent: anything with `predict(observations, deterministic)`.
        env: an environment, a vector environment, an id or a function that makes one.
        n_episodes: how many.
        deterministic: the most probable actions, or actions drawn as in training.
        seed: of the environments.
        n_envs: how many environments, for an id or a function; they are closed afterwards.
    """
    if n_episodes < 1:
        raise ArgumentError(explain("evaluate", expected="n_episodes of 1 or more", got=str(n_episodes)))
    vector = vectorize(env, min(n_envs, n_episodes))
    try:
        return _play(agent, Environments(vector), n_episodes, deterministic, seed)
    finally:
        if isinstance(env, str) or (vector is not env and not hasattr(env, "step")):
            vector.close()


def _play(agent: Player, environments: Environments, n_episodes: int, deterministic: bool, seed: int | None) -> Evaluation:
    wanted = (n_episodes + np.arange(environments.n_envs)) // environments.n_envs
    returns: list[list[float]] = [[] for _ in wanted]
    lengths: list[list[int]] = [[] for _ in wanted]
    observations = environments.reset(seed)
    while any(len(done) < count for done, count in zip(returns, wanted, strict=True)):
        transition = environments.step(agent.predict(observations, deterministic))
        observations = transition.observations
        for i, total, length in environments.finished:
            if len(returns[i]) < wanted[i]:
                returns[i].append(total)
                lengths[i].append(length)
    return Evaluation(tuple(r for row in returns for r in row), tuple(n for row in lengths for n in row))
