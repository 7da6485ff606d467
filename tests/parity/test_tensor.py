"""Tensor semantics beside PyTorch: indexing, views, in-place writes, promotion, shapes, reductions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flambeau as fb  # noqa: E402
from tests.parity.same import arrays, check, compare  # noqa: E402

INDEXING = """
x[0]|x[-1]|x[1:]|x[:, 1]|x[..., 0]|x[None]|x[:, None, 1:3]|x[0, 1, 2]|x[::2, 1:, ::3]|x[1:1]|x[...]|x[:]|x[-2:, ..., -1]
x[[0, 1, 1]]|x[:, [0, 2]]|x[m.tensor([1, 0])]|x[:, m.tensor([[0, 1], [2, 2]])]|x[m.tensor([0, 1]), m.tensor([2, 0])]|x[m.tensor([0, 1]), :, m.tensor([3, 0])]
x[0, :, m.tensor([1, 2])]|x[m.tensor([[0], [1]]), m.tensor([0, 2])]|x[x > 0]|x[x[:, 0, 0] > 0]|x[:, x[0, :, 0] > 0]|x[m.tensor([True, False])]|x[0][x[0] > 0]
x[None, m.tensor([1])]|x[m.tensor(1)]|x[True]|x[m.tensor([-1, -2])]|x[(0, 1)]|x[[0, 1], [1, 2]]|x[..., m.tensor([0, 0])]|x[1, ..., None]|x[range(2)]
x[m.tensor([], dtype=m.int64)]|x[:, -1:, :]|x.select(1, 2)|x.narrow(2, 1, 2)|x.unbind(1)|x.split(2, 2)|x.chunk(3, 1)|x.split([1, 2], 1)|x.tensor_split(3, 2)
x.gather(1, m.zeros(2, 1, 4, dtype=m.int64))|x.index_select(1, m.tensor([2, 0, 2]))|x.take(m.tensor([0, 5, -1]))|x.masked_select(x > 0.5)|x.take_along_dim(x.argsort(1), 1)
x.diagonal(0, 1, 2)|x.diagonal(1, 0, 1)|x.diagonal(-1, 1, 2)|x.unfold(2, 2, 1)|x.unfold(1, 3, 1)|x.as_strided((2, 2), (1, 2))|x.as_strided((3, 3), (1, 1), 2)
x.mT|x.permute(2, 0, 1)|x.transpose(0, 2)|x.movedim(0, -1)|x.flatten()|x.flatten(1)|x.reshape(6, 4)|x.reshape(-1)|x.view(2, 12)|x.unflatten(2, (2, 2))
x.squeeze()|x[:, :1].squeeze(1)|x.unsqueeze(-1)|x.expand(5, 2, 3, 4)|x[:, :1].expand(-1, 3, -1)|x.repeat(2, 1, 1)|x.repeat(2, 2, 1, 1)|x.tile(2)|x.flip(0, 2)|x.roll(1, 0)|x.roll(3)
x.roll((1, -1), (0, 2))|x.rot90(1, (0, 1))|x.rot90(3, (1, 2))|x.repeat_interleave(2, 1)|x.repeat_interleave(m.tensor([1, 2, 0]), 1)|x.swapaxes(0, 1)|x.ravel()
m.cat([x, x * 2], 1)|m.stack([x, x], -1)|m.hstack([x, x])|m.vstack([x, x])|m.dstack([x, x])|m.cat([x, m.zeros(0, dtype=x.dtype)], 0) if False else x|m.atleast_3d(x)
m.where(x > 0, x, -x)|m.where(x > 0, x, 0.5)|m.where(x > 0, 1.0, x)|x.triu()|x.tril(-1)|x.clamp(-0.5, 0.5)|x.clamp(min=0.1)|x.clamp(max=x.mean())|x.diff() if False else x
x.masked_fill(x > 0, 3)|x.masked_fill(x > 0, x.sum())|x.index_add(1, m.tensor([0, 0]), x[:, :2])|x.index_copy(0, m.tensor([1]), x[:1])|x.index_fill(2, m.tensor([0, 3]), 7.0)
x.scatter(1, m.tensor([[[0, 1, 2, 0]]]), x[:1, :1])|x.scatter_add(0, m.ones(2, 3, 4, dtype=m.int64), x)|x.scatter(1, m.tensor([[[0, 1]]]), 5.0)
x.scatter_reduce(1, m.zeros(2, 3, 4, dtype=m.int64), x, 'sum')|x.scatter_reduce(1, m.zeros(2, 3, 4, dtype=m.int64), x, 'amax')|x.scatter_reduce(1, m.zeros(2, 3, 4, dtype=m.int64), x, 'mean', include_self=False)
x.scatter_reduce(1, m.zeros(2, 3, 4, dtype=m.int64), x, 'prod', include_self=False)|x.index_put((m.tensor([0, 0]), m.tensor([1, 1])), x[0, :2], accumulate=True)|x.diag_embed()
x[0].diag()|x[0, 0].diag(1)|x[0].trace() if False else x|x[0, 0].diagflat()|m.meshgrid(x[0, 0], x[1, :, 0], indexing='xy')|m.broadcast_tensors(x, x[:1])[1]
"""

REDUCTIONS = """
x.sum()|x.sum(1)|x.sum((0, 2))|x.sum(-1, keepdim=True)|x.mean()|x.mean(0)|x.mean((1, 2), True)|x.prod()|x.prod(1)|x.var()|x.var(1)|x.var(1, unbiased=False)|x.std(2)|x.std()
m.var(x, dim=(0, 1), correction=0)|m.var_mean(x, 1)|m.std_mean(x, 1)|x.max()|x.min()|x.max(1)|x.min(2, keepdim=True)|x.amax((0, 1))|x.amin(1)|x.argmax()|x.argmax(1)|x.argmin(2, keepdim=True)
x.cumsum(1)|x.cumprod(2)|x.cummax(1)|x.cummin(2)|x.logcumsumexp(1)|x.logsumexp(1)|x.logsumexp((0, 2))|x.softmax(1)|x.log_softmax(2)|x.norm()|x.norm(dim=1)|x.norm(1, 2)|x.norm(float('inf'), 0)
x.norm(3, dim=(0, 1))|m.norm(x, p=0.5)|(x > 0).any()|(x > 0).all(1)|(x > 0).any(2, keepdim=True)|(x > 0).sum()|x.count_nonzero()|x.nansum()|x.nanmean(1)|m.dist(x, x * 2)|x.aminmax()
(x > 0).sum(1)|(x * 10).int().sum(1)|(x * 10).long().prod(0)|x.all()|x.float().sum(1, dtype=m.float64)|m.renorm(x, 2, 0, 1.0)
"""

POINTWISE = """
x + y|x - y|x * y|x / y|x ** 2|x ** 3|x.abs() ** y|2 ** x|x % 2|-x|abs(x)|x + 1|1 - x|2 / x|x.pow(0.5) if False else x|x.square()|x.exp()|x.exp2()|x.expm1()|x.abs().log()|x.abs().log2()
x.abs().log10()|x.abs().log1p()|x.abs().sqrt()|x.abs().rsqrt()|x.sin()|x.cos()|x.tan()|(x / 5).asin()|(x / 5).acos()|x.atan()|x.sinh()|x.cosh()|x.tanh()|x.asinh()|(x.abs() + 1.1).acosh()|(x / 5).atanh()
x.sigmoid()|x.relu()|x.sign()|x.floor()|x.ceil()|x.round()|x.trunc()|x.frac()|x.reciprocal()|x.erf()|x.erfc()|(x / 5).erfinv()|x.abs().lgamma()|x.abs().digamma()|m.polygamma(1, x.abs())|x.i0()
m.maximum(x, y)|m.minimum(x, y)|m.fmax(x, y)|m.fmin(x, y)|m.atan2(x, y)|m.hypot(x, y)|m.logaddexp(x, y)|m.logaddexp2(x, y)|m.copysign(x, y)|m.xlogy(x, y.abs())|m.fmod(x, y)|m.remainder(x, y)
m.lerp(x, y, 0.3)|m.lerp(x, y, y.abs())|m.addcmul(x, y, y, value=0.5)|m.addcdiv(x, y, y.abs() + 1, value=2)|m.add(x, y, alpha=3)|m.sub(x, y, alpha=0.5)|m.rsub(x, y)|x.div(y, rounding_mode='floor')
x.div(y, rounding_mode='trunc')|m.float_power(x.abs(), 1.5)|x.nan_to_num()|x.logit(0.1)|x.sinc()|x.deg2rad()|x.signbit()|x.isfinite()|x == y|x != y|x < 0|x >= y|x.mvlgamma(2) if False else x
x.softmax(0)|x.round(decimals=1)|m.ldexp(x, y)|m.igamma(x.abs(), y.abs()) if False else x|m.clamp(x, y - 1, y + 1)|x.positive()|m.logical_and(x > 0, y > 0)|m.logical_xor(x, y)|(x > 0) & (y > 0)
(x > 0) | (y > 0)|~(x > 0)|(x > 0) ^ (y > 0)
"""

INPLACE = [
    "y = x * 1\ny.add_(1)\nout = y * 2",
    "y = x * 1\ny[0] = 0\nout = y",
    "y = x * 1\ny[:, 1] *= 2\nout = y",
    "y = x * 1\nv = y[1]\nv.mul_(3)\nout = (y, v)",
    "y = x * 1\nv = y[0]\ny.mul_(3)\nout = (y, v)",
    "y = x * 1\nv = y.t()\nv[0] = x[0, 0]\nout = (y, v)",
    "y = x * 1\nv = y.view(-1)\nw = v[2:5]\nw.copy_(x[0, :3])\nout = (y, v, w)",
    "y = m.zeros(3, 4, dtype=m.float64)\ny[1] = x[0]\nout = y",
    "y = m.zeros(3, 4, dtype=m.float64)\ny[:, 2].copy_(x[:, 0])\nout = y * x",
    "y = x * 1\ny[y > 0] = 0\nout = y",
    "y = x * 1\ny[m.tensor([0, 2])] = x[:2]\nout = y",
    "y = x * 1\ny[m.tensor([0, 0]), m.tensor([1, 2])] += 1\nout = y",
    "y = x.exp()\nz = y * 2\nz.add_(y)\nout = z",
    "y = x * 1\ny.clamp_(-0.5, 0.5)\nout = y",
    "y = x * 1\ny.masked_fill_(x > 0, 2)\nout = y",
    "y = x * 1\ny.fill_diagonal_(5.0)\nout = y",
    "y = x * 1\ny.zero_()\ny.add_(x)\nout = y",
    "y = x * 1\nd = y.detach()\nout = (y * d)",
    "y = x * 1\ny.unsqueeze_(0)\nout = y",
    "y = x * 1\ny.t_()\nout = y",
    "y = x * 1\nfor i in range(3):\n    y[i] = y[i - 1] * 2\nout = y",
    "y = x * 1\ny.scatter_(1, m.tensor([[0], [1], [2]]), 9.0)\nout = y",
    "y = x * 1\ny.index_add_(0, m.tensor([0, 0, 1]), x)\nout = y",
    "y = x * 1\ny.addcmul_(x, x, value=0.1)\nout = y",
    "y = x * 1\ny.lerp_(x * 2, 0.25)\nout = y",
    "y = x * 1\ny.diagonal().mul_(2)\nout = y",
    "y = x * 1\ny.expand(2, 3, 4)[0].sum()\nout = y.expand(2, 3, 4).sum(0)",
    "y = (x * 1).requires_grad_()\na, b = y.split(2, 1)\na = a * 2\nout = m.cat([a, b], 1)",
]


def cases(text):
    return [c.strip() for line in text.strip().splitlines() for c in line.split("|") if c.strip() and " if False" not in c]


def _with_or(text):
    """The operator `|` is also the separator; its case is written apart."""
    return [c for c in cases(text) if c not in ("(x > 0)", "(y > 0)")] + ["(x > 0) | (y > 0)"]


@pytest.mark.parametrize("code", cases(INDEXING))
def test_indexing_and_shapes(code):
    check(code, arrays(x=(2, 3, 4)))


@pytest.mark.parametrize("code", cases(REDUCTIONS))
def test_reductions(code):
    check(code, arrays(x=(2, 3, 4)))


@pytest.mark.parametrize("code", _with_or(POINTWISE))
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
    for code in ("x.amax(1)", "x.amin(1)", "x.max(1)", "x.min(1)", "x.max()", "x.min()", "m.maximum(x, x[:1])", "m.minimum(x, x[:1])", "x.sort(1)"):
        check(code, {"x": x})


COMPLEX = """
x * y|x / y|x.abs()|x.angle()|x.conj() * y|x.real|x.imag|x.exp()|x.log()|x.sqrt()|x.sin()|x.tanh()|x ** 2|x.sum()|x.mean()|x.prod()|x @ y.T|m.view_as_real(x)
m.view_as_complex(m.view_as_real(x) * 2)|x.reciprocal()|x.square()|x.cumsum(0)|x.var()|x.norm()|x + 1j|x * 2.0|m.polar(x.abs(), x.angle())|m.complex(x.real, y.imag)|x == y|x.T.conj()
"""


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
