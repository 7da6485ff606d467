"""Mirrors, lock files, caches of Hugging Face, and models by name."""

import hashlib
import json
import sys
import types

import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, DownloadError, FileFormatError, MissingExtra, NameNotFound, OfflineError
from flambeau.base.registry import registry
from flambeau.hub import Weights, fetch, hf_path, load_weights, read_lock, write_lock
from flambeau.serialization import save_file

META = {"num_params": 2, "metrics": {}, "recipe": "none", "licence": "MIT"}
STATE = {"weight": fb.ones(1, 2), "bias": fb.zeros(1)}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FLAMBEAU_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.delenv("FLAMBEAU_OFFLINE", raising=False)
    return tmp_path


def made(folder, name="net.safetensors"):
    folder.mkdir(parents=True, exist_ok=True)
    save_file(STATE, folder / name)
    data = (folder / name).read_bytes()
    return folder / name, hashlib.sha256(data).hexdigest(), data


# -- mirrors -----------------------------------------------------------------------------------------------------------------------------
def test_mirrors_are_tried_first_and_work_offline(home, monkeypatch):
    _, sha, data = made(home / "mirror" / "a")
    monkeypatch.setenv("FLAMBEAU_OFFLINE", "1")
    monkeypatch.setenv("FLAMBEAU_MIRRORS", f"https://example.invalid/=file://{home}/mirror/")
    assert fetch("https://example.invalid/a/net.safetensors", sha).read_bytes() == data
    with pytest.raises(OfflineError):
        fetch("https://other.invalid/a/net.safetensors", sha[:-1] + "0")


def test_a_mirror_that_lies_or_lacks_the_file_is_passed_over(home, monkeypatch):
    path, sha, data = made(home / "good")
    (home / "bad").mkdir()
    (home / "bad" / "net.safetensors").write_bytes(b"x" * len(data))
    rows = [f"file://{home}/good/=file://{home}/{place}/" for place in ("bad", "absent")]
    monkeypatch.setenv("FLAMBEAU_MIRRORS", ",".join(rows))
    assert fetch(f"file://{path}", sha, pause=0.001).read_bytes() == data
    monkeypatch.setenv("FLAMBEAU_MIRRORS", "nonsense")
    with pytest.raises(ArgumentError, match="PREFIX=PLACE"):
        fetch(f"file://{path}", "0" * 64)


def test_progress_is_reported(home, capsys):
    path, sha, data = made(home / "a")
    seen = []
    fetch(f"file://{path}", sha, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(data), len(data))
    (home / "cache" / "files" / sha / path.name).unlink()
    assert fetch(f"file://{path}", sha, progress=True).read_bytes() == data
    assert capsys.readouterr().out == ""


# -- weights.lock ------------------------------------------------------------------------------------------------------------------------
def test_a_lock_allows_only_what_it_lists(home, monkeypatch):
    path, sha, data = made(home / "a")
    whole, part = Weights(f"file://{path}", sha, meta=META), Weights(f"file://{path}", sha[:8], meta=META)
    lock = write_lock([part], home / "weights.lock")
    assert read_lock(lock) == {f"file://{path}": {"sha256": sha, "size": len(data), "licence": "MIT"}}
    monkeypatch.setenv("FLAMBEAU_WEIGHTS_LOCK", str(lock))
    assert whole.path().read_bytes() == data and part.path().read_bytes() == data
    other, other_sha, _ = made(home / "b", "other.safetensors")
    with pytest.raises(DownloadError, match="one that is not in it"):
        fetch(f"file://{other}", other_sha)
    with pytest.raises(DownloadError, match=r"as .*weights.lock says"):
        fetch(f"file://{path}", "0" * 64)
    monkeypatch.delenv("FLAMBEAU_WEIGHTS_LOCK")
    write_lock([Weights(f"file://{other}", other_sha, meta=META)], lock)
    assert list(read_lock(lock)) == sorted([f"file://{path}", f"file://{other}"])


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2, "files": {}}', '{"version": 1, "files": {"a": {"sha256": 3}}}', "[" * 100_000])
def test_damaged_locks(text, tmp_path):
    (tmp_path / "weights.lock").write_text(text)
    with pytest.raises(FileFormatError, match=r"weights.lock"):
        read_lock(tmp_path / "weights.lock")


# -- Hugging Face ------------------------------------------------------------------------------------------------------------------------
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def repository(home, files):
    """A cache as huggingface_hub leaves it: blobs by checksum, snapshots of links to them."""
    base = home / "hf" / "models--org--net"
    for name in ("refs", "blobs", f"snapshots/{COMMIT}"):
        (base / name).mkdir(parents=True)
    (base / "refs" / "main").write_text(COMMIT)
    for name, data in files.items():
        large = name.endswith(".safetensors")
        digest = hashlib.sha256(data) if large else hashlib.sha1(b"blob %d\0" % len(data) + data)
        blob = base / "blobs" / digest.hexdigest()
        blob.write_bytes(data)
        (base / "snapshots" / COMMIT / name).symlink_to(blob)
    return base


def test_a_cache_that_is_there_is_read_without_network_or_extra(home, monkeypatch):
    _, _, data = made(home / "a")
    base = repository(home, {"model.safetensors": data, "config.json": b"{}"})
    monkeypatch.setenv("FLAMBEAU_OFFLINE", "1")
    for address in ("hf://org/net", "hf://org/net@main", f"hf://org/net@{COMMIT}", "hf://org/net/model.safetensors"):
        assert fb.equal(load_weights(address)["weight"], STATE["weight"])
    assert json.loads(hf_path("hf://org/net/config.json").read_text()) == {}
    with pytest.raises(OfflineError, match="copy the repository to"):
        hf_path("hf://org/absent")
    (base / "snapshots" / COMMIT / "config.json").resolve().write_bytes(b"{ }")
    with pytest.raises(DownloadError, match="file config.json: expected the checksum"):
        hf_path("hf://org/net")
    assert hf_path("hf://org/net/model.safetensors").is_file()
    (base / "snapshots" / COMMIT / "model.safetensors").resolve().write_bytes(data[:-1] + b"x")
    with pytest.raises(DownloadError, match="file model.safetensors"):
        load_weights("hf://org/net/model.safetensors")


@pytest.mark.parametrize(
    "address",
    ["hf://org", "hf://org/net/../../x", "hf://../net", "hf://org/..", "hf://org/net@a/b/../c", "hf://org/net/a\\b", "hf:///etc/passwd"],
)
def test_addresses_that_are_none(address):
    with pytest.raises(ArgumentError, match="hf://org/name"):
        hf_path(address)


def test_what_is_not_cached_goes_through_huggingface_hub(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"flambeau\[hub\]"):
        hf_path("hf://org/net@v1")
    path, _, _ = made(home / "snapshot", "model.safetensors")
    asked = []

    def snapshot_download(**options):
        asked.append(options)
        return str(path.parent)

    stub = types.SimpleNamespace(snapshot_download=snapshot_download, hf_hub_download=lambda **options: 1 / 0)
    monkeypatch.setitem(sys.modules, "huggingface_hub", stub)
    assert "weight" in load_weights("hf://org/net@v1")
    assert asked[0]["repo_id"] == "org/net" and asked[0]["revision"] == "v1" and "*.py" not in asked[0]["allow_patterns"]
    with pytest.raises(DownloadError, match="ZeroDivisionError"):
        hf_path("hf://org/net/x.safetensors")


# -- models by name ----------------------------------------------------------------------------------------------------------------------
def line(weights=None):
    model = fb.nn.Linear(2, 1)
    model.made_with = weights
    return model


def plain():
    return fb.nn.Linear(2, 1)


@pytest.fixture
def names(home):
    global LINE_TAG
    path, sha, _ = made(home / "a")
    LINE_TAG = Weights(f"file://{path}", sha, meta=META)
    here = "tests.core.hub.test_places"
    sys.modules.setdefault(here, sys.modules[__name__])
    registry("models").add("line", f"{here}:line", "places")
    registry("models").add("plain", f"{here}:plain", "places")
    registry("weights").add("plain.tag", f"{here}:LINE_TAG", "places")
    yield path
    for kind in ("models", "weights"):
        registry(kind).remove_owner("places")


def test_models_by_name(names):
    assert {"line", "plain"} <= set(fb.hub.list()) and "plain.tag" in fb.hub.list("weights")
    assert fb.hub.load("plain").training
    for weights in ("tag", LINE_TAG, names, str(names), str(names.parent)):
        model = fb.hub.load("plain", weights)
        assert fb.equal(model.weight, STATE["weight"]) and not model.training
    assert fb.hub.load("line", "DEFAULT").made_with == "DEFAULT"
    with pytest.raises(NameNotFound, match="Did you mean 'plain.tag'"):
        fb.hub.load("plain", "tags")
    with pytest.raises(NameNotFound):
        fb.hub.load("no such model")
    with pytest.raises(ArgumentError, match="their sha256"):
        load_weights("https://example.invalid/a.pt")


LINE_TAG = None
