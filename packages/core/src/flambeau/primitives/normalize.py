"""Rows of softmax, log-softmax and standardisation (kernels/normalize.py), each with the row of its Jacobian product.

They could be composed; as rows they take a third of the passes over the array, forward and backward. `axis` is a tuple of axes.
"""

from __future__ import annotations

import functools
from math import prod
from typing import Any

from flambeau.base.shapes import reduced
from flambeau.primitives import batching
from flambeau.primitives.elementwise import add, cj, div, exp, mul, neg, rsqrt, sqrt, sub
from flambeau.primitives.kernels.layout import work_dtype
from flambeau.primitives.movement import reshape, sum_to
from flambeau.primitives.prim import like, primitive
from flambeau.primitives.reduce import restore, sum_


def _total(x: Any, axis: tuple[int, ...]) -> Any:
    return sum_(x, axis=axis, keepdim=True)


# -- softmax: J = diag(y) - y y^T is symmetric -------------------------------------------------------------------------------------------
softmax = primitive(
    "softmax",
    "x",
    kernel="normalize.softmax",
    rule=like,
    vjp=lambda g, out, axis: softmax_grad(g, out, axis=axis),
    batch=batching.shifted("axis"),
)
softmax_grad = primitive(
    "softmax_grad",
    "h y",
    kernel="normalize.softmax_grad",
    rule=like,
    vjp=(lambda g, y, axis: softmax_grad(g, y, axis=axis), lambda g, h, y, axis: _softmax_second(g, h, y, axis)),
    batch=batching.shifted("axis"),
)


def _softmax_second(g: Any, h: Any, y: Any, axis: tuple[int, ...]) -> Any:
    """The derivative of sum(g * y * (h - sum(h * y))) for y."""
    return sub(mul(g, sub(h, _total(mul(h, y), axis))), mul(h, _total(mul(g, y), axis)))


log_softmax = primitive(
    "log_softmax",
    "x",
    kernel="normalize.log_softmax",
    rule=like,
    vjp=lambda g, out, axis: log_softmax_grad(g, out, axis=axis),
    batch=batching.shifted("axis"),
)
log_softmax_grad = primitive(
    "log_softmax_grad",
    "h y",
    kernel="normalize.log_softmax_grad",
    rule=like,
    vjp=(
        lambda g, y, axis: sub(g, _total(mul(g, exp(y)), axis)),
        lambda g, h, y, axis: neg(mul(mul(g, exp(y)), _total(h, axis))),
    ),
    batch=batching.shifted("axis"),
)


# -- standardisation: y = (x - mean) / sqrt(variance + eps); without `center` the mean is taken as 0 --
def _standardize_rule(x: Any, axis: tuple[int, ...], eps: float, center: bool) -> Any:
    small, work = reduced(x.shape, axis, True), work_dtype(x.dtype)
    return [(x.shape, x.dtype), (small, work), (small, work)]


def _count(x: Any, axis: tuple[int, ...]) -> int:
    return prod(x._a.shape[a] for a in axis)


def _standardize_vjp(g: Any, out: Any, axis: tuple[int, ...], eps: float, center: bool) -> Any:
    """Through y, and through the statistics where a gradient reaches them (it does in second derivatives)."""
    y, _, variance = out
    parts = []
    if g[0] is not None:
        parts.append(standardize_grad(g[0], y, variance, axis=axis, eps=eps, center=center))
    if g[1] is not None:
        parts.append(restore(mul(g[1], float(center) / _count(y, axis)), y._a.shape, axis))
    if g[2] is not None:  # 2 (x - mean) / n, and x - mean = y sqrt(variance + eps)
        parts.append(mul(y, mul(mul(g[2], sqrt(add(variance, eps))), 2.0 / _count(y, axis))))
    return functools.reduce(add, parts)


standardize = primitive(
    "standardize",
    "x",
    kernel="normalize.standardize",
    rule=_standardize_rule,
    vjp=_standardize_vjp,
    multi=True,
    partial=True,
    batch=batching.shifted("axis"),
)
standardize_grad = primitive(
    "standardize_grad",
    "h y v",
    kernel="normalize.standardize_grad",
    rule=lambda h, y, v, axis, eps, center: (h.shape, h.dtype),
    vjp=(
        lambda g, y, v, axis, eps, center: standardize_grad(g, y, v, axis=axis, eps=eps, center=center),
        lambda g, h, y, v, axis, eps, center: _by_output(g, h, y, v, axis, eps),
        lambda g, out, v, axis, eps: div(_total(mul(g, out), axis), mul(add(v, eps), -2.0)),
    ),
    batch=batching.shifted("axis"),
)


def _by_output(g: Any, h: Any, y: Any, v: Any, axis: tuple[int, ...], eps: float) -> Any:
    """-(g * mean(h * y) + h * mean(g * y)) / sqrt(v + eps)."""
    scale = mul(rsqrt(add(v, eps)), -1.0 / _count(y, axis))
    return add(mul(g, mul(_total(mul(h, y), axis), scale)), mul(h, mul(_total(mul(g, y), axis), scale)))


# -- scale and shift: x * w + b, w and b broadcast to x ------------------------------------------------------------------------------------
product_sum = primitive(  # the sum of x * y, of one shape, over axes that stay with size 1
    "product_sum",
    "x y",
    kernel="normalize.product_sum",
    rule=lambda x, y, axis: (reduced(x.shape, axis, True), x.dtype),
    vjp=(lambda g, y: mul(g, cj(y)), lambda g, x: mul(g, cj(x))),
    batch=batching.shifted("axis"),
)


def _by_scale(g: Any, x: Any, w_shape: tuple[int, ...]) -> Any:
    lead = len(x._a.shape) - len(w_shape)
    axis = tuple(i for i, n in enumerate(x._a.shape) if i < lead or (w_shape[i - lead] == 1 != n))
    return reshape(product_sum(g, cj(x), axis=axis), shape=w_shape)


def _scale_shift_batch(b: batching.Batch) -> tuple[Any, int]:
    """All three with the batch first; w and b get the axes that they lack behind it."""
    rank = len(b.shape(0))
    return b(b.front(0), *[batching.lift(b.front(i), rank) for i in (1, 2)]), 0


scale_shift = primitive(
    "scale_shift",
    "x w b",
    kernel="normalize.scale_shift",
    rule=lambda x, w, b: (x.shape, x.dtype),
    vjp=(lambda g, w: mul(g, cj(w)), _by_scale, lambda g, b_shape: sum_to(g, b_shape)),
    batch=_scale_shift_batch,
)


# -- one element per position, by class number -------------------------------------------------------------------------------------------
nll = primitive(  # -x[n, t[n, ...], ...] of x (N, C, ...), and 0 where t is `ignore`
    "nll",
    "x t",
    kernel="normalize.nll",
    rule=lambda x, t, ignore: (t.shape, x.dtype),
    vjp=(lambda g, t, x_shape, ignore: nll_grad(g, t, classes=x_shape[1], ignore=ignore), None),
    batch=batching.folded(),
)
nll_grad = primitive(
    "nll_grad",
    "y t",
    kernel="normalize.nll_grad",
    rule=lambda y, t, classes, ignore: ((t.shape[0], classes, *t.shape[1:]), y.dtype),
    vjp=(lambda g, t, ignore: nll(g, t, ignore=ignore), None),
    batch=batching.folded(),
)
