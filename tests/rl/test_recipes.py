"""The recipes of agents: short runs always; whole ones, with the scores to reach, as trainings."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from flambeau.train import run_recipe
from flambeau_rl.native import NativeVectorEnv
from flambeau_rl.recipes.play import Play

NAMES = ("cartpole", "acrobot", "mountaincar", "pendulum")
LEAST = {"acrobot": -95.0, "mountaincar": -120.0, "pendulum": -190.0}


def recipe_of(name: str) -> Any:
    return import_module(f"flambeau_rl.recipes.{name}").recipe


@pytest.mark.parametrize("backend", ["gymnasium", "native"])
@pytest.mark.parametrize("name", NAMES)
def test_a_short_run(tmp_path: Any, name: str, backend: str) -> None:
    options: dict[str, Any] = {"steps": 300, "eval_every": 200, "eval_episodes": 1, "env_backend": backend, "gif": backend == "native"}
    if name != "cartpole":
        options |= {"net_arch": (16,), "batch_size": 8, "learning_starts": 100}
    result = run_recipe(recipe_of(name), options, out=tmp_path)
    assert result.metrics["episodes"] == 1
    assert np.isfinite(result.metrics["mean_return"])
    assert {"agent.safetensors", "metrics.csv", "best.safetensors"} <= {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "episode.gif").exists() == (backend == "native")


PROGRAM = """
from flambeau.base.errors import ArgumentError
from flambeau_rl import DQN, PPO
from flambeau_rl.native import NativeVectorEnv

agent = PPO.from_recipe("cartpole", seed=1, env_backend="native", n_envs=4, compile=False)
assert isinstance(agent.environments.env, NativeVectorEnv)
assert (agent.seed, agent.environments.n_envs, agent.config.n_epochs) == (1, 4, 20)
agent.learn(128)
assert agent.step == 128
try:
    DQN.from_recipe("cartpole")
except ArgumentError as error:
    print(error)
"""


def test_a_recipes_agent_in_python(tmp_path: Any) -> None:
    site = tmp_path / "flambeau_rl-0.dist-info"  # as if flambeau-rl were installed
    site.mkdir()
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: flambeau-rl\nVersion: 0\n")
    (site / "entry_points.txt").write_text("[flambeau]\nrl = flambeau_rl.registry\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "'cartpole', which trains PPO" in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_pictures_show_what_is_seen(name: str) -> None:
    play: Play = recipe_of(name).run
    env = NativeVectorEnv(play.env, 2)
    observations, _ = env.reset(seed=0)
    assert play.draw is not None
    first, second = (np.asarray(play.draw(row).convert("RGB")) for row in observations)
    assert first.shape == (200, 360, 3)
    assert (first != second).any()


@pytest.mark.training
@pytest.mark.parametrize("name", LEAST)
def test_scores(tmp_path: Any, name: str) -> None:
    assert run_recipe(recipe_of(name), {"gif": False}, out=tmp_path, seed=0).metrics["mean_return"] >= LEAST[name]
