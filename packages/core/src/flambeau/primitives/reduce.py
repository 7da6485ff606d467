"""Rows of reductions and scans. `axis` is a tuple of axes for reductions (an int for arg-reductions and scans), `keepdim` keeps them
with size 1.

Half precision is accumulated in float32.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from flambeau.base.errors import DeviceError
from flambeau.base.shapes import reduced
from flambeau.device.base import executors
from flambeau.primitives import batching
from flambeau.primitives.bind import state
from flambeau.primitives.elementwise import BOOL, add, cast, cj, div, eq, exp, mul, sub, where
from flambeau.primitives.movement import expand, flip, reshape
from flambeau.primitives.prim import like, primitive

INT64 = np.dtype(np.int64)


def _rule(x: Any, axis: tuple[int, ...], keepdim: bool) -> Any:
    return reduced(x.shape, axis, keepdim), x.dtype


def _bool_rule(x: Any, axis: tuple[int, ...], keepdim: bool) -> Any:
    return reduced(x.shape, axis, keepdim), BOOL


def is_half(d: np.dtype) -> bool:
    """float16 or bfloat16."""
    return d.itemsize == 2 and d.kind in "fV"


def _accumulate(name: str, ufunc: str) -> Any:
    """`ufunc.reduce` where there is one: it is what NumPy's `sum` and `prod` call in the end."""
    reduce = getattr(np, ufunc).reduce

    def kernel(xp: Any, x: Any, axis: tuple[int, ...], keepdim: bool) -> Any:
        d = x.dtype
        if d.itemsize == 2 and d.kind in "fV":
            return getattr(xp, name)(x.astype(np.float32), axis=axis, keepdims=keepdim).astype(d)
        if xp is np:
            return reduce(x, axis, d, None, keepdim)
        return getattr(xp, name)(x, axis=axis, keepdims=keepdim, dtype=d)

    return kernel


def restore(g: Any, x_shape: tuple[int, ...], axis: tuple[int, ...]) -> Any:
    """Spread a reduced value over the shape it was reduced from."""
    return expand(reshape(g, shape=reduced(x_shape, axis, True)), shape=x_shape)


sum_ = primitive(
    "sum",
    "x",
    kernel=_accumulate("sum", "add"),
    rule=_rule,
    vjp=lambda g, x_shape, axis: restore(g, x_shape, axis),
    batch=batching.shifted("axis"),
)
prod_ = primitive(
    "prod",
    "x",
    kernel=_accumulate("prod", "multiply"),
    rule=_rule,
    vjp=lambda g, x, out, axis: _prod_vjp(g, x, out, axis),
    batch=batching.shifted("axis"),
)


def _prod_vjp(g: Any, x: Any, out: Any, axis: tuple[int, ...]) -> Any:
    """The product of the others: exclusive products from the left and from the right, so that zeros are right too."""
    from flambeau.primitives.movement import permute

    shape = x._a.shape
    rest = tuple(i for i in range(len(shape)) if i not in axis)
    order = rest + tuple(axis)
    flat = reshape(permute(x, axes=order), shape=(*[shape[i] for i in rest], prod(shape[i] for i in axis)))
    last = len(rest)
    others = mul(exclusive_cumprod(flat, last), flip(exclusive_cumprod(flip(flat, axes=(last,)), last), axes=(last,)))
    inverse = tuple(int(i) for i in np.argsort(order))
    others = permute(reshape(others, shape=tuple(shape[i] for i in order)), axes=inverse)
    return mul(restore(g, shape, axis), cj(others))


def exclusive_cumprod(x: Any, axis: int) -> Any:
    """Products of all earlier elements, starting with 1."""
    from flambeau.primitives.movement import pad, slice_

    shape = x._a.shape
    if shape[axis] == 0:
        return x
    key = tuple(slice(0, n - 1) if i == axis else slice(None) for i, n in enumerate(shape))
    widths = tuple((1, 0) if i == axis else (0, 0) for i in range(len(shape)))
    return cumprod(pad(slice_(x, key=key), widths=widths, value=1), axis=axis)


def _extreme_vjp(g: Any, x: Any, out: Any, axis: tuple[int, ...]) -> Any:
    """Shared evenly among equal extremes."""
    shape = x._a.shape
    best = cast(eq(x, restore(out, shape, axis)), dtype=g._a.dtype)
    count = restore(sum_(best, axis=axis, keepdim=True), shape, axis)
    return mul(restore(g, shape, axis), div(best, count))


def _extreme(name: str) -> Any:
    return lambda xp, x, axis, keepdim: getattr(xp, name)(x, axis=axis, keepdims=keepdim)


amax = primitive(
    "amax",
    "x",
    kernel=_extreme("max"),
    rule=_rule,
    vjp=_extreme_vjp,
    batch=batching.shifted("axis"),
)
amin = primitive(
    "amin",
    "x",
    kernel=_extreme("min"),
    rule=_rule,
    vjp=_extreme_vjp,
    batch=batching.shifted("axis"),
)
any_ = primitive(
    "any",
    "x",
    kernel=_extreme("any"),
    rule=_bool_rule,
    batch=batching.shifted("axis"),
)
all_ = primitive(
    "all",
    "x",
    kernel=_extreme("all"),
    rule=_bool_rule,
    batch=batching.shifted("axis"),
)


def _arg(name: str) -> Any:
    def kernel(xp: Any, x: Any, axis: int, keepdim: bool) -> Any:
        return getattr(xp, name)(x, axis=axis, keepdims=keepdim).astype(np.int64, copy=False)

    return kernel


def _arg_rule(x: Any, axis: int, keepdim: bool) -> Any:
    return reduced(x.shape, (axis,), keepdim), INT64


argmax = primitive(
    "argmax",
    "x",
    kernel=_arg("argmax"),
    rule=_arg_rule,
    batch=batching.shifted("axis"),
)
argmin = primitive(
    "argmin",
    "x",
    kernel=_arg("argmin"),
    rule=_arg_rule,
    batch=batching.shifted("axis"),
)


def _scan(name: str) -> Any:
    def kernel(xp: Any, x: Any, axis: int) -> Any:
        if is_half(x.dtype):
            return getattr(xp, name)(x.astype(np.float32), axis=axis).astype(x.dtype)
        return getattr(xp, name)(x, axis=axis, dtype=x.dtype)

    return kernel


cumsum = primitive(
    "cumsum",
    "x",
    kernel=_scan("cumsum"),
    rule=like,
    vjp=lambda g, axis: flip(cumsum(flip(g, axes=(axis,)), axis=axis), axes=(axis,)),
    batch=batching.shifted("axis"),
)
cumprod = primitive(
    "cumprod",
    "x",
    kernel=_scan("cumprod"),
    rule=like,
    vjp=lambda g, x, out, axis: _cumprod_vjp(g, x, out, axis),
    batch=batching.shifted("axis"),
)


def _cumprod_vjp(g: Any, x: Any, out: Any, axis: int) -> Any:
    """Without zeros: reverse-cumsum(g * out) / x. Where there are zeros: sum over outputs of the product of the others, by a scan along
    the axis."""
    from flambeau.primitives.movement import cat, slice_

    if not _has_zero(x):
        total = mul(g, cj(out))
        return div(flip(cumsum(flip(total, axes=(axis,)), axis=axis), axes=(axis,)), cj(x))
    n = x._a.shape[axis]

    def at(t: Any, i: int) -> Any:
        return slice_(t, key=tuple(slice(i, i + 1) if d == axis else slice(None) for d in range(t._a.ndim)))

    # d out[k] / d x[i] = (product before i) * (product of x[i+1..k]);  suffix[i] = g[i] + x[i+1] * suffix[i+1]
    before = exclusive_cumprod(x, axis)
    suffix = at(g, n - 1)
    pieces = [suffix]
    for i in range(n - 2, -1, -1):
        suffix = add(at(g, i), mul(cj(at(x, i + 1)), suffix))
        pieces.append(suffix)
    return mul(cj(before), cat(*reversed(pieces), axis=axis))


def _has_zero(x: Any) -> bool:
    """Whether an element is 0; inside vmap, in any example. Yes where there are no values to look at, or none that will stay (capture)."""
    if state.interceptor is not None:
        return True
    while (inner := getattr(x._a, "value", None)) is not None:
        x = inner
    nought = eq(x, 0)
    try:
        return bool(np.any(executors[type(nought._a)].to_numpy(nought._a)))
    except DeviceError:
        return True


def _extreme_scan_rule(x: Any, axis: int) -> Any:
    return [(x.shape, x.dtype), (x.shape, INT64)]


def _extreme_scan_vjp(g: Any, out: Any, x_shape: tuple[int, ...], axis: int) -> Any:
    from flambeau.primitives.indexing import scatter_add, zeros_of

    return scatter_add(zeros_of(g[0], x_shape), out[1], g[0], axis=axis)


cummax = primitive(
    "cummax",
    "x",
    kernel="scan.cummax",
    rule=_extreme_scan_rule,
    vjp=_extreme_scan_vjp,
    multi=True,
    batch=batching.shifted("axis"),
)
cummin = primitive(
    "cummin",
    "x",
    kernel="scan.cummin",
    rule=_extreme_scan_rule,
    vjp=_extreme_scan_vjp,
    multi=True,
    batch=batching.shifted("axis"),
)
logcumsumexp = primitive(
    "logcumsumexp",
    "x",
    kernel="scan.logcumsumexp",
    rule=like,
    vjp=lambda g, x, out, axis: _logcumsumexp_vjp(g, x, out, axis),
    batch=batching.shifted("axis"),
)


def _logcumsumexp_vjp(g: Any, x: Any, out: Any, axis: int) -> Any:
    """exp(x) * reverse-cumsum(g * exp(-out)), with the positive and negative parts of g summed in logarithms."""
    from flambeau.primitives.elementwise import fill, gt, log, lt, neg

    def part(positive: Any) -> Any:
        logs = where(positive, sub(log(where(positive, abs_of(g), 1)), out), fill(out, value=-np.inf))
        return exp(add(flip(logcumsumexp(flip(logs, axes=(axis,)), axis=axis), axes=(axis,)), x))

    def abs_of(t: Any) -> Any:
        return where(gt(t, 0), t, neg(t))

    return sub(part(gt(g, 0)), part(lt(g, 0)))
