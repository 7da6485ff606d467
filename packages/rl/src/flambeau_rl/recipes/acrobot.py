"""`flambeau fit acrobot`: DQN swings a double pendulum up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from flambeau.train import Recipe
from flambeau_rl.agents.dqn import DQN, DQNConfig
from flambeau_rl.drawings import draw_acrobot
from flambeau_rl.recipes.play import Play, PlayConfig


@dataclass(frozen=True)
class Config(PlayConfig, DQNConfig):
    """The settings for Acrobot-v1 of RL Baselines3 Zoo (`hyperparams/dqn.yml`), which reaches -76.6 in 100,000 steps there."""

    learning_rate: Annotated[float | str, "step size of Adam, a schedule"] = 6.3e-4
    batch_size: Annotated[int, "transitions of an update"] = 128
    buffer_size: Annotated[int, "transitions that are remembered"] = 50_000
    learning_starts: Annotated[int, "random steps before the first update"] = 0
    target_update_interval: Annotated[int, "steps between two changes of the slow copy"] = 250
    train_freq: Annotated[int, "steps of each environment between two rounds of updates"] = 4
    gradient_steps: Annotated[int, "updates of a round; -1: as many as steps were done"] = -1
    exploration_fraction: Annotated[float, "share of the learning over which random actions become rarer"] = 0.12
    exploration_final_eps: Annotated[float, "share of random actions in the end"] = 0.1
    net_arch: Annotated[tuple[int, ...], "hidden units"] = (256, 256)


recipe = Recipe(
    "acrobot",
    Config,
    Play(DQN, "Acrobot-v1", draw_acrobot, seconds=0.2, every=1, shown=("loss", "mean_value")),
    "DQN swings the double pendulum of Acrobot-v1 up (a mean return of -95 or more is good).",
    threads=1,
    next_steps=("watch runs/acrobot/episode.gif", "flambeau fit acrobot --set double=true --set dueling=true"),
)
