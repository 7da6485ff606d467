"""Tensor semantics beside PyTorch: indexing, views, in-place writes, promotion, shapes, reductions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402
from tests.cases import COMPLEX, INDEXING, INPLACE, POINTWISE, REDUCTIONS, cases, with_or  # noqa: E402
from tests.parity.same import arrays, check, compare  # noqa: E402


@pytest.mark.parametrize("code", cases(INDEXING))
def test_indexing_and_shapes(code):
    check(code, arrays(x=(2, 3, 4)))


@pytest.mark.parametrize("code", cases(REDUCTIONS))
def test_reductions(code):
    check(code, arrays(x=(2, 3, 4)))


@pytest.mark.parametrize("code", with_or(POINTWISE))
def test_pointwise(code):
    check(code, arrays(x=(3, 4), y=(4,)))


@pytest.mark.parametrize("code", INPLACE)
def test_in_place(code):
    check(code, arrays(x=(3, 4)))


@pytest.mark.parametrize("code", ["x // 0.7", "x.sgn()", "m.heaviside(x, y)", "m.nextafter(x, y)", "x.T.shape"])
def test_values_without_gradient(code):
    check(code, arrays(x=(3, 4), y=(4,)), grad=False)


def test_ties_of_max_and_min():
    x = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]])
    for code in (
        "x.amax(1)",
        "x.amin(1)",
        "x.max(1)",
        "x.min(1)",
        "x.max()",
        "x.min()",
        "m.maximum(x, x[:1])",
        "m.minimum(x, x[:1])",
        "x.sort(1)",
    ):
        check(code, {"x": x})


@pytest.mark.parametrize("code", cases(COMPLEX))
def test_complex(code):
    rng = np.random.default_rng(1)
    values = {k: rng.standard_normal((3, 3)) + 1j * rng.standard_normal((3, 3)) for k in "xy"}
    check(code, values, rtol=1e-8)


DTYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
BINARY = "x + y|x * y|x / y|x == y|x < y|m.maximum(x, y)|x // y|m.where(x > 0, x, y)".split("|")


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("code", BINARY)
def test_promotion_of_tensors(code):
    wrong = []
    for a, b, ndim_a, ndim_b in itertools.product(DTYPES, DTYPES, (0, 1), (0, 1)):
        results = []
        for m in (torch, fb):
            x = m.ones((2,) * ndim_a, dtype=getattr(m, a))
            y = m.ones((2,) * ndim_b, dtype=getattr(m, b))
            try:
                results.append(str(eval(code, {"m": m, "x": x, "y": y}).dtype).split(".")[1])
            except (RuntimeError, TypeError):
                results.append("error")
        if results[0] != results[1] and "float16" not in (a, b):  # there is no complex32 here
            wrong.append((a, ndim_a, b, ndim_b, *results))
    assert not wrong, wrong[:20]


@pytest.mark.parametrize("number", [True, 2, 2.5, 1j], ids=str)
@pytest.mark.parametrize("code", ["x + s", "s * x", "x / s", "x == s", "s - x", "x ** s"])
def test_promotion_with_numbers(code, number):
    wrong = []
    for d, ndim in itertools.product(DTYPES, (0, 1)):
        if d == "float16" and number == 1j:
            continue  # there is no complex32 here
        results = []
        for m in (torch, fb):
            x = m.ones((2,) * ndim, dtype=getattr(m, d))
            try:
                results.append(str(eval(code, {"m": m, "x": x, "s": number}).dtype).split(".")[1])
            except (RuntimeError, TypeError):
                results.append("error")
        if results[0] != results[1]:
            wrong.append((d, ndim, *results))
    assert not wrong, wrong


@pytest.mark.filterwarnings("ignore:Casting complex values")
@pytest.mark.parametrize("to", DTYPES)
def test_conversions(to):
    rng = np.random.default_rng(0)
    for start in DTYPES:
        if start == "bfloat16":
            continue
        values = (rng.standard_normal(20) * 5).astype(start) if start != "bool" else rng.standard_normal(20) > 0
        if start[0] == "u" or (start[0] in "fc" and to in ("uint8",)):
            values = np.abs(values.real).astype(start)
        compare(fb.tensor(values).to(getattr(fb, to)), torch.tensor(values).to(getattr(torch, to)), f"{start} to {to}")


PRINTED = """
m.arange(5)|m.zeros(0)|m.ones(2, 3)|m.tensor(1.5)|m.tensor([1.5, 2.25])|m.tensor([1e-8, 1.0])|m.tensor([1e10, 1.0])|m.tensor([True, False])|m.arange(24).reshape(2, 3, 4)|m.zeros(2, 0)
m.tensor([float('nan'), float('inf'), 1.0])|m.tensor([[1.0, -2.0], [3.5, 4.0]], dtype=m.float64)|m.arange(2000.0)|m.arange(10000).reshape(100, 100)|m.tensor([1+2j, 3-4j])|m.tensor(3)
m.tensor([100.5, 0.001])|m.tensor([1e5, 1.0, 3.0])|m.tensor([0.1] * 30)|m.full((3, 3), 1e-5)|m.tensor([1, 2], dtype=m.int32)|m.tensor([1.0], dtype=m.float16)|m.tensor([12345.678])
"""


@pytest.mark.parametrize("code", cases(PRINTED))
def test_printing(code):
    ours = repr(eval(code, {"m": fb}))
    theirs = repr(eval(code, {"m": torch}))
    assert ours == theirs.replace("torch.", "")


CREATION = """
m.tensor([1, 2])|m.tensor([1.0, 2])|m.tensor([True])|m.tensor([[1, 2], [3, 4]])|m.tensor(np.ones(2, np.float32))|m.tensor([np.float64(2)])|m.tensor(1j)|m.zeros(2, 3)|m.zeros((2, 3), dtype=m.int32)|m.ones(())|m.full((2,), 3)
m.full((2,), 3.5)|m.full((2,), True)|m.arange(5)|m.arange(1, 2, 0.25)|m.arange(5.0)|m.arange(2, 10, 3)|m.arange(0, -5, -1)|m.linspace(0, 1, 5)|m.linspace(3, -3, 7)|m.logspace(0, 2, 3)|m.eye(3)|m.eye(2, 3)
m.zeros_like(m.ones(2, dtype=m.int64))|m.ones_like(m.zeros(2), dtype=m.float64)|m.full_like(m.zeros(2), 3)|m.as_tensor([1, 2])|m.from_numpy(np.ones(3))|m.tensor([[]])|m.tensor([])|m.tril_indices(3, 3)|m.triu_indices(3, 4, 1)
m.zeros(3).new_ones(2)|m.zeros(3, dtype=m.int64).new_zeros((2, 2))|m.zeros(2).new_full((2,), 5)|m.zeros(2).new_tensor([1, 2])|m.complex(m.ones(2), m.zeros(2))|m.scalar_tensor(2)|m.arange(3).dtype|m.tensor(3.0).dtype
m.tensor([m.tensor(1), m.tensor(2)])|m.result_type(m.ones(2), 1j)|m.promote_types(m.int8, m.uint8)|m.linspace(0, 10, 4, dtype=m.int64)|m.range(1, 3) if False else m.ones(1)
"""


@pytest.mark.parametrize("code", cases(CREATION))
def test_creation(code):
    check(code, grad=False)
