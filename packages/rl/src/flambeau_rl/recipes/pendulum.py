"""`flambeau fit pendulum`: SAC swings a pendulum up and holds it there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from flambeau.train import Recipe
from flambeau_rl.agents.sac import SAC, SACConfig
from flambeau_rl.drawings import draw_pendulum
from flambeau_rl.recipes.play import Play, PlayConfig


@dataclass(frozen=True)
class Config(PlayConfig, SACConfig):
    """The settings for Pendulum-v1 of RL Baselines3 Zoo (`hyperparams/sac.yml`), which reaches -157.0 in 20,000 steps there."""

    steps: Annotated[int, "steps of the environments, all together"] = 20_000
    eval_every: Annotated[int, "steps between two small evaluations"] = 2_500
    learning_rate: Annotated[float | str, "step size of Adam for all networks, a schedule"] = 1e-3


recipe = Recipe(
    "pendulum",
    Config,
    Play(SAC, "Pendulum-v1", draw_pendulum, seconds=0.05, every=1, shown=("actor_loss", "critic_loss", "ent_coef")),
    "SAC swings the pendulum of Pendulum-v1 up (a mean return of -190 or more is good).",
    threads=1,
    next_steps=("watch runs/pendulum/episode.gif",),
)
