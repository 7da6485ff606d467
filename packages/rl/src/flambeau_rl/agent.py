"""What every agent can do.

`learn` is the same for all: act, let the environments step, observe what came of it. An agent says how to `act` and what to do with what it
observes. So these are also the parts of a loop of one's own:

    observations = agent.environments.reset(seed=0)
    while ...:
        transition = agent.environments.step(agent.act(observations))
        agent.observe(transition)
        observations = transition.observations
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, is_dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from gymnasium.spaces import Space

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, FileFormatError, ShapeError, explain
from flambeau.serialization import Checkpointer, load, save
from flambeau.train import Callback, Loop
from flambeau_rl.adapters import Environments, Transition
from flambeau_rl.errors import TrainingFault
from flambeau_rl.evaluation import Evaluation, evaluate
from flambeau_rl.rehearsal import Rehearsed, tensors_of
from flambeau_rl.schedules import schedule
from flambeau_rl.spaces import describe, restore

Array = np.ndarray[Any, Any]


class Spaces(NamedTuple):
    """What an agent sees and does."""

    observation: Space[Any]
    action: Space[Any]


class RandomSource:
    """A generator of random numbers as a part of a checkpoint."""

    def __init__(self, seed: int) -> None:
        self.generator = flambeau.Generator().manual_seed(seed)

    def state_dict(self) -> dict[str, Any]:
        """The generator's state."""
        return {"state": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with those numbers."""
        self.generator.set_state(state["state"])


class Agent(Loop, ABC):
    """An agent in some environments. It is a training loop too, so the callbacks of `flambeau.train` work with it.

    A step is a step of one environment: `step` and `samples` count these. An epoch is one round of collecting experience and learning from
    it, after which `batch_end` and `epoch_end` are told.

    Args:
        env: a Gymnasium environment, a vector environment (with any autoreset mode), an id, or a function that makes one. None for an
            agent that only predicts, which then needs `spaces`.
        config: the agent's settings, an instance of `config_type`.
        seed: decides the agent's random numbers and the first episodes.
        device: where to compute.
        spaces: of observations and actions, where there is no environment.
        compile: whether acting and learning run as machine code (`flambeau.compile`); where it can be, if not said.

    A subclass sets `name` and `config_type`, writes `build`, `act`, `observe` and `predict_batch`, and counts steps in `observe`.
    """

    name: ClassVar[str]
    config_type: ClassVar[type]

    def __init__(
        self,
        env: Any,
        config: Any = None,
        *,
        seed: int = 0,
        device: Any = "cpu",
        spaces: tuple[Space[Any], Space[Any]] | None = None,
        compile: bool | None = None,
    ) -> None:
        super().__init__()
        self._environments = Environments(env) if env is not None else None
        if self._environments is not None:
            spaces = (self._environments.observation_space, self._environments.action_space)
        if spaces is None:
            raise ArgumentError(explain(type(self).__name__, expected="an environment, or spaces", got="neither"))
        self.spaces = Spaces(*spaces)
        self.config = config if config is not None else self.config_type()
        if not isinstance(self.config, self.config_type):
            expected, got = f"config to be a {self.config_type.__name__}", f"a {type(config).__name__}"
            raise ArgumentError(explain(type(self).__name__, expected=expected, got=got))
        self.seed = seed
        self.device = flambeau.device(device)
        self.random = RandomSource(seed)
        self.compile = compile if compile is not None else self.device.type == "cpu" and find_spec("llvmlite") is not None
        self.extra_parts: dict[str, Any] = {}
        self.build()
        self.make_steps()
        self.parts = {"policy": self.model, "optimizer": self.optimizer, "random": self.random, **self.extra_parts}
        if self._environments is not None:
            self.parts["environments"] = self._environments

    @abstractmethod
    def build(self) -> None:
        """Make `self.model`, `self.optimizer` and whatever else is needed; what a checkpoint must hold of it goes into `extra_parts`."""

    def make_steps(self) -> None:
        """Make what `compiled` makes, anew when the state is another."""

    @abstractmethod
    def act(self, observations: Array) -> Array:
        """Actions for learning, one for each environment: `(N, *shape)` observations to actions as the environments take them."""

    @abstractmethod
    def observe(self, transition: Transition) -> bool:
        """Take in what came of the actions of the latest `act`, and learn from it when it is time. Returns whether something was learnt."""

    @abstractmethod
    def predict_batch(self, observations: Tensor, deterministic: bool) -> Array:
        """The actions that `predict` returns, for a batch of observations on the device."""

    def compiled(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """A function of tensors that changes the agent's state, as machine code where the agent is to use it."""
        return Rehearsed(fn, lambda: tensors_of(self.parts.values()), self.random.generator) if self.compile else fn

    @property
    def environments(self) -> Environments:
        """The environments. Raises ArgumentError for an agent without."""
        if self._environments is None:
            hint = f"{type(self).__name__}.load(path, env)"
            raise ArgumentError(explain(type(self).__name__, expected="an environment", got="an agent without", hint=hint))
        return self._environments

    @property
    def remaining(self) -> float:
        """What remains of the learning, for schedules: 1 at the beginning, 0 at the end."""
        return max(0.0, 1.0 - self.step / self.total_steps) if self.total_steps else 1.0

    def set_learning_rate(self, value: float | str, *optimizers: Any) -> float:
        """Set the learning rate of optimizers (without any, of the agent's) to what a schedule says now, and return it."""
        lr = schedule(value)(self.remaining)
        for optimizer in optimizers or (self.optimizer,):
            for group in optimizer.param_groups:
                group["lr"] = lr
        return lr

    def learn(
        self, total_steps: int, *, callbacks: Iterable[Callback] = (), resume: str | os.PathLike[str] | None = None
    ) -> dict[str, float]:
        """Learn until `total_steps` steps are done, those of earlier calls included, and return the latest metrics.

        The last round of collecting is completed, so there may be a few more steps.

        Args:
            callbacks: see `flambeau.train.Callback`.
            resume: go on from the newest checkpoint in this folder; start anew if there is none. With environments whose state can be read
                (see `flambeau_rl.snapshot`) the run then equals one without a break, bit for bit.
        """
        environments = self.environments
        self.callbacks = sorted(callbacks, key=lambda callback: callback.order)
        if resume is not None and (checkpoint := Checkpointer(resume).latest()) is not None:
            self.load_state_dict(checkpoint.state)
        if environments.observations is None:
            environments.reset(self.seed)
        self.max_steps = self.total_steps = total_steps
        with self.running():
            while not self.done:
                self._round(environments)
                self.epoch, self.samples = self.epoch + 1, self.step
                self._check_metrics()
                self.emit("batch_end")
                self.emit("epoch_end")
                self.rest()
        return self.metrics

    def _round(self, environments: Environments) -> None:
        watch, learnt, before = self.watch, False, self.step
        watch.start()
        while not learnt:
            actions = self.act(environments.observations)  # type: ignore[arg-type]
            watch.lap("inference")
            transition = environments.step(actions)
            watch.lap("environment")
            learnt = self.observe(transition)
            watch.lap("update")
        self.stride = self.step - before
        known = {"mean_return": environments.mean_return(), "mean_length": environments.mean_length()}
        self.metrics = {**known, **{name: value for name, value in self.metrics.items() if name not in known}}

    def _check_metrics(self) -> None:
        for name, value in self.metrics.items():
            if not math.isfinite(value) and name.endswith("loss"):
                hint = "a smaller learning rate; the last checkpoint is from before this"
                op = f"{type(self).__name__}, step {self.step}"
                raise TrainingFault(explain(op, expected=f"a finite {name}", got=str(value), hint=hint))

    def predict(self, observations: Any, deterministic: bool = True) -> Any:
        """The action for one observation `(*shape)`, or the actions for a batch `(N, *shape)`.

        Args:
            observations: an array, or a number for a Discrete space.
            deterministic: the most probable action; otherwise one is drawn as in learning.

        Raises ShapeError when the observations are not of the agent's space.
        """
        space = self.spaces.observation
        array = np.asarray(observations)
        single = array.shape == space.shape
        if not single and array.shape[1:] != space.shape:
            expected = f"observations of shape {space.shape}, or a batch of them"
            raise ShapeError(explain(f"{type(self).__name__}.predict", expected=expected, got=str(array.shape)))
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArgumentError(explain(f"{type(self).__name__}.predict", expected="finite observations", got="nan or inf in them"))
        actions = self.predict_batch(self.tensor(array[None] if single else array), deterministic)
        return actions[0] if single else actions

    def tensor(self, array: Array) -> Tensor:
        """An array on the agent's device."""
        return flambeau.from_numpy(array).to(self.device)

    def evaluate(self, env: Any = None, n_episodes: int = 100, *, deterministic: bool = True, seed: int | None = None) -> Evaluation:
        """Play whole episodes in `env`, which must not be the one that the agent learns in: see `flambeau_rl.evaluate`.

        Without `env`, in a new environment of the same kind, where that has an id.
        """
        return evaluate(self, env if env is not None else self._id(), n_episodes, deterministic=deterministic, seed=seed, n_envs=8)

    def _id(self) -> str:
        import gymnasium

        name = self.environments.name
        if name not in gymnasium.registry:
            raise ArgumentError(explain("evaluate", expected="env", got=f"none, and {name!r} is not an id that Gymnasium knows"))
        return name

    def state_dict(self) -> dict[str, Any]:
        """What `Loop.state_dict` gives, and what the agent is, so that `load` can build it again."""
        return {**super().state_dict(), "agent": self._description()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Be where `state_dict` was taken. Raises ArgumentError when the spaces are others."""
        self._must_have(_spaces_of(state["agent"]))
        super().load_state_dict(state)
        self.make_steps()

    def _must_have(self, saved: Spaces) -> None:
        for what, own, other in zip(Spaces._fields, self.spaces, saved, strict=True):
            if own != other:
                raise ArgumentError(explain(f"load {self.name}", expected=f"an environment with the {what} space {other}", got=str(own)))

    def _description(self) -> dict[str, Any]:
        assert is_dataclass(self.config) and not isinstance(self.config, type)
        return {
            "name": self.name,
            "config": asdict(self.config),
            "observation_space": describe(self.spaces.observation),
            "action_space": describe(self.spaces.action),
        }

    def save(self, path: str | os.PathLike[str], *, training: bool = True) -> None:
        """Write the agent to a file (safetensors), whole or not at all.

        With `training` it holds all that is needed to go on learning, like the checkpoints of a run, which `load` reads too; without, only
        what is needed to predict.
        """
        weights = {"agent": self._description(), "parts": {"policy": self.model.state_dict()}}
        save(self.state_dict() if training else weights, path)

    @classmethod
    def from_recipe(cls, name: str, *, seed: int = 0, device: Any = "cpu", **options: Any) -> Self:
        """The agent of a recipe in the recipe's environments, ready to `learn(steps)`.

        Args:
            name: the recipe, such as "cartpole".
            options: that differ from the recipe's, such as `env_backend="native"`.

        Raises ArgumentError for a recipe that trains another kind of agent.
        """
        from flambeau.base.registry import registry
        from flambeau.train.options import build
        from flambeau_rl.recipes.play import Play

        recipe = registry("recipes").get(name)
        play = recipe.run
        if not isinstance(play, Play) or play.kind is not cls:
            got = f"{name!r}, which trains {play.kind.__name__ if isinstance(play, Play) else 'no agent'}"
            raise ArgumentError(explain(f"{cls.__name__}.from_recipe", expected=f"a recipe that trains {cls.__name__}", got=got))
        agent = play.agent(build(recipe.config, options), seed=seed, device=device)
        assert isinstance(agent, cls)
        return agent

    @classmethod
    def load(cls, path: str | os.PathLike[str], env: Any = None, *, device: Any = "cpu") -> Self:
        """The agent in a file that `save` or a run's checkpoint wrote.

        Without `env` it only predicts. With one, and a file that was written with `training`, it goes on learning where it stopped.

        Raises FileFormatError for a file that holds something else, ArgumentError when the environment's spaces are others.
        """
        state = load(path, map_location=device)
        description = state.get("agent") if isinstance(state, Mapping) else None
        if not isinstance(description, Mapping) or description.get("name") != cls.name:
            got = f"a {description.get('name')!r} agent" if isinstance(description, Mapping) else "something else"
            raise FileFormatError(explain(f"file {os.fspath(path)}", expected=f"a {cls.name!r} agent", got=got))
        try:
            config, saved, policy = cls.config_type(**description["config"]), _spaces_of(description), state["parts"]["policy"]
        except (KeyError, TypeError) as error:
            got = f"{type(error).__name__}: {error}"
            raise FileFormatError(explain(f"file {os.fspath(path)}", expected="config, spaces and policy of an agent", got=got)) from None
        agent = cls(env, config, device=device, spaces=saved)
        if env is not None and "position" in state:
            agent.load_state_dict(state)
        else:
            agent._must_have(saved)
            agent.model.load_state_dict(policy)
        return agent


def _spaces_of(description: Mapping[str, Any]) -> Spaces:
    return Spaces(restore(description["observation_space"]), restore(description["action_space"]))
