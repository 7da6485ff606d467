"""A window of its own in each image of a batch, resized to one size.

Small images take two matrix products for the whole batch; large ones are quicker one by one, each with the few pixels that count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.functional.geometry import Geometry, mode_of, resample

_LARGE = 1 << 16  # elements of an image


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -0.5, which PIL and antialiased resizing use."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


_FILTERS = {"bilinear": (_triangle, 1.0), "bicubic": (_cubic, 2.0)}


def weights(start: np.ndarray, length: np.ndarray, old: int, new: int, mode: str, antialias: bool) -> np.ndarray:
    """(N, new, old): how much each old pixel counts in each new one, for windows [start, start + length)."""
    start, length = start.reshape(-1, 1, 1), length.reshape(-1, 1, 1)
    step, number = length / new, np.arange(new).reshape(1, -1, 1)
    if mode.startswith("nearest"):
        place = start + np.floor((number + 0.5 if mode == "nearest-exact" else number) * step).astype(np.int64)
        values = np.ones(place.shape)
    else:
        kernel, support = _FILTERS[mode]
        width = np.maximum(step, 1.0) if antialias else np.ones_like(step)
        centre = start + (number + 0.5) * step
        taps = int(np.ceil(2 * support * width.max())) + 1
        place = np.floor(centre - support * width).astype(np.int64) + np.arange(taps)
        values = kernel((place + 0.5 - centre) / width)
    inside = (place >= start) & (place < start + length)
    values = np.where(inside, values, 0.0)
    out = np.zeros((len(start), new, old + 1), np.float32)  # the last column takes what lies outside the window
    np.put_along_axis(out, np.where(inside, place, old), values / values.sum(-1, keepdims=True), -1)
    return out[..., :old]


def windows_resized(windows: np.ndarray, size: tuple[int, int], interpolation: Any, antialias: bool) -> Geometry:
    """Windows (N, 4) of top, left, height, width."""
    top, left, height, width = (windows[:, i] for i in range(4))
    mode = mode_of(interpolation)
    if min(height.min(), width.min()) < 1:
        raise ArgumentError(explain("resized crop", expected="windows of at least one pixel", got=f"{height.min()} x {width.min()}"))

    def pixels(x: Any, mask: bool) -> Any:
        how = "nearest" if mask else mode
        if x[:1].numel() >= _LARGE:
            places = enumerate(windows.tolist())
            return flambeau.cat([resample(x[i : i + 1, :, t : t + h, s : s + w], size, how, antialias) for i, (t, s, h, w) in places])
        work = x if x.dtype.is_floating_point else x.to(flambeau.float32)
        down = flambeau.from_numpy(weights(top, height, x.shape[-2], size[0], how, antialias)).to(x.device).to(work.dtype)
        across = flambeau.from_numpy(weights(left, width, x.shape[-1], size[1], how, antialias)).to(x.device).to(work.dtype)
        out = down[:, None] @ work @ across[:, None].transpose(-1, -2)
        if x.dtype.is_floating_point:
            return out
        return (out.clamp(0, 255) if x.dtype == flambeau.uint8 else out).round().to(x.dtype)

    corner, ratio = np.stack([left, top], -1), np.stack([size[1] / width, size[0] / height], -1)

    def points(xy: Any) -> Any:
        shift, factor = (flambeau.from_numpy(a.reshape(-1, 1, 2).astype(np.float32)).to(xy.device) for a in (corner, ratio))
        return (xy - shift) * factor

    return Geometry(pixels, points, size)
