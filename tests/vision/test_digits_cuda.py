"""The digits recipe on the stand-in GPU: everything is moved to the device and back, and the numbers are those of the CPU."""

from __future__ import annotations

import pytest

import flambeau as fb
from flambeau.train import run_recipe
from flambeau_vision.models import digits_cnn
from flambeau_vision.recipes.digits import recipe
from tests.core.device.test_cuda import pretended_gpu

__all__ = ["pretended_gpu"]  # a fixture of every test here


def test_the_recipe_on_a_device(tmp_path):
    options = {"epochs": 1, "width": 4, "batch_size": 256}
    ours = run_recipe(recipe, options, out=tmp_path / "cuda", device="cuda")
    reference = run_recipe(recipe, options, out=tmp_path / "cpu")
    assert ours.metrics["loss"] == pytest.approx(reference.metrics["loss"], rel=1e-4)
    again = run_recipe(recipe, out=tmp_path / "cuda", resume=True)
    assert again.metrics == ours.metrics
    model = digits_cnn(tmp_path / "cuda" / "model.safetensors", width=4)
    assert model(fb.zeros(1, 1, 8, 8)).device.type == "cpu"
