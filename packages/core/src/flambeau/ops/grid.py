"""Sampling at points of a grid, under PyTorch's names. Jaderberg et al. 2015, "Spatial Transformer Networks"."""

from __future__ import annotations

import itertools
from math import prod
from typing import Any

import numpy as np

from flambeau.base.dtypes import int64
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.ops.casting import casting
from flambeau.ops.linear import check_dtypes
from flambeau.ops.matmul import matmul
from flambeau.ops.pointwise import abs, add_op, clamp, div_op, floor, fmod, ge, le, logical_and, mul_op, remainder_op, round, rsub, sub_op
from flambeau.ops.promotion import to_dtype
from flambeau.ops.resample import default_corners
from flambeau.primitives import elementwise as rows
from flambeau.primitives.indexing import gather
from flambeau.primitives.kernels.resample import cubic_weights
from flambeau.primitives.movement import expand, permute, reshape, slice_
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The points (N, H, W, 2) or (N, D, H, W, 3) that affine maps theta (N, 2, 3) or (N, 3, 4) send the pixels of an image `size` to.

    `size` is (N, C, H, W) or (N, C, D, H, W). Coordinates run from -1 to 1, between the centres of the corner pixels if `align_corners`,
    else
    between their outer edges.
    """
    corners = default_corners("affine_grid", align_corners)
    sizes = tuple(int(s) for s in size)
    dims = len(sizes) - 2
    if dims not in (2, 3) or theta._a.shape != (sizes[0], dims, dims + 1):
        got = f"theta {tuple(theta.shape)} and size {sizes}"
        raise ShapeError(
            explain("affine_grid", expected="theta (N, 2, 3) with size (N, C, H, W), or (N, 3, 4) with (N, C, D, H, W)", got=got)
        )
    axes = [_ticks(n, corners) for n in sizes[2:]]
    mesh = np.meshgrid(*axes, indexing="ij")
    points = np.stack([*reversed(mesh), np.ones(sizes[2:])], axis=-1).reshape(1, prod(sizes[2:]), dims + 1)
    base = as_tensor(points, dtype=theta.dtype, device=theta.device)
    return reshape(matmul(base, permute(theta, axes=(0, 2, 1))), shape=(sizes[0], *sizes[2:], dims))


def _ticks(n: int, corners: bool) -> np.ndarray:
    if n <= 1:
        return np.zeros(n)
    ticks = np.linspace(-1.0, 1.0, n)
    return ticks if corners else ticks * (n - 1) / n


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """Values of input (N, C, H, W) at points grid (N, H', W', 2), or of (N, C, D, H, W) at (N, D', H', W', 3): (N, C, *grid's axes).

    A point is (x, y[, z]) from -1 to 1, as in `affine_grid`. Modes: "bilinear" (trilinear with depth), "nearest", "bicubic" (without
    depth).
    Outside the image: "zeros", "border" (the nearest edge), or "reflection" (mirrored).
    """
    _check(input, grid, mode, padding_mode)
    corners = default_corners("grid_sample", align_corners)
    spatial = input._a.shape[2:]
    n, out = grid._a.shape[0], grid._a.shape[1:-1]
    last = grid._a.ndim - 1
    # The last axis of the image comes first in a point.
    points = [_pixels(slice_(grid, key=(..., i)), size, corners) for i, size in enumerate(reversed(spatial))][::-1]
    points = [reshape(p, shape=(n, prod(grid._a.shape[1:last]))) for p in points]
    if mode == "bicubic":
        taps = [_cubic_taps(p) for p in points]
        limit = padding_mode
    else:
        inside = [_limited(p, size, padding_mode, corners) for p, size in zip(points, spatial, strict=True)]
        taps = [_linear_taps(p) if mode == "bilinear" else [(round(p), None)] for p in inside]
        limit = "zeros"  # what is left to do for single pixels
    flat = reshape(input, shape=(*input._a.shape[:2], prod(spatial)))
    total: Any = None
    for corner in itertools.product(*taps):
        part = _tap(flat, corner, spatial, limit, corners)
        total = part if total is None else add_op(total, part)
    return reshape(total, shape=(n, input._a.shape[1], *out))


def _check(input: Tensor, grid: Tensor, mode: str, padding_mode: str) -> None:
    op, dims = "grid_sample", input._a.ndim - 2
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and dims == 3):
        raise ArgumentError(explain(op, expected="mode 'bilinear', 'nearest', or 'bicubic' (4 axes)", got=f"{mode!r} for {dims + 2} axes"))
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(explain(op, expected="padding_mode 'zeros', 'border' or 'reflection'", got=repr(padding_mode)))
    if dims not in (2, 3) or grid._a.ndim != dims + 2 or grid._a.shape[-1] != dims or grid._a.shape[0] != input._a.shape[0]:
        expected = "input (N, C, H, W) with grid (N, H', W', 2), or (N, C, D, H, W) with (N, D', H', W', 3)"
        raise ShapeError(explain(op, expected=expected, got=f"{tuple(input.shape)} and {tuple(grid.shape)}"))
    if 0 in input._a.shape[2:]:
        raise ShapeError(explain(op, expected="spatial axes that are not empty", got=f"shape {tuple(input.shape)}"))
    check_dtypes(op, input, grid)


def _pixels(x: Tensor, size: int, corners: bool) -> Tensor:
    """From [-1, 1] to pixel numbers."""
    if corners:
        return mul_op(add_op(x, 1.0), (size - 1) / 2)
    return div_op(sub_op(mul_op(add_op(x, 1.0), float(size)), 1.0), 2.0)


def _limited(x: Tensor, size: int, padding: str, corners: bool) -> Tensor:
    """Pixel numbers moved into the image; the derivative is 0 where the limit acts."""
    if padding == "zeros":
        return x
    if padding == "reflection":
        x = _mirrored(x, 0.0, size - 1.0) if corners else _mirrored(x, -0.5, size - 0.5)
    return rows.hardtanh(x, lo=0.0, hi=size - 1.0)


def _mirrored(x: Tensor, low: float, high: float) -> Tensor:
    span = high - low
    if span <= 0:
        return mul_op(x, 0.0)
    away = abs(sub_op(x, low))
    rest, turns = fmod(away, span), floor(div_op(away.detach(), span))
    even = remainder_op(turns, 2.0) == 0
    return rows.where(even, add_op(rest, low), rsub(rest, high))


def _linear_taps(x: Tensor) -> list[tuple[Tensor, Tensor | None]]:
    low = floor(x.detach())
    part = sub_op(x, low)
    return [(low, rsub(part, 1.0)), (add_op(low, 1.0), part)]


def _cubic_taps(x: Tensor) -> list[tuple[Tensor, Tensor | None]]:
    low = floor(x.detach())
    return [(add_op(low, float(k - 1)), w) for k, w in enumerate(cubic_weights(sub_op(x, low)))]


def _tap(flat: Tensor, corner: Any, spatial: tuple[int, ...], padding: str, corners: bool) -> Tensor:
    """The pixels named along each axis, times their weights: (N, C, points)."""
    position: Any = None
    weight: Any = None
    exists: Any = None
    for (at, w), size in zip(corner, spatial, strict=True):
        at = _limited(at.detach(), size, padding, corners)
        if padding == "zeros":
            within = logical_and(ge(at, 0.0), le(at, size - 1.0))
            exists = within if exists is None else logical_and(exists, within)
        index = to_dtype(clamp(at, 0.0, size - 1.0), int64)
        position = index if position is None else add_op(mul_op(position, size), index)
        if w is not None:
            weight = w if weight is None else mul_op(weight, w)
    n, c = flat._a.shape[:2]
    where = expand(reshape(position, shape=(n, 1, position._a.shape[1])), shape=(n, c, position._a.shape[1]))
    values = gather(flat, where, axis=2)
    if exists is not None:
        values = rows.where(reshape(exists, shape=(n, 1, exists._a.shape[1])), values, 0.0)
    return values if weight is None else mul_op(values, reshape(weight, shape=(n, 1, weight._a.shape[1])))


casting(globals())
