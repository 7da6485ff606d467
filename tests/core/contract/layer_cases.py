"""Contract cases of convolutions, pooling, resampling, embeddings and attention, from their definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import scipy.special as sp

import flambeau as fb
from flambeau.base.errors import FlambeauError, IndexingError, ShapeError
from flambeau.testing import bools, floats, ints, sample
from tests.core.contract.tables import op, permuted

F = fb.nn.functional


# -- windows --------------------------------------------------------------------------------------------------------------------------------
def each(value, dims):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims


def windows(x, kernel, stride, dilation=1):
    """(output position, index of its window) for the last axes of x."""
    dims = len(kernel)
    stride, dilation = each(stride, dims), each(dilation, dims)
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[x.ndim - dims :], kernel, stride, dilation)]
    for at in itertools.product(*map(range, counts)):
        yield at, tuple(slice(a * s, a * s + d * (k - 1) + 1, d) for a, s, d, k in zip(at, stride, dilation, kernel))


def padded(x, dims, padding, value=0.0):
    return np.pad(x, [(0, 0)] * (x.ndim - dims) + [(p, p) for p in each(padding, dims)], constant_values=value)


def pooled(x, kernel, stride, function, dilation=1):
    dims = len(kernel)
    out = {}
    for at, window in windows(x, kernel, stride, dilation):
        out[at] = function(x[(..., *window)].reshape(*x.shape[: x.ndim - dims], -1))
    counts = tuple(max(at[i] for at in out) + 1 for i in range(dims))
    result = np.zeros((*x.shape[: x.ndim - dims], *counts))
    for at, value in out.items():
        result[(..., *at)] = value
    return result


def conv(dims):
    def reference(x, w, bias=None, stride=1, padding=0, dilation=1, groups=1):
        if isinstance(padding, str):
            total = [d * (k - 1) for d, k in zip(each(dilation, dims), w.shape[2:])] if padding == "same" else [0] * dims
            x = np.pad(x, [(0, 0), (0, 0)] + [(t // 2, t - t // 2) for t in total])
        else:
            x = padded(x, dims, padding)
        per_in, per_out = w.shape[1], w.shape[0] // groups
        outs = []
        for o in range(w.shape[0]):
            g = o // per_out
            channels = x[:, g * per_in : (g + 1) * per_in]
            outs.append(_correlate(channels, w[o], stride, dilation) + (0 if bias is None else bias[o]))
        return np.stack(outs, 1)

    return reference


def _correlate(x, w, stride, dilation):
    """x (N, C, ...) with one kernel (C, ...)."""
    dims = w.ndim - 1
    found = {
        at: (x[(slice(None), slice(None), *window)] * w).sum(axis=tuple(range(1, dims + 2)))
        for at, window in windows(x, w.shape[1:], stride, dilation)
    }
    counts = tuple(max(at[i] for at in found) + 1 for i in range(dims))
    out = np.zeros((len(x), *counts))
    for at, value in found.items():
        out[(slice(None), *at)] = value
    return out


def conv_transpose(dims):
    def reference(x, w, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        stride, padding, extra, dilation = (each(v, dims) for v in (stride, padding, output_padding, dilation))
        per_out, per_in = w.shape[1], w.shape[0] // groups
        sizes = [(n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in zip(x.shape[2:], stride, dilation, w.shape[2:], extra)]
        out = np.zeros((len(x), per_out * groups, *sizes))
        for c in range(x.shape[1]):
            g = c // per_in
            for at in np.ndindex(*x.shape[2:]):
                window = tuple(slice(a * s, a * s + d * (k - 1) + 1, d) for a, s, d, k in zip(at, stride, dilation, w.shape[2:]))
                value = x[(slice(None), c, *at)]
                out[(slice(None), slice(g * per_out, (g + 1) * per_out), *window)] += value.reshape(-1, 1, *(1,) * dims) * w[c]
        crop = tuple(slice(p, n - p) for p, n in zip(padding, sizes))
        out = out[(slice(None), slice(None), *crop)]
        return out if bias is None else out + bias.reshape(-1, *(1,) * dims)

    return reference


SIZES = {1: (5,), 2: (4, 5), 3: (3, 4, 3)}
KERNEL = {1: (3,), 2: (2, 3), 3: (2, 3, 2)}


def conv_samples(dims):
    x, w, b = floats(2, 2, *SIZES[dims]), floats(3, 2, *KERNEL[dims]), floats(3)
    grouped = sample(floats(1, 4, *SIZES[dims]), floats(4, 2, *KERNEL[dims]), groups=2, stride=2, padding=1)
    return [
        sample(x, w),
        sample(x, w, b, padding=1, stride=(2,) * dims),
        grouped,
        sample(x, w, dilation=2 if dims < 3 else 1),
        sample(x, w, b, padding="same"),
    ]


def transposed_samples(dims):
    small = {1: (3,), 2: (2, 3), 3: (2, 2, 2)}[dims]
    x, w = floats(2, 2, *small), floats(2, 3, *KERNEL[dims])
    return [
        sample(x, w),
        sample(x, w, floats(3), stride=2, padding=1, output_padding=1),
        sample(floats(1, 4, *small), floats(4, 2, *KERNEL[dims]), groups=2),
    ]


def conv_tbc(x, w, b, pad):
    return np.transpose(conv(1)(np.transpose(x, (1, 2, 0)), np.transpose(w, (2, 1, 0)), b, padding=pad), (2, 0, 1))


def unfold(x, kernel_size, padding=0, stride=1):
    x = padded(x, 2, padding)
    columns = [x[(..., *window)].reshape(len(x), -1) for _, window in windows(x, kernel_size, stride)]
    return np.stack(columns, -1)


def fold(y, output_size, kernel_size, stride=1):
    channels = y.shape[1] // math.prod(kernel_size)
    out = np.zeros((len(y), channels, *output_size))
    for i, (_, window) in enumerate(windows(out, kernel_size, stride)):
        out[(..., *window)] += y[..., i].reshape(len(y), channels, *kernel_size)
    return out


WRONG_CHANNELS = [(lambda: F.conv2d(fb.zeros(1, 3, 4, 4), fb.zeros(2, 2, 2, 2)), ShapeError, "conv2d")]
CONVOLUTIONS = [
    *[op(f"{path}conv{d}d", conv(d), *conv_samples(d), half=4, dtypes=("float32",) if path else ("float32", "float16", "bfloat16"), errors=WRONG_CHANNELS if d == 2 else ())
      for d in (1, 2, 3) for path in ("nn.functional.", "")],
    *[op(f"{path}conv_transpose{d}d", conv_transpose(d), *transposed_samples(d), half=4, dtypes=("float32",) if path else ("float32", "float16", "bfloat16"))
      for d in (1, 2, 3) for path in ("nn.functional.", "")],
    *[op(f"{path}conv_tbc", conv_tbc, sample(floats(5, 2, 3), floats(2, 3, 4), floats(4), 1), half=4) for path in ("nn.functional.", "")],
    op("nn.functional.unfold", unfold, sample(floats(2, 2, 4, 3), (2, 2)), sample(floats(1, 2, 4, 4), (2, 3), padding=1, stride=2)),
    op("nn.functional.fold", fold, sample(floats(2, 8, 6), (4, 3), (2, 2)), sample(floats(1, 4, 4), (4, 4), (2, 2), stride=2), half=2),
    op("nn.functional.linear", lambda x, w, b=None: x @ w.T + (0 if b is None else b), sample(floats(2, 3), floats(4, 3), floats(4)), sample(floats(2, 2, 3), floats(4, 3)),
       sample(floats(3), floats(4, 3), floats(4)), half=4, errors=[(lambda: F.linear(fb.zeros(2, 3), fb.zeros(4, 2)), ShapeError, "linear")]),
]  # fmt: skip


# -- pooling --------------------------------------------------------------------------------------------------------------------------------
def max_pool(dims):
    def reference(x, kernel_size, stride=None, padding=0, dilation=1):
        kernel = each(kernel_size, dims)
        return pooled(padded(x, dims, padding, -np.inf), kernel, kernel if stride is None else stride, lambda v: v.max(-1), dilation)

    return reference


def max_pool_places(dims):
    def reference(x, kernel_size):
        kernel = each(kernel_size, dims)
        places = np.arange(math.prod(x.shape[-dims:]), dtype=float).reshape(x.shape[-dims:])
        best = max_pool(dims)(x, kernel)
        spots = np.zeros(best.shape, int)
        for at, window in windows(x, kernel, kernel):
            flat = x[(..., *window)].reshape(*x.shape[:-dims], -1)
            spots[(..., *at)] = places[window].reshape(-1)[flat.argmax(-1)]
        return best, spots

    return reference


def avg_pool(dims):
    def reference(x, kernel_size, stride=None, padding=0, count_include_pad=True):
        kernel = each(kernel_size, dims)
        stride = kernel if stride is None else stride
        sums = pooled(padded(x, dims, padding), kernel, stride, lambda v: v.sum(-1))
        if count_include_pad:
            return sums / math.prod(kernel)
        return sums / pooled(padded(np.ones_like(x), dims, padding), kernel, stride, lambda v: v.sum(-1))

    return reference


def lp_pool(dims):
    def reference(x, p, kernel_size, stride=None):
        kernel = each(kernel_size, dims)
        return pooled(x, kernel, kernel if stride is None else stride, lambda v: (v**p).sum(-1)) ** (1 / p)

    return reference


def adaptive(dims, function):
    def reference(x, output_size):
        sizes = [n if s is None else s for s, n in zip(each(output_size, dims), x.shape[-dims:])]
        out = np.zeros((*x.shape[:-dims], *sizes))
        for at in np.ndindex(*sizes):
            window = tuple(slice(a * n // s, -(-(a + 1) * n // s)) for a, n, s in zip(at, x.shape[-dims:], sizes))
            out[(..., *at)] = function(x[(..., *window)].reshape(*x.shape[:-dims], -1))
        return out

    return reference


def mean(v):
    return v.mean(-1)


def largest(v):
    return v.max(-1)


def adaptive_places(dims):
    def reference(x, output_size):
        places = np.broadcast_to(np.arange(math.prod(x.shape[-dims:]), dtype=float).reshape(x.shape[-dims:]), x.shape)
        best = adaptive(dims, largest)(x, output_size)
        spots = np.zeros(best.shape, int)
        for index in np.ndindex(*best.shape):
            lead = index[: x.ndim - dims]
            spots[index] = int(places[lead].reshape(-1)[int(np.flatnonzero(x[lead].reshape(-1) == best[index])[0])])
        return best, spots

    return reference


def unpooled(dims):
    """max_unpool after max_pool: the maxima at their places, zeros elsewhere."""

    def reference(x, k):
        best, spots = max_pool_places(dims)(x, k)
        out = np.zeros((*x.shape[:-dims], math.prod(x.shape[-dims:])))
        np.put_along_axis(out, spots.reshape(*x.shape[:-dims], -1), best.reshape(*x.shape[:-dims], -1), -1)
        return out.reshape(x.shape)

    return reference


def fractional(dims):
    """Graham 2014: window i of n starts at floor((i + u) a) - floor(u a), a = (size - kernel) / (n - 1); the last one at the end."""

    def places(size, kernel, n, u):
        a = (size - kernel) / max(n - 1, 1)
        return [int((i + u) * a) - int(u * a) for i in range(n - 1)] + [size - kernel]

    def reference(x, kernel, output_size, u):
        best, spots = np.zeros((*x.shape[:2], *output_size)), np.zeros((*x.shape[:2], *output_size), int)
        where = np.arange(math.prod(x.shape[2:])).reshape(x.shape[2:])
        for n, c in np.ndindex(*x.shape[:2]):
            # the random numbers of a channel belong to the axes from the last one on
            starts = [places(x.shape[2 + d], kernel, output_size[d], u[n, c, dims - 1 - d]) for d in range(dims)]
            for at in np.ndindex(*output_size):
                window = tuple(slice(s[i], s[i] + kernel) for s, i in zip(starts, at))
                values = x[(n, c, *window)]
                best[(n, c, *at)] = values.max()
                spots[(n, c, *at)] = where[window].reshape(-1)[values.argmax()]
        return best, spots

    return reference


def image(dims, even=False, **options):
    sizes = {1: (6,), 2: (4, 6), 3: (2, 4, 2)}[dims] if even else {1: (5,), 2: (4, 5), 3: (3, 4, 3)}[dims]
    return floats(2, 2, *sizes, **options)


DISTINCT = {"build": permuted}
POOLS = []
for d in (1, 2, 3):
    strided = sample(image(d), 2, stride=1, padding=1)
    POOLS += [
        op(f"nn.functional.max_pool{d}d", max_pool(d), sample(image(d, **DISTINCT), 2), sample(image(d, **DISTINCT), 2, stride=1, padding=1), sample(image(d, **DISTINCT), 2, 1, 0, 2 if d < 3 else 1)),
        op(f"nn.functional.max_pool{d}d_with_indices", max_pool_places(d), sample(image(d, **DISTINCT), 2)),
        op(f"nn.functional.avg_pool{d}d", avg_pool(d), sample(image(d), 2), strided, sample(image(d), 2, padding=1, count_include_pad=False), half=2),
        op(f"nn.functional.lp_pool{d}d", lp_pool(d), sample(image(d, low=0.2), 2.0, 2), sample(image(d, low=0.2), 3.0, 2, stride=1), half=3),
        op(f"nn.functional.adaptive_avg_pool{d}d", adaptive(d, mean), sample(image(d), 2), sample(image(d), (3,) * d), half=2),
        op(f"nn.functional.adaptive_max_pool{d}d", adaptive(d, largest), sample(image(d, **DISTINCT), 2)),
        op(f"nn.functional.adaptive_max_pool{d}d_with_indices", adaptive_places(d), sample(image(d, **DISTINCT), 2)),
        op(f"nn.functional.max_unpool{d}d", unpooled(d), sample(image(d, True, **DISTINCT), 2),
           fn=lambda x, k, d=d: getattr(F, f"max_unpool{d}d")(*getattr(F, f"max_pool{d}d")(x, k, return_indices=True), k)),
    ]  # fmt: skip
for d in (2, 3):
    call = (image(d, **DISTINCT), 2, (2,) * d, floats(2, 2, d, low=0, high=1, grad=False))
    UNSEEN = {"meta": False, "vmap": False}  # it looks at the random numbers
    POOLS += [
        op(f"nn.functional.fractional_max_pool{d}d", lambda *a, d=d: fractional(d)(*a)[0], sample(*call), **UNSEEN,
           fn=lambda x, k, s, u, d=d: getattr(F, f"fractional_max_pool{d}d")(x, k, s, _random_samples=u)),
        op(f"nn.functional.fractional_max_pool{d}d_with_indices", fractional(d), sample(*call), **UNSEEN,
           fn=lambda x, k, s, u, d=d: getattr(F, f"fractional_max_pool{d}d_with_indices")(x, k, s, _random_samples=u)),
    ]  # fmt: skip
POOLS += [
    op("adaptive_avg_pool1d", adaptive(1, mean), sample(image(1), 2), half=2),
    op("adaptive_max_pool1d", adaptive(1, largest), sample(image(1, **DISTINCT), 2)),
    op("avg_pool1d", avg_pool(1), sample(image(1), 2), half=2),
    op("max_pool1d", max_pool(1), sample(image(1, **DISTINCT), 2)),
    op("max_pool1d_with_indices", max_pool_places(1), sample(image(1, **DISTINCT), 2)),
    op("max_pool2d", max_pool(2), sample(image(2, **DISTINCT), 2), errors=[(lambda: fb.max_pool2d(fb.zeros(1, 1, 2, 2), 3), ShapeError, "max_pool2d|kernel|size")]),
    op("max_pool3d", max_pool(3), sample(image(3, **DISTINCT), 2)),
]  # fmt: skip


# -- resampling -----------------------------------------------------------------------------------------------------------------------------
def pad(x, widths, mode="constant", value=0.0):
    pairs = [(widths[i], widths[i + 1]) for i in range(0, len(widths), 2)][::-1]
    crop = tuple(slice(max(-lo, 0), n - max(-hi, 0)) for (lo, hi), n in zip(pairs, x.shape[x.ndim - len(pairs) :]))
    x = x[(..., *crop)]
    full = [(0, 0)] * (x.ndim - len(pairs)) + [(max(lo, 0), max(hi, 0)) for lo, hi in pairs]
    return (
        np.pad(x, full, constant_values=value)
        if mode == "constant"
        else np.pad(x, full, {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode])
    )


def coordinates(out, size, corners):
    i = np.arange(out)
    if corners:
        return i * (size - 1) / max(out - 1, 1)
    return (i + 0.5) * size / out - 0.5


def resample_axis(x, axis, out, weight, reach, corners):
    """Weights of a filter at the source's pixels, those beyond the edge counted at the edge."""
    size = x.shape[axis]
    at = coordinates(out, size, corners)
    if weight is linear_weight and not corners:
        at = np.maximum(at, 0)
    matrix = np.zeros((out, size))
    for o, c in enumerate(at):
        base = math.floor(c)
        for k in range(base - reach + 1, base + reach + 1):
            matrix[o, min(max(k, 0), size - 1)] += weight(c - k)
    return np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)


def linear_weight(t):
    return max(0.0, 1 - abs(t))


def cubic_weight(t, a=-0.75):
    t = abs(t)
    if t < 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def interpolate(x, size, mode="nearest", align_corners=None):
    sizes = each(size, x.ndim - 2)
    for axis, out in enumerate(sizes, start=2):
        n = x.shape[axis]
        if mode == "nearest":
            x = np.take(x, np.floor(np.arange(out) * n / out).astype(int), axis)
        elif mode == "nearest-exact":
            x = np.take(x, np.floor((np.arange(out) + 0.5) * n / out).astype(int), axis)
        elif mode == "bicubic":
            x = resample_axis(x, axis, out, cubic_weight, 2, bool(align_corners))
        else:
            x = resample_axis(x, axis, out, linear_weight, 1, bool(align_corners))
    return adaptive(len(sizes), mean)(x, sizes) if mode == "area" else x


def area(x, size, mode):
    return adaptive(x.ndim - 2, mean)(x, size)


def shuffled(x, r):
    n, c, h, w = x.shape
    return x.reshape(n, c // r**2, r, r, h, w).transpose(0, 1, 4, 2, 5, 3).reshape(n, c // r**2, h * r, w * r)


def unshuffled(x, r):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // r, r, w // r, r).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * r * r, h // r, w // r)


def channel_shuffle(x, groups):
    n, c = x.shape[:2]
    return x.reshape(n, groups, c // groups, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)


def affine_grid(theta, size, align_corners=False):
    axes = [np.linspace(-1, 1, n) if align_corners else (2 * np.arange(n) + 1) / n - 1 for n in size[2:]]
    y, x = np.meshgrid(*axes, indexing="ij")
    points = np.stack([x, y, np.ones_like(x)], -1)
    return np.einsum("nij,hwj->nhwi", theta, points)


def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False):
    n, c, h, w = x.shape
    out = np.zeros((n, c, *grid.shape[1:3]))
    for b, i, j in np.ndindex(n, *grid.shape[1:3]):
        px, py = (((g + 1) * s - 1) / 2 if not align_corners else (g + 1) / 2 * (s - 1) for g, s in zip(grid[b, i, j], (w, h)))
        if padding_mode == "border":
            px, py = np.clip(px, 0, w - 1), np.clip(py, 0, h - 1)
        corners = (
            [(round(py), round(px), 1.0)]
            if mode == "nearest"
            else [
                (math.floor(py) + dy, math.floor(px) + dx, (1 - abs(py - math.floor(py) - dy)) * (1 - abs(px - math.floor(px) - dx)))
                for dy in (0, 1)
                for dx in (0, 1)
            ]
        )
        for yy, xx, weight in corners:
            if 0 <= yy < h and 0 <= xx < w:
                out[b, :, i, j] += weight * x[b, :, yy, xx]
    return out


GRID = floats(2, 3, 2, 2, low=-1.2, high=1.2)
RESAMPLING = [
    op("nn.functional.pad", pad, sample(floats(2, 3), (1, 2)), sample(floats(2, 3), (1, -1, 0, 2), value=3.0), *[sample(floats(1, 2, 4), (2, 1), mode=m) for m in ("reflect", "replicate", "circular")],
       sample(floats(1, 1, 3, 4), (1, 1, 2, 0), mode="reflect"), errors=[(lambda: F.pad(fb.zeros(1, 3), (3, 3), mode="reflect"), FlambeauError, "pad")]),
    op("nn.functional.interpolate", interpolate, *[sample(floats(1, 2, 4), 7, mode=m) for m in ("nearest", "nearest-exact", "linear")], sample(floats(1, 2, 4), 3, mode="linear", align_corners=True),
       *[sample(floats(1, 2, 3, 4), (5, 3), mode=m, align_corners=c) for m in ("bilinear", "bicubic") for c in (False, True)], sample(floats(1, 1, 2, 3, 2), (3, 2, 4), mode="trilinear"), half=2),
    op("nn.functional.interpolate area", area, sample(floats(1, 2, 5), 3, mode="area"), fn=F.interpolate, half=2),
    op("nn.functional.upsample", interpolate, sample(floats(1, 2, 3), 6), half=2),
    op("nn.functional.upsample_nearest", interpolate, sample(floats(1, 2, 3, 2), (6, 3))),
    op("nn.functional.upsample_bilinear", lambda x, s: interpolate(x, s, "bilinear", True), sample(floats(1, 2, 3, 2), (6, 3)), half=2),
    *[op(f"{p}pixel_shuffle", shuffled, sample(floats(2, 8, 2, 3), 2)) for p in ("nn.functional.", "")],
    *[op(f"{p}pixel_unshuffle", unshuffled, sample(floats(2, 2, 4, 2), 2)) for p in ("nn.functional.", "")],
    *[op(f"{p}channel_shuffle", channel_shuffle, sample(floats(2, 6, 3), 3)) for p in ("nn.functional.", "")],
    op("nn.functional.affine_grid", affine_grid, sample(floats(2, 2, 3), (2, 1, 3, 4), align_corners=False), sample(floats(2, 2, 3), (2, 1, 3, 4), align_corners=True), half=2),
    op("nn.functional.grid_sample", grid_sample, sample(floats(2, 2, 3, 4), GRID, align_corners=False), sample(floats(2, 2, 3, 4), GRID, padding_mode="border", align_corners=False), sample(floats(2, 2, 3, 4), GRID, align_corners=True), dtypes=("float32",)),
    op("nn.functional.grid_sample nearest", grid_sample, sample(floats(2, 2, 3, 4), floats(2, 3, 2, 2, low=-1.2, high=1.2, grad=False), mode="nearest", align_corners=False), fn=F.grid_sample, dtypes=("float32",)),
]  # fmt: skip


# -- embeddings and attention -------------------------------------------------------------------------------------------------------------
def bag(i, w, offsets=None, mode="mean", per_sample_weights=None):
    rows = [i[k] for k in range(len(i))] if offsets is None else np.split(i, offsets[1:])
    scales = np.ones(i.shape) if per_sample_weights is None else per_sample_weights
    scales = [scales[k] for k in range(len(i))] if offsets is None else np.split(scales, offsets[1:])
    combine = {"mean": lambda v: v.mean(0), "sum": lambda v: v.sum(0), "max": lambda v: v.max(0)}[mode]
    return np.stack([combine(w[r] * s[:, None]) if len(r) else np.zeros(w.shape[1]) for r, s in zip(rows, scales)])


def attention(q, k, v, mask=None, is_causal=False, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -np.inf)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    weights = np.where(
        np.isfinite(scores).any(-1, keepdims=True), sp.softmax(np.where(np.isfinite(scores).any(-1, keepdims=True), scores, 0.0), -1), 0.0
    )
    return weights @ v


def multi_head(q, k, v, w, b, wo, bo, heads=2):
    embed = q.shape[-1]
    parts = [x @ w[i * embed : (i + 1) * embed].T + b[i * embed : (i + 1) * embed] for i, x in enumerate((q, k, v))]
    split = [p.reshape(p.shape[0], p.shape[1] * heads, embed // heads).swapaxes(0, 1) for p in parts]
    scores = sp.softmax(split[0] @ split[1].swapaxes(-1, -2) / math.sqrt(embed // heads), -1)
    out = (scores @ split[2]).swapaxes(0, 1).reshape(q.shape)
    return out @ wo.T + bo, scores.reshape(q.shape[1], heads, *scores.shape[1:]).mean(1)


Q, K, V = floats(2, 3, 4), floats(2, 5, 4), floats(2, 5, 2)
ROWS = floats(4, 3)
EMBEDDINGS = [
    *[op(n, lambda i, w: w[i], sample(ints(2, 3, low=0, high=4), ROWS), sample(ints(0, low=0, high=4), ROWS), sample(ints(low=0, high=4), ROWS),
         errors=[(lambda: F.embedding(fb.tensor([4]), fb.zeros(4, 2)), IndexingError, "embedding")]) for n in ("nn.functional.embedding",)],
    op("nn.functional.embedding_bag", bag, *[sample(ints(2, 3, low=0, high=4), ROWS, mode=m) for m in ("mean", "sum", "max")],
       sample(ints(2, 3, low=0, high=4), ROWS, mode="sum", per_sample_weights=floats(2, 3)), half=2, vmap=False, meta=False),
    op("nn.functional.embedding_bag offsets", bag, sample(ints(5, low=0, high=4), ROWS, ints(3, build=lambda a: np.array([0, 2, 2]))), fn=F.embedding_bag, half=2, vmap=False, meta=False),
    op("nn.functional.one_hot", lambda i, n: np.eye(n, dtype=int)[i], sample(ints(2, 3, low=0, high=4), 4), vmap=False, meta=False),
    op("nn.functional.scaled_dot_product_attention", attention, sample(Q, K, V), sample(Q, K, V, bools(3, 5)), sample(Q, K, V, floats(3, 5)), sample(Q, floats(2, 3, 4), floats(2, 3, 2), is_causal=True),
       sample(Q, K, V, scale=0.3), half=4, errors=[(lambda: F.scaled_dot_product_attention(fb.zeros(2, 3), fb.zeros(2, 4), fb.zeros(2, 3)), ShapeError, "attention")]),
    op("nn.functional.multi_head_attention_forward", multi_head, sample(floats(3, 2, 4), floats(5, 2, 4), floats(5, 2, 4), floats(12, 4), floats(12), floats(4, 4), floats(4)), half=8,
       fn=lambda q, k, v, w, b, wo, bo: F.multi_head_attention_forward(q, k, v, 4, 2, w, b, None, None, False, 0.0, wo, bo)),
]  # fmt: skip
CASES = [*CONVOLUTIONS, *POOLS, *RESAMPLING, *EMBEDDINGS]
