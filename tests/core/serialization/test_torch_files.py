"""Files of PyTorch: what the reader gives for files of real PyTorch, and what the writer writes, read back."""

import collections
import os

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ArgumentTypeError, DeviceError, FileFormatError
from flambeau.serialization import Opaque, load, save
from tests.golden.torch_files import DTYPES, FOLDER, values

FILES = ["zip.pt", "protocol5.pt", "legacy.pt"]


@pytest.fixture(params=FILES)
def state(request):
    return load(FOLDER / request.param)


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("file", FILES)
def test_every_dtype(file, mmap):
    state = load(FOLDER / file, mmap=mmap)
    for name in DTYPES:
        assert state[name].dtype is getattr(fb, name) and state[name].shape == (2, 3)
        assert (state[name].numpy().astype(values(name).dtype) == values(name)).all()


def test_views_share_memory_and_keep_their_strides(state):
    assert state["transposed"].stride() == (1, 4) and state["every other"].stride() == (4, 2) and state["expanded"].stride() == (0, 0)
    state["w"][1, 2] = 99.0
    assert state["row"][2] == 99 and state["transposed"][2, 1] == 99 and state["every other"][1, 1] == 99
    before = state["row"]._version
    state["w"].zero_()
    assert state["row"]._version == before + 1, "they share a storage, so that autograd sees writes"


def test_everything_that_is_no_plain_tensor(state):
    assert state["conj"].tolist() == [1 - 2j] and not state["conj"].is_conj()
    assert isinstance(state["parameter"], fb.nn.Parameter) and state["parameter"].requires_grad
    assert state["grad"].requires_grad and not isinstance(state["grad"], fb.nn.Parameter)
    assert state["empty"].shape == (0, 3) and state["scalar"].item() == 3.5
    assert state["size"] == fb.Size([1, 2]) and isinstance(state["size"], fb.Size)
    assert state["dtype"] is fb.float16 and state["device"] == fb.device("cpu")
    assert state["plain"] == {1: None, "x": (1, -2.5, "é", b"by\xff", True, 2**70, 1 + 2j, {3}, bytearray(b"z"))}


def test_a_training_checkpoint_names_what_it_does_not_read():
    path = FOLDER / "training.ckpt"
    with pytest.raises(FileFormatError, match=r"training.ckpt: .*'fractions.Fraction', which is not run"):
        load(path)
    state = load(path, opaque=True)
    assert state["epoch"] == 3 and state["optimizer_states"][0]["param_groups"][0]["betas"] == (0.9, 0.999)
    assert state["optimizer_states"][0]["state"][0]["step"].item() == 1.0 and state["lr_schedulers"][0]["step_size"] == 2
    assert state["hyper_parameters"]["numpy"] == 0.5 and state["hyper_parameters"]["array"].tolist() == [0, 1, 2]
    fraction = state["hyper_parameters"]["fraction"]
    assert isinstance(fraction, Opaque) and fraction.args == (1, 2) and repr(fraction) == "<fractions.Fraction, not read>"


def test_state_dicts_load_into_modules_and_optimizers():
    state = load(FOLDER / "training.ckpt", opaque=True)
    model = fb.nn.Sequential(fb.nn.Linear(2, 2), fb.nn.BatchNorm1d(2))
    model.load_state_dict(state["state_dict"])
    optimizer = fb.optim.Adam(model.parameters())
    optimizer.load_state_dict(state["optimizer_states"][0])
    model(fb.ones(3, 2)).sum().backward()
    optimizer.step()
    assert optimizer.state_dict()["state"][0]["step"].item() == 2.0
    assert state["state_dict"]._metadata["1"] == {"version": 2}


def test_map_location():
    assert load(FOLDER / "zip.pt", "meta")["w"].is_meta
    assert load(FOLDER / "zip.pt", map_location={"cpu": "meta"})["w"].is_meta
    seen = set()
    load(FOLDER / "zip.pt", map_location=lambda tensor, where: seen.add(where))
    assert seen == {"cpu"}


def test_a_gpu_file_says_how_to_load_it_without_one(tmp_path):
    if fb.cuda.is_available():
        pytest.skip("the file loads where it was saved")
    raw = (FOLDER / "legacy.pt").read_bytes().replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0", 1)
    (tmp_path / "gpu.pt").write_bytes(raw)
    with pytest.raises(DeviceError, match=r'the device .cuda:0., on which it was saved.*map_location="cpu"'):
        load(tmp_path / "gpu.pt")
    assert load(tmp_path / "gpu.pt", "cpu")["scalar"].item() == 3.5


def same(a, b):
    if isinstance(a, fb.Tensor):
        assert type(a) is type(b) and a.dtype is b.dtype and a.requires_grad == b.requires_grad and a.stride() == b.stride()
        return (a.detach().float().numpy() == b.detach().float().numpy()).all() if not a.is_complex() else fb.equal(a, b)
    if isinstance(a, dict):
        return type(a) is type(b) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


def test_written_files_come_back(state, tmp_path):
    save(state, tmp_path / "x.pt", format="torch")
    again = load(tmp_path / "x.pt")
    assert same(state, again)
    again["w"][1, 2] = 99.0
    assert again["row"][2] == 99 and again["transposed"][2, 1] == 99


def test_the_same_state_gives_the_same_bytes_and_aligned_storages(tmp_path):
    for name in "ab":
        save({"x": fb.arange(3), "y": {"z": fb.ones(2)}}, tmp_path / name, format="torch")
    raw = (tmp_path / "a").read_bytes()
    assert raw == (tmp_path / "b").read_bytes()
    assert raw.index(np.arange(3).tobytes()) % 64 == 0


def test_shared_and_cyclic_containers(tmp_path):
    inner = [1, 2]
    save({"a": inner, "b": inner, "d": collections.OrderedDict(x=inner)}, tmp_path / "x", format="torch")
    found = load(tmp_path / "x")
    assert found["a"] is found["b"] is found["d"]["x"]
    inner.append(inner)
    save(inner, tmp_path / "x", format="torch")
    found = load(tmp_path / "x")
    assert found[2] is found


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        ({"a": [np.zeros(2)]}, ArgumentTypeError, r"got a numpy.ndarray at \['a'\]\[0\]"),
        (object(), ArgumentTypeError, "got a builtins.object at the top"),
        (1 << 4000, ArgumentError, "2039 bits"),
    ],
)
def test_what_cannot_be_written(value, error, match, tmp_path):
    with pytest.raises(error, match=match):
        save(value, tmp_path / "x", format="torch")
    assert not os.listdir(tmp_path)


def test_unknown_formats_cannot_be_written(tmp_path):
    with pytest.raises(ArgumentError, match="a format of"):
        save({}, tmp_path / "x", format="onnx")
