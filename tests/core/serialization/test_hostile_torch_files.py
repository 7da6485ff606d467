"""Hostile files: whatever comes, an exception of ours, no code run, no more memory than the file justifies."""

import argparse
import io
import os
import pickle
import struct
import sys
import tracemalloc
import types
import zipfile

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import FileFormatError, FlambeauError
from flambeau.hub import load_weights
from flambeau.serialization import Opaque, load, save
from tests.core.serialization.hostile import legacy_file, name, op, storage, tensor, whole, zip_file
from tests.golden.torch_files import FOLDER

SIX = np.arange(6, dtype=np.float32)
_watch: list[str] | None = None
_BAD = ("import", "exec", "compile", "os.", "subprocess.", "pickle.", "socket.", "ctypes.", "builtins.input", "marshal.", "shutil.", "open")


def _audit(event, args):
    if _watch is not None and event.startswith(_BAD):
        _watch.append(f"{event} {args!r:.100}")


sys.addaudithook(_audit)


class watched:
    """Records what Python does inside the block that a reader of data has no business with."""

    def __enter__(self):
        global _watch
        _watch = self.events = []
        return self.events

    def __exit__(self, *_):
        global _watch
        _watch = None


@pytest.fixture(autouse=True, scope="module")
def warm():
    """Everything that is imported at first use is imported before it is watched for."""
    for file in FOLDER.iterdir():
        load(file, opaque=True)
    load(io.BytesIO(zip_file(whole(tensor()), {"data/0": SIX.tobytes()})))
    with pytest.raises(FlambeauError):
        load(io.BytesIO(zip_file(whole(b"Z"))))


def refused(raw, match="PyTorch file", **options):
    """Loading raises an error of ours, and nothing runs."""
    with watched() as events, pytest.raises(FileFormatError, match=match):
        load(io.BytesIO(raw), **options)
    assert not events


def evil(function, *args):
    """An object whose pickle calls a function."""
    return type("Evil", (), {"__reduce__": lambda self: (function, args)})()


def files_with(data):
    return [zip_file(data), legacy_file(data)]


def test_the_helpers_make_good_files():
    for raw in (zip_file(whole(tensor()), {"data/0": SIX.tobytes()}), legacy_file(whole(tensor()), {"0": SIX})):
        assert load(io.BytesIO(raw)).tolist() == [[0, 1, 2], [3, 4, 5]]


CALLS = [
    ("os.system", whole(name("os", "system") + op(("touch pwned",)) + b"R")),
    (f"{os.name}.system", pickle.dumps(evil(os.system, "touch pwned"), 2)),
    ("subprocess.Popen", whole(name("subprocess", "Popen") + op((["touch", "pwned"],)) + b"R")),
    ("builtins.eval", whole(name("builtins", "eval") + op(("open('pwned', 'w')",)) + b"R")),
    ("__builtin__.eval", whole(name("__builtin__", "eval") + op(("1",)) + b"R")),
    ("builtins.exec", whole(name("builtins", "exec") + op(("x = 1",)) + b"R")),
    ("builtins.__import__", whole(name("builtins", "__import__") + op(("os",)) + b"R")),
    ("builtins.getattr", whole(name("builtins", "getattr") + name("collections", "OrderedDict") + op("__init__") + b"\x86R")),
    ("builtins.open", whole(name("builtins", "open") + op(("pwned", "w")) + b"R")),
    ("operator.attrgetter", whole(name("operator", "attrgetter") + op(("system",)) + b"R")),
    ("functools.partial", whole(name("functools", "partial") + name("os", "system") + op("touch pwned") + b"\x86R")),
    ("runpy._run_code", whole(name("runpy", "_run_code") + op(("x",)) + b"R")),
    ("torch.load", whole(name("torch", "load") + op(("x",)) + b"R")),
    ("torch.storage._load_from_bytes", whole(name("torch.storage", "_load_from_bytes") + op((b"x",)) + b"R")),
    ("torch.jit.unsupported_tensor_ops.execWrapper", whole(name("torch.jit.unsupported_tensor_ops", "execWrapper") + b")R")),
    ("numpy.load", whole(name("numpy", "load") + op(("x",)) + b"R")),
    ("flambeau.load", whole(name("flambeau", "load") + op(("x",)) + b"R")),
    ("collections.OrderedDict.fromkeys", whole(name("collections", "OrderedDict.fromkeys") + op(("x",)) + b"R")),
    ("os.system", b"\x80\x04" + op("os") + op("system") + b"\x93" + op(("touch pwned",)) + b"R."),
    ("os.system", whole(name("os", "system") + op(("touch pwned",)) + b"\x81")),
    ("os.system", whole(name("collections", "OrderedDict") + b")R" + op("x") + name("os", "system") + b"s")),
]


@pytest.mark.parametrize(("called", "data"), CALLS, ids=[f"{number} {call[0]}" for number, call in enumerate(CALLS)])
def test_a_name_that_is_not_in_the_table_is_an_error_that_says_it(called, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for raw in files_with(data):
        refused(raw, match=f"the name '{called}', which is not run")
        with watched() as events:
            load(io.BytesIO(raw), opaque=True)
        assert not events
    assert not list(tmp_path.iterdir())


def test_opaque_records_can_be_made_nested_and_changed_but_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inner = name("os", "system") + op(("touch pwned",)) + b"R"
    body = name("a", "B") + b"(" + inner + b"tR" + op({"__class__": "x", "__reduce__": 1}) + b"b" + b"(" + op(1) + op(2) + b"e"
    with watched() as events:
        found = load(io.BytesIO(zip_file(whole(body))), opaque=True)
    assert not events and not list(tmp_path.iterdir())
    assert type(found) is Opaque and found.name == "a.B" and found.args[0].name == "os.system" and found.items == [1, 2]
    assert found.state == {"__class__": "x", "__reduce__": 1}
    twice = whole(name("a", "B") + b")R" + b")R")
    refused(zip_file(twice), match="only known names to be applied, got 'a.B'|only known names", opaque=True)


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (op("x") + b")R", "only known names to be applied, got a str"),
        (op([]) + op({"a": 1}) + b"b", "an object with a state"),
        (name("collections", "OrderedDict") + op(("abc",)) + b"R", "expected pairs"),
        (name("collections", "OrderedDict") + op([1]) + b"R", "a tuple of arguments"),
        (name("builtins", "bytearray") + op((10**12,)) + b"R", "expected bytes, got 'int'"),
        (name("builtins", "set") + op((10**12,)) + b"R", "the values of a set"),
        (name("builtins", "list") + op(((1, 2),)) + b"R", "a type that is only named"),
        (name("builtins", "complex") + op(("1" * 50,)) + b"R", "two numbers"),
        (name("torch", "Size") + op((("x",),)) + b"R", "expected sizes"),
        (name("torch", "device") + op((["cpu"],)) + b"R", "the name of a device"),
        (name("torch", "FloatStorage") + op((10**12,)) + b"R", "only known names to be applied"),
        (name("torch", "float32") + b")R", "only known names to be applied"),
        (name("numpy", "dtype") + op(("O8",)) + b"R", "a NumPy dtype of numbers or text"),
        (name("numpy", "dtype") + op(("f8,O",)) + b"R", "a NumPy dtype of numbers or text"),
        (name("numpy", "dtype") + op(("f99",)) + b"R", "NumPy dtype"),
        (name("numpy", "ndarray") + op((10**9,)) + b"R", "a type that is only named"),
        (name("torch._utils", "_rebuild_sparse_tensor") + b")R", "_rebuild_sparse_tensor"),
        (name("pathlib", "PosixPath") + op((b"x",)) + b"R", "parts of a path"),
        (op({}) + op([]) + op(1) + b"s", "unhashable"),
        (b"}" + op(1) + b"(" + op(2) + b"u", "a dict to set items of|fit together|keys with values"),
        (b"t", "fit together"),
        (b"h\x05", "KeyError"),
        (b"", "nothing on the stack"),
        (b"S'x'\n", r"the instruction b'S'"),
        (b"i__builtin__\neval\n", r"the instruction b'i'"),
        (b"o", r"the instruction b'o'"),
        (b"\x82\x01", r"the instruction b'\\x82'"),
        (b"\x97", r"the instruction b'\\x97'"),
        (b"P0\n", r"the instruction b'P'"),
        (b"c" + b"x" * 5000, "a name of less than 1000 bytes"),
        (b"X\xff\xff\xff\x7fabc", "2147483647 bytes where"),
        (b"\x8e" + struct.pack("<Q", 2**63) + b"abc", "9223372036854775808 bytes where"),
        (b"\x8b" + struct.pack("<i", -5), "-5 bytes where"),
        (b"X\x02\x00\x00\x00\xff\xfe", "text in UTF-8"),
        (op(("storage", 1, "0", "cpu", 1)) + b"Q", "the class of a storage"),
        (op(("module", "a", "b", "c", "d")) + b"Q", "persistent ids of storages, got one of 'module'"),
        (op("file:///etc/passwd") + b"Q", "persistent ids of storages"),
        (b"\x80\x09", "a pickle protocol up to 5"),
    ],
)
def test_instructions_that_do_not_fit(body, match):
    for raw in files_with(whole(body)):
        refused(raw, match=match)


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (tensor(offset=1), "tensors inside their storage of 6 elements, got offset 1"),
        (tensor(offset=-1), "an offset of 0 or more"),
        (tensor(offset=2**62), "tensors inside their storage"),
        (tensor(size=(2, 4), stride=(4, 1)), "tensors inside their storage"),
        (tensor(size=(2, 3), stride=(-3, 1)), "sizes and strides"),
        (tensor(size=(2, 3), stride=(3,)), "sizes and strides"),
        (tensor(size=(2, -3)), "sizes and strides"),
        (tensor(size=(2.0, 3)), "sizes and strides"),
        (tensor(size=(True, 3)), "sizes and strides"),
        (tensor(size=(10**12, 10**12), stride=(0, 0)), "PyTorch file"),
        (tensor(size=(1,) * 65, stride=(0,) * 65), "sizes and strides"),
        (tensor(held=storage(count=10**12)), "4000000000000 bytes of storage '0'|10{12} elements of storage"),
        (tensor(held=storage(count=5)), "20 bytes of storage '0'|5 elements of storage"),
        (tensor(held=storage(count=-1)), "a key, a device and a size"),
        (tensor(held=storage(key="../../etc/passwd")), "no entry for it|in the list of storages|storages that tensors use"),
        (tensor(held=storage(kind=("torch", "QInt8Storage"))), "'torch.QInt8Storage', which is not run"),
        (tensor(held=op(None)), "a storage for a tensor"),
        (b"(" + tensor() + tensor(held=storage(kind=("torch", "IntStorage"))) + b"t", "the storage '0' with one dtype and size"),
    ],
)
def test_tensors_that_lie(made, match):
    refused(zip_file(whole(made), {"data/0": SIX.tobytes()}), match=match)
    refused(legacy_file(whole(made), {"0": SIX}), match=match)


def test_big_endian_files_are_refused_with_what_to_do():
    refused(zip_file(whole(tensor())).replace(b"little", b"big\0\0\0"), match="CRC")
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("x/data.pkl", whole(tensor()))
        archive.writestr("x/byteorder", b"big")
    refused(memory.getvalue(), match="little-endian data, got byte order b'big'.*save it again on a little-endian machine")
    refused(legacy_file(whole(tensor()), {"0": SIX}, system={"little_endian": False}), match="little-endian data, got big-endian")


@pytest.mark.parametrize("counts", [{"0": -1}, {"0": 10**15}, {"0": 5}])
def test_legacy_counts_that_lie(counts):
    refused(legacy_file(whole(tensor()), {"0": SIX}, counts=counts), match="6 elements of storage '0'")


def test_truncated_files_of_every_length():
    for raw in (zip_file(whole(tensor()), {"data/0": SIX.tobytes()}), legacy_file(whole(tensor()), {"0": SIX})):
        for length in range(1, len(raw)):
            refused(raw[:length], match="known format|PyTorch file")


def test_damaged_storages_are_noticed_by_their_checksum():
    raw = zip_file(whole(tensor()), {"data/0": SIX.tobytes()})
    damaged = raw.replace(SIX.tobytes(), SIX[::-1].tobytes())
    refused(damaged, match="with the CRC-32")
    assert load(io.BytesIO(damaged), verify=False).tolist() == [[5, 4, 3], [2, 1, 0]]


# -- zip files ---------------------------------------------------------------------------------------------------------------------------
def test_zip_bombs_are_refused_without_being_unpacked():
    bomb = zip_file(whole(tensor()), {"data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    refused(bomb, match="entries stored without compression")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000 < 50_000_000 and len(bomb) < 100_000


def directory_of(raw):
    """The offset of the directory and those of its entries."""
    start = struct.unpack("<L", raw[-6:-2])[0]
    places, position = [], start
    while raw[position : position + 4] == b"PK\x01\x02":
        places.append(position)
        position += 46 + sum(struct.unpack("<3H", raw[position + 28 : position + 34]))
    return places


def patched(raw, place, form, value):
    data = struct.pack(form, value)
    return raw[:place] + data + raw[place + len(data) :]


def test_entries_that_overlap_or_point_elsewhere():
    raw = zip_file(whole(tensor()), {"data/0": SIX.tobytes(), "data/1": SIX.tobytes()})
    first, _, third, fourth = directory_of(raw)
    place = struct.unpack("<L", raw[third + 42 : third + 46])[0]
    refused(patched(raw, fourth + 42, "<L", place), match="where the directory says")
    refused(patched(raw, fourth + 42, "<L", 2**31), match="truncated")
    refused(patched(raw, fourth + 42, "<L", 3), match="zip file, got")
    refused(patched(patched(raw, third + 20, "<L", 90), third + 24, "<L", 90), match="do not overlap")
    refused(patched(patched(raw, fourth + 20, "<L", 10**9), fourth + 24, "<L", 10**9), match="truncated")
    refused(patched(raw, third + 24, "<L", 25), match="without compression")
    refused(patched(raw, third + 24, "<L", 0xFFFFFFFF), match="a zip64 field")
    refused(patched(raw, first + 8, "<H", 1), match="encryption")
    refused(patched(raw, third + 28, "<H", 0xFFFF), match="inside the directory")
    refused(patched(raw, len(raw) - 12, "<H", 0xFFFE), match="inside the file")
    refused(patched(raw, len(raw) - 10, "<L", 10**9), match="inside the file")
    refused(patched(raw, len(raw) - 12, "<H", 0xFFFF), match="zip64")


def test_two_entries_of_one_name_and_two_pickles():
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("x/data.pkl", whole(op(1)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x/data.pkl", whole(op(2)))
    refused(memory.getvalue(), match="every entry once")
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("x/data.pkl", whole(op(1)))
        archive.writestr("y/data.pkl", whole(op(2)))
    refused(memory.getvalue(), match="with one entry data.pkl")


def test_names_that_lead_out_of_a_folder_are_only_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = zip_file(whole(tensor(held=storage(key="../../x"))), {"data/../../x": SIX.tobytes(), "../../../evil": b"x"})
    with watched() as events:
        assert load(io.BytesIO(raw)).shape == (2, 3)
    assert not events and not list(tmp_path.iterdir())


def test_other_zip_files_are_described():
    memory = io.BytesIO()
    np.savez(memory, a=SIX)
    refused(memory.getvalue(), match="numpy.load")
    refused(zip_file(whole(op(1)), {"constants.pkl": b""}), match="a TorchScript program")
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        archive.writestr("x/code/net.py", b"x" * 99, zipfile.ZIP_DEFLATED)
    refused(memory.getvalue(), match="'x/code/net.py' otherwise. Try: for a TorchScript program")


def test_the_arguments_of_a_program_come_back_and_are_only_data():
    given = argparse.Namespace(lr=0.1, layers=[1, 2], name="x")
    for raw in files_with(pickle.dumps({"args": given}, 2)):
        args = load(io.BytesIO(raw))["args"]
        assert type(args) is types.SimpleNamespace and (args.lr, args.layers, args.name) == (0.1, [1, 2], "x")
    fresh = name("argparse", "Namespace") + b")\x81"
    assert type(load(io.BytesIO(zip_file(whole(fresh + op({"__class__": 3}) + b"b"))))) is types.SimpleNamespace
    refused(zip_file(whole(fresh + op({1: 2}) + b"b")), match="an object with a state")


# -- time and memory ---------------------------------------------------------------------------------------------------------------------
def test_deep_nesting_and_wide_sharing():
    deep = b"(" * 50_000 + b"t" * 50_000
    assert type(load(io.BytesIO(zip_file(whole(deep))))) is tuple
    refused(zip_file(whole(b"}" + deep + op(1) + b"s")), match="of at most 1000 parts")
    laughs = op((1,)) + b"q\x00" + b"".join(b"0(" + b"h\x00" * 50 + b"tq\x00" for _ in range(8))
    refused(zip_file(whole(b"}" + laughs + op(1) + b"s")), match="of at most 1000 parts")
    load(io.BytesIO(zip_file(whole(laughs))))


def test_weights_of_a_module_that_contains_itself(tmp_path):
    module = name("a", "B") + b")\x81q\x00"
    state = b"}" + op("_parameters") + b"}s" + op("_buffers") + b"}s" + op("_modules") + b"}" + op("again") + b"h\x00" + b"ss"
    (tmp_path / "x.pt").write_bytes(zip_file(whole(module + state + b"b")))
    module = load(tmp_path / "x.pt", opaque=True)
    assert module.state["_modules"]["again"] is module
    with pytest.raises(FileFormatError, match="a dict of tensors"):
        load_weights(tmp_path / "x.pt")


# -- mutations ---------------------------------------------------------------------------------------------------------------------------
def bases():
    """Small good files: zip, legacy, and pickles that go into new zip files, so that no checksum protects them."""
    memory = io.BytesIO()
    state = {"w": fb.arange(4.0), "v": fb.ones(2, dtype=fb.int64), "n": {"a": [1, (2.5, None)], 3: {"x", b"y"} and b"y"}, "s": fb.Size([1])}
    state["row"] = state["w"][1:]
    save(state, memory, format="torch")
    pickles = [whole(tensor()), zipfile.ZipFile(memory).read("archive/data.pkl")]
    modern = pickle.dumps({"a": [1, 2.0, "x", b"y", bytearray(b"z"), {1, 2}, frozenset([3])]}, 5)
    return memory.getvalue(), legacy_file(whole(tensor()), {"0": SIX}), [*pickles, modern]


def mutate(raw, rng):
    data = bytearray(raw)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(0, len(data)))
        choice = rng.integers(0, 6)
        if choice == 0:
            data[place] = rng.integers(0, 256)
        elif choice == 1:
            data[place] ^= 1 << int(rng.integers(0, 8))
        elif choice == 2:
            del data[place : place + int(rng.integers(1, 9))]
        elif choice == 3:
            data[place:place] = bytes(rng.integers(0, 256, int(rng.integers(1, 9)), dtype=np.uint8))
        elif choice == 4:
            other = int(rng.integers(0, len(data)))
            data[place : place + 8] = data[other : other + 8]
        else:
            data[place : place + 4] = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f")[int(rng.integers(0, 3))]
        data = data or bytearray(b"\x80")
    return bytes(data)


def test_ten_thousand_mutated_files():
    rng = np.random.default_rng(2026)
    zipped, legacy, pickles = bases()
    storages = {"data/0": SIX.tobytes()}
    outcomes = {"read": 0, "refused": 0}
    tracemalloc.start()
    with watched() as events:
        for number in range(10_000):
            kind = number % 4
            if kind == 0:
                raw = mutate(zipped, rng)
            elif kind == 1:
                raw = mutate(legacy, rng)
            else:
                raw = zip_file(mutate(pickles[number % 3], rng), storages)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            try:
                load(io.BytesIO(raw), mmap=bool(number % 8 < 4), opaque=bool(number % 16 < 8))
                outcomes["read"] += 1
            except FlambeauError:
                outcomes["refused"] += 1
            assert tracemalloc.get_traced_memory()[1] - before < 300_000 + 20 * len(raw), raw
    tracemalloc.stop()
    assert not events
    assert outcomes["read"] > 500 and outcomes["refused"] > 5000, outcomes
