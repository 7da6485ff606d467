"""Geometric functions with torchvision's names, for an image, a mask, boxes, points, or a PIL image; the same for all images of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau_vision.functional.convert import is_pil
from flambeau_vision.functional.geometry import (
    Geometry,
    InterpolationMode,
    apply_geometry,
    cropping,
    flipping,
    output_size,
    padding_out,
    resizing,
)
from flambeau_vision.functional.warp import affine_matrix, expanded_size, perspective_matrix, warping
from flambeau_vision.types import Image, Mask, wrap

_BILINEAR, _NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


def canvas_of(inpt: Any) -> tuple[int, int]:
    """(height, width) of an image, of a mask, or of what boxes and points lie on."""
    if is_pil(inpt):
        return int(inpt.height), int(inpt.width)
    if hasattr(inpt, "canvas_size"):
        size: tuple[int, int] = inpt.canvas_size
        return size
    return int(inpt.shape[-2]), int(inpt.shape[-1])


def move(inpt: Any, geometry: Geometry) -> Any:
    """The same kind of thing, moved."""
    out = apply_geometry(inpt, geometry, not is_pil(inpt) and inpt.ndim == 4)
    return wrap(out, inpt) if isinstance(inpt, (Image, Mask)) else out


def resize(inpt: Any, size: Any, interpolation: Any = _BILINEAR, max_size: int | None = None, antialias: bool = True) -> Any:
    """To (H, W), or the shorter side to one number.

    >>> import flambeau
    >>> resize(flambeau.zeros(3, 20, 40), 10).shape
    flambeau.Size([3, 10, 20])
    """
    old = canvas_of(inpt)
    return move(inpt, resizing(old, output_size(*old, size, max_size), interpolation, antialias))


def crop(inpt: Any, top: int, left: int, height: int, width: int) -> Any:
    """A window; what lies outside is zero."""
    return move(inpt, cropping(top, left, height, width))


def center_corner(old: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The top left corner of a window in the middle, rounded as torchvision does (a small image is padded)."""
    padded = [max(side, wanted) for side, wanted in zip(old, size, strict=True)]
    before = [(wanted - side) // 2 if wanted > side else 0 for side, wanted in zip(old, size, strict=True)]
    top, left = (round((side - wanted) / 2.0) - b for side, wanted, b in zip(padded, size, before, strict=True))
    return top, left


def center_crop(inpt: Any, output_size: Any) -> Any:
    """A window in the middle; a small image is padded with zeros."""
    size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size) * (3 - len(output_size))
    return move(inpt, cropping(*center_corner(canvas_of(inpt), (size[0], size[1])), size[0], size[1]))


def resized_crop(
    inpt: Any, top: int, left: int, height: int, width: int, size: Any, interpolation: Any = _BILINEAR, antialias: bool = True
) -> Any:
    """A window, resized."""
    return resize(crop(inpt, top, left, height, width), size, interpolation, antialias=antialias)


def horizontal_flip(inpt: Any) -> Any:
    """Left to right."""
    return move(inpt, flipping(True, canvas_of(inpt), -1))


def vertical_flip(inpt: Any) -> Any:
    """Upside down."""
    return move(inpt, flipping(True, canvas_of(inpt), -2))


def pad(inpt: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """More room: one number for all sides, (across, down), or (left, top, right, bottom)."""
    return move(inpt, padding_out(canvas_of(inpt), padding, fill, padding_mode))


def affine(
    inpt: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
    interpolation: Any = _NEAREST,
    fill: Any = 0,
    center: Sequence[float] | None = None,
) -> Any:
    """Shear, rotate (degrees, clockwise), scale, then move (pixels)."""
    old = canvas_of(inpt)
    middle = (old[1] / 2, old[0] / 2) if center is None else center
    tilt = (*shear, 0.0)[:2] if isinstance(shear, Sequence) else (float(shear), 0.0)
    return move(inpt, warping(affine_matrix(angle, translate, scale, tilt, middle), old, interpolation, fill))


def rotate(
    inpt: Any, angle: float, interpolation: Any = _NEAREST, expand: bool = False, center: Sequence[float] | None = None, fill: Any = 0
) -> Any:
    """Rotate (degrees, counter-clockwise); `expand` makes room for the corners."""
    old = canvas_of(inpt)
    middle = (old[1] / 2, old[0] / 2) if center is None or expand else center
    matrix, size = affine_matrix(-angle, (0, 0), 1.0, (0, 0), middle), old
    if expand:
        matrix, size = expanded_size(matrix, old)
    return move(inpt, warping(matrix, size, interpolation, fill))


def perspective(
    inpt: Any, startpoints: Sequence[Sequence[float]], endpoints: Sequence[Sequence[float]], interpolation: Any = _BILINEAR, fill: Any = 0
) -> Any:
    """Four corners (top left, top right, bottom right, bottom left) to four other places."""
    return move(inpt, warping(np.asarray(perspective_matrix(startpoints, endpoints)), canvas_of(inpt), interpolation, fill))
