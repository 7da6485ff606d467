"""A window of its own in each image of a batch, resized to one size: two matrix products for the whole batch."""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.functional.geometry import Geometry, mode_of


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
    step = (length / new).reshape(-1, 1, 1)
    centre = (np.arange(new).reshape(1, -1, 1) + 0.5) * step
    place = np.arange(old).reshape(1, 1, -1) - start.reshape(-1, 1, 1)  # of the old pixel, in the window
    inside = (place >= 0) & (place < length.reshape(-1, 1, 1))
    if mode.startswith("nearest"):
        wanted = np.floor(centre if mode == "nearest-exact" else np.arange(new).reshape(1, -1, 1) * step)
        return np.asarray((place == wanted) & inside, np.float32)
    kernel, support = _FILTERS[mode]
    width = np.maximum(step, 1.0) if antialias else np.ones_like(step)
    values = np.where(inside, kernel((place + 0.5 - centre) / width), 0.0)
    values = np.where(np.abs(place + 0.5 - centre) < support * width + 0.5, values, 0.0)
    return np.asarray(values / values.sum(-1, keepdims=True), np.float32)


def windows_resized(windows: np.ndarray, size: tuple[int, int], interpolation: Any, antialias: bool) -> Geometry:
    """Windows (N, 4) of top, left, height, width."""
    top, left, height, width = (windows[:, i] for i in range(4))
    mode = mode_of(interpolation)
    if min(height.min(), width.min()) < 1:
        raise ArgumentError(explain("resized crop", expected="windows of at least one pixel", got=f"{height.min()} x {width.min()}"))

    def pixels(x: Any, mask: bool) -> Any:
        how = "nearest" if mask else mode
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
