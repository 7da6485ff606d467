"""MixUp and CutMix: each image of a batch is mixed with its neighbour, and so are their labels."""

from __future__ import annotations

import math
from typing import Any

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.distributions import Beta
from flambeau.nn import functional as F
from flambeau_vision.transforms.base import uniform
from flambeau_vision.types import Image, wrap


class _Mix:
    """Called with a batch of images (N, C, H, W), floats, and labels: (N,) classes or (N, K) shares."""

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None) -> None:
        if alpha <= 0:
            raise ArgumentError(explain(type(self).__name__, expected="alpha above 0", got=repr(alpha)))
        self.alpha, self.num_classes = float(alpha), num_classes

    def __call__(self, images: Any, labels: Any) -> tuple[Any, Any]:
        name = type(self).__name__
        if not isinstance(images, Tensor) or images.ndim != 4:
            raise ShapeError(explain(name, expected="a batch of images (N, C, H, W)", got=f"{type(images).__name__}"))
        plain = images.plain() if isinstance(images, Image) else images
        if labels.ndim not in (1, 2) or labels.shape[0] != plain.shape[0]:
            raise ShapeError(explain(name, expected=f"labels ({plain.shape[0]},) or ({plain.shape[0]}, K)", got=f"{tuple(labels.shape)}"))
        if labels.ndim == 1:
            if self.num_classes is None:
                raise ArgumentError(explain(name, expected="num_classes, or labels (N, K)", got="labels (N,)"))
            labels = F.one_hot(labels, self.num_classes)
        lam = float(Beta(self.alpha, self.alpha).sample())
        mixed, lam = self._mix(plain, lam)
        shares = labels.to(plain.dtype if plain.dtype.is_floating_point else flambeau.float32)
        shares = shares * lam + shares.roll(1, 0) * (1.0 - lam)
        return (wrap(mixed, images) if isinstance(images, Image) else mixed), shares

    def _mix(self, images: Any, lam: float) -> tuple[Any, float]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha}, num_classes={self.num_classes})"


class MixUp(_Mix):
    """lam * image + (1 - lam) * neighbour, lam from Beta(alpha, alpha) (Zhang et al. 2017, https://arxiv.org/abs/1710.09412).

    >>> import flambeau
    >>> images, labels = MixUp(num_classes=3)(flambeau.rand(4, 3, 8, 8), flambeau.tensor([0, 1, 2, 0]))
    >>> images.shape, labels.shape, bool((labels.sum(1) - 1).abs().max() < 1e-6)
    (flambeau.Size([4, 3, 8, 8]), flambeau.Size([4, 3]), True)
    """

    def _mix(self, images: Any, lam: float) -> tuple[Any, float]:
        return images * lam + images.roll(1, 0) * (1.0 - lam), lam


class CutMix(_Mix):
    """A window from the neighbour, of share 1 - lam of the area (Yun et al. 2019, https://arxiv.org/abs/1905.04899)."""

    def _mix(self, images: Any, lam: float) -> tuple[Any, float]:
        height, width = images.shape[-2:]
        x, y = (int(uniform(0, side, 1)[0]) for side in (width, height))
        half = 0.5 * math.sqrt(1.0 - lam)
        half_w, half_h = int(half * width), int(half * height)
        x1, y1, x2, y2 = max(x - half_w, 0), max(y - half_h, 0), min(x + half_w, width), min(y + half_h, height)
        out = images.clone()
        if x2 > x1 and y2 > y1:
            out[..., y1:y2, x1:x2] = images.roll(1, 0)[..., y1:y2, x1:x2]
        return out, 1.0 - (x2 - x1) * (y2 - y1) / (width * height)
