"""Compound rows as small ones, which fusion then joins again with what surrounds them: softmax, log-softmax, standardisation, scale and
shift.

Each function gets the lowering and the row's operands, and gives what the row gives (None: not for this dtype). The formulas are those of
primitives/kernels/normalize.py.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from flambeau.codegen.expr import DTYPES

Axes = tuple[int, ...]


def _plain(*xs: Any) -> bool:
    return all(x.dtype in DTYPES and x.dtype.kind == "f" for x in xs)


def softmax(low: Any, x: Any, axis: Axes) -> Any:
    """exp(x - max) / sum. A NaN that the maximum leaves out is in the sum."""
    if not _plain(x):
        return None
    e = low.map("exp", low.map("sub", x, low.reduce("peak", x, axis)))
    return low.map("div", e, low.reduce("sum", e, axis))


def softmax_grad(low: Any, g: Any, y: Any, axis: Axes) -> Any:
    """y * (g - sum(g * y))."""
    if not _plain(g, y):
        return None
    return low.map("mul", low.map("sub", g, low.reduce("sum", low.map("mul", g, y), axis)), y)


def log_softmax(low: Any, x: Any, axis: Axes) -> Any:
    """x - max - log(sum(exp(x - max)))."""
    if not _plain(x):
        return None
    shifted = low.map("sub", x, low.reduce("peak", x, axis))
    return low.map("sub", shifted, low.map("log", low.reduce("sum", low.map("exp", shifted), axis)))


def log_softmax_grad(low: Any, g: Any, y: Any, axis: Axes) -> Any:
    """g - exp(y) * sum(g)."""
    if not _plain(g, y):
        return None
    return low.map("sub", g, low.map("mul", low.map("exp", y), low.reduce("sum", g, axis)))


def _mean(low: Any, x: Any, axis: Axes) -> Any:
    return low.map("div", low.reduce("sum", x, axis), float(prod(x.shape[a] for a in axis)))


def standardize(low: Any, x: Any, axis: Axes, eps: float, center: bool) -> Any:
    """(x - mean) / sqrt(variance + eps), mean, variance. The difference is computed twice rather than stored between passes."""
    if not _plain(x):
        return None
    mean = _mean(low, x, axis) if center else low.uniform_like(0, x, axis)
    out, again = (low.map("sub", x, mean) if center else x for _ in range(2))
    variance = _mean(low, low.map("mul", again, again), axis)
    return low.map("mul", out, low.map("rsqrt", low.map("add", variance, eps))), mean, variance


def standardize_grad(low: Any, g: Any, y: Any, v: Any, axis: Axes, eps: float, center: bool) -> Any:
    """(g - mean(g) - y * mean(g * y)) / sqrt(v + eps)."""
    if not _plain(g, y, v):
        return None
    out = low.map("sub", g, low.map("mul", y, _mean(low, low.map("mul", g, y), axis)))
    if center:
        out = low.map("sub", out, _mean(low, g, axis))
    return low.map("mul", out, low.map("rsqrt", low.map("add", v, eps)))


def product_sum(low: Any, x: Any, y: Any, axis: Axes) -> Any:
    """The sum of x * y."""
    return low.reduce("sum", low.map("mul", x, y), axis) if _plain(x, y) else None


def scale_shift(low: Any, x: Any, w: Any, b: Any) -> Any:
    """x * w + b."""
    return low.map("add", low.map("mul", x, w), b) if _plain(x, w, b) else None


_ROWS = (softmax, softmax_grad, log_softmax, log_softmax_grad, standardize, standardize_grad, product_sum, scale_shift)
DECOMPOSED: dict[str, Callable[..., Any]] = {f.__name__: f for f in _ROWS}
