"""Pictures of results: grids, boxes, masks, files and GIFs."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.base.files import atomic_write
from flambeau_vision.functional.convert import to_pil_image

Colour = str | tuple[int, int, int]
COLOURS = ((230, 60, 50), (40, 120, 200), (60, 160, 70), (240, 160, 30), (140, 80, 180), (20, 170, 170), (200, 90, 150), (120, 120, 120))


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Any:
    """Images side by side, `nrow` in a row: (3, H', W').

    Args:
        tensor: a batch (N, C, H, W), one image, or a list of images of one size; one channel becomes three.
        nrow: images in a row.
        padding: pixels between.
        normalize: shift and scale to 0..1, from `value_range` or from what is there.
        value_range: (low, high) for `normalize`.
        scale_each: normalise each image by itself.
        pad_value: what is between.

    >>> make_grid(flambeau.zeros(5, 1, 4, 6), nrow=3).shape
    flambeau.Size([3, 14, 26])
    """
    x = flambeau.stack(list(tensor)) if isinstance(tensor, (list, tuple)) else tensor.as_subclass(Tensor)
    x = x[None] if x.ndim == 2 else x
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise ShapeError(explain("make_grid", expected="images of 1 or 3 channels, (N, C, H, W)", got=f"shape {tuple(x.shape)}"))
    x = flambeau.cat([x] * 3, 1) if x.shape[1] == 1 else x
    if normalize:
        x = _normalised(x.to(flambeau.float32), value_range, scale_each)
    n, channels, height, width = x.shape
    if n == 0:
        raise ArgumentError(explain("make_grid", expected="at least one image", got="none"))
    if n == 1:
        return x[0]
    columns = min(nrow, n)
    rows = math.ceil(n / columns)
    grid = flambeau.full((channels, (height + padding) * rows + padding, (width + padding) * columns + padding), pad_value).to(x.dtype)
    for i in range(n):
        top, left = (i // columns) * (height + padding) + padding, (i % columns) * (width + padding) + padding
        grid[:, top : top + height, left : left + width] = x[i].cpu()
    return grid


def _normalised(x: Any, value_range: tuple[float, float] | None, each: bool) -> Any:
    if each:
        return flambeau.stack([_normalised(image[None], value_range, False)[0] for image in x])
    low, high = value_range if value_range is not None else (float(x.min()), float(x.max()))
    return (x.clamp(low, high) - low) / max(high - low, 1e-5)


def save_image(tensor: Any, path: str | os.PathLike[str], format: str | None = None, **grid: Any) -> None:
    """Write an image, or a grid of images, of floats 0..1 or uint8. The file appears whole or not at all."""
    picture = make_grid(tensor, **grid)
    if picture.dtype.is_floating_point:  # rounded, as torchvision does
        picture = (picture * 255 + 0.5).clamp(0, 255).to(flambeau.uint8)
    save_picture(to_pil_image(picture), path, format)


def save_picture(picture: Any, path: str | os.PathLike[str], format: str | None = None, **options: Any) -> None:
    """Write a PIL image; the format is that of the name, or PNG."""
    memory = io.BytesIO()
    suffix = os.path.splitext(os.fspath(path))[1].lstrip(".").upper()
    name = (format or suffix or "PNG").upper()
    picture.save(memory, "JPEG" if name == "JPG" else name, **options)
    with atomic_write(path) as file:
        file.write(memory.getvalue())


def save_gif(frames: Sequence[Any], path: str | os.PathLike[str], duration: int = 100, loop: int = 0) -> None:
    """Write images (C, H, W) of one size as a moving picture: `duration` milliseconds each, `loop` times (0: for ever)."""
    if not len(frames):
        raise ArgumentError(explain("save_gif", expected="at least one frame", got="none"))
    pictures = [to_pil_image(frame) for frame in frames]
    save_picture(pictures[0], path, "GIF", save_all=True, append_images=pictures[1:], duration=duration, loop=loop)


def _bytes(image: Any) -> Any:
    """A PIL image in RGB."""
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ShapeError(explain("draw", expected="one image (1 or 3, H, W)", got=f"shape {tuple(image.shape)}"))
    return to_pil_image(image).convert("RGB")


def _tensor(picture: Any, like: Any) -> Any:
    array = flambeau.from_numpy(np.array(picture).transpose(2, 0, 1).copy())
    return array.to(flambeau.float32) / 255 if like.dtype.is_floating_point else array


def _colour(colors: Any, i: int) -> Any:
    if colors is None:
        return COLOURS[i % len(COLOURS)]
    return colors[i % len(colors)] if isinstance(colors, list) else colors


def draw_bounding_boxes(
    image: Any, boxes: Any, labels: Sequence[str] | None = None, colors: Any = None, fill: bool = False, width: int = 1
) -> Any:
    """An image (C, H, W) with boxes (n, 4), xyxy, and names; uint8 or floats 0..1, as it came.

    `colors` is one colour, or a list with one for each box.
    """
    from PIL import Image, ImageDraw

    corners = boxes.detach().cpu().numpy().reshape(-1, 4)
    if labels is not None and len(labels) != len(corners):
        raise ArgumentError(explain("draw_bounding_boxes", expected=f"{len(corners)} labels", got=str(len(labels))))
    picture = _bytes(image)
    if fill:
        layer = picture.copy()
        for i, box in enumerate(corners.tolist()):
            ImageDraw.Draw(layer).rectangle(box, fill=_colour(colors, i))
        picture = Image.blend(picture, layer, 0.4)
    draw = ImageDraw.Draw(picture)
    for i, box in enumerate(corners.tolist()):
        if box[2] < box[0] or box[3] < box[1]:
            raise ArgumentError(explain("draw_bounding_boxes", expected="x1 <= x2 and y1 <= y2", got=str(box)))
        draw.rectangle(box, outline=_colour(colors, i), width=width)
        if labels is not None:
            draw.text((box[0] + width + 1, box[1] + width), labels[i], fill=_colour(colors, i))
    return _tensor(picture, image)


def draw_segmentation_masks(image: Any, masks: Any, alpha: float = 0.8, colors: Any = None) -> Any:
    """An image (C, H, W) under masks (n, H, W) of bools: `alpha` is how much of the image they cover."""
    from PIL import ImageColor

    chosen = masks.detach().cpu().numpy().astype(bool)
    chosen = chosen[None] if chosen.ndim == 2 else chosen
    pixels = np.array(_bytes(image)).astype(np.float32)
    if chosen.shape[1:] != pixels.shape[:2]:
        expected = f"masks (n, {pixels.shape[0]}, {pixels.shape[1]})"
        raise ShapeError(explain("draw_segmentation_masks", expected=expected, got=f"shape {tuple(masks.shape)}"))
    painted = pixels.copy()
    for i, mask in enumerate(chosen):
        colour = _colour(colors, i)
        painted[mask] = ImageColor.getrgb(colour) if isinstance(colour, str) else colour
    mixed = np.where(chosen.any(0)[..., None], (1 - alpha) * pixels + alpha * painted, pixels)
    return _tensor(mixed.round().astype(np.uint8), image)
