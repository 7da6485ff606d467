"""`flambeau fit`: options, results, errors, exit codes, interruption and resuming."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def test_json_ends_with_one_line(flambeau, tmp_path):
    result = flambeau("fit", "toy", "--set", "lr=0.5", "--set", "steps=2", "--seed", "7", "--json")
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    answer = json.loads(line)
    assert answer.pop("seconds") >= 0
    assert answer == {"recipe": "toy", "metrics": {"accuracy": 0.5, "seed": 7.0, "resumed": 0.0}, "run_dir": str(Path("runs", "toy"))}
    assert json.loads((tmp_path / "runs" / "toy" / "run.json").read_text())["config"]["lr"] == 0.5


def test_people_get_a_table_and_what_to_try_next(flambeau):
    result = flambeau("fit", "hello/toy", "--out", "here")
    assert result.exit_code == 0
    assert "accuracy  0.1" in result.stdout
    assert result.stdout.endswith("in here\nWhat to try next:\n  flambeau fit toy --set lr=0.5\n")
    assert "toy 3/3" in result.stderr
    assert "loss 0.3333" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["toy", "--set", "stps=1"], "option 'stps': expected an option of the recipe, got an unknown one. Did you mean 'steps'?"),
        (["toy", "--set", "steps=many"], "option 'steps': expected a whole number, got 'many'."),
        (["toy", "--set", "steps"], "--set: expected key=value, got 'steps'."),
        (["tok"], "recipes 'tok': expected a registered name, got one that no installed package has. Did you mean 'toy'?"),
        (
            ["cartpole"],
            "recipes 'cartpole': expected the package flambeau-rl, got an environment without it. Try: pip install flambeau-rl.",
        ),
        (["toy", "--resume"], "resume toy: expected a checkpoint in runs/toy, got none. Try: run without --resume."),
        (["toy", "--seed", "x"], "Invalid value for '--seed': 'x' is not a valid integer."),
    ],
)
def test_wrong_usage_is_exit_code_2(flambeau, arguments, message):
    result = flambeau("fit", *arguments)
    assert result.stderr.startswith("Usage: flambeau fit [OPTIONS] RECIPE\n")
    assert result.stderr.replace(os.sep, "/").endswith(f"\nError: {message}\n")
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_failing_recipe_is_exit_code_1_without_a_traceback(flambeau):
    result = flambeau("fit", "toy", "--set", "fail=yes", "--set", "steps=0", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: ValueError: it went wrong\nRun it again with --debug to see where.\n"


@pytest.mark.parametrize("how", ["option", "before", "environment"])
def test_debug_shows_the_traceback(flambeau, how, monkeypatch):
    arguments = ["fit", "toy", "--set", "fail=yes"]
    if how == "option":
        arguments.append("--debug")
    elif how == "before":
        arguments.insert(0, "--debug")
    else:
        monkeypatch.setenv("FLAMBEAU_DEBUG", "1")
    result = flambeau(*arguments)
    assert result.exit_code == 1
    assert 'raise ValueError("it went wrong")' in result.stderr
    assert result.stderr.endswith("Error: ValueError: it went wrong\n")


def test_a_name_that_leads_to_no_recipe(flambeau):
    result = flambeau("fit", "not-a-recipe")
    assert result.exit_code == 1
    assert result.stderr == "Error: recipe 'not-a-recipe': expected a flambeau.train.Recipe, got a int.\n"


def test_interruption_says_how_to_resume(flambeau):
    result = flambeau("fit", "toy", "--set", "fail=interrupt")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.endswith("Interrupted before the first checkpoint; nothing to resume.\n")
    result = flambeau("fit", "toy", "--set", "fail=checkpoint", "--seed", "5", "--out", "my run")
    assert result.exit_code == 130
    checkpoint = Path("my run", "checkpoint-000000003.safetensors")
    assert result.stderr.endswith(f"Interrupted. {checkpoint} is saved; go on with:\n  flambeau fit toy --resume --out 'my run'\n")
    result = flambeau("fit", "toy", "--resume", "--out", "my run", "--set", "fail=", "--json")
    assert json.loads(result.stdout)["metrics"] == {"accuracy": 0.1, "seed": 5.0, "resumed": 1.0}


def test_an_old_checkpoint_is_not_offered(flambeau, tmp_path):
    old = tmp_path / "runs" / "toy" / "checkpoint.safetensors"
    old.parent.mkdir(parents=True)
    old.write_text("from another run")
    os.utime(old, (1, 1))
    result = flambeau("fit", "toy", "--set", "fail=interrupt")
    assert result.stderr.endswith("nothing to resume.\n")


def test_options_are_listed(flambeau):
    result = flambeau("fit", "toy", "--options")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()[:2]] == [
        ["option", "default", "type"],
        ["lr", "0.1", "a", "number", "step", "size"],
    ]
    rows = json.loads(flambeau("fit", "toy", "--options", "--json").stdout)
    assert rows[1] == {"name": "steps", "default": 3, "type": "a whole number", "help": "how many steps"}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_control_c_in_a_real_process(site, tmp_path):
    (site / "cli_fake_plugin.py").write_text(
        (site / "cli_fake_plugin.py").read_text()
        + textwrap.dedent("""
        import time
        def run(config, context):
            context.checkpoints.save(1, {"step": 1})
            print("started", flush=True)
            time.sleep(60)
        toy = Recipe("toy", Config, run)
        """)
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "flambeau", "fit", "toy"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
    try:
        assert child.stdout.readline() == "started\n"
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=30)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 130
    assert errors.endswith("go on with:\n  flambeau fit toy --resume --out runs/toy\n")
