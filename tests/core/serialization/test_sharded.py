"""Sharded models and their index."""

import json

import numpy as np
import pytest

from flambeau.base.errors import ArgumentError, FileFormatError
from flambeau.serialization import load, load_sharded, save_sharded

TENSORS = {f"layer.{i}": np.full(250, i, np.float32) for i in range(5)}


def equal(loaded):
    return list(loaded) == list(TENSORS) and all((loaded[name].numpy() == array).all() for name, array in TENSORS.items())


@pytest.mark.parametrize(("limit", "shards"), [(2000, 3), ("2KB", 3), ("1KB", 5), (10**9, 1), ("0.1KB", 5), ("1GiB", 1)])
def test_round_trip(tmp_path, limit, shards):
    files = save_sharded(TENSORS, tmp_path, max_shard_size=limit, metadata={"format": "pt"})
    assert all(path.exists() for path in files)
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert len(weights) == shards
    assert equal({name: load_sharded(tmp_path)[name] for name in TENSORS})
    if shards > 1:
        assert weights[0].name == f"model-00001-of-{shards:05d}.safetensors"
        index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
        assert index["metadata"]["total_size"] == 5000 and set(index["weight_map"]) == set(TENSORS)
        assert equal({name: load(files[-1])[name] for name in TENSORS})
    else:
        assert weights[0].name == "model.safetensors" and len(files) == 1


def test_going_back_to_one_file_removes_the_index(tmp_path):
    save_sharded(TENSORS, tmp_path, max_shard_size=1000)
    save_sharded({"a": np.zeros(1)}, tmp_path)
    assert list(load_sharded(tmp_path)) == ["a"]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (b"[]", "a weight_map"),
        (b"{", "a JSON object"),
        (b'{"weight_map": {}}', "a weight_map"),
        (b'{"weight_map": {"a": "../../etc/passwd"}}', "without a folder"),
        (b'{"weight_map": {"a": "../x.safetensors"}}', "without a folder"),
        (b'{"weight_map": {"a": "c:x.safetensors"}}', "without a folder"),
        (b'{"weight_map": {"a": 3}}', "without a folder"),
        (b'{"weight_map": {"a": "gone.safetensors"}}', "the shard gone.safetensors beside it"),
        (b'{"weight_map": {"b": "model.safetensors"}}', "'b' in model.safetensors"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_hostile_indexes(tmp_path, index, message):
    save_sharded({"a": np.zeros(1)}, tmp_path)
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(index)
    with pytest.raises(FileFormatError, match="model.safetensors.index.json") as caught:
        load_sharded(path)
    assert message in str(caught.value)


def test_errors(tmp_path):
    with pytest.raises(ArgumentError, match="model.safetensors.index.json or model.safetensors in the folder"):
        load_sharded(tmp_path)
    with pytest.raises(ArgumentError, match="max_shard_size"):
        save_sharded(TENSORS, tmp_path, max_shard_size="many")
