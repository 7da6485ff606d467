"""Colours of images (..., C, H, W) and PIL images. A factor is a number, or a tensor (N, 1, 1, 1) with one for each image of a batch.

The arithmetic is torchvision's, so that equal factors give equal pixels; PIL images have Pillow's.
"""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.functional import pil
from flambeau_vision.functional.convert import check_image, check_range, max_value, to_dtype
from flambeau_vision.functional.fused import fused
from flambeau_vision.functional.pil import by_pillow

_GREY = (0.2989, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


def _work(x: Any) -> Any:
    """Floats to compute with."""
    return x if x.dtype.is_floating_point else x.to(flambeau.float32)


def _finish(x: Any, like: Any) -> Any:
    """Into the range and the dtype of `like`."""
    return x.clamp(0, max_value(like.dtype)).to(like.dtype)


def _grey(x: Any) -> Any:
    r, g, b = _work(x).unbind(-3)
    return (r * _GREY[0] + g * _GREY[1] + b * _GREY[2]).unsqueeze(-3)


@by_pillow(pil.rgb_to_grayscale)
def rgb_to_grayscale(image: Any, num_output_channels: int = 1) -> Any:
    """Luminance, in one channel or in three equal ones."""
    check_image("rgb_to_grayscale", image, (1, 3))
    if num_output_channels not in (1, 3):
        raise ArgumentError(explain("rgb_to_grayscale", expected="1 or 3 output channels", got=repr(num_output_channels)))
    grey = image if image.shape[-3] == 1 else _grey(image).to(image.dtype)
    return grey if num_output_channels == 1 else flambeau.cat([grey] * 3, -3)


def _blend(image: Any, other: Any, ratio: Any) -> Any:
    return _finish(_work(image) * ratio + other * (1.0 - ratio), image)


@by_pillow(pil.adjust_brightness)
def adjust_brightness(image: Any, brightness_factor: Any) -> Any:
    """Multiply: 0 is black, 1 leaves the image."""
    check_image("adjust_brightness", image, (1, 3))
    check_range("adjust_brightness", "brightness_factor", brightness_factor, 0)
    return fused(_brighter, image, brightness_factor)


def _brighter(image: Any, factor: Any) -> Any:
    return _finish(_work(image) * factor, image)


def _flat(image: Any) -> Any:
    """Luminance before blending; whole numbers for integer images, as PIL has it."""
    grey = _grey(image) if image.shape[-3] == 3 else _work(image)
    return grey if image.dtype.is_floating_point else grey.floor()


@by_pillow(pil.adjust_contrast)
def adjust_contrast(image: Any, contrast_factor: Any) -> Any:
    """Blend with the mean luminance: 0 is grey, 1 leaves the image."""
    check_image("adjust_contrast", image, (1, 3))
    check_range("adjust_contrast", "contrast_factor", contrast_factor, 0)
    return fused(_contrasted, image, contrast_factor)


def _contrasted(image: Any, factor: Any) -> Any:
    return _blend(image, _flat(image).mean((-3, -2, -1), keepdim=True), factor)


@by_pillow(pil.adjust_saturation)
def adjust_saturation(image: Any, saturation_factor: Any) -> Any:
    """Blend with the luminance of each pixel: 0 is grey, 1 leaves the image."""
    check_image("adjust_saturation", image, (1, 3))
    check_range("adjust_saturation", "saturation_factor", saturation_factor, 0)
    return image if image.shape[-3] == 1 else fused(_saturated, image, saturation_factor)


def _saturated(image: Any, factor: Any) -> Any:
    return _blend(image, _flat(image), factor)


@by_pillow(pil.adjust_hue)
def adjust_hue(image: Any, hue_factor: Any) -> Any:
    """Turn the colour circle by a share of it, -0.5..0.5."""
    check_image("adjust_hue", image, (1, 3))
    check_range("adjust_hue", "hue_factor", hue_factor, -0.5, 0.5)
    if image.shape[-3] == 1 or image.numel() == 0:
        return image
    return fused(_turned, image, hue_factor)


def _turned(image: Any, hue_factor: Any) -> Any:
    h, s, v = rgb_to_hsv(to_dtype(image, flambeau.float32, scale=True)).unbind(-3)
    turn = hue_factor.reshape(-1, 1, 1) if hasattr(hue_factor, "reshape") else hue_factor
    return to_dtype(hsv_to_rgb(flambeau.stack([(h + turn) % 1.0, s, v], -3)), image.dtype, scale=True)


def rgb_to_hsv(image: Any) -> Any:
    """Hue, saturation and value, each 0..1, from floats 0..1."""
    r, g, b = image.unbind(-3)
    high, low = image.amax(-3), image.amin(-3)
    span = high - low
    grey = span == 0
    safe = flambeau.where(grey, flambeau.ones_like(span), span)
    saturation = span / flambeau.where(grey, flambeau.ones_like(high), high)
    rc, gc, bc = (high - r) / safe, (high - g) / safe, (high - b) / safe
    sector = flambeau.where(high == r, bc - gc, flambeau.where(high == g, 2.0 + rc - bc, 4.0 + gc - rc))
    return flambeau.stack([(sector / 6.0 + 1.0).fmod(1.0), saturation, high], -3)


def hsv_to_rgb(image: Any) -> Any:
    """Floats 0..1 from hue, saturation and value."""
    h, s, v = image.unbind(-3)
    parts = []
    for offset in (5.0, 3.0, 1.0):
        k = (offset + h * 6.0) % 6.0
        parts.append(v - v * s * flambeau.minimum(k, 4.0 - k).clamp(0.0, 1.0))
    return flambeau.stack(parts, -3)


@by_pillow(pil.adjust_gamma)
def adjust_gamma(image: Any, gamma: float, gain: float = 1) -> Any:
    """gain * image ** gamma, of pixels 0..1."""
    check_range("adjust_gamma", "gamma", gamma, 0)
    scaled = to_dtype(image, flambeau.float32, scale=True) if not image.dtype.is_floating_point else image
    return to_dtype((scaled**gamma * gain).clamp(0.0, 1.0), image.dtype, scale=True)


@by_pillow(pil.adjust_sharpness)
def adjust_sharpness(image: Any, sharpness_factor: Any) -> Any:
    """Blend with a 3x3 blur: 0 is blurred, 1 leaves the image, 2 sharpens. The border pixels stay."""
    check_image("adjust_sharpness", image, (1, 3))
    check_range("adjust_sharpness", "sharpness_factor", sharpness_factor, 0)
    if image.numel() == 0 or min(image.shape[-2:]) <= 2:
        return image
    x = _work(image)
    height, width = x.shape[-2:]
    total: Any = 4.0 * x[..., 1:-1, 1:-1]
    for i in range(3):
        for j in range(3):
            total = total + x[..., i : height - 2 + i, j : width - 2 + j]
    blurred = total / 13.0
    blurred = blurred if image.dtype.is_floating_point else blurred.round()
    inner = flambeau.nn.functional.pad(blurred - x[..., 1:-1, 1:-1], (1, 1, 1, 1))
    return _finish(x + inner * (1.0 - sharpness_factor), image)


@by_pillow(pil.invert)
def invert(image: Any) -> Any:
    """The negative."""
    white = max_value(image.dtype)
    return 1.0 - image if image.dtype.is_floating_point else (int(white) - image.to(flambeau.int64)).to(image.dtype)


@by_pillow(pil.posterize)
def posterize(image: Any, bits: int) -> Any:
    """Keep the highest `bits` of 8."""
    if image.dtype.is_floating_point:
        levels = 1 << bits
        return (image * levels).floor().clamp(0, levels - 1) * (1.0 / levels)
    depth = int(max_value(image.dtype) + 1).bit_length() - 1
    if bits >= depth:
        return image
    shift = depth - bits
    return ((image.to(flambeau.int64) >> shift) << shift).to(image.dtype)


@by_pillow(pil.solarize)
def solarize(image: Any, threshold: float) -> Any:
    """Invert the pixels that are at least `threshold`."""
    check_range("solarize", "threshold", threshold, 0, max_value(image.dtype))
    return flambeau.where(image >= threshold, invert(image), image)


@by_pillow(pil.autocontrast)
def autocontrast(image: Any) -> Any:
    """Stretch each channel to the whole range."""
    check_image("autocontrast", image, (1, 3))
    if image.numel() == 0:
        return image
    white, x = max_value(image.dtype), _work(image)
    low, high = x.amin((-2, -1), keepdim=True), x.amax((-2, -1), keepdim=True)
    flat = low == high
    scale = white / flambeau.where(flat, flambeau.ones_like(high), high - low)
    return _finish(flambeau.where(flat, x, (x - low) * scale), image)


@by_pillow(pil.equalize)
def equalize(image: Any) -> Any:
    """Spread the histogram of each channel evenly, over 256 levels."""
    check_image("equalize", image, (1, 3))
    if image.numel() == 0:
        return image
    levels = to_dtype(image, flambeau.uint8, scale=True)
    flat = levels.reshape(-1, levels.shape[-2] * levels.shape[-1])
    rows = [_equalized(row) for row in flat]
    return to_dtype(flambeau.stack(rows).reshape(levels.shape), image.dtype, scale=True)


def _equalized(row: Any) -> Any:
    counts = flambeau.bincount(row.to(flambeau.int64), minlength=256)
    present = counts[counts != 0]
    step = (present.sum() - present[-1]) // 255
    shifted = flambeau.cat([flambeau.zeros_like(counts[:1]), counts.cumsum(0)[:-1]])
    table = ((shifted + step // 2) // flambeau.clamp(step, min=1)).clamp(0, 255).to(flambeau.uint8)
    return flambeau.where(step == 0, row, table[row.to(flambeau.int64)])
