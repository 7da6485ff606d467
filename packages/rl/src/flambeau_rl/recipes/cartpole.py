"""`flambeau fit cartpole`: PPO learns to balance the pole of Gymnasium's CartPole-v1 in a minute."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, fields
from typing import Annotated, Any

import gymnasium

from flambeau.base.errors import MissingExtra
from flambeau.serialization import load
from flambeau.train import Callback, Checkpoint, CSVLogger, LearningCurve, Loop, Recipe, RunContext
from flambeau_rl.adapters import vectorize
from flambeau_rl.agents.ppo import PPO, PPOConfig
from flambeau_rl.callbacks import Evaluate
from flambeau_rl.drawings import draw_cartpole
from flambeau_rl.evaluation import evaluate
from flambeau_rl.film import record, save_gif

ENV = "CartPole-v1"
FRAME = 2  # steps of 0.02 s that a picture of the film stands for
EVALUATION_SEED = 1_000_000  # so that episodes of the evaluation are not those of the training


@dataclass(frozen=True)
class Config(PPOConfig):
    """The settings for CartPole-v1 of RL Baselines3 Zoo (`hyperparams/ppo.yml`), which reaches 500.0 in 100,000 steps there.

    With these settings some seeds forget what they knew and have to learn it again, so the best policy that was seen is kept, as there.
    """

    steps: Annotated[int, "steps of the environments, all together"] = 100_000
    n_envs: Annotated[int, "environments side by side"] = 8
    eval_episodes: Annotated[int, "episodes of the last evaluation"] = 100
    eval_every: Annotated[int, "steps between two small evaluations"] = 10_000
    gif: Annotated[bool, "film one episode"] = True
    learning_rate: Annotated[float | str, "step size of Adam, a schedule"] = "lin_1e-3"
    n_steps: Annotated[int, "steps of each environment between two updates"] = 32
    batch_size: Annotated[int, "steps in a minibatch"] = 256
    n_epochs: Annotated[int, "passes over the collected steps"] = 20
    gamma: Annotated[float, "discount of a reward that comes a step later"] = 0.98
    gae_lambda: Annotated[float, "0 trusts the value function, 1 the rewards"] = 0.8
    clip_range: Annotated[float | str, "how far a probability may move in one update, a schedule"] = "lin_0.2"

    def agent(self) -> PPOConfig:
        """The agent's part of the settings."""
        return PPOConfig(**{field.name: getattr(self, field.name) for field in fields(PPOConfig)})


class Show(Callback):
    """Reports the numbers that tell most, and measures how many steps are done in a second."""

    def __init__(self, context: RunContext) -> None:
        self.context = context
        self.steps_per_second = 0.0

    def on_start(self, loop: Loop) -> None:
        self._first, self._start = loop.step, time.perf_counter()

    def on_end(self, loop: Loop) -> None:
        self.steps_per_second = (loop.step - self._first) / (time.perf_counter() - self._start)

    def on_epoch_end(self, loop: Loop) -> None:
        total = loop.total_steps or loop.step
        shown: dict[str, Any] = {name: loop.metrics[name] for name in ("mean_return", "eval_return", "policy_loss", "value_loss")}
        self.context.report(min(loop.step, total), total, **shown)


def run(config: Config, context: RunContext) -> dict[str, float]:
    """Train, evaluate, film."""
    env = vectorize(ENV, config.n_envs)
    checkpoint = Checkpoint(context.out, every_epochs=max(1, 10_000 // (config.n_steps * config.n_envs)), best="eval_return", mode="max")
    agent = PPO(env, config.agent(), seed=context.seed, device=context.device)
    show = Show(context)
    callbacks = [
        Evaluate(ENV, every_steps=config.eval_every, seed=EVALUATION_SEED),
        show,
        CSVLogger(context.out / "metrics.csv"),
        *LearningCurve.if_possible(context.out / "learning_curve.png", metrics=("mean_return", "eval_return"), x="step"),
        checkpoint,
        *context.callbacks,
    ]
    agent.learn(config.steps, callbacks=callbacks, resume=context.out if context.resume else None)
    env.close()
    keep_best(agent, checkpoint)
    agent.save(context.out / "agent.safetensors", training=False)
    result = evaluate(agent, ENV, config.eval_episodes, seed=EVALUATION_SEED + 1000, n_envs=10)
    if config.gif:
        film(agent, context)
    return {
        "mean_return": result.mean_return,
        "std_return": result.std_return,
        "episodes": len(result.returns),
        "steps": agent.step,
        "steps_per_second": show.steps_per_second,
    }


def keep_best(agent: PPO, checkpoint: Checkpoint) -> None:
    """Take the weights of the best evaluation, unless the last one was as good."""
    best = checkpoint.best.value if checkpoint.best is not None else None
    if best is not None and agent.metrics["eval_return"] < best:
        agent.model.load_state_dict(load(checkpoint.checkpoints.folder / "best.safetensors"))


def film(agent: PPO, context: RunContext) -> None:
    """Write `episode.gif`, or say why not."""
    with gymnasium.make(ENV) as env:
        try:
            pictures = record(agent, env, draw_cartpole, every=FRAME, seed=EVALUATION_SEED)
        except MissingExtra as error:
            print(f"No episode is filmed. {error}", file=sys.stderr)
            return
    save_gif(pictures, context.out / "episode.gif", seconds=0.02 * FRAME)


recipe = Recipe(
    "cartpole",
    Config,
    run,
    "PPO balances the pole of CartPole-v1 (mean return of 475 or more out of 500 counts as solved).",
    threads=1,  # products of 256 rows: sharing them between cores costs more than it brings
    next_steps=(
        "watch runs/cartpole/episode.gif, and see how it got there in runs/cartpole/learning_curve.png and metrics.csv",
        "flambeau fit cartpole --seed 1 --out runs/cartpole-1        another seed",
        "flambeau fit cartpole --set learning_rate=3e-4 --set n_epochs=10   (flambeau fit cartpole --options lists them all)",
        "python -c \"from flambeau.rl import PPO; print(PPO.load('runs/cartpole/agent.safetensors').evaluate('CartPole-v1'))\"",
    ),
)
