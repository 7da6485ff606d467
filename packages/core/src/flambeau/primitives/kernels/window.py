"""Pooling, unfold and fold in 1 to 3 dimensions.

Shapes: x (N, C, *spatial); `kernel`, `stride`, `dilation` one int per axis; `padding` one int or (low, high) pair per axis. 16-bit floats
are computed in float32. Loops run over kernel positions only; each step is one pass over the output.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from flambeau.base.errors import ShapeError, explain
from flambeau.primitives.kernels.layout import (
    Array,
    Pairs,
    as_pairs,
    pad_spatial,
    scatter_add,
    taps,
    to_work,
    window_count,
    windows,
    work_dtype,
)


def pool_output_shape(x_shape: Sequence[int], *, kernel: Sequence[int], stride: Sequence[int], padding: Any,
                      dilation: Sequence[int] | None = None, ceil_mode: bool = False) -> tuple[int, ...]:
    """The shape (N, C, *out) of a pooling.

    >>> pool_output_shape((1, 2, 5, 5), kernel=(2, 2), stride=(2, 2), padding=(0, 0), ceil_mode=True)
    (1, 2, 3, 3)
    """
    dims = len(kernel)
    sizes = zip(x_shape[-dims:], kernel, stride, as_pairs(padding), dilation or (1,) * dims, strict=True)
    return (*x_shape[:-dims], *(window_count("pool", n, k, s, p, d, ceil_mode) for n, k, s, p, d in sizes))


def _reach(size: int, count: int, kernel: int, stride: int, dilation: int) -> int:
    """The padded size that `count` windows touch."""
    return (count - 1) * stride + dilation * (kernel - 1) + 1 if count else size


def _padded(xp: Any, x: Array, out: Sequence[int], kernel: Sequence[int], stride: Sequence[int], pads: Pairs, dilation: Sequence[int],
            fill: Any) -> Array:
    """x padded low as asked and high as far as the windows reach (in ceil mode that may be further than the padding)."""
    needed = tuple((lo, _reach(n, m, k, s, d) - n - lo)
                   for n, m, k, s, (lo, _), d in zip(x.shape[-len(out):], out, kernel, stride, pads, dilation))
    return pad_spatial(xp, x, tuple((lo, max(hi, 0)) for lo, hi in needed), fill)


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min


# ---------------------------------------------------------------------------------------------------------------- max pooling

def max_pool(xp: Any, x: Array, *, kernel: Sequence[int], stride: Sequence[int], padding: Any, dilation: Sequence[int],
             ceil_mode: bool = False) -> tuple[Array, Array]:
    """The largest value of each window and its flat int64 index into the unpadded spatial axes.

    The first of equal values wins; a NaN wins over everything, the last NaN over earlier ones (as in PyTorch). Padding never wins; a window
    of nothing but padding is the lowest value, with some index inside the input.

    >>> import numpy as np
    >>> max_pool(np, np.array([[[1.0, 3.0, 2.0, 5.0]]]), kernel=(2,), stride=(2,), padding=(0,), dilation=(1,))
    (array([[[3., 5.]]]), array([[[1, 3]]]))
    """
    pads, dims = as_pairs(padding), len(kernel)
    if any(2 * p > d * (k - 1) + 1 for pair, k, d in zip(pads, kernel, dilation) for p in pair):
        raise ShapeError(explain("max_pool", expected="padding of at most half the (dilated) kernel",
                                 got=f"padding {pads}, kernel {tuple(kernel)}"))
    out = pool_output_shape(x.shape, kernel=kernel, stride=stride, padding=pads, dilation=dilation, ceil_mode=ceil_mode)[-dims:]
    spatial, dtype = x.shape[-dims:], x.dtype
    (x,) = to_work(x)
    padded = _padded(xp, x, out, kernel, stride, pads, dilation, _lowest(x.dtype))
    first = _first_inside(xp, out, kernel, stride, pads, dilation)
    best, which = _running_max(xp, (padded[tap] for tap in taps(kernel, stride, dilation, out)), first)
    base, step = _flat_positions(xp, out, spatial, kernel, stride, pads, dilation)
    indices = base + step[which]
    if first is not None and any(d > 1 for d in dilation):
        indices = indices.clip(0, max(math.prod(spatial) - 1, 0))       # a dilated window may miss a short input altogether
    return best.astype(dtype, copy=False), indices


def max_pool_values(xp: Any, x: Array, *, kernel: Sequence[int], stride: Sequence[int], padding: Any, dilation: Sequence[int],
                    ceil_mode: bool = False) -> Array:
    """`max_pool` without the indices: one axis after the other, so it is several times quicker."""
    pads, dims = as_pairs(padding), len(kernel)
    out = pool_output_shape(x.shape, kernel=kernel, stride=stride, padding=pads, dilation=dilation, ceil_mode=ceil_mode)[-dims:]
    dtype = x.dtype
    (x,) = to_work(x)
    x = _padded(xp, x, out, kernel, stride, pads, dilation, _lowest(x.dtype))
    return _axis_by_axis(xp, x, xp.maximum, kernel, stride, dilation, out).astype(dtype, copy=False)


def max_pool_grad(xp: Any, g: Array, indices: Array, *, input_shape: Sequence[int]) -> Array:
    """Send each g (N, C, *out) to the input position that its index names; positions named twice add up. Also max_unpool's kernel."""
    dims = g.ndim - 2
    flat, planes = math.prod(input_shape[2:]), input_shape[0] * input_shape[1]
    if tuple(g.shape) != tuple(indices.shape) or dims != len(input_shape) - 2:
        raise ShapeError(explain("max_pool_grad", expected=f"indices like the gradient {tuple(g.shape)}", got=f"{tuple(indices.shape)}"))
    dtype, (g,) = g.dtype, to_work(g)
    into = xp.zeros(planes * flat, dtype=g.dtype)
    offset = xp.arange(planes, dtype=np.int64).reshape(planes, 1) * flat
    scatter_add(xp, into, (indices.reshape(planes, math.prod(g.shape[2:])) + offset).reshape(-1), g.reshape(-1))
    return into.reshape(tuple(input_shape)).astype(dtype, copy=False)


def _running_max(xp: Any, views: Iterator[Array], first: Array | None) -> tuple[Array, Array]:
    """Maximum over equally shaped views and the number of the view it came from; `first` is where counting starts at each output."""
    best, which, floating = None, None, False
    for k, view in enumerate(views):
        if best is None:
            best, floating = xp.array(view), view.dtype.kind == "f"
            which = xp.zeros(best.shape, dtype=np.int32)
            if first is not None:
                which += first
            continue
        better = view > best
        if floating:
            better |= view != view
        xp.copyto(best, view, where=better)
        xp.copyto(which, np.int32(k), where=better)
    return best, which


def _first_inside(xp: Any, out: Sequence[int], kernel: Sequence[int], stride: Sequence[int], pads: Pairs,
                  dilation: Sequence[int]) -> Array | None:
    """The first kernel position (row-major number) of each window that lies inside the input; None when that is always 0."""
    if not any(lo > 0 for lo, _ in pads):
        return None
    total = xp.zeros((), dtype=np.int32)
    for m, k, s, (lo, _), d in zip(out, kernel, stride, pads, dilation):
        first = -((xp.arange(m, dtype=np.int32) * s - lo).clip(None, 0) // d)
        total = total[..., None] * k + first
    return total


def _flat_positions(xp: Any, out: Sequence[int], spatial: Sequence[int], kernel: Sequence[int], stride: Sequence[int], pads: Pairs,
                    dilation: Sequence[int]) -> tuple[Array, Array]:
    """Flat input index of output o and kernel position k, as base[o] + step[k]."""
    base, step = xp.zeros((), dtype=np.int64), xp.zeros(1, dtype=np.int64)
    for m, n, k, s, (lo, _), d in zip(out, spatial, kernel, stride, pads, dilation):
        base = base[..., None] * n + (xp.arange(m, dtype=np.int64) * s - lo)
        step = (step[:, None] * n + xp.arange(k, dtype=np.int64) * d).reshape(-1)
    return base, step


# ------------------------------------------------------------------------------------------------------- sums, for average pooling

def sum_pool(xp: Any, x: Array, *, kernel: Sequence[int], stride: Sequence[int], padding: Any, ceil_mode: bool = False) -> Array:
    """The sum of each window, padding counting as zero."""
    pads, dims = as_pairs(padding), len(kernel)
    out = pool_output_shape(x.shape, kernel=kernel, stride=stride, padding=pads, ceil_mode=ceil_mode)[-dims:]
    dtype, (x,) = x.dtype, to_work(x)
    ones = (1,) * dims
    x = _padded(xp, x, out, kernel, stride, pads, ones, 0)
    return _axis_by_axis(xp, x, xp.add, kernel, stride, ones, out).astype(dtype, copy=False)


def sum_pool_grad(xp: Any, g: Array, *, input_shape: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Any) -> Array:
    """The gradient of `sum_pool` for its input: every g is added to each input position of its window."""
    pads, dims, dtype = as_pairs(padding), len(kernel), g.dtype
    (g,) = to_work(g)
    for axis in range(dims):
        at, size = axis - dims, input_shape[axis - dims]
        lo, m, k, s = pads[axis][0], g.shape[axis - dims], kernel[axis], stride[axis]
        shape = list(g.shape)
        shape[at] = max(size + lo, _reach(size, m, k, s, 1))
        into = xp.zeros(tuple(shape), dtype=g.dtype)
        for _, tap in taps((k,), (s,), (1,), (m,)):
            into[_on_axis(tap, at)] += g
        g = into[_on_axis(slice(lo, lo + size), at)]
    return xp.ascontiguousarray(g).astype(dtype, copy=False)


def pool_divisor(xp: Any, spatial: Sequence[int], *, kernel: Sequence[int], stride: Sequence[int], padding: Any, ceil_mode: bool = False,
                 count_include_pad: bool = True, dtype: Any = np.float32) -> Array:
    """How many positions average pooling divides by at each output (*out): a window may hang over the padded input in ceil mode, and that
    part never counts; padding counts when `count_include_pad`.

    >>> import numpy as np
    >>> pool_divisor(np, (5,), kernel=(3,), stride=(2,), padding=(1,), count_include_pad=False)
    array([2., 3., 2.], dtype=float32)
    """
    total = xp.ones((), dtype=np.int64)
    for n, k, s, (lo, hi) in zip(spatial, kernel, stride, as_pairs(padding)):
        start = xp.arange(window_count("pool", n, k, s, (lo, hi), 1, ceil_mode), dtype=np.int64) * s - lo
        end = xp.minimum(start + k, n + hi)
        total = total[..., None] * (end - start if count_include_pad else xp.minimum(end, n) - xp.maximum(start, 0))
    return total.astype(dtype)


def _on_axis(index: Any, axis: int) -> tuple[Any, ...]:
    return (..., index, *(slice(None) for _ in range(-axis - 1)))


def _axis_by_axis(xp: Any, x: Array, combine: Any, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int],
                  out: Sequence[int]) -> Array:
    """Reduce windows with an associative ufunc, one axis after the other: k1 + k2 passes instead of k1 * k2."""
    source, dims = x, len(kernel)
    for axis in reversed(range(dims)):
        at = axis - dims
        picks = [_on_axis(tap[1], at) for tap in taps((kernel[axis],), (stride[axis],), (dilation[axis],), (out[axis],))]
        if out[axis] == 1 and len(picks) > 1:
            window = x[_on_axis(slice(0, dilation[axis] * (kernel[axis] - 1) + 1, dilation[axis]), at)]
            x = combine.reduce(window, axis=at, keepdims=True, dtype=x.dtype)
            continue
        total = combine(x[picks[0]], x[picks[1]]) if len(picks) > 1 else x[picks[0]]
        for pick in picks[2:]:
            combine(total, x[pick], out=total)
        x = total
    return xp.array(x) if x is source or not x.flags.owndata else x


# ----------------------------------------------------------------------------------------------------------------- adaptive pooling

def adaptive_ranges(size: int, out: int) -> tuple[np.ndarray, np.ndarray]:
    """First and one-past-last input position of each of `out` adaptive windows: floor(i n / out) and ceil((i + 1) n / out).

    >>> adaptive_ranges(5, 3)
    (array([0, 1, 3]), array([2, 4, 5]))
    """
    i = np.arange(out, dtype=np.int64)
    return i * size // out, -((-(i + 1) * size) // out)


def adaptive_average(xp: Any, size: int, out: int, dtype: Any) -> Array:
    """The matrix (out, size) that averages adaptively along one axis; an axis is pooled by a product with it.

    >>> import numpy as np
    >>> adaptive_average(np, 3, 2, np.float32)
    array([[0.5, 0.5, 0. ],
           [0. , 0.5, 0.5]], dtype=float32)
    """
    start, end = (xp.asarray(a)[:, None] for a in adaptive_ranges(size, out))
    position = xp.arange(size, dtype=np.int64)
    return (((position >= start) & (position < end)) / (end - start)).astype(dtype)


def adaptive_max_pool(xp: Any, x: Array, *, output_size: Sequence[int]) -> tuple[Array, Array]:
    """The largest value of each adaptive window of x (N, C, *spatial) and its flat int64 spatial index; ties and NaN as in `max_pool`."""
    dims, dtype = len(output_size), x.dtype
    spatial = x.shape[-dims:]
    if any(n < 1 for n in spatial):
        raise ShapeError(explain("adaptive_max_pool", expected="at least one value along every spatial axis", got=f"{tuple(x.shape)}"))
    (x,) = to_work(x)
    rows = []
    for n, m in zip(spatial, output_size):
        start, end = adaptive_ranges(n, m)
        longest = int((end - start).max()) if m else 1
        rows.append(np.minimum(start[:, None] + np.arange(longest), end[:, None] - 1))          # short windows repeat their last position
    positions = list(itertools.product(*(range(r.shape[1]) for r in rows)))
    grids = [np.ix_(*(r[:, j] for r, j in zip(rows, position))) for position in positions]
    best, which = _running_max(xp, (x[(..., *(xp.asarray(i) for i in grid))] for grid in grids), None)
    flat, length = xp.asarray(np.stack([_ravel(grid, spatial) for grid in grids])), math.prod(output_size)
    planes = math.prod(x.shape[:-dims])
    index = flat.reshape(len(grids), length)[which.reshape(planes, length), xp.arange(length)]
    return best.astype(dtype, copy=False), index.reshape(which.shape)


def _ravel(grid: Sequence[np.ndarray], spatial: Sequence[int]) -> np.ndarray:
    flat = np.zeros((1,) * len(grid), dtype=np.int64)
    for index, n in zip(grid, spatial):
        flat = flat * n + index
    return flat


# -------------------------------------------------------------------------------------------------------------- unfold and fold

def unfold(xp: Any, x: Array, kernel: Sequence[int], stride: Sequence[int], padding: Any, dilation: Sequence[int]) -> Array:
    """The windows of x (N, C, *spatial) as a new array (N, C, *kernel, *out) (im2col).

    >>> import numpy as np
    >>> unfold(np, np.arange(4.0).reshape(1, 1, 4), (2,), (1,), (0,), (1,))
    array([[[[0., 1., 2.],
             [1., 2., 3.]]]])
    """
    pads, dims = as_pairs(padding), len(kernel)
    out = pool_output_shape(x.shape, kernel=kernel, stride=stride, padding=pads, dilation=dilation)[-dims:]
    return xp.array(windows(xp, pad_spatial(xp, x, pads), kernel, stride, dilation, out), order="C")


def fold(xp: Any, columns: Array, output_size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Any,
         dilation: Sequence[int]) -> Array:
    """The adjoint of `unfold`: add columns (N, C, *kernel, *out) into (N, C, *output_size) where they came from (col2im)."""
    pads, dims = as_pairs(padding), len(kernel)
    lead = columns.shape[:-2 * dims]
    out = pool_output_shape((*lead, *output_size), kernel=kernel, stride=stride, padding=pads, dilation=dilation)[-dims:]
    if tuple(columns.shape[-2 * dims:]) != (*kernel, *out):
        raise ShapeError(explain("fold", expected=f"columns ending in kernel {tuple(kernel)} and positions {out}",
                                 got=f"{tuple(columns.shape)}"))
    dtype = columns.dtype
    into = xp.zeros((*lead, *(n + lo + hi for n, (lo, hi) in zip(output_size, pads))), dtype=work_dtype(dtype))
    steps = columns.reshape(*lead, math.prod(kernel), *out)
    for k, tap in enumerate(taps(kernel, stride, dilation, out)):
        into[tap] += steps[(*(slice(None) for _ in lead), k)]
    crop = (..., *(slice(lo, lo + n) for n, (lo, _) in zip(output_size, pads)))
    return xp.ascontiguousarray(into[crop]).astype(dtype, copy=False)
