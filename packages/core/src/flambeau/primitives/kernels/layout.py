"""What the windowed kernels share: sizes, padding, strided windows, scatter-add, and the dtype that arithmetic runs in.

Throughout: x is (N, C, *spatial); `kernel`, `stride`, `dilation` are one int per spatial axis; `padding` is one (low, high) pair per
spatial axis (a single int means both sides).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from flambeau.base.errors import ShapeError, explain

Array = Any
Pairs = tuple[tuple[int, int], ...]

_HALF = frozenset({"float16", "bfloat16"})


def work_dtype(dtype: Any) -> np.dtype[Any]:
    """The dtype to compute in: float32 for the 16-bit floats, otherwise the dtype itself."""
    dtype = np.dtype(dtype)
    return np.dtype(np.float32) if dtype.name in _HALF else dtype


def to_work(*arrays: Array) -> tuple[Array, ...]:
    """The arrays in their common work dtype, without a copy where they already have it."""
    dtype = np.result_type(*(work_dtype(a.dtype) for a in arrays))
    return tuple(a.astype(dtype, copy=False) for a in arrays)


def as_pairs(padding: Sequence[int | tuple[int, int]]) -> Pairs:
    """Padding as (low, high) pairs.

    >>> as_pairs((1, (0, 2)))
    ((1, 1), (0, 2))
    """
    return tuple((p, p) if isinstance(p, int) else (int(p[0]), int(p[1])) for p in padding)


def window_count(op: str, size: int, kernel: int, stride: int, pad: tuple[int, int], dilation: int = 1, ceil_mode: bool = False) -> int:
    """How many windows fit along one axis; in ceil mode a last window may hang over the high side if it starts inside."""
    if kernel < 1 or stride < 1 or dilation < 1:
        raise ShapeError(explain(op, expected="kernel, stride and dilation of at least 1", got=f"{kernel}, {stride} and {dilation}"))
    room = size + pad[0] + pad[1] - dilation * (kernel - 1) - 1
    if room < 0:
        raise ShapeError(explain(op, expected=f"a padded size of at least {dilation * (kernel - 1) + 1} (the dilated kernel)",
                                 got=f"{room + dilation * (kernel - 1) + 1}", hint="pad more, or use a smaller kernel or dilation"))
    count = (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + pad[0]:
        count -= 1
    return count


def pad_spatial(xp: Any, x: Array, padding: Pairs, fill: Any = 0) -> Array:
    """Pad (or with negative numbers crop) the last len(padding) axes; returns x itself when there is nothing to do."""
    if not any(lo or hi for lo, hi in padding):
        return x
    lead = x.ndim - len(padding)
    sizes = x.shape[lead:]
    out = xp.full(x.shape[:lead] + tuple(n + lo + hi for n, (lo, hi) in zip(sizes, padding)), fill, dtype=x.dtype)
    into = tuple(slice(max(lo, 0), max(lo, 0) + max(0, n + min(lo, 0) + min(hi, 0))) for n, (lo, hi) in zip(sizes, padding))
    out_of = tuple(slice(max(-lo, 0), n - max(-hi, 0)) for n, (lo, hi) in zip(sizes, padding))
    out[(..., *into)] = x[(..., *out_of)]
    return out


def windows(xp: Any, x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], out: Sequence[int]) -> Array:
    """A view (*lead, *kernel, *out) of x (*lead, *spatial): element [k, o] is x[o * stride + k * dilation]. Do not write into it."""
    dims = len(kernel)
    lead, step = x.strides[:-dims], x.strides[-dims:]
    strides = (*lead, *(s * d for s, d in zip(step, dilation)), *(s * t for s, t in zip(step, stride)))
    return xp.lib.stride_tricks.as_strided(x, shape=(*x.shape[:-dims], *kernel, *out), strides=strides)


def taps(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], out: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """For each kernel position in row-major order, the index that picks from a padded (*lead, *spatial) array its (*lead, *out) inputs."""
    for position in itertools.product(*(range(k) for k in kernel)):
        yield (..., *(slice(k * d, k * d + (n - 1) * s + 1 if n else k * d, s) for k, d, s, n in zip(position, dilation, stride, out)))


def scatter_add(xp: Any, target: Array, index: Any, values: Array) -> None:
    """target[index] += values in place, counting repeated indices."""
    xp.add.at(target, index, values)


def in_float64(f: Callable[..., Array]) -> Callable[..., Array]:
    """Let f(xp, x, ...) see a flat float64 array for every array argument, and return its result in the shape and dtype that went in.

    Arrays are broadcast together; Python numbers pass as they are. Floating-point warnings are off: inf and NaN are answers.
    """
    @functools.wraps(f)
    def wrapped(xp: Any, *arguments: Any) -> Array:
        arrays = [a for a in arguments if not isinstance(a, (int, float))]
        dtype = arrays[0].dtype if len(arrays) == 1 else np.result_type(*(a.dtype for a in arrays))
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        flat = [a if isinstance(a, (int, float)) else xp.broadcast_to(a, shape).astype(np.float64, copy=False).reshape(-1)
                for a in arguments]
        with np.errstate(all="ignore"):
            return f(xp, *flat).reshape(shape).astype(dtype, copy=False)
    return wrapped


def piecewise(xp: Any, x: Array, pieces: Sequence[tuple[Array, Callable[[Array], Array]]]) -> Array:
    """For flat x, each function applied where its mask holds and nowhere else; NaN where no mask does."""
    for mask, f in pieces:
        if bool(mask.all()):
            return f(x)
    out = xp.full(x.shape, np.nan, dtype=x.dtype)
    for mask, f in pieces:
        at = xp.flatnonzero(mask)
        if len(at):
            out[at] = f(x[at])
    return out


def horner(x: Array, coefficients: Sequence[Any]) -> Array:
    """The polynomial with the given coefficients (two or more), highest power first."""
    total = x * coefficients[0]
    total += coefficients[1]
    for c in coefficients[2:]:
        total *= x
        total += c
    return total


def by_blocks(xp: Any, f: Callable[[Array], Array], x: Array, block: int = 1 << 15) -> Array:
    """f over a contiguous array in pieces that stay in a core's cache, for a function of many passes; on a GPU in one go."""
    if xp is not np or x.size <= block:
        return f(x)
    x = np.ascontiguousarray(x)
    flat, out = x.reshape(-1), np.empty(x.size, dtype=x.dtype)
    for start in range(0, x.size, block):
        out[start : start + block] = f(flat[start : start + block])
    return out.reshape(x.shape)
