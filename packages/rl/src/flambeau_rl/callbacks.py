"""Callbacks for agents, beside those of `flambeau.train`."""

from __future__ import annotations

import math
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.train import Callback
from flambeau_rl.evaluation import evaluate


class Evaluate(Callback):
    """Plays whole episodes now and then, and adds `eval_return`, the mean of their returns, to the metrics.

    The returns of training are those of a policy that explores and changes all the time; these are the agent's own. The first comes after
    `every_steps` steps, the last at the end; in between the metric keeps its value, and before the first it is nan.

    Args:
        env: as for `flambeau_rl.evaluate`; not the environment that the agent learns in.
        every_steps: how often.
        n_episodes: how many each time, always from the same first states.
        seed: of these.
        n_envs: how many environments, for an id or a function.
    """

    order = -10  # before those that read the metrics

    def __init__(self, env: Any, *, every_steps: int = 10_000, n_episodes: int = 20, seed: int = 0, n_envs: int = 10) -> None:
        if every_steps < 1:
            raise ArgumentError(explain("Evaluate", expected="every_steps of 1 or more", got=str(every_steps)))
        self.env = env
        self.every_steps = every_steps
        self.n_episodes = n_episodes
        self.seed = seed
        self.n_envs = n_envs
        self.value = math.nan
        self._rounds = 0

    def on_epoch_end(self, loop: Any) -> None:
        rounds = loop.step // self.every_steps
        if rounds > self._rounds or loop.done:
            self._rounds = rounds
            self.value = evaluate(loop, self.env, self.n_episodes, seed=self.seed, n_envs=self.n_envs).mean_return
        loop.metrics["eval_return"] = self.value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "rounds": self._rounds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value, self._rounds = state["value"], state["rounds"]
