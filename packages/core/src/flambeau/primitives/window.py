"""Rows of sliding windows over the trailing spatial axes (kernels/window.py): pooling, and unfold with its adjoint fold."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base.shapes import Shape
from flambeau.primitives import batching
from flambeau.primitives.indexing import gather
from flambeau.primitives.kernels.window import pool_output_shape
from flambeau.primitives.movement import reshape
from flambeau.primitives.prim import primitive

INT64 = np.dtype(np.int64)


def _max_rule(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    shape = pool_output_shape(x.shape, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    return [(shape, x.dtype), (shape, INT64)]


max_pool = primitive(  # values, and their flat positions among the spatial axes
    "max_pool",
    "x",
    kernel="window.max_pool",
    rule=_max_rule,
    vjp=lambda g, out, x_shape: unpool(g[0], out[1], input_shape=x_shape),
    multi=True,
    batch=batching.folded(),
)
max_pool_values = primitive(  # without the positions, which are found again where a gradient needs them
    "max_pool_values",
    "x",
    kernel="window.max_pool_values",
    rule=lambda x, **window: _max_rule(x, **window)[0],
    vjp=lambda g, x, x_shape, kernel, stride, padding, dilation, ceil_mode: unpool(
        g, max_pool(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)[1], input_shape=x_shape
    ),
    batch=batching.folded(),
)
adaptive_max_pool = primitive(
    "adaptive_max_pool",
    "x",
    kernel="window.adaptive_max_pool",
    rule=lambda x, output_size: [(x.shape[: -len(output_size)] + tuple(output_size), d) for d in (x.dtype, INT64)],
    vjp=lambda g, out, x_shape: unpool(g[0], out[1], input_shape=x_shape),
    multi=True,
    batch=batching.folded(),
)
unpool = primitive(  # add values at the positions that max pooling found
    "unpool",
    "x i",
    kernel=lambda xp, x, i, input_shape: _unpool(xp, x, i, input_shape),
    rule=lambda x, i, input_shape: (input_shape, x.dtype),
    vjp=(lambda g, i: pick(g, i), None),
    batch=batching.folded("input_shape"),
)


def _unpool(xp: Any, x: Any, i: Any, input_shape: Shape) -> Any:
    from flambeau.primitives.kernels.window import max_pool_grad

    return max_pool_grad(xp, x, i, input_shape=input_shape)


def pick(x: Any, i: Any) -> Any:
    """The values at flat spatial positions i: the adjoint of `unpool`."""
    lead = _lead(x._a.shape, i._a.shape)
    flat = reshape(x, shape=(*x._a.shape[:lead], -1 if x._a.size else 0))
    at = reshape(i, shape=(*i._a.shape[:lead], -1 if i._a.size else 0))
    return reshape(gather(flat, at, axis=lead), shape=i._a.shape)


def _lead(x: Shape, i: Shape) -> int:
    """Axes before the spatial ones: batch and channels are equal in both."""
    return 2 if len(x) > 2 else len(x) - 1


sum_pool = primitive(
    "sum_pool",
    "x",
    kernel="window.sum_pool",
    rule=lambda x, kernel, stride, padding, ceil_mode: (
        pool_output_shape(x.shape, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode),
        x.dtype,
    ),
    vjp=lambda g, x_shape, kernel, stride, padding, ceil_mode: sum_pool_grad(
        g, input_shape=x_shape, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode
    ),
    batch=batching.folded(),
)


def _sum_pool_grad(xp: Any, g: Any, input_shape: Shape, kernel: Any, stride: Any, padding: Any, ceil_mode: bool) -> Any:
    from flambeau.primitives.kernels.window import sum_pool_grad as kernel_

    return kernel_(xp, g, input_shape=input_shape, kernel=kernel, stride=stride, padding=padding)


sum_pool_grad = primitive(
    "sum_pool_grad",
    "y",
    kernel=_sum_pool_grad,
    rule=lambda y, input_shape, kernel, stride, padding, ceil_mode: (input_shape, y.dtype),
    vjp=lambda g, kernel, stride, padding, ceil_mode: sum_pool(g, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode),
    batch=batching.folded("input_shape"),
)


def _unfold_rule(x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    n = len(kernel)
    out = pool_output_shape(x.shape, kernel=kernel, stride=stride, padding=padding, dilation=dilation)[-n:]
    return (*x.shape[:-n], *kernel, *out), x.dtype


unfold = primitive(  # (N, C, *spatial) -> (N, C, *kernel, *out)
    "unfold",
    "x",
    kernel="window.unfold",
    rule=_unfold_rule,
    vjp=lambda g, x_shape, kernel, stride, padding, dilation: fold(
        g, output_size=x_shape[-len(kernel) :], kernel=kernel, stride=stride, padding=padding, dilation=dilation
    ),
    batch=batching.folded(),
)
fold = primitive(
    "fold",
    "y",
    kernel="window.fold",
    rule=lambda y, output_size, kernel, stride, padding, dilation: ((*y.shape[: -2 * len(kernel)], *output_size), y.dtype),
    vjp=lambda g, kernel, stride, padding, dilation: unfold(g, kernel=kernel, stride=stride, padding=padding, dilation=dilation),
    batch=batching.folded(),
)
