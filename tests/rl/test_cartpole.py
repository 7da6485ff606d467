"""The recipe `cartpole`: a few steps always, all of them in the slow suite."""

from __future__ import annotations

import csv
import json
import signal

import numpy as np
import pytest

from flambeau.train import Callback, run_recipe
from flambeau_rl.agents.ppo import PPO
from flambeau_rl.recipes.cartpole import Config, recipe

FILES = {"agent.safetensors", "best.safetensors", "episode.gif", "learning_curve.png", "metrics.csv", "run.json"}
QUICK = {"steps": 2048, "eval_episodes": 4, "eval_every": 1024}


def rows(folder):
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_short_run_leaves_everything_behind(tmp_path):
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    reports = []
    result = run_recipe(recipe, QUICK, out=tmp_path, seed=1, on_report=reports.append)
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= FILES
    assert any(name.startswith("checkpoint-") for name in names)
    assert json.loads(result.to_json())["metrics"] == result.metrics
    assert result.metrics["episodes"] == 4
    assert result.metrics["steps"] == 2048
    assert 8 <= result.metrics["mean_return"] <= 500
    assert [report.step for report in reports] == list(range(256, 2049, 256))
    assert {"mean_return", "eval_return", "policy_loss", "value_loss"} == reports[-1].metrics.keys()
    table = rows(tmp_path)
    assert [int(row["step"]) for row in table] == list(range(256, 2049, 256))
    assert float(table[-1]["eval_return"]) > 0
    with image.open(tmp_path / "episode.gif") as film:
        assert film.n_frames >= 5
    loaded = PPO.load(tmp_path / "agent.safetensors")
    assert loaded.config == recipe.run.settings(Config())
    assert loaded.predict(np.zeros(4)) in (0, 1)


class Interrupt(Callback):
    """Ctrl-C in the middle."""

    def on_epoch_end(self, loop):
        if loop.step == 1024:
            signal.raise_signal(signal.SIGINT)


def test_a_run_that_was_interrupted_goes_on(tmp_path, capsys):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = {**QUICK, "gif": False}
    first = run_recipe(recipe, options, out=whole, seed=2)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(recipe, options, out=broken, seed=2, callbacks=[Interrupt()])
    assert (broken / "checkpoint-000001024.safetensors").exists()
    second = run_recipe(recipe, out=broken, resume=True)
    speed = "steps_per_second"
    assert {k: v for k, v in second.metrics.items() if k != speed} == {k: v for k, v in first.metrics.items() if k != speed}
    assert (broken / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    assert (broken / "agent.safetensors").read_bytes() == (whole / "agent.safetensors").read_bytes()


def test_the_best_policy_is_kept(tmp_path):
    class Forget(Callback):
        """Spoils the policy after the first evaluation."""

        order = -20

        def on_epoch_end(self, loop):
            if loop.step == 2048:
                for weight in loop.model.parameters():
                    weight.data.zero_()  # always the same action: a return of 9

    result = run_recipe(recipe, {**QUICK, "gif": False}, out=tmp_path, callbacks=[Forget()])
    assert float(rows(tmp_path)[-1]["eval_return"]) < 12
    assert any(weight.any() for weight in PPO.load(tmp_path / "agent.safetensors").model.parameters())
    assert result.metrics["mean_return"] > 12


def test_without_pillow_there_is_a_line_and_no_film(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "PIL.ImageDraw", None)
    run_recipe(recipe, {**QUICK, "steps": 256, "eval_episodes": 1}, out=tmp_path)
    assert 'pip install "flambeau-rl[render]"' in capsys.readouterr().err
    assert not (tmp_path / "episode.gif").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_it_balances_the_pole(tmp_path, seed):
    assert run_recipe(recipe, {"gif": False}, out=tmp_path, seed=seed).metrics["mean_return"] >= 475
