"""The preprocessing that pretrained weights want: a PIL image, or a tensor (..., 3, H, W), to normalised floats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau import Tensor
from flambeau_vision import functional as F
from flambeau_vision.functional.convert import is_pil

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _floats(image: Any) -> Any:
    """Pixels from 0 to 1; a PIL image becomes RGB first."""
    if is_pil(image):
        image = F.pil_to_tensor(image.convert("RGB"))
    return F.to_dtype(image.as_subclass(Tensor), flambeau.float32, scale=True)


def _resized(image: Any, size: Any, interpolation: str, antialias: bool) -> Any:
    if size is None:
        return image
    if is_pil(image):
        image = F.pil_to_tensor(image.convert("RGB"))
    return F.resize(image.as_subclass(Tensor), size, interpolation, antialias=antialias)


class _Preset:
    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class ImageClassification(_Preset):
    """Resize the shorter side, crop the middle, normalise: (..., 3, crop_size, crop_size).

    >>> import flambeau
    >>> ImageClassification(crop_size=8, resize_size=10)(flambeau.zeros(3, 20, 30, dtype=flambeau.uint8)).shape
    flambeau.Size([3, 8, 8])
    """

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        interpolation: str = "bilinear",
        antialias: bool = True,
    ) -> None:
        self.crop_size, self.resize_size = crop_size, resize_size
        self.mean, self.std, self.interpolation, self.antialias = tuple(mean), tuple(std), interpolation, antialias

    def __call__(self, image: Any) -> Any:
        image = _resized(image, self.resize_size, self.interpolation, self.antialias)
        return F.normalize(_floats(F.center_crop(image, self.crop_size)), self.mean, self.std)


class ObjectDetection(_Preset):
    """Floats from 0 to 1: detectors resize and normalise themselves."""

    def __call__(self, image: Any) -> Any:
        return _floats(image)


class SemanticSegmentation(_Preset):
    """Resize the shorter side (None keeps the size), normalise."""

    def __init__(
        self,
        *,
        resize_size: int | None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        interpolation: str = "bilinear",
        antialias: bool = True,
    ) -> None:
        self.resize_size = resize_size
        self.mean, self.std, self.interpolation, self.antialias = tuple(mean), tuple(std), interpolation, antialias

    def __call__(self, image: Any) -> Any:
        image = _resized(image, self.resize_size, self.interpolation, self.antialias)
        return F.normalize(_floats(image), self.mean, self.std)


class SmallDigit(_Preset):
    """One grey digit of 8x8 pixels, 0..1, ink is 1: (..., 1, 8, 8), by averaging.

    Args:
        dark_ink: whether ink is darker than paper, as in photographs and scans. None decides by the border, which is paper.
    """

    def __init__(self, *, dark_ink: bool | None = None) -> None:
        self.dark_ink = dark_ink

    def __call__(self, image: Any) -> Any:
        if is_pil(image):
            image = F.pil_to_tensor(image.convert("L"))
        x = F.to_dtype(image.as_subclass(Tensor), flambeau.float32, scale=True)
        x = F.rgb_to_grayscale(x) if x.shape[-3] == 3 else x
        border = flambeau.cat([x[..., 0, :], x[..., -1, :], x[..., :, 0], x[..., :, -1]], -1)
        if self.dark_ink or (self.dark_ink is None and float(border.mean()) > 0.5):
            x = 1.0 - x
        if tuple(x.shape[-2:]) == (8, 8):
            return x
        flat = x.reshape(-1, 1, *x.shape[-2:])
        return flambeau.nn.functional.interpolate(flat, size=(8, 8), mode="area").reshape(*x.shape[:-2], 8, 8)
