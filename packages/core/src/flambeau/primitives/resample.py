"""Rows of resampling along one axis (kernels/resample.py): interpolation of all kinds, and adaptive averages."""

from __future__ import annotations

from typing import Any

from flambeau.primitives import batching
from flambeau.primitives.prim import primitive


def _resized(x: Any, axis: int, size: int) -> Any:
    return (*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype


resample = primitive(
    "resample",
    "x",
    kernel="resample.resample",
    rule=lambda x, axis, size, method, step, align_corners: _resized(x, axis, size),
    vjp=lambda g, x_shape, axis, method, step, align_corners: resample_grad(
        g, axis=axis, length=x_shape[axis], method=method, step=step, align_corners=align_corners
    ),
    batch=batching.shifted("axis"),
)
resample_grad = primitive(
    "resample_grad",
    "y",
    kernel="resample.resample_grad",
    rule=lambda y, axis, length, method, step, align_corners: _resized(y, axis, length),
    vjp=lambda g, y_shape, axis, method, step, align_corners: resample(
        g, axis=axis, size=y_shape[axis], method=method, step=step, align_corners=align_corners
    ),
    batch=batching.shifted("axis"),
)
