"""The safetensors format: against the reference implementation, and against hostile files."""

import json
import os
import struct

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import flambeau
from flambeau.base.errors import ArgumentError, FileFormatError, IndexingError, NameNotFound
from flambeau.serialization import load_file, load_model, safe_open, save_file, save_model
from flambeau.serialization.layout import BITS
from flambeau.serialization.safetensors import load, save

DTYPES = ["f8", "i8", "u8", "c8", "f4", "i4", "u4", "f2", "i2", "u2", "i1", "u1", "?"]
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

arrays = st.sampled_from([*map(np.dtype, DTYPES), BFLOAT16]).flatmap(
    lambda dtype: hnp.arrays(np.uint8, st.just((2, 3, dtype.itemsize * 4)) | st.just((0, dtype.itemsize)) | st.just((dtype.itemsize,))).map(
        lambda raw: (raw % 2 if dtype == np.bool_ else raw).view(dtype)
    )
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda name: name != "__metadata__")


def same(a, b):
    assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(names, arrays, max_size=5),
    st.dictionaries(names, st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=1),
)
def test_bytes_equal_the_reference_writer(tensors, metadata):
    written = save(tensors, metadata or None)
    assert written == reference.save(tensors, metadata or None)
    back = load(written)
    assert sorted(back) == sorted(tensors)
    for name, array in tensors.items():
        same(np.asarray(back[name].numpy()), array)


def test_reading_what_the_reference_wrote(tmp_path):
    tensors = {f"t{code}": np.arange(6).reshape(2, 3).astype(code) for code in DTYPES} | {"scalar": np.array(3, np.float32)}
    path = tmp_path / "x.safetensors"
    reference.save_file(tensors, path, {"format": "pt"})
    with safe_open(path, framework="np") as file, safetensors.safe_open(path, framework="np") as other:
        assert file.keys() == sorted(other.keys()) and file.metadata() == other.metadata() == {"format": "pt"}
        assert len(file) == len(tensors) and sorted(file) == file.keys() and set(file.offset_keys()) == set(tensors)
        for name in file.keys():
            same(file.get_tensor(name), other.get_tensor(name))
            assert file.get_slice(name).get_dtype() == other.get_slice(name).get_dtype()
        part, other_part = file.get_slice("tf4"), other.get_slice("tf4")
        assert part.get_shape() == other_part.get_shape() == [2, 3]
        for index in [slice(1, 2), (slice(None), slice(0, 2)), 1]:
            np.testing.assert_array_equal(part[index], other_part[index])
        with pytest.raises(IndexingError, match="slice of 'tf4'"):
            part[5]
        with pytest.raises(NameNotFound, match="Did you mean 'tf4'"):
            file.get_tensor("tf44")
    with pytest.raises(ArgumentError, match="closed at the end of its with block"):
        file.get_tensor("tf4")


def test_the_reference_reads_what_we_wrote(tmp_path):
    tensors = {"w": flambeau.arange(12).reshape(3, 4), "b": flambeau.tensor([1.5, 2.5], dtype=flambeau.bfloat16), "f": flambeau.zeros(2, 0)}
    path = tmp_path / "x.safetensors"
    save_file(tensors, path, metadata={"format": "pt"})
    with safetensors.safe_open(path, framework="np") as file:
        assert file.metadata() == {"format": "pt"} and sorted(file.keys()) == ["b", "f", "w"]
        np.testing.assert_array_equal(file.get_tensor("w"), tensors["w"].numpy())
    back = load_file(path)
    assert back["b"].dtype == flambeau.bfloat16 and back["b"].tolist() == [1.5, 2.5] and tuple(back["f"].shape) == (2, 0)


def test_loading_is_a_private_view_of_the_file(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"w": np.zeros(100_000, np.float32)}, path)
    tensor = load_file(path)["w"]
    base = tensor.numpy()
    while isinstance(base, np.ndarray):
        base = base.base
    assert type(getattr(base, "obj", base)).__name__ == "mmap"
    tensor.numpy()[0] = 7
    assert float(load_file(path)["w"][0]) == 0 and float(tensor[0]) == 7


def test_strided_tensors_are_stored_contiguously():
    array = np.arange(12).reshape(3, 4)
    for view in (array.T, array[:, ::2], array[::-1], np.asfortranarray(array), array.astype(">i4")):
        np.testing.assert_array_equal(load(save({"v": view}))["v"].numpy(), view)


def test_shared_memory_is_refused_by_name():
    array = np.arange(10)
    with pytest.raises(ArgumentError, match=r"shared memory among \[\['a', 'b'\]\].*save_model"):
        save({"a": array, "b": array[3:], "c": np.arange(3)})
    assert set(load(save({"head": array[:5], "tail": array[5:]}))) == {"head", "tail"}


class Module:
    """The part of a module that save_model uses."""

    def __init__(self, **tensors):
        self.tensors = tensors

    def state_dict(self):
        return self.tensors

    def load_state_dict(self, state, strict=True):
        class Result:
            missing_keys = [name for name in self.tensors if name not in state]
            unexpected_keys = [name for name in state if name not in self.tensors]

        for name in self.tensors:
            if name in state:
                self.tensors[name].numpy()[...] = state[name].numpy()
        return Result()


def test_tied_weights_of_a_model_are_stored_once(tmp_path):
    tied = flambeau.tensor([1.0, 2.0])
    path = tmp_path / "m.safetensors"
    save_model(Module(lm_head=tied, embedding=tied, other=flambeau.ones(1)), path, {"format": "pt"})
    with safe_open(path) as file:
        assert file.keys() == ["embedding", "other"] and file.metadata() == {"format": "pt", "lm_head": "embedding"}
    fresh = flambeau.zeros(2)
    model = Module(lm_head=fresh, embedding=fresh, other=flambeau.zeros(1))
    assert load_model(model, path) == ([], [])
    assert fresh.tolist() == [1.0, 2.0]
    with pytest.raises(ArgumentError, match=r"missing \['extra'\], unexpected \['other'\]"):
        load_model(Module(lm_head=fresh, embedding=fresh, extra=flambeau.zeros(1)), path)
    with pytest.raises(ArgumentError, match="share"):
        save_model(Module(whole=tied, part=tied[1:]), path)


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"z": np.zeros(1, complex)}, None, "got complex128"),
        ({"o": np.array([None])}, None, "got object"),
        ({"t": np.array(["a"])}, None, "a dtype of"),
        ({"__metadata__": np.zeros(1)}, None, "other than '__metadata__'"),
        ({3: np.zeros(1)}, None, "tensor names that are strings"),
        ({"a": np.zeros(1)}, {"n": 3}, "a dict of str to str, got 'n': 3"),
    ],
)
def test_what_cannot_be_written(tensors, metadata, message, tmp_path):
    path = tmp_path / "x"
    with pytest.raises(ArgumentError, match=message):
        save_file(tensors, path, metadata)
    assert os.listdir(tmp_path) == []


def test_lists_are_not_tensors():
    with pytest.raises(TypeError, match="tensors or NumPy arrays, got list"):
        save({"a": [1, 2]})


def file_of(header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


HOSTILE = {
    "empty": (b"", "at least 8 bytes"),
    "short": (b"abc", "at least 8 bytes"),
    "no header": (file_of(b"", length=5), "truncated"),
    "huge header": (file_of(b"{}", length=2**40), "at most 100000000 bytes"),
    "header beyond the file": (file_of(b"{}", length=50), "a header of 50 bytes"),
    "not json": (file_of(b"{nonsense}"), "a JSON header"),
    "not an object": (file_of(b"[1]"), "begins with '{'"),
    "space first": (file_of(b" {}"), "begins with '{'"),
    "not utf-8": (file_of(b'{"\xff": 1}'), "UTF-8"),
    "surrogate": (file_of(b'{"\\ud800": 1}'), "surrogate"),
    "nan": (file_of(b'{"a": NaN}'), "the constant NaN"),
    "deep": (file_of(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
    "long number": (file_of(b'{"a":' + b"1" * 10_000 + b"}"), "a JSON header"),
    "tensor twice": (
        file_of(b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
        "'a' twice",
    ),
    "key twice": (file_of(b'{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}'), "'dtype' twice"),
    "metadata of numbers": (file_of({"__metadata__": {"a": 1}}), "map strings to strings"),
    "metadata list": (file_of({"__metadata__": ["a"]}), "map strings to strings"),
    "row not a dict": (file_of({"a": 3}), "dtype, shape and data_offsets for 'a'"),
    "no shape": (file_of({"a": {"dtype": "F32", "data_offsets": [0, 0]}}), "dtype, shape and data_offsets"),
    "unknown dtype": (file_of({"a": entry("F31")}, bytes(8)), "a known dtype for 'a', got 'F31'"),
    "dtype a list": (file_of({"a": entry(["F32"])}, bytes(8)), "a known dtype"),
    "negative size": (file_of({"a": entry(shape=(-2,))}, bytes(8)), "list of sizes"),
    "boolean size": (file_of({"a": entry(shape=(True, 2))}, bytes(8)), "list of sizes"),
    "float size": (file_of({"a": entry(shape=(2.0,))}, bytes(8)), "list of sizes"),
    "shape a string": (file_of(b'{"a":{"dtype":"F32","shape":"2","data_offsets":[0,8]}}', bytes(8)), "list of sizes"),
    "overflowing shape": (file_of({"a": entry(shape=(2**62, 2**62, 4), offsets=(0, 0))}), "bytes for 'a'"),
    "many dimensions": (file_of({"a": entry(shape=(1,) * 65, offsets=(0, 4))}, bytes(4)), "at most 64 dimensions"),
    "three offsets": (file_of({"a": entry(offsets=(0, 8, 9))}, bytes(8)), "two rising data_offsets"),
    "falling offsets": (file_of({"a": entry(offsets=(8, 0))}, bytes(8)), "two rising data_offsets"),
    "size disagrees": (file_of({"a": entry(shape=(3,))}, bytes(8)), "12 bytes for 'a'"),
    "offset beyond the end": (file_of({"a": entry(offsets=(0, 8))}, bytes(7)), "8 bytes of data, as the header says, got 7"),
    "bytes appended": (file_of({"a": entry()}, bytes(9)), "got 9"),
    "hole": (file_of({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)), "'b' to begin at byte 8"),
    "hole at the start": (file_of({"a": entry(offsets=(4, 12))}, bytes(12)), "'a' to begin at byte 0"),
    "overlap": (file_of({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)), "'b' to begin at byte 8"),
    "same bytes twice": (file_of({"a": entry(), "b": entry()}, bytes(8)), "to begin at byte 8"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files(case, tmp_path):
    content, message = HOSTILE[case]
    path = tmp_path / "evil.safetensors"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="evil.safetensors") as caught:
        load_file(path)
    assert message in str(caught.value)
    with pytest.raises(FileFormatError):
        load(content)


@pytest.mark.parametrize("dtype", [name for name in BITS if name.startswith(("F8_", "F6_")) or name == "F4"])
def test_small_floats_are_refused_clearly_and_only_when_read(dtype, tmp_path):
    path = tmp_path / "small.safetensors"
    count = BITS[dtype]
    path.write_bytes(file_of({"a": entry(dtype, (8,), (0, count)), "b": entry("U8", (2,), (count, count + 2))}, bytes(count + 2)))
    with safe_open(path, framework="np") as file:
        assert file.get_tensor("b").tolist() == [0, 0]
        with pytest.raises(FileFormatError, match=f"small.safetensors, tensor 'a': expected a dtype of .*got {dtype}"):
            file.get_tensor("a")


GOOD = save({"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.arange(3)}, {"format": "pt"})


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_damaged_files_load_or_say_so(data):
    """Random damage to a good file: the reader agrees with the reference about what is acceptable, and never fails otherwise."""
    raw = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        kind = data.draw(st.sampled_from(["change", "cut", "insert", "digit"]))
        position = data.draw(st.integers(0, max(len(raw) - 1, 0)))
        if kind == "cut":
            del raw[position:]
        elif kind == "insert":
            raw[position:position] = data.draw(st.binary(min_size=1, max_size=4))
        elif raw:
            digits = [i for i, byte in enumerate(raw[8:]) if 48 <= byte <= 57]
            if kind == "digit" and digits:
                raw[8 + data.draw(st.sampled_from(digits))] = data.draw(st.sampled_from(list(b"0123456789-.e")))
            else:
                raw[position] = data.draw(st.integers(0, 255))
    try:
        ours = load(bytes(raw))
    except FileFormatError:
        ours = None
    try:
        theirs = reference.load(bytes(raw))
    except Exception:
        theirs = None
    if ours is not None and theirs is not None:
        assert ours.keys() == theirs.keys()
        for name in ours:
            same(ours[name].numpy(), theirs[name])
    if ours is not None:
        assert theirs is not None, "accepted what the reference refuses"


def test_atomic_save_keeps_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": np.arange(3)}, path)
    before = path.read_bytes()
    with pytest.raises(ArgumentError):
        save_file({"a": np.zeros(1, complex)}, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x.safetensors"]
