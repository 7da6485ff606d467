"""Nested state: exact round trips, sharing, and hostile files."""

import collections
import contextlib
import io
import json
import math
import os
import types

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy as reference
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau
from flambeau.base.errors import ArgumentError, ArgumentTypeError, FileFormatError
from flambeau.serialization import FileFormat, load, register_format, save
from flambeau.serialization import formats as formats_module
from flambeau.serialization.safetensors import save as safetensors_bytes


def round_trip(obj, **options):
    memory = io.BytesIO()
    save(obj, memory)
    memory.seek(0)
    return load(memory, **options)


def equal(a, b):
    """Equal in value and in type, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, flambeau.Tensor):
        return (
            a.dtype == b.dtype
            and a.shape == b.shape
            and a.stride() == b.stride()
            and a.requires_grad == b.requires_grad
            and a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
        )
    if isinstance(a, (np.ndarray, np.generic)):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return len(a) == len(b) and all(equal(x, y) and equal(a[x], b[y]) for x, y in zip(a, b))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, float):
        return a.hex() == b.hex()
    return a == b


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(2**60, 2**80),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(),
    st.binary(max_size=3000),
    st.just("!"),
)
keys = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=2), max_leaves=3)
states = st.recursive(
    scalars | st.binary(max_size=5).map(bytearray) | st.integers(0, 3).map(lambda n: np.arange(n, dtype=np.float32)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3) | st.just("!"), inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3).map(collections.OrderedDict),
        st.sets(keys, max_size=3),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(states)
def test_any_nested_state_comes_back(state):
    assert equal(round_trip(state), state)


DTYPES = [
    getattr(flambeau, name) for name in "float64 float32 float16 bfloat16 complex64 complex128 int64 int32 int16 int8 uint8 bool".split()
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_of_every_dtype(dtype):
    base = (flambeau.arange(24) % 7).reshape(2, 3, 4).to(dtype)
    state = {"whole": base.clone(), "turned": base.clone().permute(2, 0, 1), "part": base.clone()[:, 1:, ::2], "none": base[:0].clone()}
    state["scalar"] = base[0, 0, 1].clone()
    assert equal(round_trip(state), state)


def test_numbers_of_every_kind():
    state = [
        math.inf,
        -math.inf,
        -0.0,
        5e-324,
        2**64,
        -(2**63),
        1 + 2j,
        complex(math.inf, -0.0),
        np.float32(0.1),
        np.int8(-3),
        np.bool_(True),
    ]
    assert equal(round_trip(state), state)
    assert math.isnan(round_trip(math.nan))


def test_arrays_of_every_kind():
    state = {
        "text": np.array(["a", "long"]),
        "bytes": np.array([b"x", b"yz"]),
        "dates": np.array(["2026-01-01"], dtype="datetime64[D]"),
        "big endian": np.arange(3, dtype=">i4"),
        "bfloat16": np.arange(3).astype(ml_dtypes.bfloat16),
        "broadcast": np.broadcast_to(np.float32(2), (1000, 1000)),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "zero d": np.array(3.5),
        "empty": np.zeros((0, 3)),
    }
    back = round_trip(state)
    assert equal(back, state)
    assert back["broadcast"].strides == (0, 0) and back["fortran"].flags.f_contiguous
    backwards = round_trip(np.arange(5)[::-1])
    assert backwards.tolist() == [4, 3, 2, 1, 0]


def test_small_objects():
    state = {"dtype": flambeau.float16, "device": flambeau.device("cpu"), "shape": flambeau.Size((2, 3))}
    back = round_trip(state)
    assert back["dtype"] is flambeau.float16 and back["device"] == flambeau.device("cpu")
    assert type(back["shape"]) is flambeau.Size and back["shape"] == (2, 3)


def test_module_versions_of_a_state_dict_survive():
    state = collections.OrderedDict(weight=flambeau.zeros(2))
    state._metadata = collections.OrderedDict([("", {"version": 2})])
    assert round_trip(state)._metadata == state._metadata


def test_requires_grad():
    leaf = flambeau.ones(2, requires_grad=True)
    back = round_trip([leaf, leaf * 2, leaf.detach()])
    assert [t.requires_grad for t in back] == [True, True, False] and all(t.is_leaf for t in back)


@pytest.mark.parametrize("options", [{}, {"mmap": True}, {"mmap": True, "verify": True}])
def test_shared_memory_stays_shared(options, tmp_path):
    weight = flambeau.arange(12, dtype=flambeau.float32).reshape(3, 4)
    buffer = np.arange(6)
    state = {
        "tied": [weight, weight],
        "row": weight[1],
        "column": weight[:, 2],
        "flat": weight.view(-1),
        "buffer": buffer,
        "window": buffer[2:4],
    }
    path = tmp_path / "shared.safetensors"
    save(state, path)
    assert os.path.getsize(path) < 4 * 12 + 8 * 6 + 3000  # each memory once
    back = load(path, **options)
    assert equal(back, state)
    back["tied"][0][1, 2] = 100
    assert float(back["tied"][1][1, 2]) == float(back["row"][2]) == float(back["column"][1]) == float(back["flat"][6]) == 100
    back["buffer"][2] = 55
    assert back["window"][0] == 55
    assert float(load(path)["row"][2]) == 6, "the file did not change"


def test_sharing_is_seen_by_autograd():
    weight = flambeau.ones(3)
    a, b = round_trip([weight, weight])
    x = flambeau.ones(3, requires_grad=True)
    product = x * a
    b.add_(1.0)
    with pytest.raises(RuntimeError, match="in-place|in place|version|changed"):
        product.sum().backward()


def test_disjoint_parts_of_one_memory_are_stored_apart():
    base = flambeau.arange(1_000)
    memory = io.BytesIO()
    save([base[:2], base[500:502]], memory)
    assert memory.tell() < 3000


def test_other_readers_can_read_our_tensors(tmp_path):
    path = tmp_path / "model.safetensors"
    save({"model": {"weight": flambeau.arange(3)}, "step": 5, 7: np.zeros(2)}, path)
    tensors = reference.load_file(path)
    assert tensors["model.weight"].tolist() == [0, 1, 2] and sorted(tensors) == ["7", "model.weight"]


def test_plain_safetensors_files_load_as_tensors(tmp_path):
    path = tmp_path / "plain.safetensors"
    path.write_bytes(safetensors_bytes({"b": np.arange(2), "a": np.zeros(1, np.float32)}))
    for options in ({}, {"mmap": True}):
        loaded = load(path, **options)
        assert sorted(loaded) == ["a", "b"] and loaded["b"].tolist() == [0, 1]


def test_map_location():
    state = [flambeau.ones(2)]
    for where in ("cpu", flambeau.device("cpu"), {"cuda:0": "cpu"}, lambda tensor, saved: tensor, lambda tensor, saved: None):
        assert round_trip(state, map_location=where)[0].tolist() == [1, 1]
    seen = []
    round_trip(state, map_location=lambda tensor, saved: seen.append(saved) or tensor)
    assert seen == ["cpu"]
    assert round_trip(state, map_location="meta")[0].device.type == "meta"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": [1, {"b": object()}]}, r"a builtins.object at \['a'\]\[1\]\['b'\]"),
        (lambda: 1, "a builtins.function at the top"),
        ({"f": collections.Counter()}, r"a collections.Counter at \['f'\]"),
        ([collections.namedtuple("P", "x")(1)], r"P at \[0\]"),
        ({"p": __import__("pathlib").Path("/")}, r"Path at \['p'\]"),
    ],
)
def test_what_cannot_be_saved_is_named_by_its_place(state, message, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(ArgumentTypeError, match=message):
        save(state, path)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["x"]


def test_object_arrays_and_cycles_are_refused():
    with pytest.raises(ArgumentError, match="got dtype object at 'x'"):
        round_trip({"x": np.array([None])})
    cycle = []
    cycle.append(cycle)
    with pytest.raises(ArgumentError, match="contains itself"):
        round_trip(cycle)
    with pytest.raises(ArgumentError, match="a path or an open binary file"):
        save(1, 2)
    with pytest.raises(ArgumentError, match="a path or an open binary file"):
        load(2)


def test_every_changed_byte_is_noticed(tmp_path):
    path = tmp_path / "state"
    save({"w": np.arange(10), "text": "hello"}, path)
    good = path.read_bytes()
    for position in range(len(good)):
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(FileFormatError, match="state"):
            load(path)
    for size in range(len(good)):
        path.write_bytes(good[:size])
        with pytest.raises(FileFormatError, match="state"):
            load(path)


def file_with(root, leaves=(), tensors=None, **metadata):
    facts = {"format": "flambeau", "flambeau.version": "1", "flambeau.sha256": "0" * 64}
    text = root if isinstance(root, str) else json.dumps({"root": root, "leaves": list(leaves)})
    return safetensors_bytes(tensors or {"t": np.arange(4, dtype=np.uint8)}, {**facts, "flambeau.state": text, **metadata})


def leaf(**row):
    return [{"entry": "t", "dtype": "|u1", "kind": "tensor", **row}]


HOSTILE = {
    "not json": "{",
    "no root": '{"leaves": []}',
    "a list": "[]",
    "deep": '{"leaves": [], "root": ' + "[" * 50_000 + "]" * 50_000 + "}",
    "unknown tag": {"!": "os.system", "v": "ls"},
    "no value": {"!": "tuple"},
    "tag a list": {"!": ["tuple"], "v": []},
    "leaf out of range": {"!": "leaf", "v": 0},
    "negative leaf": {"!": "leaf", "v": -1},
    "leaf a bool": {"!": "leaf", "v": True},
    "float code": {"!": "float", "v": "__import__('os')"},
    "bad hex": {"!": "int", "v": "zz"},
    "complex of one": {"!": "complex", "v": [1.0]},
    "bad base64": {"!": "bytes", "v": "***"},
    "unhashable key": {"!": "dict", "v": [[[], 1]]},
    "pair of three": {"!": "dict", "v": [[1, 2, 3]]},
    "dict of a number": {"!": "dict", "v": 3},
    "unknown dtype": {"!": "dtype", "v": "float33"},
    "unknown device": {"!": "device", "v": "quantum:9"},
    "size of text": {"!": "size", "v": ["x"]},
}
HOSTILE_LEAVES = {
    "unknown entry": leaf(entry="nothing"),
    "no dtype": [{"entry": "t", "kind": "tensor"}],
    "object dtype": leaf(dtype="|O"),
    "record dtype": leaf(dtype="i4,i4"),
    "nonsense dtype": leaf(dtype="os.system"),
    "dtype a list": leaf(dtype=["|u1"]),
    "another dtype": leaf(dtype="<f4"),
    "unknown kind": leaf(kind="function"),
    "scalar of four": leaf(kind="scalar"),
    "beyond the end": leaf(shape=[8], strides=[1], offset=0),
    "before the start": leaf(shape=[2], strides=[-1], offset=0),
    "offset beyond": leaf(shape=[1], strides=[1], offset=4),
    "huge shape": leaf(shape=[2**60], strides=[1], offset=0),
    "huge product": leaf(shape=[2**40, 2**40], strides=[0, 0], offset=0),
    "ragged": leaf(shape=[2, 2], strides=[1], offset=0),
    "float shape": leaf(shape=[2.0], strides=[1], offset=0),
    "no offset": leaf(shape=[2], strides=[1]),
    "shape a string": leaf(shape="2", strides=[1], offset=0),
    "broadcast and unaligned": leaf(dtype="<f2", shape=[2**40], strides=[0], offset=1),
    "row a list": [["t"]],
    "device": leaf(device="quantum"),
}


@pytest.mark.parametrize("case", [*HOSTILE, *HOSTILE_LEAVES])
def test_hostile_descriptions(case, tmp_path):
    path = tmp_path / "evil"
    leaves = HOSTILE_LEAVES.get(case, [])
    path.write_bytes(file_with(HOSTILE.get(case, {"!": "leaf", "v": 0}), leaves))
    with pytest.raises((FileFormatError, flambeau.base.errors.DeviceError)):
        load(path, verify=False)
    with pytest.raises(FileFormatError, match="SHA-256"):
        load(path)


def test_long_bytes_cannot_be_inflated(tmp_path):
    path = tmp_path / "bomb"
    path.write_bytes(file_with({"!": "longbytes", "v": 0}, leaf(kind="array", shape=[2**40], strides=[0], offset=0)))
    with pytest.raises(FileFormatError):
        load(path, verify=False)


def test_newer_versions_are_refused(tmp_path):
    path = tmp_path / "newer"
    path.write_bytes(file_with(1, **{"flambeau.version": "2"}))
    with pytest.raises(FileFormatError, match="newer: expected version 1 of the format, got version '2'"):
        load(path, verify=False)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"", "an empty file"),
        (b"\x1f\x8b\x08" + bytes(90), "a gzip file"),
        (b"hello world!", "one that begins with"),
    ],
)
def test_unknown_formats_are_described(head, what, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(head)
    with pytest.raises(FileFormatError, match=f"model.pt: expected a file of a known format .*got {what}"):
        load(path)


def read_shouting(buffer, source, options):
    return bytes(buffer[5:]).upper(), options.map_location


def test_another_format_is_another_row(tmp_path, monkeypatch):
    monkeypatch.setattr(formats_module, "_formats", list(formats_module._formats))
    monkeypatch.setattr(formats_module, "read_shouting", read_shouting, raising=False)
    shouting = FileFormat("shouting", lambda head, name: head.startswith(b"SHOUT"), "flambeau.serialization.formats:read_shouting")
    register_format(shouting)
    path = tmp_path / "x"
    path.write_bytes(b"SHOUTabc")
    assert load(path, "cpu") == (b"ABC", "cpu")
    with pytest.raises(ArgumentError, match="a new name, got 'shouting'"):
        register_format(shouting)


@pytest.fixture
def second_memory(monkeypatch):
    """A stand-in for a GPU: arrays of a class of their own, which must be copied to be read."""
    from flambeau.device import base
    from flambeau.device.cuda import CudaBackend

    class Remote(np.ndarray):
        @property
        def device(self):
            return types.SimpleNamespace(id=0)

    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1, getDevice=lambda: 0)
    xp = types.SimpleNamespace(
        ndarray=Remote,
        asnumpy=lambda array: np.array(array),
        asarray=lambda array: np.array(array).view(Remote),
        cuda=types.SimpleNamespace(Device=lambda *_: contextlib.nullcontext(), runtime=runtime),
    )
    monkeypatch.setitem(base._backends, "cuda", CudaBackend(xp))
    yield xp
    base.executors.pop(Remote)


def test_tied_tensors_of_another_device_stay_tied(second_memory, tmp_path):
    from flambeau.serialization import save_file
    from flambeau.tensor.tensor import wrap

    weight = wrap(second_memory.asarray(np.arange(4000.0)))
    path = tmp_path / "tied"
    save({"a": weight, "b": [weight], "c": flambeau.ones(1)}, path)
    assert os.path.getsize(path) < 35_000
    back = load(path)
    assert back["a"].is_cuda and str(back["a"].device) == "cuda:0" and back["c"].is_cpu
    assert back["a"].data_ptr() == back["b"][0].data_ptr() and back["a"].cpu().tolist() == list(range(4000))
    back = load(path, map_location="cpu")
    assert back["a"].is_cpu and np.shares_memory(back["a"].numpy(), back["b"][0].numpy())
    with pytest.raises(ArgumentError, match=r"shared memory among \[\['a', 'b'\]\]"):
        save_file({"a": weight, "b": weight}, path)


def test_parameters_and_modules():
    from flambeau import nn

    weight = nn.Parameter(flambeau.arange(3.0))
    frozen = nn.Parameter(flambeau.zeros(1), requires_grad=False)
    back = round_trip([weight, frozen, weight, weight.detach()])
    assert [type(value) for value in back] == [nn.Parameter, nn.Parameter, nn.Parameter, flambeau.Tensor]
    assert [value.requires_grad for value in back] == [True, False, True, False]
    back[3][0] = 9.0
    assert back[0].tolist() == back[2].tolist() == [9.0, 1.0, 2.0]

    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    state = model.state_dict()
    back = round_trip({"model": state, "step": 1})["model"]
    assert type(back) is type(state) and equal(dict(back), dict(state))
    other = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    other.load_state_dict(back)
    x = flambeau.ones(4, 3)
    assert other(x).tolist() == model(x).tolist()
