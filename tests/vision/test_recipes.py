"""The generative and dense recipes: a tiny run of each writes what it should and resumes bit for bit; slow tests hold the bars."""

from __future__ import annotations

import csv
import math
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from flambeau.train import run_recipe
from flambeau_vision.registry import RECIPES

TINY = {
    "digits-gan": (
        {"epochs": 2, "width": 4, "latent_dim": 4, "samples": 2, "batch_size": 256},
        ("samples.png", "progress.gif"),
        {"accuracy", "frechet"},
    ),
    "digits-vae": (
        {"epochs": 2, "width": 4, "latent_dim": 3, "samples": 20, "batch_size": 256},
        ("samples.png", "reconstructions.png", "morph.gif"),
        {"frechet", "psnr", "test_prior", "test_reconstruction"},
    ),
    "digits-ddpm": (
        {"epochs": 2, "width": 4, "noise_steps": 8, "sample_steps": 3, "samples": 2, "batch_size": 256},
        ("samples.png", "denoising.gif"),
        {"accuracy", "frechet"},
    ),
    "shapes-segmentation": (
        {"epochs": 2, "width": 4, "train": 16, "test": 8, "size": 32, "batch_size": 8},
        ("predictions.png",),
        {"miou", "iou_background", "iou_circle", "iou_square", "iou_triangle"},
    ),
    "shapes-detection": (
        {"epochs": 2, "width": 8, "train": 16, "test": 4, "size": 64, "batch_size": 8},
        ("predictions.png",),
        {"map", "map50", "map75"},
    ),
}


def recipe_of(name):
    return import_module(f"flambeau_vision.recipes.{name.replace('-', '_')}").recipe


def test_every_recipe_is_tested_here():
    assert set(TINY) | {"digits"} == set(RECIPES)
    for name, summary in RECIPES.items():
        assert recipe_of(name).name == name
        assert recipe_of(name).description == summary


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_run(name, tmp_path):
    options, pictures, metrics = TINY[name]
    recipe, reports = recipe_of(name), []
    whole = run_recipe(recipe, options, out=tmp_path / "whole", on_report=reports.append)
    assert set(whole.metrics) == metrics
    assert all(value is None or math.isfinite(value) for value in whole.metrics.values())
    assert (reports[-1].step, reports[-1].total) == (2, 2)
    for picture in pictures:
        with Image.open(tmp_path / "whole" / picture) as image:
            image.load()
            assert min(image.size) > 30
            assert len(np.unique(np.asarray(image.convert("L")))) > 2
    with open(tmp_path / "whole" / "metrics.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]

    run_recipe(recipe, {**options, "epochs": 1}, out=tmp_path / "part")
    files = sorted(path.name for path in (tmp_path / "part").glob("*.safetensors"))
    assert "checkpoint-000000001.safetensors" in files
    if "shapes" not in name:  # whose learning rate depends on the number of epochs
        resumed = run_recipe(recipe, {**options, "epochs": 2}, out=tmp_path / "part", resume=True)
        assert resumed.metrics.keys() == whole.metrics.keys()
        for file in (path for path in (tmp_path / "whole").glob("*.safetensors") if not path.name.startswith("checkpoint")):
            assert (tmp_path / "part" / file.name).read_bytes() == file.read_bytes()


BARS = {
    "digits-gan": ("accuracy", 0.85),
    "digits-ddpm": ("accuracy", 0.9),
    "shapes-detection": ("map50", 0.8),
    "shapes-segmentation": ("miou", 0.9),
}


@pytest.mark.training
@pytest.mark.parametrize("name", BARS)
def test_the_bars(name, tmp_path):
    metric, bar = BARS[name]
    assert run_recipe(recipe_of(name), out=tmp_path).metrics[metric] >= bar


@pytest.mark.training
def test_the_vae_reconstructs(tmp_path):
    result = run_recipe(recipe_of("digits-vae"), out=tmp_path).metrics
    assert result["test_reconstruction"] < 20
    assert result["psnr"] > 16
