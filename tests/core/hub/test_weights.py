"""The record of pretrained weights."""

from __future__ import annotations

import hashlib
from decimal import Context

import pytest

from flambeau.base.errors import ArgumentError, DownloadError, PluginError
from flambeau.hub import Weights, cache_dir

META = {"num_params": 1, "metrics": {}, "recipe": "r", "licence": "Apache-2.0"}


def test_weights_lead_to_a_checked_file_and_its_preprocessing(tmp_path, monkeypatch):
    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path / "home"))
    source = tmp_path / "net.bin"
    source.write_bytes(b"weights")
    weights = Weights(source.as_uri(), hashlib.sha256(b"weights").hexdigest().upper(), "decimal:Context", META)
    assert weights.path().read_bytes() == b"weights"
    assert cache_dir() in weights.path().parents
    assert isinstance(weights.transforms(prec=5), Context)
    assert {weights: 1}[weights] == 1


def test_claims_are_required_and_frozen():
    with pytest.raises(
        ArgumentError, match=r"expected meta with num_params, metrics, recipe, licence, got none of \['recipe', 'licence'\]"
    ):
        Weights("https://example.org/x", "0" * 64, "", {"num_params": 1, "metrics": {}})
    weights = Weights("https://example.org/x", "0" * 64, "", META)
    with pytest.raises(TypeError):
        weights.meta["licence"] = "other"
    with pytest.raises(ArgumentError, match="got weights without one"):
        weights.transforms()


def test_a_preprocessing_that_is_not_there():
    with pytest.raises(PluginError, match="no_such_module_x:f to be importable"):
        Weights("https://example.org/x", "0" * 64, "no_such_module_x:f", META).transforms()


def test_a_checksum_is_required():
    with pytest.raises(ArgumentError, match="expected a sha256 of 64 hexadecimal digits, its first 8 to 32, or md5-<32 digits>, got 'abc'"):
        Weights("https://example.org/x", "abc", "", META)


def test_the_first_digits_of_a_checksum(tmp_path, monkeypatch):
    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path / "home"))
    source = tmp_path / "net-1234.pth"
    source.write_bytes(b"weights")
    whole = hashlib.sha256(b"weights").hexdigest()
    assert Weights(source.as_uri(), whole[:8], "", META).path().read_bytes() == b"weights"
    wrong = "0" * 8 if whole[0] != "0" else "1" * 8
    with pytest.raises(DownloadError, match=f"expected sha256 {wrong}, got {whole}"):
        Weights(source.as_uri(), wrong, "", META).path()


def test_options_of_the_preprocessing():
    weights = Weights("https://example.org/x", "0" * 64, "decimal:Context", META, options={"prec": 3, "Emax": 9})
    assert (weights.transforms().prec, weights.transforms(prec=5).prec, weights.transforms(prec=5).Emax) == (3, 5, 9)
