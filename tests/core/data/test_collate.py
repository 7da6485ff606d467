"""Collation: values, containers, and errors that name the field and the sample."""

import collections
import types

import numpy as np
import pytest

from flambeau.base.errors import ArgumentTypeError, ShapeError
from flambeau.data import collate, default_collate, default_collate_fn_map, default_convert

Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("samples", "dtype"),
    [
        ([1, 2], np.int64),
        ([True, False], np.bool_),
        ([1.5, 2.0], np.float64),
        ([1.5, 2], np.float64),
        ([1, 2.5], np.float32),
        ([np.float32(1), np.float32(2)], np.float32),
        ([np.int16(1), np.int16(2)], np.int16),
        ([np.bool_(True)], np.bool_),
    ],
)
def test_numbers(samples, dtype):
    out = default_collate(samples).numpy()
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, np.array(samples))


def test_arrays_and_tensors_are_stacked():
    arrays = [np.full((2, 3), i, np.float32) for i in range(4)]
    stacked = default_collate(arrays)
    np.testing.assert_array_equal(stacked.numpy(), np.stack(arrays))
    again = default_collate([stacked, stacked])
    assert tuple(again.shape) == (2, 4, 2, 3)


def test_containers():
    batch = default_collate([{"p": Point(1, "a"), "t": (1.0, [2])}, {"p": Point(3, "b"), "t": (4.0, [5])}])
    assert isinstance(batch["p"], Point) and batch["p"].x.tolist() == [1, 3] and batch["p"].y == ("a", "b")
    assert isinstance(batch["t"], list) and batch["t"][0].tolist() == [1.0, 4.0] and batch["t"][1][0].tolist() == [2, 5]
    ordered = default_collate([collections.OrderedDict(b=1, a=2)])
    assert type(ordered) is collections.OrderedDict and list(ordered) == ["b", "a"]
    frozen = default_collate([types.MappingProxyType({"a": 1})])
    assert frozen["a"].tolist() == [1]
    assert default_collate([b"x", b"y"]) == [b"x", b"y"]


@pytest.mark.parametrize(
    ("samples", "kind", "message"),
    [
        (
            [{"image": np.zeros((3, 4))}, {"image": np.zeros((3, 4))}, {"image": np.zeros((3, 5))}],
            ShapeError,
            r"default_collate at batch\['image'\]: .*, got sample 2 has shape \(3, 5\) but sample 0 has shape \(3, 4\)",
        ),
        ([Point(1, (2, 3)), Point(1, (2,))], ShapeError, r"at batch.y: .* sample 1 has 1 elements but sample 0 has 2"),
        ([{"a": [1, {"b": "s"}]}, {"a": [1, {}]}], ArgumentTypeError, r"at batch\['a'\]\[1\]: .*sample 1 without 'b'"),
        ([1, "a"], ArgumentTypeError, "got str in sample 1 but int in sample 0"),
        ([np.zeros(2), 3], ArgumentTypeError, "got int in sample 1 but ndarray in sample 0"),
        ([{"a": 1}, 3], ArgumentTypeError, "got int in sample 1 but dict in sample 0"),
        ([(1,), 3], ArgumentTypeError, "got int in sample 1 but tuple in sample 0"),
        ([None, None], ArgumentTypeError, "got a builtins.NoneType"),
        ([{"f": object()}], ArgumentTypeError, r"at batch\['f'\]"),
        ([np.array(["a"])], ArgumentTypeError, "arrays of numbers"),
        ([2**70], ArgumentTypeError, "64 bits"),
        ([], ArgumentTypeError, "an empty batch"),
    ],
)
def test_errors(samples, kind, message):
    with pytest.raises(kind, match=message):
        default_collate(samples)


def test_custom_types():
    class Token:
        def __init__(self, text):
            self.text = text

    def join(batch, *, collate_fn_map=None):
        return "".join(token.text for token in batch)

    assert collate([{"t": Token("a")}, {"t": Token("b")}], collate_fn_map={Token: join, **default_collate_fn_map}) == {"t": "ab"}


def test_convert():
    out = default_convert({"a": np.arange(2), "s": "x", "p": Point(np.float32(1), 2), "t": (np.zeros(1), None), "o": np.array(["q"])})
    assert out["a"].tolist() == [0, 1] and not isinstance(out["a"], np.ndarray)
    assert out["s"] == "x" and isinstance(out["p"], Point) and out["p"].y == 2 and float(out["p"].x.numpy()) == 1.0
    assert isinstance(out["t"], list) and out["t"][1] is None and isinstance(out["o"], np.ndarray)
