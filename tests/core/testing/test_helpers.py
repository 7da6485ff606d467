"""assert_close, make_tensor, samples, and the pytest form of contracts."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ArgumentTypeError, MissingExtra
from flambeau.testing import OpCase, assert_close, check, floats, ints, make_tensor, run, sample


def test_tolerances_follow_the_dtype():
    for dtype, step in ((fb.float64, 1e-8), (fb.float32, 1e-6), (fb.float16, 9e-4), (fb.bfloat16, 1.5e-2)):
        one = fb.ones(3, dtype=fb.float64)
        assert_close((one + step).to(dtype), one.to(dtype))
        with pytest.raises(AssertionError, match="not close"):
            assert_close((one + 40 * step).to(dtype), one.to(dtype))
    with pytest.raises(AssertionError, match="1 of 2 elements"):
        assert_close(fb.tensor([1, 2]), fb.tensor([1, 3]))
    assert_close(fb.tensor([True]), fb.tensor([True]))
    assert_close(1.0, 1.0 + 1e-9)
    with pytest.raises(AssertionError, match="Scalars"):
        assert_close(1.0, 1.1)


@pytest.mark.parametrize(
    ("other", "attribute"),
    [(fb.zeros(2, dtype=fb.float64), "dtype"), (fb.zeros(3), "shape"), (fb.zeros(2, device="meta"), "device")],
)
def test_attributes(other, attribute):
    with pytest.raises(AssertionError, match=attribute):
        assert_close(fb.zeros(2), other)


def test_switches():
    assert_close(fb.zeros(2), fb.zeros(2, dtype=fb.float64), check_dtype=False)
    wide = fb.zeros(2, 2).t()
    assert_close(wide, fb.zeros(2, 2))
    with pytest.raises(AssertionError, match="stride"):
        assert_close(wide, fb.zeros(2, 2), check_stride=True)
    nan = fb.tensor([float("nan")])
    with pytest.raises(AssertionError):
        assert_close(nan, nan)
    assert_close(nan, nan, equal_nan=True)
    inf = fb.tensor([float("inf")])
    assert_close(inf, inf)
    with pytest.raises(AssertionError):
        assert_close(inf, -inf)
    with pytest.raises(AssertionError):
        assert_close(fb.tensor([3.0]), inf)
    with pytest.raises(ArgumentError, match="together"):
        assert_close(nan, nan, rtol=1.0)
    with pytest.raises(AssertionError, match="^mine$"):
        assert_close(1, 2, msg="mine")
    with pytest.raises(AssertionError, match="^why: Scalars"):
        assert_close(1, 2, msg=lambda m: f"why: {m}")


def test_containers():
    assert_close({"a": [fb.zeros(2), 1.0]}, {"a": [fb.zeros(2), 1.0]})
    with pytest.raises(AssertionError, match=r"item 'a'.*item 1"):
        assert_close({"a": [fb.zeros(2), 1.0]}, {"a": [fb.zeros(2), 2.0]})
    with pytest.raises(AssertionError, match="keys"):
        assert_close({"a": 1}, {"b": 1})
    with pytest.raises(AssertionError, match="length"):
        assert_close([1], [1, 2])


@pytest.mark.parametrize("dtype", [fb.float32, fb.bfloat16, fb.complex64, fb.int8, fb.uint8, fb.bool, fb.int64])
def test_make_tensor(dtype):
    fb.manual_seed(0)
    t = make_tensor(40, 5, dtype=dtype)
    assert t.dtype is dtype
    assert tuple(t.shape) == (40, 5)
    spread = t.abs() if dtype.is_complex else t.double()
    assert float(spread.max()) > float(spread.min())


def test_make_tensor_options():
    t = make_tensor((3, 4), dtype=fb.float64, low=2, high=3, requires_grad=True, noncontiguous=True)
    assert t.requires_grad and not t.is_contiguous() and bool(((t >= 2) & (t < 3)).all())
    assert not bool((make_tensor(500, dtype=fb.int64, low=-1, high=2, exclude_zero=True) == 0).any())
    assert tuple(make_tensor(dtype=fb.float32).shape) == ()
    with pytest.raises(ArgumentError, match="low < high"):
        make_tensor(2, dtype=fb.float32, low=1, high=1)


def test_samples_are_decided_by_their_name():
    s = sample([floats(2), ints(3)], dim=(0, 1))
    first, second = s.arrays("name"), s.arrays("name")
    assert all((a == b).all() for a, b in zip(first, second))
    assert not (s.arrays("another name")[0] == first[0]).all()
    args, kwargs = s.filled(["x", "y"])
    assert args == (["x", "y"],)
    assert kwargs == {"dim": (0, 1)}


def test_what_is_no_case_is_refused():
    with pytest.raises(ArgumentTypeError, match="OpCase"):
        check(3)


def test_missing_packages_name_the_extra(monkeypatch):
    import sys

    case = OpCase("exp", fb.exp, reference=np.exp, shapes=lambda s: sample(floats(*s)))
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingExtra, match=r"flambeau\[testing\]"):
        check(case)
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(MissingExtra, match=r"flambeau\[testing\]"):
        run(case)


test_as_pytest_sees_it = run(
    [OpCase("exp", fb.exp, [sample(floats(2))], reference=np.exp), OpCase("sin", fb.sin, [sample(floats(2))], reference=np.sin)]
)
