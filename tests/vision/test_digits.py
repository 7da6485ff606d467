"""The digits recipe: it learns, writes what it should, resumes bit for bit; and its model and pictures."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import flambeau as fb
from flambeau.train import run_recipe
from flambeau_vision.datasets import OpticalDigits
from flambeau_vision.models import DigitsCNN, digits_cnn
from flambeau_vision.recipes.digits import recipe
from flambeau_vision.recipes.pictures import confusion_matrix, mistakes

QUICK = {"epochs": 3, "width": 8, "batch_size": 32}


def test_the_model():
    model = digits_cnn()
    assert sum(parameter.numel() for parameter in model.parameters()) == 144 + 4608 + 18432 + 2 * (16 + 32 + 64) + 2570
    assert model(fb.zeros(3, 1, 8, 8)).shape == (3, 10)
    assert DigitsCNN(4, width=2, dropout=0.0)(fb.zeros(1, 1, 8, 8)).shape == (1, 4)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """A short run: its result, directory and reports."""
    out, reports = tmp_path_factory.mktemp("digits"), []
    return run_recipe(recipe, QUICK, out=out, on_report=reports.append), out, reports


def test_a_short_run_learns(quick):
    result, _, reports = quick
    assert result.metrics["accuracy"] > 0.9
    assert set(result.metrics) == {"loss", "accuracy"}
    assert (reports[-1].step, reports[-1].total, reports[-1].samples) == (135, 135, 3 * 1438)
    assert reports[-1].metrics["val_accuracy"] > 0.8


def test_the_directory_has_everything(quick):
    result, out, _ = quick
    with open(out / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "45"), ("2", "90"), ("3", "135")]
    assert float(rows[-1]["val_accuracy"]) == result.metrics["accuracy"]
    assert [path.name for path in sorted(out.glob("checkpoint-*"))] == [f"checkpoint-{step:09}.safetensors" for step in (45, 90, 135)]
    for name in ("learning_curve.png", "mistakes.png"):
        with Image.open(out / name) as picture:
            picture.load()
            assert min(picture.size) > 200


def test_the_trained_model_in_three_lines(quick):
    result, out, _ = quick
    model = digits_cnn(out / "model.safetensors", width=8)
    digits = OpticalDigits("test")
    images = fb.stack([image for image, _ in digits])
    right = model(images).argmax(1).numpy() == digits.targets
    assert right.mean() == pytest.approx(result.metrics["accuracy"], abs=1e-9)
    assert any("digits_cnn" in line for line in recipe.next_steps)


def test_the_seed_decides(quick, tmp_path):
    _, out, _ = quick
    run_recipe(recipe, QUICK, out=tmp_path / "same")
    run_recipe(recipe, QUICK, out=tmp_path / "other", seed=1)
    same, other, first = ((path / "model.safetensors").read_bytes() for path in (tmp_path / "same", tmp_path / "other", out))
    assert same == first != other
    assert (tmp_path / "same" / "metrics.csv").read_text() == (out / "metrics.csv").read_text()


def test_wrong_options():
    for name in ("epochs", "batch_size", "width"):
        with pytest.raises(ValueError, match=f"{name} must be 1 or more"):
            recipe.config(**{name: 0})


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_control_c_and_resume_on_the_command_line(quick, tmp_path):
    site = tmp_path / "site" / "flambeau_vision-0.dist-info"  # as if flambeau-vision were installed
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: flambeau-vision\nVersion: 0\n")
    (site / "entry_points.txt").write_text("[flambeau]\nvision = flambeau_vision.registry\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site.parent), *sys.path])}
    command = [sys.executable, "-m", "flambeau", "fit", "digits", "--json"]
    options = [part for name, value in QUICK.items() for part in ("--set", f"{name}={value}")]
    child = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path)
    try:
        first = tmp_path / "runs" / "digits" / "checkpoint-000000045.safetensors"
        while not first.exists():
            assert child.poll() is None, child.stderr.read()
            os.sched_yield()
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert (child.returncode, output) == (130, "")
    assert "Interrupted: finishing this batch first" in errors
    assert errors.endswith("go on with:\n  flambeau fit digits --resume --out runs/digits\n")

    resume = [*command, "--resume", "--out", "runs/digits"]
    result = subprocess.run(resume, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=100)
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout.splitlines()[-1])
    expected, out, _ = quick
    assert answer["metrics"] == expected.metrics
    assert (answer["recipe"], answer["run_dir"]) == ("digits", str(Path("runs", "digits")))
    for name in ("model.safetensors", "metrics.csv", "checkpoint-000000135.safetensors"):
        assert (tmp_path / "runs" / "digits" / name).read_bytes() == (out / name).read_bytes()


def test_confusions_are_counted():
    targets, predictions = np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2, 0])
    np.testing.assert_array_equal(confusion_matrix(targets, predictions, 3), [[1, 1, 0], [0, 1, 0], [1, 0, 2]])


@pytest.mark.parametrize("wrong", [0, 1, 8, 9])
def test_the_picture_grows_with_the_mistakes(wrong):
    digits = OpticalDigits("test")
    predictions = digits.targets.copy()
    predictions[:wrong] = (predictions[:wrong] + 1) % 10
    picture = mistakes(digits.images, digits.targets, predictions, digits.classes)
    assert picture.height == 20 + 8 + 26 * 10 + 20 + -(-wrong // 8) * 84
    corner = (8 + 7, picture.height - 84 * -(-wrong // 8))
    if wrong:  # the first mistake, drawn large: its pixels are those of the image
        tile = np.asarray(picture.convert("L"))[corner[1] : corner[1] + 64 : 8, 8:72:8]
        np.testing.assert_array_equal(tile, (255 * (1 - digits.images[0] / 16)).astype(np.uint8))


@pytest.mark.training
@pytest.mark.parametrize("seed", range(5))
def test_the_whole_run_reads_98_5_percent(seed, tmp_path):
    result = run_recipe(recipe, seed=seed, out=tmp_path)
    assert result.metrics["accuracy"] >= 0.985
