"""Special functions, comparison, calculus, indexing and dtype questions against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from tests.parity.agreement import agree, arrays

torch = pytest.importorskip("torch")

NAMES = """digamma psi gammaln erf erfc erfcx ndtr log_ndtr i0 i0e i1 i1e exp2 expm1 expit sinc""".split()


@pytest.mark.parametrize("name", NAMES)
def test_any_number(name: str) -> None:
    x = np.array([-3.3, -1.25, -0.4, 0.3, 0.7, 1.5, 2.75, 4.2])
    agree(torch, lambda t, x: getattr(t.special, name)(x), x, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["erfinv", "ndtri", "logit", "log1p", "entr"])
def test_unit_interval(name: str) -> None:
    x = np.array([0.01, 0.2, 0.5, 0.77, 0.99])
    agree(torch, lambda t, x: getattr(t.special, name)(x), x, rtol=1e-7, atol=1e-9)


def test_entr_everywhere() -> None:
    agree(torch, lambda t, x: t.special.entr(x), np.array([-1.0, 0.0, 0.5, 2.0, np.nan, np.inf]), grad=False)


def test_two_operands() -> None:
    x, y = arrays((5,), (5,), low=1.2)
    agree(torch, lambda t, x, y: [t.special.xlogy(x, y), t.special.xlog1py(x, y)], x, y)
    names = ("zeta", "gammainc", "gammaincc")
    agree(torch, lambda t, y: [getattr(t.special, n)(t.tensor([1.5, 2.0, 2.5, 3.0, 4.0], dtype=t.float64), y) for n in names], y, rtol=1e-7)


def test_with_parameters() -> None:
    x = arrays((5,), low=3.0)[0]
    agree(
        torch,
        lambda t, x: [t.special.polygamma(1, x), t.special.polygamma(3, x), t.special.multigammaln(x, 3), t.special.round(x, decimals=1)],
        x,
    )
    agree(torch, lambda t, x: [t.special.softmax(x, 0), t.special.log_softmax(x, 0), t.special.logsumexp(x, 0)], x)


def test_without_derivative_is_an_error() -> None:
    with pytest.raises(fb.base.errors.GradientError, match="second operand only"):
        fb.special.gammainc(fb.ones(2, requires_grad=True), fb.ones(2))


CALCULUS = {
    "diff": lambda t, x: [t.diff(x), x.diff(2, 0), t.diff(x, 3, 1), t.diff(x, prepend=x[:, :1], append=x[:, :2]), t.diff(x > 0)],
    "trapezoid": lambda t, x: [t.trapezoid(x), t.trapezoid(x, dx=0.5, dim=0), t.trapezoid(x, x * x), t.trapz(x, x[0])],
    "cumulative": lambda t, x: [t.cumulative_trapezoid(x), t.cumulative_trapezoid(x, x[:, 0], dim=0)],
    "gradient": lambda t, x: [*t.gradient(x), *t.gradient(x, spacing=0.5, dim=1), *t.gradient(x, edge_order=2)],
    "gradient_coordinates": lambda t, x: [
        *t.gradient(
            x, spacing=(t.tensor([0.0, 1.0, 3.0, 3.5], dtype=t.float64), t.tensor([0.0, 1.0, 2.5, 4.0, 4.5, 6.0], dtype=t.float64))
        ),
        *t.gradient(x, spacing=[2.0, 0.5]),
    ],
    "cov": lambda t, x: [t.cov(x), x.cov(correction=0), t.cov(x[0]), t.corrcoef(x), x[0].corrcoef()],
    "weighted cov": lambda t, x: [
        t.cov(x, fweights=t.tensor([1, 2, 1, 1, 3, 1])),
        t.cov(x, aweights=x[0].abs(), correction=1),
        t.cov(x, fweights=t.tensor([1, 2, 1, 1, 3, 1]), aweights=x[1].abs()),
    ],
    "cdist": lambda t, x: [t.cdist(x, x[1:] + 0.5, p) for p in (0.0, 1.0, 2.0, 3.5, float("inf"))],
}


@pytest.mark.parametrize("name", CALCULUS)
def test_calculus(name: str) -> None:
    agree(torch, CALCULUS[name], *arrays((4, 6)), rtol=1e-8)


def test_cdist_by_products() -> None:
    x, y = arrays((2, 30, 5), (2, 40, 5))
    agree(torch, lambda t, x, y: t.cdist(x, y), x, y, rtol=1e-7)
    agree(torch, lambda t, x: [t.cdist(x, x, compute_mode="use_mm_for_euclid_dist")], x[0], rtol=1e-5, atol=1e-5, grad=False)


def test_closeness() -> None:
    x = np.array([1.0, np.inf, -np.inf, np.nan, 5.0])
    y = np.array([1.0 + 1e-6, np.inf, np.inf, np.nan, 5.1])
    agree(
        torch,
        lambda t, x, y: [t.isclose(x, y), t.isclose(x, y, equal_nan=True), t.isclose(x, y, rtol=0.1), t.isclose(x, x, 0, 0)],
        x,
        y,
        grad=False,
    )
    agree(torch, lambda t, x: [t.isclose(x, x + 1), t.isclose(x, x + 1, atol=1)], np.arange(4))
    agree(torch, lambda t, x: [t.allclose(x, x), t.equal(x, x), t.equal(x, x[:2]), t.allclose(x, x + 1), x.equal(x + 1)], np.arange(4.0))


def test_questions() -> None:
    x = arrays((3,))[0]
    agree(
        torch,
        lambda t, x: [
            t.is_tensor(x),
            t.is_tensor(1),
            t.is_floating_point(x),
            t.is_complex(x),
            t.numel(x),
            t.is_nonzero(x[0]),
            t.is_same_size(x, x),
            t.is_conj(x),
            *[
                t.can_cast(getattr(t, a), getattr(t, b))
                for a in ("bool", "uint8", "int32", "float32", "complex64")
                for b in ("bool", "uint8", "int64", "float16", "complex128")
            ],
        ],
        x,
        grad=False,
    )


@pytest.mark.filterwarnings("ignore:index_reduce")
def test_putting() -> None:
    x, s = arrays((3, 4), (2, 4))
    i = np.array([2, 0])
    reduces = ("prod", "mean", "amax", "amin")
    agree(torch, lambda t, x, s, i: [x.index_reduce(0, i, s, r) for r in reduces], x, s, i, grad=False)
    agree(torch, lambda t, x, s, i: [x.index_reduce(0, i, s, r, include_self=False) for r in reduces], x, s, i, grad=False)
    flat = np.array([0, 5, -1])
    agree(torch, lambda t, x, s, i: [x.put(i, s[0, :3]), x.put(i, s[0, :3], accumulate=True), x.where(x > 0, s[0])], x, s, flat)
    agree(torch, lambda t, i: t.unravel_index(i, (2, 3, 4)), np.array([[0, 5], [23, 13]]))
    agree(torch, lambda t, x: [x.sum_to_size(1, 4), x.sum_to_size(4), x.split_with_sizes([1, 3], 1), t.narrow_copy(x, 1, 1, 2)], x)


def test_types_by_name() -> None:
    agree(torch, lambda t: [t.FloatTensor([1, 2]), t.LongTensor([[1], [2]]), t.BoolTensor([True]), t.DoubleTensor([0.1])])
    assert isinstance(fb.ones(2), fb.FloatTensor)
    assert not isinstance(fb.ones(2), fb.DoubleTensor)
    assert fb.IntTensor(2, 3).shape == (2, 3)
    assert fb.ones(2).type() == "flambeau.FloatTensor"
    assert not isinstance(fb.ones(2), fb.cuda.FloatTensor)
