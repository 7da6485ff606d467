"""Recipes: typed options, the run's directory and record, resuming, and results."""

from __future__ import annotations

import json
import math
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.base.errors import ArgumentError, FileFormatError, PluginError
from flambeau.ops.random import rand
from flambeau.serialization.checkpoint import Checkpointer
from flambeau.train.options import build, coerce, options, split_assignments
from flambeau.train.recipe import Progress, Recipe, RunContext, find_checkpoint, run_recipe


@dataclass(frozen=True)
class Config:
    lr: Annotated[float, "step size"] = 0.1
    steps: int = field(default=3, metadata={"help": "how many"})
    hidden: tuple[int, ...] = (64, 64)
    mode: Literal["fast", "slow"] = "fast"
    clip: float | None = 0.5
    anneal: bool = True
    where: Path = Path("data")
    name: str = ""

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError("steps must not be negative")


def run(config: Config, context: RunContext) -> dict[str, float]:
    for step in range(config.steps):
        context.report(step + 1, config.steps, loss=1.0 / (step + 1))
    context.checkpoints.save(config.steps, {"seed": context.seed, "draw": float(rand(()))})
    return {"accuracy": config.lr, "resumed": float(context.resume)}


RECIPE = Recipe("toy", Config, run, "A toy.")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("3", int, 3), ("1_000", int, 1000), ("1e6", int, 1_000_000), ("-2", int, -2), ("3", float, 3.0), ("1e-3", float, 1e-3),
        ("yes", bool, True), ("0", bool, False), ("a=b", str, "a=b"), ("64,32", tuple[int, ...], (64, 32)),
        ("(1, 2)", tuple[int, int], (1, 2)),
        ("[0.5]", list[float], [0.5]), ("", tuple[int, ...], ()), ("none", float | None, None), ("2", float | None, 2.0),
        ("slow", Literal["slow", 3], "slow"),
        ("3", Literal["slow", 3], 3), ("x/y", Path, Path("x/y")), ("none", str | None, None),
        ("7", int | str, 7), ("seven", int | str, "seven"),
    ],
)  # fmt: skip
def test_text_becomes_the_type(text, kind, value):
    got = coerce(text, kind)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("x", int), ("1.5", int), (1.5, int), (True, int), ("", float), (True, float), ("maybe", bool), (1, bool),
        ("1,x", tuple[int, ...]),
        ("1,2,3", tuple[int, int]), ("medium", Literal["slow", 3]), (3, str), ("x", float | None), ("x", dict), (4, Path),
        (5, tuple[int, ...]),
        ("nan", int), ("inf", int),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(value, kind):
    with pytest.raises(ValueError):
        coerce(value, kind)


@given(st.integers(), st.floats(allow_nan=False), st.lists(st.integers()))
def test_what_is_printed_can_be_read_back(number, real, numbers):
    assert coerce(str(number), int) == number
    assert coerce(repr(real), float) == real
    assert coerce(str(tuple(numbers)), tuple[int, ...]) == tuple(numbers)


def test_options_are_described():
    rows = {row.name: row for row in options(Config)}
    assert (rows["lr"].help, rows["steps"].help, rows["lr"].default) == ("step size", "how many", 0.1)
    assert rows["hidden"].type_name == "a whole number, ..."
    assert rows["clip"].type_name == "a number or none"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stps": "1"}, "option 'stps': expected an option of the recipe, got an unknown one. Did you mean 'steps'?"),
        ({"zzz": "1"}, "option 'zzz': expected an option of the recipe, got an unknown one. "
                       "Try: the options are lr, steps, hidden, mode, clip, anneal, where, name."),
        ({"steps": "many"}, "option 'steps': expected a whole number, got 'many'."),
        ({"mode": "medium"}, "option 'mode': expected 'fast' or 'slow', got 'medium'."),
        ({"steps": "inf"}, "option 'steps': expected a whole number, got 'inf'."),
        ({"steps": "-1"}, "options: expected values that fit together, got steps must not be negative."),
    ],
)  # fmt: skip
def test_wrong_options_say_what_is_right(values, message):
    with pytest.raises(ArgumentError) as caught:
        build(Config, values)
    assert str(caught.value) == message


def test_a_required_option_must_be_given():
    @dataclass
    class Needs:
        data: str

    with pytest.raises(ArgumentError, match=r"expected a value for data, got none\. Try: --set data=VALUE"):
        build(Needs, {})
    assert build(Needs, {"data": "x"}).data == "x"


def test_nested_dataclasses_are_built_from_mappings():
    @dataclass
    class Outer:
        inner: Config = field(default_factory=Config)

    Outer.__annotations__["inner"] = Config
    assert build(Outer, {"inner": {"lr": 3}}).inner == Config(lr=3.0)


def test_assignments():
    assert split_assignments(["a=1", "a=2", " b = x=y "]) == {"a": "2", "b": "x=y"}
    for wrong in ("a", "=1", ""):
        with pytest.raises(ArgumentError, match="expected key=value"):
            split_assignments([wrong])


def test_a_run_reports_records_and_returns(tmp_path):
    seen = []
    result = run_recipe(RECIPE, {"steps": "2", "lr": 0.5}, seed=7, out=tmp_path / "a" / "b", on_report=seen.append)
    assert seen == [Progress(1, 2, {"loss": 1.0}), Progress(2, 2, {"loss": 0.5})]
    assert result.metrics == {"accuracy": 0.5, "resumed": 0.0}
    assert json.loads(result.to_json())["run_dir"] == str(tmp_path / "a" / "b")
    record = json.loads((tmp_path / "a" / "b" / "run.json").read_text())
    assert (record["recipe"], record["seed"], record["device"]) == ("toy", 7, "cpu")
    assert record["config"] == {
        "lr": 0.5, "steps": 2, "hidden": [64, 64], "mode": "fast", "clip": 0.5, "anneal": True, "where": "data", "name": "",
    }  # fmt: skip
    assert record["metrics"] == result.metrics


def test_the_seed_decides_every_generator(tmp_path):
    def draw(seed):
        numbers = {}

        def run(config, context):
            numbers.update(python=random.random(), numpy=float(np.random.rand()), flambeau=float(rand(())))
            return numbers

        run_recipe(Recipe("draw", Config, run), seed=seed, out=tmp_path)
        return numbers

    first, again, other = draw(2**40 + 1), draw(2**40 + 1), draw(2)
    assert first == again
    assert all(first[name] != other[name] for name in first)


def test_the_directory_is_named_after_the_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_recipe(RECIPE).run_dir == str(Path("runs", "toy"))
    assert (tmp_path / "runs" / "toy" / "run.json").exists()


def test_resuming_uses_the_configuration_of_that_run(tmp_path):
    run_recipe(RECIPE, {"steps": 5, "hidden": (8,), "clip": None, "where": "there"}, seed=3, out=tmp_path)
    result = run_recipe(RECIPE, {"lr": 0.25}, out=tmp_path, resume=True)
    assert result.metrics == {"accuracy": 0.25, "resumed": 1.0}
    saved = Checkpointer(tmp_path).latest()
    assert (saved.step, saved.state["seed"]) == (5, 3)
    assert json.loads((tmp_path / "run.json").read_text())["config"]["hidden"] == [8]


def test_what_cannot_be_resumed(tmp_path):
    with pytest.raises(ArgumentError) as caught:
        run_recipe(RECIPE, out=tmp_path, resume=True)
    assert str(caught.value) == f"resume toy: expected a checkpoint in {tmp_path}, got none. Try: run without --resume."
    run_recipe(RECIPE, out=tmp_path)
    with pytest.raises(ArgumentError, match=r"expected a run of 'other' in .*, got one of 'toy'\. Try: another --out"):
        run_recipe(Recipe("other", Config, run), out=tmp_path, resume=True)
    for text in ("{", "[]", '{"config": 1}'):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(FileFormatError, match="delete that file"):
            run_recipe(RECIPE, out=tmp_path, resume=True)


def test_numbers_that_json_lacks_become_null(tmp_path):
    recipe = Recipe("bad", Config, lambda config, context: {"loss": math.nan, "steps": 3})
    assert json.loads(run_recipe(recipe, out=tmp_path).to_json())["metrics"] == {"loss": None, "steps": 3.0}


@pytest.mark.parametrize("answer", [None, 3, {"a": "x"}, {"a": [1, 2]}])
def test_a_recipe_must_return_numbers(tmp_path, answer):
    with pytest.raises(PluginError, match=r"recipe 'bad': expected run\(\) to return a dict of numbers"):
        run_recipe(Recipe("bad", Config, lambda config, context: answer), out=tmp_path)


def test_a_recipe_needs_a_dataclass_type():
    for wrong in (dict, Config(), None):
        with pytest.raises(ArgumentError, match="expected a dataclass type as config"):
            Recipe("bad", wrong, run)


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="out: expected a directory that can be made"):
        run_recipe(RECIPE, out=tmp_path / "file" / "x")


def test_the_newest_checkpoint_is_found(tmp_path):
    assert find_checkpoint(tmp_path) is None
    assert find_checkpoint(tmp_path / "absent") is None
    for age, name in [(3, "checkpoint-1.safetensors"), (1, "checkpoint-2"), (0, "checkpoint.tmp")]:
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert find_checkpoint(tmp_path) == tmp_path / "checkpoint-2"
