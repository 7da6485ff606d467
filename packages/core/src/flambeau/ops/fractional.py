"""Fractional max pooling (Graham 2014): windows at pseudo-random places, to any smaller output size."""

from __future__ import annotations

from math import prod
from typing import Any

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.ops.indexing import gather
from flambeau.ops.joining import cat
from flambeau.ops.random import rand
from flambeau.tensor.creation import arange
from flambeau.tensor.tensor import Tensor


def _per_axis(value: Any, n: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * n


def _output_size(op: str, sizes: tuple[int, ...], kernel: tuple[int, ...], output_size: Any, output_ratio: Any) -> tuple[int, ...]:
    n = len(sizes)
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError(explain(op, expected="either output_size or output_ratio", got=f"{output_size} and {output_ratio}"))
    if output_size is None:
        out = tuple(int(size * ratio) for size, ratio in zip(sizes, _per_axis(output_ratio, n), strict=True))
    else:
        out = tuple(int(size) for size in _per_axis(output_size, n))
    if any(o < 1 or k < 1 or o + k - 1 > size for o, k, size in zip(out, kernel, sizes, strict=True)):
        got = f"input {sizes}, kernel {kernel}, output {out}"
        raise ShapeError(explain(op, expected="output + kernel - 1 within the input along every axis", got=got))
    return out


def _starts(sample: Any, size: int, kernel: int, out: int) -> Any:
    """First elements of the windows along an axis, (N, C, out), from one random number per channel."""
    last = sample.new_full((*sample.shape, 1), size - kernel, dtype=dtypes.int64)
    if out == 1:
        return last
    step = (size - kernel) / (out - 1)
    places = (arange(out - 1, dtype=sample.dtype, device=sample.device) + sample.unsqueeze(-1)) * step
    return cat([places.to(dtypes.int64) - (sample * step).to(dtypes.int64).unsqueeze(-1), last], dim=-1)


def _pool(op: str, n: int, x: Any, kernel_size: Any, output_size: Any, output_ratio: Any, with_indices: bool, samples: Any) -> Any:
    if x.dim() not in (n + 1, n + 2):
        raise ShapeError(explain(op, expected=f"{n + 2} axes (N, C, ...) or {n + 1} without batch", got=f"shape {tuple(x.shape)}"))
    single = x.dim() == n + 1
    x = x.unsqueeze(0) if single else x
    batch, channels, *sizes = x.shape
    kernel = _per_axis(kernel_size, n)
    out = _output_size(op, tuple(sizes), kernel, output_size, output_ratio)
    if samples is None:
        samples = rand(batch, channels, n, dtype=x.dtype, device=x.device)
    elif tuple(samples.shape) != (batch, channels, n):
        raise ShapeError(explain(op, expected=f"_random_samples of shape {(batch, channels, n)}", got=str(tuple(samples.shape))))
    place: Any = 0  # positions of the windows' elements in the flattened input: (N, C, *out, *kernel)
    for axis in range(n):
        sample = samples[:, :, n - 1 - axis if n == 2 else axis]  # images take the first number for their columns
        starts = _starts(sample, sizes[axis], kernel[axis], out[axis])
        window = starts.unsqueeze(-1) + arange(kernel[axis], device=x.device)
        shape = [batch, channels] + [1] * (2 * n)
        shape[2 + axis], shape[2 + n + axis] = out[axis], kernel[axis]
        place = place * sizes[axis] + window.reshape(shape)
    place = place.reshape(batch, channels, prod(out) * prod(kernel))
    windows: Any = gather(x.flatten(2), 2, place).reshape(batch, channels, *out, prod(kernel))
    values, best = windows.max(dim=-1)
    values = values.squeeze(0) if single else values
    if not with_indices:
        return values
    indices: Any = gather(place.reshape(windows.shape), -1, best.unsqueeze(-1)).squeeze(-1)
    return values, indices.squeeze(0) if single else indices


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest element of each of `output_size` windows (or `output_ratio` times the input's size) of (N, C, H, W) or (C, H, W), whose
    places are drawn per sample and channel; with `return_indices` also where it is in the flattened image.

    >>> import flambeau as fb
    >>> fb.nn.functional.fractional_max_pool2d(fb.ones(1, 3, 9, 9), kernel_size=2, output_size=(5, 4)).shape
    flambeau.Size([1, 3, 5, 4])
    """
    op = "fractional_max_pool2d"
    return _pool(op, 2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """`fractional_max_pool2d` of volumes (N, C, D, H, W) or (C, D, H, W)."""
    op = "fractional_max_pool3d"
    return _pool(op, 3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool2d_with_indices(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, _random_samples: Tensor | None = None
) -> Any:
    """`fractional_max_pool2d` that returns (values, indices)."""
    return fractional_max_pool2d(input, kernel_size, output_size, output_ratio, True, _random_samples)


def fractional_max_pool3d_with_indices(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, _random_samples: Tensor | None = None
) -> Any:
    """`fractional_max_pool3d` that returns (values, indices)."""
    return fractional_max_pool3d(input, kernel_size, output_size, output_ratio, True, _random_samples)


__all__ = ["fractional_max_pool2d", "fractional_max_pool3d"]
