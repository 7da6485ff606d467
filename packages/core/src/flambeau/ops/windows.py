"""Window functions of signal processing. `periodic` windows are for transforms: one longer and without its last value."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base import dtypes
from flambeau.base.errors import ArgumentError, DtypeError, explain
from flambeau.ops.pointwise import i0
from flambeau.ops.promotion import to_dtype
from flambeau.tensor.creation import arange, ones, zeros
from flambeau.tensor.tensor import Tensor


def _window(op: str, length: int, periodic: bool, shape: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    """`shape(t)` at t = 0 to 1, computed in double precision."""
    d = dtypes.as_dtype(dtype, op) if dtype is not None else dtypes.default_dtype()
    if not d.is_floating_point:
        raise DtypeError(explain(op, expected="a floating-point dtype", got=repr(d)))
    if length < 0:
        raise ArgumentError(explain(op, expected="window_length >= 0", got=str(length)))
    if length == 0:
        return zeros(0, dtype=d, device=device, requires_grad=requires_grad)
    if length == 1:
        return ones(1, dtype=d, device=device, requires_grad=requires_grad)
    t = arange(length, dtype=dtypes.float64, device=device) / (length if periodic else length - 1)
    return to_dtype(shape(t), d).requires_grad_(requires_grad)


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.5 - 0.5 cos(2 pi t).

    >>> import flambeau as fb
    >>> fb.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return hamming_window(window_length, periodic, 0.5, 0.5, dtype=dtype, device=device, requires_grad=requires_grad)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """alpha - beta cos(2 pi t)."""
    return _window("hamming_window", window_length, periodic, lambda t: alpha - beta * (2 * np.pi * t).cos(), dtype, device, requires_grad)


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.42 - 0.5 cos(2 pi t) + 0.08 cos(4 pi t)."""

    def shape(t: Tensor) -> Tensor:
        return (0.42 - 0.5 * (2 * np.pi * t).cos() + 0.08 * (4 * np.pi * t).cos()).clamp(min=0)

    return _window("blackman_window", window_length, periodic, shape, dtype, device, requires_grad)


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A triangle: 1 - |2 t - 1|."""
    return _window("bartlett_window", window_length, periodic, lambda t: 1 - (2 * t - 1).abs(), dtype, device, requires_grad)


def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """i0(beta sqrt(1 - (2 t - 1)^2)) / i0(beta) (Kaiser and Schafer 1980)."""

    def shape(t: Tensor) -> Tensor:
        scale = i0(t.new_tensor(float(beta)))
        return i0(beta * (1 - (2 * t - 1).square()).clamp(min=0).sqrt()) / scale

    return _window("kaiser_window", window_length, periodic, shape, dtype, device, requires_grad)


__all__ = """
bartlett_window blackman_window hamming_window hann_window kaiser_window
""".split()
