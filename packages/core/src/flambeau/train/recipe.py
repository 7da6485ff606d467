"""Recipes: a named, configured piece of work that ends with metrics, run by `flambeau fit NAME` or by `run_recipe`.

@dataclass(frozen=True)
class Config:
    steps: Annotated[int, "how many updates"] = 100

def run(config: Config, context: RunContext) -> dict[str, float]:
    for step in range(config.steps):
        ...
        context.report(step + 1, config.steps, loss=loss)
    return {"accuracy": accuracy}

recipe = Recipe("mine", Config, run, "Learns something.")
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flambeau.__about__ import __version__
from flambeau.base.errors import ArgumentError, FileFormatError, PluginError, explain
from flambeau.base.files import atomic_write
from flambeau.base.switches import get_num_threads, set_num_threads
from flambeau.ops.random import manual_seed
from flambeau.serialization.checkpoint import Checkpointer
from flambeau.train.options import build

RUN_FILE = "run.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: the step just done, how many there are (None when unknown), the latest numbers, and how many samples were seen."""

    step: int
    total: int | None
    metrics: Mapping[str, float]
    samples: int | None = None


@dataclass(frozen=True)
class RunContext:
    """What a recipe is told besides its configuration.

    Attributes:
        seed: decides every random number of the run.
        device: where to compute ("cpu", "cuda", ...).
        out: the run's directory, which exists.
        resume: continue from `checkpoints.latest()` instead of starting anew.
        callbacks: the caller's callbacks, to be handed to the training loop.
        on_report: receives each `report`.
    """

    seed: int
    device: str
    out: Path
    resume: bool = False
    callbacks: tuple[Any, ...] = ()
    on_report: Callable[[Progress], None] | None = None

    def report(self, step: int, total: int | None = None, *, samples: int | None = None, **metrics: float) -> None:
        """Tell the caller how far the run is. Cheap enough for every step, and never needed for correctness.

        With `samples`, the number seen so far, speed is shown in samples a second, else in steps.
        """
        if self.on_report is not None:
            self.on_report(Progress(step, total, metrics, samples))

    @property
    def checkpoints(self) -> Checkpointer:
        """The run's checkpoints in `out`: `checkpoints.save(step, state)`, and `checkpoints.latest()` to resume."""
        return Checkpointer(self.out)


@dataclass(frozen=True)
class Recipe:
    """A piece of work that can be run by name.

    Attributes:
        name: what `flambeau fit` calls it, and its directory under `runs/`.
        config: a dataclass type whose fields are the options (see `flambeau.train.options`), each with a default.
        run: does the work: `run(config, context)` returns the final metrics by plain names (accuracy, mean_return, wer, ...).
        description: what it does, in a sentence.
        next_steps: what to try afterwards, a line each.
        threads: how many threads an operation uses while it runs; None for all cores. One is quickest for small matrices.
    """

    name: str
    config: type
    run: Callable[[Any, RunContext], Mapping[str, float]]
    description: str = ""
    next_steps: Sequence[str] = ()
    threads: int | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.config, type) and dataclasses.is_dataclass(self.config)):
            raise ArgumentError(explain(f"recipe {self.name!r}", expected="a dataclass type as config", got=repr(self.config)))


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended."""

    recipe: str
    metrics: dict[str, float | None]  # None where the number was not finite: JSON has no word for it
    seconds: float
    run_dir: str

    def to_json(self) -> str:
        """The result as one line of JSON."""
        return json.dumps(dataclasses.asdict(self))


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Limit the threads of operations for a block."""
    before = get_num_threads()
    if count is not None:
        set_num_threads(count)
    try:
        yield
    finally:
        if count is not None:
            set_num_threads(before)


def seed_everything(seed: int) -> None:
    """Seed every global random number generator: Python's, NumPy's and Flambeau's."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # NumPy takes 32 bits
    manual_seed(seed)


def find_checkpoint(out: str | os.PathLike[str], *, since: float = 0.0) -> Path | None:
    """The newest `checkpoint*` (file or directory) in a run's directory that was written after `since` (as `time.time()`), or None."""
    ages = {path: path.stat().st_mtime for path in Path(out).glob("checkpoint*") if path.suffix not in (".tmp", ".lock")}
    newest = max(ages, key=ages.__getitem__, default=None)
    return newest if newest is not None and ages[newest] >= since else None


@dataclass(frozen=True, slots=True)
class Run:
    """A recipe with everything decided, ready to execute; `prepare_run` makes it."""

    recipe: Recipe
    config: Any
    seed: int
    device: str
    out: Path
    resume: bool

    def execute(self, *, callbacks: Sequence[Any] = (), on_report: Callable[[Progress], None] | None = None) -> RunResult:
        """Do the work, after seeding Python's, NumPy's and Flambeau's random numbers.

        `run.json` in the run's directory records the configuration at the start and the metrics at the end.

        Raises ArgumentError when the directory cannot be made, and whatever the recipe raises.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError(explain("out", expected="a directory that can be made", got=f"{self.out} ({error.strerror})")) from error
        record: dict[str, Any] = {
            "recipe": self.recipe.name, "config": dataclasses.asdict(self.config), "seed": self.seed, "device": self.device,
            "flambeau": __version__,
        }  # fmt: skip
        _write_run(self.out, record)
        context = RunContext(self.seed, self.device, self.out, self.resume, tuple(callbacks), on_report)
        seed_everything(self.seed)
        start = time.perf_counter()
        with threads(self.recipe.threads):
            metrics = _plain(self.recipe, self.recipe.run(self.config, context))
        result = RunResult(self.recipe.name, metrics, round(time.perf_counter() - start, 3), str(self.out))
        _write_run(self.out, {**record, "metrics": result.metrics, "seconds": result.seconds})
        return result


def prepare_run(
    recipe: Recipe,
    overrides: Mapping[str, Any] | None = None,
    *,
    seed: int | None = None,
    device: str | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> Run:
    """Decide everything about a run and touch nothing yet.

    Args:
        recipe: the recipe.
        overrides: options that differ from the recipe's defaults; text is converted to the option's type.
        seed: 0 when absent.
        device: "cpu" when absent.
        out: the run's directory; `runs/<recipe name>` when absent.
        resume: continue the run in `out` from its checkpoint; configuration, seed and device are those of that run unless given.

    Raises ArgumentError for options that do not fit, or a run that cannot be resumed.
    """
    directory = Path(out) if out is not None else Path("runs", recipe.name)
    before = _read_run(directory, recipe) if resume else {}
    config = build(recipe.config, {**before.get("config", {}), **(overrides or {})})
    seed = int(before.get("seed", 0)) if seed is None else seed
    device = str(before.get("device", "cpu")) if device is None else device
    return Run(recipe, config, seed, device, directory, resume)


def run_recipe(
    recipe: Recipe,
    overrides: Mapping[str, Any] | None = None,
    *,
    callbacks: Sequence[Any] = (),
    on_report: Callable[[Progress], None] | None = None,
    **where: Any,
) -> RunResult:
    """Run a recipe and return its metrics: `prepare_run(recipe, overrides, **where)`, then execute.

    Args:
        callbacks: handed to the recipe as `context.callbacks`.
        on_report: called with each `Progress`.
        where: seed, device, out and resume, as for `prepare_run`.
    """
    return prepare_run(recipe, overrides, **where).execute(callbacks=callbacks, on_report=on_report)


def _plain(recipe: Recipe, metrics: Any) -> dict[str, float | None]:
    try:
        numbers = {str(name): float(value) for name, value in metrics.items()}
    except (AttributeError, TypeError, ValueError) as error:
        got = repr(metrics)[:200]
        raise PluginError(explain(f"recipe {recipe.name!r}", expected="run() to return a dict of numbers", got=got)) from error
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


def _write_run(directory: Path, record: Mapping[str, Any]) -> None:
    with atomic_write(directory / RUN_FILE) as file:
        file.write(json.dumps(record, indent=1, default=str).encode() + b"\n")


def _read_run(directory: Path, recipe: Recipe) -> dict[str, Any]:
    op = f"resume {recipe.name}"
    if find_checkpoint(directory) is None:
        raise ArgumentError(explain(op, expected=f"a checkpoint in {directory}", got="none", hint="run without --resume"))
    path = directory / RUN_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        config = record["config"]
        if not isinstance(config, dict):
            raise TypeError("config is not an object")
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(explain(op, expected=f"a run record in {path}", got=str(error), hint="delete that file")) from error
    if record.get("recipe") != recipe.name:
        got = f"one of {record.get('recipe')!r}"
        raise ArgumentError(explain(op, expected=f"a run of {recipe.name!r} in {directory}", got=got, hint="another --out"))
    return dict(record)
