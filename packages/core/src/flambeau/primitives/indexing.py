"""Rows of indexing by tensors: gather and scatter along an axis, NumPy-style advanced indexing, nonzero."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.primitives import batching
from flambeau.primitives.elementwise import cast, div, eq, fill, mul, where, zero
from flambeau.primitives.kernels.select import add_at, add_rows
from flambeau.primitives.prim import primitive

INT64 = np.dtype(np.int64)


# i itself, if its values (but `ignore`) lie in [low, high). `expected` (where {low} and {last} stand for the limits) are words of the
# error of `op`.
in_range = primitive(
    "in_range",
    "i",
    kernel="select.in_range",
    rule=lambda i, op, low, high, expected, ignore: (i.shape, i.dtype),
    batch="elementwise",
)


def along(xp: Any, shape: tuple[int, ...], index: Any, axis: int) -> tuple[Any, ...]:
    """The full index of `gather`: positions everywhere but along `axis`, where `index` decides."""
    full = []
    for i, n in enumerate(index.shape):
        full.append(index if i == axis else xp.arange(n).reshape((n,) + (1,) * (index.ndim - 1 - i)))
    return tuple(full)


gather = primitive(
    "gather",
    "x i",
    kernel=lambda xp, x, i, axis: x[along(xp, x.shape, i, axis)],
    rule=lambda x, i, axis: (i.shape, x.dtype),
    vjp=(lambda g, i, x_shape, axis: scatter_add(zeros_of(g, x_shape), i, g, axis=axis), None),
    batch=batching.shifted("axis"),
)


def zeros_of(g: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of any shape, with g's dtype and device."""
    from flambeau.primitives.source import zeros_like_shape

    return zeros_like_shape(g, shape)


def _scatter_set(xp: Any, x: Any, i: Any, v: Any, axis: int) -> Any:
    out = x.copy()
    out[along(xp, x.shape, i, axis)] = v[tuple(slice(0, n) for n in i.shape)]
    return out


def _scatter_with(name: str) -> Any:
    def kernel(xp: Any, x: Any, i: Any, v: Any, axis: int) -> Any:
        out = x.copy()
        getattr(xp, name).at(out, along(xp, x.shape, i, axis), v[tuple(slice(0, n) for n in i.shape)])
        return out

    return kernel


def _scatter_add(xp: Any, x: Any, i: Any, v: Any, axis: int) -> Any:
    out = x.copy()
    add_at(xp, out, along(xp, x.shape, i, axis), v[tuple(slice(0, n) for n in i.shape)])
    return out


def _scatter_rule(x: Any, i: Any, v: Any, axis: int) -> Any:
    return x.shape, x.dtype


scatter = primitive(  # v has the shape of i
    "scatter",
    "x i v",
    kernel=_scatter_set,
    rule=_scatter_rule,
    vjp=(lambda g, i, axis: scatter(g, i, zero_at(g, i), axis=axis), None, lambda g, i, axis: gather(g, i, axis=axis)),
    batch=batching.shifted("axis"),
)
scatter_add = primitive(
    "scatter_add",
    "x i v",
    kernel=_scatter_add,
    rule=_scatter_rule,
    vjp=(lambda g: g, None, lambda g, i, axis: gather(g, i, axis=axis)),
    batch=batching.shifted("axis"),
)
scatter_mul = primitive(
    "scatter_mul",
    "x i v",
    kernel=_scatter_with("multiply"),
    rule=_scatter_rule,
    vjp=(
        lambda g, x, out: mul(g, div(out, x)),
        None,
        lambda g, i, v, out, axis: div(gather(mul(g, out), i, axis=axis), v),
    ),
    batch=batching.shifted("axis"),
)


def _extreme_share(g: Any, x: Any, i: Any, v: Any, out: Any, axis: int) -> tuple[Any, Any]:
    """Shared evenly among the values equal to the extreme."""
    d = g._a.dtype
    mine = cast(eq(x, out), dtype=d)
    theirs = cast(eq(v, gather(out, i, axis=axis)), dtype=d)
    count = scatter_add(mine, i, theirs, axis=axis)
    share = div(g, where(eq(count, 0), fill(count, value=1), count))
    return mul(share, mine), mul(gather(share, i, axis=axis), theirs)


_SHARED = (
    lambda g, x, i, v, out, axis: _extreme_share(g, x, i, v, out, axis)[0],
    None,
    lambda g, x, i, v, out, axis: _extreme_share(g, x, i, v, out, axis)[1],
)
scatter_max = primitive(
    "scatter_max",
    "x i v",
    kernel=_scatter_with("maximum"),
    rule=_scatter_rule,
    vjp=_SHARED,
    batch=batching.shifted("axis"),
)
scatter_min = primitive(
    "scatter_min",
    "x i v",
    kernel=_scatter_with("minimum"),
    rule=_scatter_rule,
    vjp=_SHARED,
    batch=batching.shifted("axis"),
)


def zero_at(g: Any, i: Any) -> Any:
    """Zeros of the shape of i and the dtype of g."""
    return cast(zero(i), dtype=g._a.dtype)


# -- advanced indexing: `axes` says which axes of x the index tensors replace; they broadcast together, as in NumPy ------------------------
def _full_key(indices: tuple[Any, ...], axes: tuple[int, ...], ndim: int) -> tuple[Any, ...]:
    key: list[Any] = [slice(None)] * ndim
    for axis, index in zip(axes, indices, strict=True):
        key[axis] = index
    return tuple(key)


def _index_shape(x: Any, *indices: Any, axes: tuple[int, ...]) -> Any:
    common = np.broadcast_shapes(*[i.shape for i in indices])
    together = axes == tuple(range(axes[0], axes[0] + len(axes)))
    rest = [n for d, n in enumerate(x.shape) if d not in axes]
    at = axes[0] if together else 0
    return (*rest[:at], *common, *rest[at:]), x.dtype


def _index_vjp(g: Any, xs: Any, xs_shape: Any, axes: tuple[int, ...]) -> tuple[Any, ...]:
    indices = xs[1:]
    return (index_put(zeros_of(g, xs_shape[0]), g, *indices, axes=axes, accumulate=True), *(None for _ in indices))


def _index(xp: Any, x: Any, *indices: Any, axes: tuple[int, ...]) -> Any:
    """In row-major order, as PyTorch programs expect who `.view()` the result; NumPy may put the indexed axes first in memory."""
    if axes and len(axes) == 1 and axes[0] and x.flags.c_contiguous:
        return x.take(indices[0], axis=axes[0])
    picked = x[_full_key(indices, axes, x.ndim)]
    return picked if picked.flags.c_contiguous else xp.ascontiguousarray(picked)


index = primitive(
    "index",
    "*xs",
    kernel=_index,
    rule=_index_shape,
    vjp=_index_vjp,
    kept_from=1,
    batch=batching.index,
)


def _index_put(xp: Any, x: Any, v: Any, *indices: Any, axes: tuple[int, ...], accumulate: bool) -> Any:
    out = x.copy()
    key = _full_key(indices, axes, x.ndim)
    if not accumulate:
        out[key] = v
    elif len(indices) == x.ndim:
        add_at(xp, out, key, v)
    elif xp is np and axes == (0,) and indices[0].ndim == 1 and x.size and x.dtype.kind == "f":
        rows = np.broadcast_to(v, (len(indices[0]), *x.shape[1:]))
        add_rows(out.reshape(len(out), -1), indices[0], rows.reshape(len(rows), x.size // len(out)))
    else:
        xp.add.at(out, key, v)
    return out


def _index_put_vjp(g: Any, xs: Any, xs_shape: Any, axes: tuple[int, ...], accumulate: bool, needed: list[bool]) -> tuple[Any, ...]:
    from flambeau.primitives.movement import sum_to

    indices = xs[2:]
    gx = gv = None
    if needed[0]:
        gx = g if accumulate else index_put(g, zeros_of(g, ()), *indices, axes=axes, accumulate=False)
    if needed[1]:
        gv = sum_to(index(g, *indices, axes=axes), xs_shape[1])
    return (gx, gv, *(None for _ in indices))


index_put = primitive(
    "index_put",
    "*xs",
    kernel=_index_put,
    rule=lambda x, v, *i, axes, accumulate: (x.shape, x.dtype),
    vjp=_index_put_vjp,
    kept_from=2,
    batch=batching.index_put,
)


def _unknown(name: str) -> Any:
    def rule(*xs: Any, **params: Any) -> Any:
        from flambeau.base.errors import DeviceError, explain

        raise DeviceError(explain(name, expected="a tensor with data, whose values decide the shape", got="a tensor on device 'meta'"))

    return rule


nonzero = primitive(  # (n, ndim) positions in row-major order
    "nonzero",
    "x",
    kernel=lambda xp, x: xp.stack(xp.nonzero(xp.atleast_1d(x)), axis=1)[:, : x.ndim].astype(np.int64),
    rule=_unknown("nonzero"),
)
