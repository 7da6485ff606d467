"""`flambeau fit cartpole`: PPO learns to balance the pole of Gymnasium's CartPole-v1 in a minute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from flambeau.train import Recipe
from flambeau_rl.agents.ppo import PPO, PPOConfig
from flambeau_rl.drawings import draw_cartpole
from flambeau_rl.recipes.play import Play, PlayConfig


@dataclass(frozen=True)
class Config(PlayConfig, PPOConfig):
    """The settings for CartPole-v1 of RL Baselines3 Zoo (`hyperparams/ppo.yml`), which reaches 500.0 in 100,000 steps there.

    With these settings some seeds forget what they knew and have to learn it again, so the best policy that was seen is kept, as there.
    """

    n_envs: Annotated[int, "environments side by side"] = 8
    learning_rate: Annotated[float | str, "step size of Adam, a schedule"] = "lin_1e-3"
    n_steps: Annotated[int, "steps of each environment between two updates"] = 32
    batch_size: Annotated[int, "steps in a minibatch"] = 256
    n_epochs: Annotated[int, "passes over the collected steps"] = 20
    gamma: Annotated[float, "discount of a reward that comes a step later"] = 0.98
    gae_lambda: Annotated[float, "0 trusts the value function, 1 the rewards"] = 0.8
    clip_range: Annotated[float | str, "how far a probability may move in one update, a schedule"] = "lin_0.2"


recipe = Recipe(
    "cartpole",
    Config,
    Play(PPO, "CartPole-v1", draw_cartpole),
    "PPO balances the pole of CartPole-v1 (mean return of 475 or more out of 500 counts as solved).",
    threads=1,  # products of 256 rows: sharing them between cores costs more than it brings
    next_steps=(
        "watch runs/cartpole/episode.gif, and see how it got there in runs/cartpole/learning_curve.png and metrics.csv",
        "flambeau fit cartpole --seed 1 --out runs/cartpole-1        another seed",
        "flambeau fit cartpole --set env_backend=native              environments in machine code",
        "flambeau fit cartpole --set learning_rate=3e-4 --set n_epochs=10   (flambeau fit cartpole --options lists them all)",
        "python -c \"from flambeau.rl import PPO; print(PPO.load('runs/cartpole/agent.safetensors').evaluate('CartPole-v1'))\"",
    ),
)
