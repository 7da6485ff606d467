"""Exchange with NumPy, DLPack, the buffer and array protocols; pickling and copying; Python's own protocols."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, FlambeauError, GradientError, ShapeError


def test_numpy_shares_memory_both_ways():
    a = np.zeros((2, 3), np.float32)
    t = fb.from_numpy(a)
    a[0, 0] = 5
    t[1, 1] = 7
    assert t[0, 0].item() == 5 and a[1, 1] == 7
    assert np.shares_memory(t.numpy(), a) and np.shares_memory(np.asarray(t), a)
    assert np.shares_memory(fb.as_tensor(a).numpy(), a) and not np.shares_memory(fb.tensor(a).numpy(), a)


def test_strided_arrays_keep_their_layout():
    a = np.arange(24.0).reshape(4, 6)[::2, 1::2]
    t = fb.from_numpy(a)
    assert t.stride() == (12, 2) and not t.is_contiguous()
    np.testing.assert_array_equal((t * 2).numpy(), a * 2)
    assert t.contiguous().stride() == (3, 1)


def test_dlpack_both_ways_without_a_copy():
    t = fb.arange(6.0).reshape(2, 3)
    a = np.from_dlpack(t)
    assert np.shares_memory(a, t.numpy())
    back = fb.from_dlpack(t)
    assert back.data_ptr() == t.data_ptr() and t.__dlpack_device__() == (1, 0)
    with pytest.raises(GradientError, match="detach"):
        fb.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(FlambeauError, match="bfloat16"):
        fb.ones(2, dtype=fb.bfloat16).__dlpack__()


def test_array_protocols():
    t = fb.ones(2, 3)
    assert t.__array_interface__["shape"] == (2, 3)
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    assert not hasattr(t, "__cuda_array_interface__")
    assert t.__array_namespace__() is fb
    assert bytes(memoryview(np.asarray(fb.tensor([1, 2], dtype=fb.uint8)))) == b"\x01\x02"


def test_numpy_functions_of_tensors():
    t = fb.arange(6.0).reshape(2, 3)
    for function in (np.sin, np.exp, np.negative):
        out = function(t)
        assert isinstance(out, fb.Tensor)
        np.testing.assert_allclose(out.numpy(), function(t.numpy()))
    for function in (np.sum, np.mean, np.argmax, np.prod, np.any, np.cumsum):
        np.testing.assert_allclose(np.asarray(function(t, axis=1)), function(t.numpy(), axis=1), rtol=1e-6)
    assert isinstance(np.add(np.ones(3), t), fb.Tensor)
    np.testing.assert_array_equal(np.concatenate([t, t]), np.concatenate([t.numpy(), t.numpy()]))
    assert isinstance(np.ones(3, np.float32) + t, fb.Tensor) and (np.float32(2) * t).dtype is fb.float32


def test_the_array_api_names():
    t = fb.arange(6.0).reshape(2, 3)
    xp = t.__array_namespace__()
    assert xp.sum(t, axis=0).tolist() == [3, 5, 7] and xp.mean(t, axis=1, keepdims=True).shape == (2, 1)
    assert xp.asarray([1, 2]).tolist() == [1, 2] and xp.concat([t, t], 0).shape == (4, 3)
    for name in (
        "pi",
        "e",
        "inf",
        "nan",
        "newaxis",
        "float32",
        "int64",
        "bool",
        "zeros",
        "ones",
        "arange",
        "linspace",
        "eye",
        "full",
        "empty",
        "meshgrid",
    ):
        assert hasattr(xp, name), name


@pytest.mark.parametrize(
    "d", [fb.float32, fb.float64, fb.float16, fb.bfloat16, fb.int8, fb.int64, fb.uint8, fb.bool, fb.complex64], ids=repr
)
def test_pickling_and_copying(d):
    t = fb.tensor([[0, 1], [1, 0]]).to(d)
    for made in (pickle.loads(pickle.dumps(t)), copy.copy(t), copy.deepcopy(t)):
        assert made.dtype is d and made.shape == (2, 2) and bool((made == t).all())
    assert not np.shares_memory(copy.deepcopy(t).numpy(), t.numpy())


def test_pickling_keeps_gradient_flags_and_attributes():
    t = fb.ones(2, requires_grad=True)
    t.note = "kept"
    made = pickle.loads(pickle.dumps(t))
    assert made.requires_grad and made.is_leaf and made.note == "kept"
    (t * 2).sum().backward()
    assert copy.deepcopy(t).grad.tolist() == [2, 2]
    with pytest.raises(GradientError, match="deepcopy"):
        copy.deepcopy(t * 2)
    shared = [t, t]
    again = copy.deepcopy(shared)
    assert again[0] is again[1]


def test_save_and_load(tmp_path):
    state = {"w": fb.randn(3, 2), 5: [fb.tensor(1), "text", None, 2.5], "d": fb.float16}
    fb.save(state, tmp_path / "state")
    back = fb.load(tmp_path / "state")
    assert bool((back["w"] == state["w"]).all()) and back[5][1:] == ["text", None, 2.5] and back["d"] is fb.float16
    buffer = io.BytesIO()
    fb.save(state, buffer)
    buffer.seek(0)
    assert fb.load(buffer)[5][0].item() == 1


def test_python_protocols():
    t = fb.tensor([3, 1, 2])
    assert len(t) == 3 and [int(v) for v in t] == [3, 1, 2] and 2 in t and 9 not in t
    assert float(t[0]) == 3.0 and int(t[1]) == 1 and complex(t[2]) == 2 and [10, 20, 30, 40][t[0]] == 40
    assert f"{t[0]:03d}" == "003" and f"{fb.tensor(1.234):.1f}" == "1.2" and f"{t}" == "tensor([3, 1, 2])"
    assert bool(fb.tensor(1)) and not bool(fb.tensor(0.0)) and hash(t) == hash(t) and t in {t}
    with pytest.raises(ShapeError, match=r"any\(\) or .all\(\)"):
        bool(t)
    with pytest.raises(FlambeauError, match="zero-dimensional"):
        len(fb.tensor(1))
    with pytest.raises(FlambeauError, match="zero-dimensional"):
        iter(fb.tensor(1))
    with pytest.raises(FlambeauError, match="one element"):
        t.item()
    with pytest.raises(FlambeauError, match="integer"):
        [1, 2][fb.tensor(1.0)]
    a, b, c = t
    assert (a, b, c) == (3, 1, 2)
    assert t.tolist() == [3, 1, 2] and isinstance(t.tolist()[0], int)


def test_subclasses_and_attributes():
    class Mine(fb.Tensor):
        __slots__ = ()

    m = fb.ones(2).as_subclass(Mine)
    assert type(m) is Mine and isinstance(m + 1, fb.Tensor)
    t = fb.ones(2)
    t.anything = 5
    assert t.anything == 5


def test_foreign_byte_order_and_objects_are_refused():
    with pytest.raises(FlambeauError, match="native byte order"):
        fb.from_numpy(np.ones(2, ">f4"))
    assert fb.tensor(np.ones(2, ">f4")).tolist() == [1, 1]
    for bad in ("text", [1, "a"], object(), [[1], [1, 2]], {"a": 1}, [None]):
        with pytest.raises(FlambeauError):
            fb.tensor(bad)


def test_sizes_by_keyword():
    for make in (fb.empty, fb.zeros, fb.ones, fb.rand, fb.randn):
        assert make(size=(2, 3)).shape == (2, 3) and make(size=[2], dtype=fb.float64).dtype is fb.float64


def test_frombuffer():
    memory = bytearray(np.arange(6, dtype=np.float32).tobytes())
    whole = fb.frombuffer(memory, dtype=fb.float32)
    assert whole.tolist() == [0, 1, 2, 3, 4, 5] and fb.frombuffer(memory, dtype=fb.int32, count=2, offset=8).shape == (2,)
    whole[0] = 9.0
    assert np.frombuffer(memory, np.float32)[0] == 9
    assert fb.frombuffer(memory, dtype=fb.float32, requires_grad=True).requires_grad
    for wrong in ({"count": 7}, {"offset": 24}, {"offset": 3}, {"offset": -1}, {"count": 0}, {"count": -2}):
        with pytest.raises(ArgumentError, match="elements of 4 bytes inside the buffer"):
            fb.frombuffer(memory, dtype=fb.float32, **wrong)
