"""Convolution and its two transposes in 1 to 3 dimensions, as matrix products over copied windows (im2col).

Shapes: x (N, C, *spatial), w (O, C // groups, *kernel), g and the result (N, O, *out). `padding` is a (low, high) pair per axis.
16-bit floats are computed in float32. The window copy is made for a few samples at a time, so that it stays in cache and its memory is
bounded whatever the batch. Chellapilla, Puri and Simard 2006, "High Performance Convolutional Neural Networks for Document Processing".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from flambeau.base.errors import ShapeError, explain
from flambeau.primitives.kernels.layout import Array, Pairs, as_pairs, pad_spatial, taps, to_work, window_count, windows

_CHUNK = 1 << 20  # elements of one window copy: 4 MB of float32, about a core's share of cache
_WIDE = 128  # outputs a sample from which a product per sample is as quick as one for the whole chunk
_TAPS = 64  # kernel positions up to which a depthwise convolution is a sum of shifted products


def conv_output_shape(
    x_shape: Sequence[int], w_shape: Sequence[int], *, stride: Sequence[int], padding: Any, dilation: Sequence[int], groups: int = 1
) -> tuple[int, ...]:
    """The shape (N, O, *out) of `conv`; checks that the shapes fit.

    >>> conv_output_shape((8, 3, 32, 32), (16, 3, 3, 3), stride=(2, 2), padding=((1, 1), (1, 1)), dilation=(1, 1))
    (8, 16, 16, 16)
    """
    if len(x_shape) != len(w_shape) or len(x_shape) < 3:
        raise ShapeError(
            explain(
                "conv",
                expected="input (N, C, *spatial) and weight (O, C // groups, *kernel) of equal rank",
                got=f"{tuple(x_shape)} and {tuple(w_shape)}",
            )
        )
    if groups < 1 or w_shape[0] % groups or x_shape[1] != w_shape[1] * groups:
        raise ShapeError(
            explain(
                "conv",
                expected=f"{w_shape[1] * groups} input channels (weight {tuple(w_shape)}, groups {groups}) "
                "and output channels divisible by groups",
                got=f"input {tuple(x_shape)}",
            )
        )
    sizes = zip(x_shape[2:], w_shape[2:], stride, as_pairs(padding), dilation, strict=True)
    return (x_shape[0], w_shape[0], *(window_count("conv", n, k, s, p, d) for n, k, s, p, d in sizes))


def conv_transpose_output_shape(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Any,
    output_padding: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
) -> tuple[int, ...]:
    """The shape (N, C, *out) of the transposed convolution of x (N, O, *spatial) with w (O, C // groups, *kernel).

    >>> conv_transpose_output_shape((8, 16, 16), (16, 4, 3), stride=(2,), padding=((1, 1),), output_padding=(1,), dilation=(1,))
    (8, 4, 32)
    """
    if len(x_shape) != len(w_shape) or len(x_shape) < 3 or x_shape[1] != w_shape[0] or groups < 1 or w_shape[0] % groups:
        raise ShapeError(
            explain(
                "conv_transpose",
                expected=f"input (N, O, *spatial) and weight (O, C // groups, *kernel) with O divisible by groups {groups}",
                got=f"{tuple(x_shape)} and {tuple(w_shape)}",
            )
        )
    sizes = zip(x_shape[2:], w_shape[2:], stride, as_pairs(padding), output_padding, dilation, strict=True)
    out = tuple((n - 1) * s - lo - hi + d * (k - 1) + extra + 1 for n, k, s, (lo, hi), extra, d in sizes)
    if any(n < 1 for n in out):
        raise ShapeError(explain("conv_transpose", expected="an output of at least 1 along every axis", got=f"{out}", hint="less padding"))
    return (x_shape[0], w_shape[1] * groups, *out)


def conv(xp: Any, x: Array, w: Array, *, stride: Sequence[int], padding: Any, dilation: Sequence[int], groups: int = 1) -> Array:
    """Cross-correlate x (N, C, *spatial) with w (O, C // groups, *kernel): (N, O, *out), in the dtype of x.

    >>> import numpy as np
    >>> conv(np, np.arange(5.0).reshape(1, 1, 5), np.ones((1, 1, 3)), stride=(1,), padding=((1, 1),), dilation=(1,), groups=1)
    array([[[1., 3., 6., 9., 7.]]])
    """
    shape = conv_output_shape(x.shape, w.shape, stride=stride, padding=padding, dilation=dilation, groups=groups)
    dtype, kernel, out = x.dtype, w.shape[2:], shape[2:]
    x, w = to_work(x, w)
    result = xp.empty(shape, dtype=x.dtype)
    x = pad_spatial(xp, x, as_pairs(padding))
    grouped = result.reshape(shape[0], groups, shape[1] // groups, math.prod(out))
    if _by_taps(w, groups):
        _depthwise(xp, x, w, result, stride, dilation, groups)
    elif math.prod(kernel) == 1:
        xp.matmul(_group_weight(w, groups), _pick(x, stride, out).reshape(shape[0], groups, w.shape[1], grouped.shape[3]), out=grouped)
    else:
        weight = _group_weight(w, groups)
        if grouped.shape[3] >= _WIDE:
            for part, columns in _columns(xp, x, kernel, stride, dilation, out, groups, batched=True):
                xp.matmul(weight, columns, out=grouped[part])
        else:
            for part, columns in _columns(xp, x, kernel, stride, dilation, out, groups, batched=False):
                product = xp.matmul(weight, columns)  # (G, O/G, n L)
                grouped[part] = product.reshape(*product.shape[:2], part.stop - part.start, grouped.shape[3]).transpose(2, 0, 1, 3)
    return result.astype(dtype, copy=False)


def conv_input_grad(
    xp: Any,
    g: Array,
    w: Array,
    *,
    input_shape: Sequence[int],
    stride: Sequence[int],
    padding: Any,
    dilation: Sequence[int],
    groups: int = 1,
) -> Array:
    """The gradient of `conv` for its input of shape `input_shape`; also the forward of a transposed convolution of g with w."""
    dtype, kernel, out, pads = g.dtype, w.shape[2:], g.shape[2:], as_pairs(padding)
    g, w = to_work(g, w)
    narrow = w.shape[0] <= 2 * input_shape[1]  # else copying windows of g costs more than adding w^T g position by position
    if narrow and all(s == 1 for s in stride) and math.prod(kernel) > 1 and not _by_taps(w, groups):
        return _conv_flipped(xp, g, w, input_shape, pads, dilation, groups).astype(dtype, copy=False)
    reach = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(out, stride, dilation, kernel)]
    padded = tuple(max(n + lo + hi, r) for n, (lo, hi), r in zip(input_shape[2:], pads, reach))
    into = xp.zeros((*input_shape[:2], *padded), dtype=g.dtype)
    if _by_taps(w, groups):
        _depthwise_input_grad(xp, g, w, into, stride, dilation, groups)
    else:
        _spread(xp, g, w, into, stride, dilation, groups)
    crop = (..., *(slice(lo, lo + n) for n, (lo, _) in zip(input_shape[2:], pads)))
    return xp.ascontiguousarray(into[crop]).astype(dtype, copy=False)


def conv_weight_grad(
    xp: Any,
    x: Array,
    g: Array,
    *,
    weight_shape: Sequence[int],
    stride: Sequence[int],
    padding: Any,
    dilation: Sequence[int],
    groups: int = 1,
) -> Array:
    """The gradient of `conv` for its weight of shape `weight_shape`, in the dtype of x."""
    dtype, kernel, out = x.dtype, tuple(weight_shape[2:]), g.shape[2:]
    x, g = to_work(x, g)
    x = pad_spatial(xp, x, as_pairs(padding))
    total = xp.zeros((groups, weight_shape[0] // groups, weight_shape[1] * math.prod(kernel)), dtype=x.dtype)
    if groups > 1 and weight_shape[1] == 1 and math.prod(kernel) <= _TAPS:
        _depthwise_weight_grad(xp, x, g, total, kernel, stride, dilation)
    else:
        by_group = g.reshape(g.shape[0], groups, weight_shape[0] // groups, math.prod(out))
        for part, columns in _columns(xp, x, kernel, stride, dilation, out, groups, batched=False):
            rows = by_group[part].transpose(1, 2, 0, 3).reshape(*total.shape[:2], columns.shape[2])  # (G, O/G, n L)
            total += xp.matmul(rows, columns.swapaxes(-1, -2))
    return total.reshape(tuple(weight_shape)).astype(dtype, copy=False)


def _by_taps(w: Array, groups: int) -> bool:
    return groups > 1 and w.shape[1] == 1 and math.prod(w.shape[2:]) <= _TAPS


def _group_weight(w: Array, groups: int) -> Array:
    return w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[1:]))


def _pick(x: Array, stride: Sequence[int], out: Sequence[int]) -> Array:
    """What a kernel of size 1 sees."""
    return x[(..., *(slice(0, (n - 1) * s + 1, s) for n, s in zip(out, stride)))]


def _chunks(batch: int, per_sample: int) -> Iterator[slice]:
    step = max(1, _CHUNK // max(1, per_sample))
    for start in range(0, batch, step):
        yield slice(start, min(batch, start + step))


def _columns(
    xp: Any,
    x: Array,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    out: Sequence[int],
    groups: int,
    *,
    batched: bool,
) -> Iterator[tuple[slice, Array]]:
    """Copied windows of a few samples at a time, in one reused buffer: (n, G, C/G K, L) when batched, else (G, C/G K, n L)."""
    batch, channels = x.shape[:2]
    rows, length = channels // groups * math.prod(kernel), math.prod(out)
    buffer = None
    for part in _chunks(batch, groups * rows * length):
        count = part.stop - part.start
        view = windows(xp, x[part].reshape(count, groups, channels // groups, *x.shape[2:]), kernel, stride, dilation, out)
        if not batched:
            view = xp.moveaxis(view, 0, 3 + len(kernel) - 1)
        if buffer is None or buffer.shape != view.shape:
            buffer = xp.empty(view.shape, dtype=x.dtype)
        buffer[...] = view
        yield part, buffer.reshape(count, groups, rows, length) if batched else buffer.reshape(groups, rows, count * length)


def _conv_flipped(xp: Any, g: Array, w: Array, input_shape: Sequence[int], pads: Pairs, dilation: Sequence[int], groups: int) -> Array:
    """For stride 1 the input gradient is the convolution of g with the kernel turned round and its channels exchanged."""
    kernel = w.shape[2:]
    turned = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])[(..., *(slice(None, None, -1) for _ in kernel))]
    turned = turned.swapaxes(1, 2).reshape(w.shape[1] * groups, w.shape[0] // groups, *kernel)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel)]
    turned_pads = tuple((r - lo, n + lo - m) for r, (lo, _), n, m in zip(reach, pads, input_shape[2:], g.shape[2:]))
    return conv(xp, g, turned, stride=(1,) * len(kernel), padding=turned_pads, dilation=dilation, groups=groups)


def _spread(xp: Any, g: Array, w: Array, into: Array, stride: Sequence[int], dilation: Sequence[int], groups: int) -> None:
    """Add w^T g at every kernel position (col2im)."""
    batch, kernel, out = g.shape[0], w.shape[2:], g.shape[2:]
    weight = _group_weight(w, groups).swapaxes(-1, -2)  # (G, C/G K, O/G)
    by_group = g.reshape(batch, groups, w.shape[0] // groups, math.prod(out))
    positions = list(taps(kernel, stride, dilation, out))
    for part in _chunks(batch, into.shape[1] * math.prod(kernel) * math.prod(out)):
        columns = xp.matmul(weight, by_group[part]).reshape(part.stop - part.start, into.shape[1], len(positions), *out)
        target = into[part]
        for k, tap in enumerate(positions):
            target[tap] += columns[:, :, k]


def _depthwise(xp: Any, x: Array, w: Array, result: Array, stride: Sequence[int], dilation: Sequence[int], groups: int) -> None:
    batch, out = x.shape[0], result.shape[2:]
    weight = w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[2:]), *(1 for _ in out))  # (G, O/G, K, 1...)
    x = x[:, :, None]
    by_group = result.reshape(batch, groups, w.shape[0] // groups, *out)
    for part in _chunks(batch, 4 * math.prod(result.shape[1:])):
        target = by_group[part]
        product = xp.empty(target.shape, dtype=target.dtype)
        for k, tap in enumerate(taps(w.shape[2:], stride, dilation, out)):
            xp.multiply(x[part][tap], weight[:, :, k], out=product if k else target)
            if k:
                target += product


def _depthwise_input_grad(xp: Any, g: Array, w: Array, into: Array, stride: Sequence[int], dilation: Sequence[int], groups: int) -> None:
    batch, out = g.shape[0], g.shape[2:]
    weight = w.reshape(groups, w.shape[0] // groups, math.prod(w.shape[2:]), *(1 for _ in out))
    g = g.reshape(batch, groups, w.shape[0] // groups, *out)
    for part in _chunks(batch, 4 * math.prod(g.shape[1:])):
        target = into[part]
        for k, tap in enumerate(taps(w.shape[2:], stride, dilation, out)):
            product = g[part] * weight[:, :, k]
            target[tap] += product[:, :, 0] if product.shape[2] == 1 else product.sum(2)


def _depthwise_weight_grad(
    xp: Any, x: Array, g: Array, total: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> None:
    batch, groups, out = x.shape[0], x.shape[1], g.shape[2:]
    g = g.reshape(batch, groups, total.shape[1], *out)
    for part in _chunks(batch, 4 * math.prod(g.shape[1:])):
        for k, tap in enumerate(taps(kernel, stride, dilation, out)):
            total[:, :, k] += (g[part] * x[part][tap][:, :, None]).sum(axis=(0, *range(3, 3 + len(out))))
