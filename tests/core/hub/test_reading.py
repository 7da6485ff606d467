"""load_weights: one way to read any file or folder of weights."""

import json
from collections import OrderedDict

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, FileFormatError
from flambeau.hub import load_weights
from flambeau.serialization import save, save_file, save_sharded
from tests.golden.torch_files import FOLDER

NAMES = ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"]
WEIGHTS = {"a.weight": fb.arange(6.0).view(2, 3), "b.weight": fb.ones(2, dtype=fb.bfloat16)}


def equal(found):
    return list(found) == list(WEIGHTS) and all(fb.equal(found[name], WEIGHTS[name]) for name in found)


@pytest.mark.parametrize("name", ["training.ckpt", "module.pt"])
def test_checkpoints_and_pickled_modules(name):
    found = load_weights(FOLDER / name)
    assert list(found) == NAMES and not any(tensor.requires_grad for tensor in found.values())
    fb.nn.Sequential(fb.nn.Linear(2, 2), fb.nn.BatchNorm1d(2)).load_state_dict(found)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "diffusion_pytorch_model.safetensors", "adapter_model.safetensors", "any.safetensors"]
)
def test_folders_of_safetensors(name, tmp_path):
    save_file(WEIGHTS, tmp_path / name)
    (tmp_path / "config.json").write_text("{}")
    found = load_weights(tmp_path)
    assert {key: found[key] for key in WEIGHTS}.keys() == found.keys() and equal({key: found[key] for key in WEIGHTS})
    assert load_weights(tmp_path / name).keys() == found.keys()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pth", "diffusion_pytorch_model.bin"])
def test_folders_of_torch_files(name, tmp_path):
    save(OrderedDict(WEIGHTS), tmp_path / name, format="torch")
    assert equal(load_weights(tmp_path))


def test_sharded_folders(tmp_path):
    (tmp_path / "a").mkdir()
    save_sharded(WEIGHTS, tmp_path / "a", max_shard_size=10)
    assert equal(load_weights(tmp_path / "a"))
    (tmp_path / "b").mkdir()
    for number, key in enumerate(WEIGHTS, start=1):
        save({key: WEIGHTS[key]}, tmp_path / "b" / f"pytorch_model-{number:05d}-of-00002.bin", format="torch")
    weight_map = {key: f"pytorch_model-{number:05d}-of-00002.bin" for number, key in enumerate(WEIGHTS, start=1)}
    (tmp_path / "b" / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    assert equal(load_weights(tmp_path / "b"))
    (tmp_path / "b" / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(FileFormatError, match="the shard pytorch_model-00002-of-00002.bin beside it"):
        load_weights(tmp_path / "b")


def test_safetensors_is_preferred_to_pickles(tmp_path):
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    save({"other": fb.zeros(1)}, tmp_path / "pytorch_model.bin", format="torch")
    assert "other" not in load_weights(tmp_path)


def test_which_weights_of_a_checkpoint(tmp_path):
    path = tmp_path / "gan.pt"
    save(
        {"generator": {"a": fb.zeros(1)}, "discriminator": {"b": fb.zeros(1)}, "step": 3, "deep": {"er": {"c": fb.ones(1)}}},
        path,
        format="torch",
    )
    with pytest.raises(ArgumentError, match=r"got 'generator', 'discriminator'.*key='generator'"):
        load_weights(path)
    assert list(load_weights(path, key="generator")) == ["a"]
    assert list(load_weights(path, key="deep.er")) == ["c"]
    with pytest.raises(ArgumentError, match="Did you mean 'generator'"):
        load_weights(path, key="generater")
    with pytest.raises(ArgumentError, match="a dict of tensors under 'step'"):
        load_weights(path, key="step")


def test_no_weights(tmp_path):
    save([1, 2], tmp_path / "x.pt", format="torch")
    with pytest.raises(FileFormatError, match="expected a dict of tensors, got a list"):
        load_weights(tmp_path / "x.pt")
    save({"epoch": 1}, tmp_path / "x.pt", format="torch")
    with pytest.raises(FileFormatError, match="got a dict with 'epoch': int"):
        load_weights(tmp_path / "x.pt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgumentError, match="expected one file of model.safetensors"):
        load_weights(tmp_path / "empty")


def test_tensors_are_views_of_the_file_and_writing_does_not_change_it(tmp_path):
    save({"w": fb.zeros(3)}, tmp_path / "x.pt", format="torch")
    before = (tmp_path / "x.pt").read_bytes()
    load_weights(tmp_path / "x.pt")["w"].add_(1.0)
    assert (tmp_path / "x.pt").read_bytes() == before
    assert np.array_equal(load_weights(tmp_path / "x.pt")["w"].numpy(), np.zeros(3))
