"""What recipes that train an agent in an environment do: train with evaluations and checkpoints, keep the best policy, evaluate, film."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import gymnasium

from flambeau.base.errors import MissingExtra
from flambeau.serialization import load
from flambeau.train import Callback, Checkpoint, CSVLogger, LearningCurve, Loop, RunContext
from flambeau_rl.adapters import vectorize
from flambeau_rl.agent import Agent
from flambeau_rl.callbacks import Evaluate
from flambeau_rl.evaluation import evaluate
from flambeau_rl.film import record, save_gif
from flambeau_rl.native import NativeVectorEnv

EVALUATION_SEED = 1_000_000  # so that episodes of the evaluation are not those of the training
PER_CHECKPOINT = 10_000  # steps


@dataclass(frozen=True)
class PlayConfig:
    """What a recipe has besides the settings of its agent."""

    steps: Annotated[int, "steps of the environments, all together"] = 100_000
    n_envs: Annotated[int, "environments side by side"] = 1
    env_backend: Annotated[Literal["gymnasium", "native"], "Gymnasium's environments, or ours in machine code"] = "gymnasium"
    compile: Annotated[bool | None, "act and learn in machine code; none: where it can be"] = None
    eval_episodes: Annotated[int, "episodes of the last evaluation"] = 100
    eval_every: Annotated[int, "steps between two small evaluations"] = 10_000
    gif: Annotated[bool, "film one episode"] = True


@dataclass(frozen=True)
class Play:
    """The work of a recipe: `recipe = Recipe(name, Config, Play(PPO, "CartPole-v1"))`.

    Attributes:
        kind: the agent.
        env: the environment's id.
        draw: makes a picture of an observation; None where there is no film.
        seconds: that a step lasts.
        every: steps for a picture of the film.
        shown: metrics that tell most, beside the returns.
    """

    kind: type[Agent]
    env: str
    draw: Callable[[Any], Any] | None = None
    seconds: float = 0.02
    every: int = 2
    shown: tuple[str, ...] = ("policy_loss", "value_loss")

    def agent(self, config: Any, *, seed: int = 0, device: Any = "cpu") -> Agent:
        """The recipe's agent in its environments."""
        if config.env_backend == "native":
            env: Any = NativeVectorEnv(self.env, config.n_envs, compiled=config.compile is not False)
        else:
            env = vectorize(self.env, config.n_envs)
        return self.kind(env, self.settings(config), seed=seed, device=device, compile=config.compile)

    def settings(self, config: Any) -> Any:
        """The agent's part of a recipe's configuration."""
        return self.kind.config_type(**{field.name: getattr(config, field.name) for field in fields(self.kind.config_type)})

    def __call__(self, config: Any, context: RunContext) -> dict[str, float]:
        """Train, evaluate, film."""
        agent = self.agent(config, seed=context.seed, device=context.device)
        checkpoint = Checkpoint(context.out, every_epochs=None, every_steps=PER_CHECKPOINT, best="eval_return", mode="max")
        show = Show(context, ("mean_return", "eval_return", *self.shown))
        callbacks = [
            Evaluate(self.env, every_steps=config.eval_every, seed=EVALUATION_SEED),
            show,
            CSVLogger(context.out / "metrics.csv"),
            *LearningCurve.if_possible(context.out / "learning_curve.png", metrics=("mean_return", "eval_return"), x="step"),
            checkpoint,
            *context.callbacks,
        ]
        agent.learn(config.steps, callbacks=callbacks, resume=context.out if context.resume else None)
        agent.environments.env.close()
        keep_best(agent, checkpoint)
        agent.save(context.out / "agent.safetensors", training=False)
        result = evaluate(agent, self.env, config.eval_episodes, seed=EVALUATION_SEED + 1000, n_envs=10)
        if config.gif and self.draw is not None:
            self.film(agent, context)
        return {
            "mean_return": result.mean_return,
            "std_return": result.std_return,
            "episodes": len(result.returns),
            "steps": agent.step,
            "steps_per_second": show.steps_per_second,
        }

    def film(self, agent: Agent, context: RunContext) -> None:
        """Write `episode.gif`, or say why not."""
        assert self.draw is not None
        with gymnasium.make(self.env) as env:
            try:
                pictures = record(agent, env, self.draw, every=self.every, seed=EVALUATION_SEED)
            except MissingExtra as error:
                print(f"No episode is filmed. {error}", file=sys.stderr)
                return
        save_gif(pictures, context.out / "episode.gif", seconds=self.seconds * self.every)


class Show(Callback):
    """Reports the numbers that tell most, and measures how many steps are done in a second."""

    def __init__(self, context: RunContext, names: tuple[str, ...]) -> None:
        self.context, self.names = context, names
        self.steps_per_second = 0.0

    def on_start(self, loop: Loop) -> None:
        self._first, self._start = loop.step, time.perf_counter()

    def on_end(self, loop: Loop) -> None:
        self.steps_per_second = (loop.step - self._first) / (time.perf_counter() - self._start)

    def on_epoch_end(self, loop: Loop) -> None:
        total = loop.total_steps or loop.step
        shown: dict[str, Any] = {name: loop.metrics[name] for name in self.names if name in loop.metrics}
        self.context.report(min(loop.step, total), total, **shown)


def keep_best(agent: Agent, checkpoint: Checkpoint) -> None:
    """Take the weights of the best evaluation, unless the last one was as good."""
    best = checkpoint.best.value if checkpoint.best is not None else None
    if best is not None and agent.metrics["eval_return"] < best:
        agent.model.load_state_dict(load(checkpoint.checkpoints.folder / "best.safetensors"))
