"""Blur and normalisation of images (..., C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError, explain
from flambeau.nn import functional as F
from flambeau_vision.functional.fused import fused


def normalize(image: Any, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Any:
    """(image - mean) / std, channel by channel, of floats."""
    if not image.dtype.is_floating_point:
        raise DtypeError(explain("normalize", expected="floats", got=str(image.dtype), hint="to_dtype(image, scale=True) before"))
    if 0 in np.asarray(std):
        raise ArgumentError(explain("normalize", expected="a std that is not 0", got=repr(std)))
    middle, spread = (flambeau.tensor(list(values), dtype=image.dtype, device=image.device) for values in (mean, std))
    if image.ndim < 3 or len(middle) not in (1, image.shape[-3]) or len(spread) not in (1, image.shape[-3]):
        got = f"shape {tuple(image.shape)} with {len(middle)} and {len(spread)} numbers"
        raise ShapeError(explain("normalize", expected="(..., C, H, W) and one number or C numbers", got=got))
    out = fused(_standardized, image, middle.reshape(-1, 1, 1), spread.reshape(-1, 1, 1))
    return image.copy_(out) if inplace else out


def _standardized(image: Any, mean: Any, std: Any) -> Any:
    return (image - mean) / std


def _gauss(size: int, sigma: np.ndarray) -> np.ndarray:
    """(N, size) weights that sum to 1."""
    place = np.linspace(-(size - 1) * 0.5, (size - 1) * 0.5, size)
    weights = np.exp(-0.5 * (place / sigma.reshape(-1, 1)) ** 2)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def gaussian_blur(image: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Blur (N, C, H, W) or (C, H, W) with a Gaussian; the border is mirrored.

    Args:
        image: the pixels.
        kernel_size: odd numbers across and down, or one for both.
        sigma: in pixels: one number, (across, down), or an array with one for each image; 0.15 * size + 0.35 by default.
    """
    across, down = (kernel_size, kernel_size) if isinstance(kernel_size, int) else (*kernel_size, *kernel_size)[:2]
    if any(size < 1 or size % 2 == 0 for size in (across, down)):
        raise ArgumentError(explain("gaussian_blur", expected="odd kernel sizes", got=repr(kernel_size)))
    if sigma is None:
        x_sigma, y_sigma = np.array(0.15 * across + 0.35), np.array(0.15 * down + 0.35)
    elif isinstance(sigma, (list, tuple)):
        x_sigma, y_sigma = np.array(float(sigma[0])), np.array(float(sigma[-1]))
    else:
        x_sigma = y_sigma = np.asarray(sigma, np.float64)
    if min(x_sigma.min(), y_sigma.min()) <= 0:
        raise ArgumentError(explain("gaussian_blur", expected="sigma above 0", got=repr(sigma)))
    if image.numel() == 0:
        return image
    x = image if image.ndim == 4 else image.reshape(-1, *image.shape[-3:])
    n, channels, height, width = x.shape
    work = (x if x.dtype.is_floating_point else x.to(flambeau.float32)).reshape(1, n * channels, height, width)
    work = F.pad(work, (across // 2, across // 2, down // 2, down // 2), mode="reflect")
    for weights, shape in ((_gauss(across, x_sigma), (1, -1)), (_gauss(down, y_sigma), (-1, 1))):
        kernel = np.repeat(np.broadcast_to(weights, (n, weights.shape[1])), channels, axis=0)
        filters = flambeau.from_numpy(np.ascontiguousarray(kernel)).to(x.device).to(work.dtype)
        work = F.conv2d(work, filters.reshape(n * channels, 1, *shape), groups=n * channels)
    out = work.reshape(image.shape)
    return out if image.dtype.is_floating_point else out.round().to(image.dtype)
