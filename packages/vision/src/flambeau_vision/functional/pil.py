"""The functions on PIL images of mode "L" and "RGB", done by Pillow itself, with the results of torchvision's functions on PIL images.

What multiplies or blends with one colour is a table of 256 entries here, which Pillow looks up faster than it blends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau_vision.functional.convert import check_range, is_pil, pil_to_tensor, to_pil_image

MODES = ("L", "RGB")  # other PIL images go by way of tensors
FILTERS = {"nearest": 0, "nearest-exact": 0, "bilinear": 2, "bicubic": 3}  # the numbers of Pillow's Resampling


def by_pillow(way: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function on tensors take PIL images: by `way`, which has the same arguments, or by way of a tensor."""

    def wrap(on_tensors: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(on_tensors)
        def either(image: Any, *args: Any, **kwargs: Any) -> Any:
            if not is_pil(image):
                return on_tensors(image, *args, **kwargs)
            if image.mode in MODES:
                return way(image, *args, **kwargs)
            return to_pil_image(on_tensors(pil_to_tensor(image), *args, **kwargs))

        return either

    return wrap


def _looked_up(image: Any, table: np.ndarray) -> Any:
    """Each value replaced by that of the table (256,)."""
    return image.point(table.astype(np.uint8).tolist() * len(image.getbands()))


def _blended(level: int, factor: float) -> np.ndarray:
    """The table of Image.blend of one level with each value, in the same float32 arithmetic."""
    values = level + np.float32(factor) * (np.arange(256) - level).astype(np.float32)
    return np.asarray(np.clip(values, 0, 255))


def _mean(image: Any) -> int:
    counts = np.array(image.convert("L").histogram())
    return int(counts @ np.arange(256) / max(counts.sum(), 1) + 0.5)


def adjust_brightness(image: Any, brightness_factor: float) -> Any:
    """Blend with black."""
    check_range("adjust_brightness", "brightness_factor", brightness_factor, 0)
    return _looked_up(image, _blended(0, brightness_factor))


def adjust_contrast(image: Any, contrast_factor: float) -> Any:
    """Blend with the mean luminance."""
    check_range("adjust_contrast", "contrast_factor", contrast_factor, 0)
    return _looked_up(image, _blended(_mean(image), contrast_factor))


def adjust_saturation(image: Any, saturation_factor: float) -> Any:
    """Blend with the luminance of each pixel."""
    from PIL import Image

    check_range("adjust_saturation", "saturation_factor", saturation_factor, 0)
    return image if image.mode == "L" else Image.blend(image.convert("L").convert("RGB"), image, saturation_factor)


def adjust_hue(image: Any, hue_factor: float) -> Any:
    """Turn the colour circle, in 255 steps."""
    from PIL import Image

    check_range("adjust_hue", "hue_factor", hue_factor, -0.5, 0.5)
    if image.mode == "L":
        return image
    hue, saturation, value = image.convert("HSV").split()
    turned = _looked_up(hue, (np.arange(256) + int(hue_factor * 255)) % 256)
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def adjust_gamma(image: Any, gamma: float, gain: float = 1) -> Any:
    """gain * image ** gamma."""
    check_range("adjust_gamma", "gamma", gamma, 0)
    return _looked_up(image, np.clip((255 + 1 - 1e-3) * gain * (np.arange(256) / 255.0) ** gamma, 0, 255))


def adjust_sharpness(image: Any, sharpness_factor: float) -> Any:
    """Blend with a 3x3 blur."""
    from PIL import ImageEnhance

    check_range("adjust_sharpness", "sharpness_factor", sharpness_factor, 0)
    return ImageEnhance.Sharpness(image).enhance(sharpness_factor)


def rgb_to_grayscale(image: Any, num_output_channels: int = 1) -> Any:
    """Luminance, in mode "L" or "RGB"."""
    grey = image.convert("L")
    return grey if num_output_channels == 1 else grey.convert("RGB")


def invert(image: Any) -> Any:
    """The negative."""
    return _looked_up(image, 255 - np.arange(256))


def posterize(image: Any, bits: int) -> Any:
    """Keep the highest bits."""
    from PIL import ImageOps

    return ImageOps.posterize(image, bits)


def solarize(image: Any, threshold: float) -> Any:
    """Invert what is bright."""
    check_range("solarize", "threshold", threshold, 0, 255)
    levels = np.arange(256)
    return _looked_up(image, np.where(levels < threshold, levels, 255 - levels))


def autocontrast(image: Any) -> Any:
    """Stretch each channel."""
    from PIL import ImageOps

    return ImageOps.autocontrast(image)


def equalize(image: Any) -> Any:
    """Spread each channel's histogram."""
    from PIL import ImageOps

    return ImageOps.equalize(image)


def resized(image: Any, size: tuple[int, int], mode: str) -> Any:
    """To (H, W), with antialiasing."""
    return image if (image.height, image.width) == size else image.resize((size[1], size[0]), FILTERS[mode])


def mirrored(image: Any, axis: int) -> Any:
    """Left to right (axis -1) or upside down (-2)."""
    return image.transpose(0 if axis == -1 else 1)


def warped(image: Any, back: np.ndarray, size: tuple[int, int], mode: str, fill: Any) -> Any:
    """Each pixel is looked up at `back` (3, 3) of its place; `fill` is a number, or one for each channel."""
    from PIL import Image

    bands = len(image.getbands())
    colour = np.broadcast_to(np.asarray(0 if fill is None else fill, np.int64), (bands,)).tolist()
    numbers = (back / back[2, 2]).reshape(-1).tolist()
    straight = numbers[6] == 0 == numbers[7]
    method, data = (Image.Transform.AFFINE, numbers[:6]) if straight else (Image.Transform.PERSPECTIVE, numbers[:8])
    return image.transform((size[1], size[0]), method, data, FILTERS[mode], fillcolor=tuple(colour) if bands > 1 else colour[0])
