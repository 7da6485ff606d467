"""Pooling under PyTorch's names: maximum, average, power mean, adaptive, fractional, and the inverse of max pooling.

Shapes: (N, C, *spatial) or (C, *spatial) with 1, 2 or 3 spatial axes, as the name says.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from flambeau.autograd.modes import mode
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.base.shapes import pair
from flambeau.ops.casting import casting
from flambeau.ops.convolution import batched, unbatched
from flambeau.ops.indexing import in_range
from flambeau.ops.pointwise import abs, div_op, mul_op, pow_op, relu, sign
from flambeau.primitives import window as rows
from flambeau.primitives.indexing import scatter, zeros_of
from flambeau.primitives.kernels.window import pool_divisor
from flambeau.primitives.movement import reshape
from flambeau.primitives.reduce import sum_
from flambeau.primitives.resample import resample
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor


def _options(op: str, dims: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1) -> dict[str, Any]:
    kernel = pair(kernel_size, dims, op, "kernel_size")
    step = kernel if stride is None or stride == () or stride == [] else pair(stride, dims, op, "stride")
    pads, spread = pair(padding, dims, op, "padding"), pair(dilation, dims, op, "dilation")
    if min(*kernel, *step, *spread) < 1:
        got = f"kernel_size {kernel}, stride {step}, dilation {spread}"
        raise ArgumentError(explain(op, expected="kernel_size, stride and dilation of at least 1", got=got))
    if any(p < 0 or 2 * p > k for p, k in zip(pads, kernel, strict=True)):
        got = f"padding {pads}, kernel_size {kernel}"
        raise ShapeError(
            explain(op, expected="padding between 0 and half of kernel_size", got=got, hint="flambeau.nn.functional.pad first")
        )
    return {"kernel": kernel, "stride": step, "padding": tuple((p, p) for p in pads), "dilation": spread}


def _numeric(op: str, x: Tensor) -> Tensor:
    if x._a.dtype.kind in "bc":
        raise DtypeError(explain(op, expected="a real numeric tensor", got=repr(x.dtype), hint=".float()"))
    return x


# -- maximum ------------------------------------------------------------------------------------------------------------------------------
def _max_pool(dims: int) -> Callable[..., Any]:
    op = f"max_pool{dims}d"

    def pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        options = _options(op, dims, kernel_size, stride, padding, dilation)
        x = batched(op, _numeric(op, input), dims)
        if not return_indices and (x._node is None or not mode.grad):
            return unbatched(rows.max_pool_values(x, ceil_mode=ceil_mode, **options), input, dims)
        values, at = rows.max_pool(x, ceil_mode=ceil_mode, **options)
        values = unbatched(values, input, dims)
        return (values, unbatched(at, input, dims)) if return_indices else values

    pool.__name__ = pool.__qualname__ = op
    pool.__doc__ = f"""The maximum of each window over {dims} axes; `stride` is the kernel size if not given.

    With `return_indices` also where it was found, as a flat int64 index into the spatial axes. Padding never wins; `ceil_mode` keeps a last
    window that hangs over the end."""
    return pool


def _with_indices(pool: Callable[..., Any]) -> Callable[..., Any]:
    def both(*args: Any, **kwargs: Any) -> Any:
        return pool(*args, **{**kwargs, "return_indices": True})

    both.__name__ = both.__qualname__ = f"{pool.__name__}_with_indices"
    both.__doc__ = f"`{pool.__name__}` that returns (values, indices)."
    return both


max_pool1d, max_pool2d, max_pool3d = (_max_pool(n) for n in (1, 2, 3))
max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = (_with_indices(p) for p in (max_pool1d, max_pool2d, max_pool3d))


def _max_unpool(dims: int) -> Callable[..., Tensor]:
    op = f"max_unpool{dims}d"

    def unpool(input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None) -> Tensor:
        options = _options(op, dims, kernel_size, stride, padding)
        if indices._a.dtype != np.int64 or indices._a.shape != input._a.shape:
            got = f"{indices.dtype!r} of shape {tuple(indices.shape)}"
            raise ShapeError(explain(op, expected=f"int64 indices of the input's shape {tuple(input.shape)}", got=got))
        x, at = batched(op, input, dims), batched(op, indices, dims)
        geometry = zip(x._a.shape[2:], options["kernel"], options["stride"], options["padding"], strict=True)
        usual = tuple((n - 1) * s - 2 * lo + k for n, k, s, (lo, _) in geometry)
        size = usual if output_size is None else _unpooled_size(op, tuple(output_size)[-dims:], usual, options["stride"])
        lead = x._a.shape[:2]
        at = in_range(op, at, prod(size))
        flat, where = (reshape(t, shape=(*lead, prod(t._a.shape[2:]))) for t in (x, at))
        out = scatter(zeros_of(x.detach(), (*lead, prod(size))), where, flat, axis=2)
        return unbatched(reshape(out, shape=(*lead, *size)), input, dims)

    unpool.__name__ = unpool.__qualname__ = op
    unpool.__doc__ = f"""The partial inverse of `max_pool{dims}d`: values at the positions that it found, zeros elsewhere.

    `output_size` tells apart the sizes that pool to the same one."""
    return unpool


def _unpooled_size(op: str, size: tuple[int, ...], usual: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, ...]:
    if len(size) != len(usual) or any(not u - s < n < u + s for n, u, s in zip(size, usual, stride, strict=True)):
        expected = (
            f"output_size between {tuple(u - s + 1 for u, s in zip(usual, stride))} and {tuple(u + s - 1 for u, s in zip(usual, stride))}"
        )
        raise ShapeError(explain(op, expected=expected, got=str(size)))
    return size


max_unpool1d, max_unpool2d, max_unpool3d = (_max_unpool(n) for n in (1, 2, 3))


# -- average -----------------------------------------------------------------------------------------------------------------------------
def _average(op: str, x: Tensor, options: dict[str, Any], ceil_mode: bool, count_include_pad: bool, divisor_override: int | None) -> Tensor:
    window = {k: v for k, v in options.items() if k != "dilation"}
    total = rows.sum_pool(x, ceil_mode=ceil_mode, **window)
    if divisor_override is not None:
        if divisor_override == 0:
            raise ArgumentError(explain(op, expected="divisor_override other than 0", got="0"))
        return div_op(total, float(divisor_override))
    padded = any(lo for lo, _ in window["padding"])
    if not ceil_mode and (count_include_pad or not padded):
        return div_op(total, float(prod(window["kernel"])))
    spatial = x._a.shape[-len(window["kernel"]) :]
    count = pool_divisor(np, spatial, ceil_mode=ceil_mode, count_include_pad=count_include_pad, dtype=x._a.dtype, **window)
    return div_op(total, as_tensor(count, device=x.device))


def _floating(op: str, x: Tensor) -> Tensor:
    if x._a.dtype.kind not in "fV":
        raise DtypeError(explain(op, expected="a floating-point tensor", got=repr(x.dtype), hint=".float()"))
    return x


def _avg_pool(dims: int) -> Callable[..., Tensor]:
    op = f"avg_pool{dims}d"

    def pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Tensor:
        options = _options(op, dims, kernel_size, stride, padding)
        x = batched(op, _floating(op, input), dims)
        return unbatched(_average(op, x, options, ceil_mode, count_include_pad, divisor_override), input, dims)

    pool.__name__ = pool.__qualname__ = op
    pool.__doc__ = f"""The mean of each window over {dims} axes; `stride` is the kernel size if not given.

    Padding counts as zeros unless `count_include_pad` is false; `divisor_override` replaces the number of elements."""
    return pool


avg_pool1d, avg_pool2d, avg_pool3d = (_avg_pool(n) for n in (1, 2, 3))


def _lp_pool(dims: int) -> Callable[..., Tensor]:
    op = f"lp_pool{dims}d"

    def pool(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
        options = _options(op, dims, kernel_size, stride, 0)
        x = batched(op, _floating(op, input), dims)
        mean = _average(op, pow_op(x, norm_type), options, ceil_mode, True, None)
        total = mul_op(mul_op(sign(mean), relu(abs(mean))), float(prod(options["kernel"])))
        return unbatched(pow_op(total, 1.0 / norm_type), input, dims)

    pool.__name__ = pool.__qualname__ = op
    pool.__doc__ = f"(sum of x^p over each window of {dims} axes)^(1/p), p = `norm_type`."
    return pool


lp_pool1d, lp_pool2d, lp_pool3d = (_lp_pool(n) for n in (1, 2, 3))


# -- adaptive: output i covers the inputs from floor(i n / m) up to ceil((i + 1) n / m) --------------------------------------------------
def _adaptive_size(op: str, size: Any, x: Tensor, dims: int) -> tuple[int, ...]:
    wanted = tuple(size) if isinstance(size, (tuple, list)) else (size,) * dims
    if len(wanted) != dims:
        raise ShapeError(explain(op, expected=f"output_size as an int or {dims} ints (None keeps a size)", got=repr(size)))
    sizes = tuple(n if m is None else int(m) for m, n in zip(wanted, x._a.shape[2:], strict=True))
    if min(sizes) < 0:
        raise ArgumentError(explain(op, expected="output sizes that are not negative", got=str(sizes)))
    if 0 in x._a.shape[1:]:
        raise ShapeError(explain(op, expected="at least one channel and element along every spatial axis", got=f"shape {tuple(x.shape)}"))
    return sizes


def _adaptive_avg_pool(dims: int) -> Callable[..., Tensor]:
    op = f"adaptive_avg_pool{dims}d"

    def pool(input: Tensor, output_size: Any) -> Tensor:
        x = batched(op, _floating(op, input), dims)
        size = _adaptive_size(op, output_size, x, dims)
        spatial = x._a.shape[2:]
        if all(m == 1 for m in size):
            out = div_op(sum_(x, axis=tuple(range(2, dims + 2)), keepdim=True), float(prod(spatial)))
        elif all(m and n % m == 0 for n, m in zip(spatial, size, strict=True)):
            kernel = tuple(n // m for n, m in zip(spatial, size, strict=True))
            out = _average(op, x, _options(op, dims, kernel, None, 0), False, True, None)
        else:
            out = x
            for d, m in enumerate(size):
                out = resample(out, axis=d + 2, size=m, method="area", step=None, align_corners=False)
        return unbatched(out, input, dims)

    pool.__name__ = pool.__qualname__ = op
    pool.__doc__ = f"Averages over windows that divide {dims} axes into `output_size` parts (None keeps a size)."
    return pool


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (_adaptive_avg_pool(n) for n in (1, 2, 3))


def _adaptive_max_pool(dims: int) -> Callable[..., Any]:
    op = f"adaptive_max_pool{dims}d"

    def pool(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        x = batched(op, _numeric(op, input), dims)
        values, at = rows.adaptive_max_pool(x, output_size=_adaptive_size(op, output_size, x, dims))
        values = unbatched(values, input, dims)
        return (values, unbatched(at, input, dims)) if return_indices else values

    pool.__name__ = pool.__qualname__ = op
    pool.__doc__ = (
        f"Maxima of windows that divide {dims} axes into `output_size` parts (None keeps a size), and their flat indices on request."
    )
    return pool


adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (_adaptive_max_pool(n) for n in (1, 2, 3))
adaptive_max_pool1d_with_indices, adaptive_max_pool2d_with_indices, adaptive_max_pool3d_with_indices = (
    _with_indices(p) for p in (adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d)
)

__all__ = """
adaptive_avg_pool1d adaptive_max_pool1d avg_pool1d max_pool1d max_pool1d_with_indices max_pool2d max_pool3d
""".split()

casting(globals())
