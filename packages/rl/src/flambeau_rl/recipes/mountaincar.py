"""`flambeau fit mountaincar`: DQN gets a weak car out of a valley."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from flambeau.train import Recipe
from flambeau_rl.agents.dqn import DQN, DQNConfig
from flambeau_rl.drawings import draw_mountain_car
from flambeau_rl.recipes.play import Play, PlayConfig


@dataclass(frozen=True)
class Config(PlayConfig, DQNConfig):
    """The settings for MountainCar-v0 of RL Baselines3 Zoo (`hyperparams/dqn.yml`), which reaches -100.8 in 120,000 steps there."""

    steps: Annotated[int, "steps of the environments, all together"] = 120_000
    learning_rate: Annotated[float | str, "step size of Adam, a schedule"] = 4e-3
    batch_size: Annotated[int, "transitions of an update"] = 128
    buffer_size: Annotated[int, "transitions that are remembered"] = 10_000
    learning_starts: Annotated[int, "random steps before the first update"] = 1000
    gamma: Annotated[float, "discount of a reward that comes a step later"] = 0.98
    target_update_interval: Annotated[int, "steps between two changes of the slow copy"] = 600
    train_freq: Annotated[int, "steps of each environment between two rounds of updates"] = 16
    gradient_steps: Annotated[int, "updates of a round; -1: as many as steps were done"] = 8
    exploration_fraction: Annotated[float, "share of the learning over which random actions become rarer"] = 0.2
    exploration_final_eps: Annotated[float, "share of random actions in the end"] = 0.07
    net_arch: Annotated[tuple[int, ...], "hidden units"] = (256, 256)


recipe = Recipe(
    "mountaincar",
    Config,
    Play(DQN, "MountainCar-v0", draw_mountain_car, seconds=0.033, every=2, shown=("loss", "mean_value")),
    "DQN gets the car of MountainCar-v0 out of its valley (a mean return of -120 or more is good).",
    threads=1,
    next_steps=("watch runs/mountaincar/episode.gif",),
)
