"""How much images are like others: PSNR, SSIM, and the Fréchet distance of features (FID)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.nn import functional as F
from flambeau_vision.functional.filters import _gauss
from flambeau_vision.metrics.classification import array_of


def _same(op: str, a: Any, b: Any) -> None:
    if tuple(a.shape) != tuple(b.shape):
        raise ShapeError(explain(op, expected="images of one shape", got=f"{tuple(a.shape)} and {tuple(b.shape)}"))


def psnr(images: Any, reference: Any, data_range: float = 1.0) -> float:
    """Peak signal to noise ratio in dB, over all pixels; infinite for equal images.

    >>> round(psnr(flambeau.zeros(1, 4, 4), flambeau.full((1, 4, 4), 0.1)), 3)
    20.0
    """
    _same("psnr", images, reference)
    error = float(((images.to(flambeau.float64) - reference.to(flambeau.float64)) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(data_range**2 / error)


def ssim(images: Any, reference: Any, data_range: float = 1.0) -> float:
    """Structural similarity (Wang et al. 2004), with a Gaussian window of 11 pixels and sigma 1.5: the mean over (N, C, H, W)."""
    _same("ssim", images, reference)
    if images.ndim != 4 or min(images.shape[-2:]) < 11:
        raise ShapeError(explain("ssim", expected="(N, C, H, W) with H and W of 11 or more", got=f"shape {tuple(images.shape)}"))
    x, y = (value.to(flambeau.float64).reshape(-1, 1, *value.shape[-2:]) for value in (images, reference))
    line = flambeau.from_numpy(_gauss(11, np.array(1.5)).astype(np.float64)).to(x.device)

    def blur(value: Any) -> Any:
        return F.conv2d(F.conv2d(value, line.reshape(1, 1, 1, 11)), line.reshape(1, 1, 11, 1))

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mx, my = blur(x), blur(y)
    vx, vy, both = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    return float(((2 * mx * my + c1) * (2 * both + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean())


def frechet_distance(features: Any, reference: Any) -> float:
    """The Fréchet distance between two sets of features (n, D) and (m, D), each seen as a normal distribution.

    With the pooled features of Inception this is the FID (Heusel et al. 2017, https://arxiv.org/abs/1706.08500); with those of another
    classifier, numbers compare only among themselves.
    """
    a, b = array_of(features).astype(np.float64), array_of(reference).astype(np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ShapeError(explain("frechet_distance", expected="features (n, D) and (m, D)", got=f"{a.shape} and {b.shape}"))
    if min(len(a), len(b)) < 2:
        raise ArgumentError(explain("frechet_distance", expected="two or more of each", got=f"{len(a)} and {len(b)}"))
    ca, cb = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    values, vectors = np.linalg.eigh(ca)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cb @ root), 0)).sum()  # the trace of the root of ca @ cb
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * cross)
