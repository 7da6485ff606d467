"""Padding, interpolation and rearrangement of pixels under PyTorch's names. Coordinates follow PyTorch's rules exactly."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from math import floor
from typing import Any

from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.ops.joining import cat
from flambeau.ops.shape import flip
from flambeau.primitives import movement
from flambeau.primitives.movement import permute, reshape, slice_
from flambeau.primitives.resample import resample
from flambeau.tensor.tensor import Tensor


# -- padding -------------------------------------------------------------------------------------------------------------------------------
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad the last axes: `pad` is (low, high) of the last axis, then of the one before it, ...; negative numbers crop.

    Modes: "constant" (with `value`, 0 by default), "reflect" (mirrored without the edge), "replicate" (the edge), "circular" (the other
    end).

    >>> import flambeau as fb
    >>> fb.nn.functional.pad(fb.tensor([[1, 2, 3]]), (2, 1), mode="reflect")
    tensor([[3, 2, 1, 2, 3, 2]])
    """
    widths = [int(p) for p in pad]
    n = input._a.ndim
    if len(widths) % 2 or len(widths) > 2 * n:
        raise ShapeError(explain("pad", expected=f"an even number of widths, at most {2 * n}", got=str(tuple(widths))))
    pairs = list(zip(widths[::2], widths[1::2], strict=True))
    for i, (lo, hi) in enumerate(pairs):
        size = input._a.shape[n - 1 - i]
        if size + lo + hi < 0 or min(lo, 0) + min(hi, 0) < -size:
            raise ShapeError(
                explain("pad", expected="a size that is not negative afterwards", got=f"{size} + {lo} + {hi} at axis {n - 1 - i}")
            )
    if mode == "constant":
        full = [(0, 0)] * (n - len(pairs)) + pairs[::-1]
        if not any(lo or hi for lo, hi in full):
            return movement.pad(input, widths=tuple(full), value=0)
        return movement.pad(input, widths=tuple(full), value=_fill(input, value))
    if mode not in _EDGES:
        raise ArgumentError(explain("pad", expected="mode 'constant', 'reflect', 'replicate' or 'circular'", got=repr(mode)))
    if value is not None and value != 0:
        raise ArgumentError(explain("pad", expected=f"no value with mode {mode!r}", got=str(value)))
    out = input
    for i, (lo, hi) in enumerate(pairs):
        out = _pad_axis(out, n - 1 - i, lo, hi, mode)
    return out


def _fill(x: Tensor, value: Any) -> Any:
    if value is None:
        return 0
    return value if x._a.dtype.kind in "fcV" else type(x._a.dtype.type(0).item())(value)


def _span(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    return slice_(x, key=tuple(slice(start, stop) if d == axis else slice(None) for d in range(x._a.ndim)))


def _reflected(x: Tensor, axis: int, lo: int, hi: int) -> tuple[Tensor, Tensor]:
    n = x._a.shape[axis]
    if max(lo, hi) >= n:
        raise ShapeError(
            explain("pad", expected=f"reflect widths below the size {n} of axis {axis}", got=f"{lo} and {hi}", hint="mode='replicate'")
        )
    return flip(_span(x, axis, 1, lo + 1), axis), flip(_span(x, axis, n - 1 - hi, n - 1), axis)


def _repeated(x: Tensor, axis: int, lo: int, hi: int) -> tuple[Tensor, Tensor]:
    n, shape = x._a.shape[axis], x._a.shape
    if n == 0:
        raise ShapeError(explain("pad", expected="an edge to replicate", got=f"shape {tuple(shape)}"))
    edges = _span(x, axis, 0, 1), _span(x, axis, n - 1, n)
    low, high = (movement.expand(e, shape=(*shape[:axis], w, *shape[axis + 1 :])) for e, w in zip(edges, (lo, hi), strict=True))
    return low, high


def _wrapped(x: Tensor, axis: int, lo: int, hi: int) -> tuple[Tensor, Tensor]:
    n = x._a.shape[axis]
    if max(lo, hi) > n:
        raise ShapeError(explain("pad", expected=f"circular widths of at most the size {n} of axis {axis}", got=f"{lo} and {hi}"))
    return _span(x, axis, n - lo, n), _span(x, axis, 0, hi)


_EDGES: dict[str, Callable[[Tensor, int, int, int], tuple[Tensor, Tensor]]] = {
    "reflect": _reflected,
    "replicate": _repeated,
    "circular": _wrapped,
}


def _pad_axis(x: Tensor, axis: int, lo: int, hi: int, mode: str) -> Tensor:
    if lo < 0 or hi < 0:
        x = _span(x, axis, max(-lo, 0), x._a.shape[axis] - max(-hi, 0))
        lo, hi = max(lo, 0), max(hi, 0)
    low, high = _EDGES[mode](x, axis, lo, hi)
    parts = [p for p, w in ((low, lo), (x, 1), (high, hi)) if w]
    return cat(parts, axis) if len(parts) > 1 else x


# -- interpolation -----------------------------------------------------------------------------------------------------------------------
_MODES = {
    "nearest": (3, 4, 5),
    "nearest-exact": (3, 4, 5),
    "area": (3, 4, 5),
    "linear": (3,),
    "bilinear": (4,),
    "bicubic": (4,),
    "trilinear": (5,),
}
_METHODS = {"linear": "linear", "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic"}


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize the spatial axes of (N, C, ...) to `size`, or by `scale_factor` (numbers, or one per axis).

    Modes: "nearest" (PyTorch's, which rounds down), "nearest-exact", "area" (averages), "linear" (3 axes), "bilinear" and "bicubic" (4),
    "trilinear" (5). `align_corners` makes the corner pixels' centres meet. `antialias` (bilinear, bicubic) widens the filter when
    shrinking.
    With `scale_factor`, coordinates use the factor itself, unless `recompute_scale_factor` asks for the ratio of the sizes.

    >>> import flambeau as fb
    >>> fb.nn.functional.interpolate(fb.tensor([[[0.0, 1.0]]]), size=4, mode="linear")
    tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    n = input._a.ndim
    if mode not in _MODES:
        raise ArgumentError(explain("interpolate", expected="mode " + ", ".join(_MODES), got=repr(mode)))
    if n not in _MODES[mode]:
        wanted = " or ".join(str(k) for k in _MODES[mode])
        raise ShapeError(
            explain("interpolate", expected=f"an input with {wanted} axes for mode {mode!r}", got=f"shape {tuple(input.shape)}")
        )
    if align_corners is not None and mode not in _METHODS:
        raise ArgumentError(explain("interpolate", expected="align_corners with a linear or cubic mode", got=f"mode={mode!r}"))
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ArgumentError(explain("interpolate", expected="antialias with mode 'bilinear' or 'bicubic'", got=repr(mode)))
    if input._a.dtype.kind not in "fV" and not (mode.startswith("nearest") and input._a.dtype.kind == "u"):
        raise DtypeError(explain("interpolate", expected="a floating-point tensor", got=repr(input.dtype), hint=".float()"))
    sizes, steps = _target(input._a.shape[2:], size, scale_factor, bool(recompute_scale_factor))
    method = _METHODS.get(mode, mode) + ("-antialias" if antialias else "")
    out = input
    for d in sorted(range(n - 2), key=lambda d: sizes[d] / max(input._a.shape[d + 2], 1)):  # the axes that shrink first
        if out._a.shape[d + 2] == 0:
            raise ShapeError(explain("interpolate", expected="spatial axes that are not empty", got=f"shape {tuple(input.shape)}"))
        step = None if mode == "area" else steps[d]
        if sizes[d] == out._a.shape[d + 2] and (step is None or step == 1):
            continue
        out = resample(out, axis=d + 2, size=sizes[d], method=method, step=step, align_corners=bool(align_corners))
    return out if out is not input else movement.pack(input)


def _target(sizes: tuple[int, ...], size: Any, scale: Any, recompute: bool) -> tuple[tuple[int, ...], list[float | None]]:
    """Output sizes, and the distance of outputs in inputs where a factor decides it."""
    op, n = "interpolate", len(sizes)
    if (size is None) == (scale is None):
        raise ArgumentError(explain(op, expected="size or scale_factor", got="both" if size is not None else "neither"))
    if size is not None:
        if recompute:
            raise ArgumentError(explain(op, expected="recompute_scale_factor with scale_factor", got="size"))
        wanted = tuple(size) if isinstance(size, (tuple, list)) else (size,) * n
        if len(wanted) != n or any(int(s) < 1 for s in wanted):
            raise ShapeError(explain(op, expected=f"size as a positive int or {n} of them", got=repr(size)))
        return tuple(int(s) for s in wanted), [None] * n
    factors = tuple(scale) if isinstance(scale, (tuple, list)) else (scale,) * n
    if len(factors) != n:
        raise ShapeError(explain(op, expected=f"scale_factor as a number or {n} of them", got=repr(scale)))
    out = tuple(floor(k * float(f)) for k, f in zip(sizes, factors, strict=True))
    if any(k < 1 for k in out):
        raise ShapeError(explain(op, expected="output sizes of at least 1", got=f"{out} for scale_factor {scale!r}"))
    return out, [None] * n if recompute else [1.0 / float(f) for f in factors]


def upsample(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None) -> Tensor:
    """The older name of `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode "nearest"."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode "bilinear" and aligned corners."""
    return interpolate(input, size, scale_factor, "bilinear", True)


def default_corners(op: str, align_corners: bool | None) -> bool:
    """False, said aloud, if the caller left it open."""
    if align_corners is None:
        warnings.warn(explain(op, expected="align_corners to be given", got="none, so False was chosen"), stacklevel=3)
    return bool(align_corners)


# -- pixels and channels -----------------------------------------------------------------------------------------------------------------
def _image(op: str, x: Tensor, divisor: int, axes: str) -> tuple[int, ...]:
    if x._a.ndim < 3 or divisor < 1:
        raise ShapeError(explain(op, expected=f"input (..., C, H, W) and {axes} of at least 1", got=f"shape {tuple(x.shape)}, {divisor}"))
    return x._a.shape[:-3]


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels to pixels: (..., C * r^2, H, W) to (..., C, H * r, W * r). Shi et al. 2016."""
    r = upscale_factor
    lead = _image("pixel_shuffle", input, r, "upscale_factor")
    c, h, w = input._a.shape[-3:]
    if c % (r * r):
        raise ShapeError(explain("pixel_shuffle", expected=f"channels divisible by upscale_factor^2 = {r * r}", got=str(c)))
    k = len(lead)
    parts = reshape(input, shape=(*lead, c // (r * r), r, r, h, w))
    mixed = permute(parts, axes=(*range(k), k, k + 3, k + 1, k + 4, k + 2))
    return reshape(mixed, shape=(*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Pixels to channels: (..., C, H * r, W * r) to (..., C * r^2, H, W)."""
    r = downscale_factor
    lead = _image("pixel_unshuffle", input, r, "downscale_factor")
    c, h, w = input._a.shape[-3:]
    if h % r or w % r:
        raise ShapeError(explain("pixel_unshuffle", expected=f"height and width divisible by downscale_factor {r}", got=f"{h} and {w}"))
    k = len(lead)
    parts = reshape(input, shape=(*lead, c, h // r, r, w // r, r))
    mixed = permute(parts, axes=(*range(k), k, k + 2, k + 4, k + 1, k + 3))
    return reshape(mixed, shape=(*lead, c * r * r, h // r, w // r))


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Deal the channels of (N, C, ...) out: the i-th of each of `groups` groups become neighbours. Zhang et al. 2018."""
    shape = input._a.shape
    if len(shape) < 3 or groups < 1 or shape[1] % groups:
        got = f"shape {tuple(shape)} and groups={groups}"
        raise ShapeError(explain("channel_shuffle", expected="input (N, C, ...) with channels divisible by groups", got=got))
    parts = reshape(input, shape=(shape[0], groups, shape[1] // groups, *shape[2:]))
    return reshape(permute(parts, axes=(0, 2, 1, *range(3, len(shape) + 1))), shape=shape)


__all__ = ["channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]
