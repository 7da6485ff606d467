"""Rotation, shear, scale and perspective: each result pixel is looked up in the image through a 3x3 matrix.

Matrices act on continuous coordinates (the centre of the first pixel is 0.5, 0.5), and each image of a batch may have its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau_vision.functional.geometry import Geometry, fill_outside, mode_of
from flambeau_vision.functional.pil import warped

_FINE = 1e4  # a corner that lies past a pixel's edge by less than 1 / _FINE does not need another pixel


def affine_matrix(angle: float, translate: Sequence[float], scale: float, shear: Sequence[float], center: Sequence[float]) -> np.ndarray:
    """Where a point goes, (3, 3): about `center` sheared, rotated (degrees, clockwise) and scaled, then moved by `translate` pixels."""
    rotation, (x, y) = math.radians(angle), (math.radians(degrees) for degrees in shear)
    a, c = math.cos(rotation - y) / math.cos(y), math.sin(rotation - y) / math.cos(y)
    b, d = -a * math.tan(x) - math.sin(rotation), -c * math.tan(x) + math.cos(rotation)
    linear = scale * np.array([[a, b], [c, d]])
    middle = np.asarray(center, np.float64)
    out = np.eye(3)
    out[:2, :2] = linear
    out[:2, 2] = middle + np.asarray(translate, np.float64) - linear @ middle
    return out


def perspective_matrix(startpoints: Sequence[Sequence[float]], endpoints: Sequence[Sequence[float]]) -> np.ndarray:
    """Where a point goes, (3, 3): four corners to four others (found by least squares)."""
    rows, values = [], []
    for (x, y), (u, v) in zip(startpoints, endpoints, strict=True):
        rows += [[u, v, 1, 0, 0, 0, -x * u, -x * v], [0, 0, 0, u, v, 1, -y * u, -y * v]]
        values += [x, y]
    solution, *_ = np.linalg.lstsq(np.array(rows, np.float64), np.array(values, np.float64), rcond=None)
    return np.linalg.inv(np.append(solution, 1.0).reshape(3, 3))


def warping(matrices: Any, size: tuple[int, int], interpolation: Any, fill: Any = 0, clamp: bool = True) -> Geometry:
    """Move images by one matrix, or by one each (N, 3, 3); the result has `size`, and `fill` where nothing comes from."""
    forward = np.asarray(matrices, np.float64).reshape(-1, 3, 3)
    mode = mode_of(interpolation)
    if mode == "nearest-exact":
        mode = "nearest"
    try:
        back = np.linalg.inv(forward)
    except np.linalg.LinAlgError:
        raise ArgumentError(explain("warp", expected="a transformation that keeps areas", got="one that flattens")) from None

    def pixels(x: Any, mask: bool) -> Any:
        grid = flambeau.from_numpy(_grid(back, size, (x.shape[-2], x.shape[-1]))).to(x.device)
        grid = grid.expand(x.shape[0], *grid.shape[1:])
        return _sample(x, grid, "nearest" if mask else mode, fill, mask)

    return Geometry(pixels, lambda xy: _map(forward, xy), size, clamp, lambda image: warped(image, back[0], size, mode, fill))


def _grid(back: np.ndarray, size: tuple[int, int], old: tuple[int, int]) -> np.ndarray:
    """Where each result pixel comes from, in the units of grid_sample: (N, H, W, 2)."""
    y, x = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5, indexing="ij")
    places = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    source = back @ places  # N 3 HW
    source = source[:, :2] / source[:, 2:]
    source = source * (2.0 / np.array([[old[1]], [old[0]]])) - 1.0
    return np.ascontiguousarray(source.transpose(0, 2, 1).reshape(-1, *size, 2), np.float32)


def _sample(x: Any, grid: Any, mode: str, fill: Any, mask: bool) -> Any:
    work = x if x.dtype.is_floating_point else x.to(flambeau.float32)
    grid = grid.to(work.dtype)
    out = F.grid_sample(work, grid, mode=mode, padding_mode="zeros", align_corners=False)
    if not mask and fill is not None and np.any(fill):
        inside = F.grid_sample(flambeau.ones_like(work[:, :1]), grid, mode=mode, padding_mode="zeros", align_corners=False)
        if mode == "nearest":
            out = fill_outside(out, lambda: inside >= 0.5, fill, mask)
        else:
            out = out * inside + (1.0 - inside) * fill_outside(flambeau.zeros_like(out), lambda: flambeau.zeros_like(inside), fill, mask)
    if x.dtype.is_floating_point:
        return out
    if x.dtype == flambeau.uint8:
        out = out.clamp(0, 255)
    return out.round().to(x.dtype)


def _map(forward: np.ndarray, xy: Any) -> Any:
    """Points (N, n, 2) through the matrices."""
    matrix = flambeau.from_numpy(forward.astype(np.float32)).to(xy.device)  # N 3 3
    moved = flambeau.cat([xy, flambeau.ones_like(xy[..., :1])], -1) @ matrix.transpose(-1, -2)
    return moved[..., :2] / moved[..., 2:]


def expanded_size(matrix: np.ndarray, old: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """The matrix moved so that the whole image is inside a result, and the result's size."""
    corners = matrix @ np.array([[0, old[1], old[1], 0], [0, 0, old[0], old[0]], [1, 1, 1, 1]], np.float64)
    middle = np.array([old[1], old[0]])[:, None] / 2
    rounded = np.trunc(corners[:2] * _FINE) / _FINE
    width, height = (np.ceil(rounded.max(1)) - np.floor(rounded.min(1))).astype(int).tolist()
    move = np.eye(3)
    move[:2, 2] = np.array([width, height]) / 2 - middle[:, 0]
    return move @ matrix, (height, width)
