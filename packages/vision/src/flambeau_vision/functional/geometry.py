"""Moving pixels and coordinates alike.

A `Geometry` says what happens to pixels (N, C, H, W), to points (N, n, 2), and how large the result is; `apply_geometry` does it to an
image, a mask, boxes or points. Every number of a geometry may differ from image to image of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau_vision.functional.boxes import clamp_bounding_boxes, convert_bounding_box_format
from flambeau_vision.functional.convert import is_pil, pil_to_tensor, to_pil_image
from flambeau_vision.functional.fused import fused
from flambeau_vision.functional.pil import MODES, mirrored, resized
from flambeau_vision.types import BoundingBoxes, BoundingBoxFormat, KeyPoints, Mask, wrap


class InterpolationMode(Enum):
    """How pixels between pixels are made."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


def mode_of(interpolation: InterpolationMode | str) -> str:
    """The name of a mode that is given as such or by name."""
    name = interpolation.value if isinstance(interpolation, InterpolationMode) else interpolation
    if name not in [mode.value for mode in InterpolationMode]:
        known = ", ".join(mode.value for mode in InterpolationMode)
        raise ArgumentError(explain("interpolation", expected=f"one of {known}", got=repr(interpolation)))
    return str(name)


@dataclass(frozen=True)
class Geometry:
    """`pixels(x, is_mask)` on (N, C, H, W); `points(xy)` on (N, n, 2), continuous, a pixel is from i to i + 1; `size` of the result."""

    pixels: Callable[[Any, bool], Any]
    points: Callable[[Any], Any]
    size: tuple[int, int]
    clamp: bool = True  # whether boxes end at the border
    pil: Callable[[Any], Any] | None = None  # a PIL image of MODES, by Pillow


def apply_geometry(inpt: Any, geometry: Geometry, batched: bool = False) -> Any:
    """The same kind of thing, moved. `batched` says whether the first axis counts images."""
    if is_pil(inpt):
        if geometry.pil is not None and inpt.mode in MODES:
            return geometry.pil(inpt)
        return to_pil_image(apply_geometry(pil_to_tensor(inpt), geometry))
    if isinstance(inpt, BoundingBoxes):
        return _move_boxes(inpt, geometry)
    if isinstance(inpt, KeyPoints):
        points = _float(inpt.plain())
        flat = points.reshape(points.shape[0] if batched else 1, -1, 2)
        made = wrap(_like(geometry.points(flat).reshape(points.shape), inpt), inpt)
        made.canvas_size = geometry.size
        return made
    is_mask = isinstance(inpt, Mask)
    plain = inpt.as_subclass(Tensor)
    lead = 1 if batched else 0
    x = plain if batched else plain[None]
    if x.ndim == 3:  # masks without an axis of objects
        x = x[:, None]
    out = geometry.pixels(x.reshape(x.shape[0], -1, *x.shape[-2:]), is_mask)
    return out.reshape(*plain.shape[:lead], *plain.shape[lead:-2], *out.shape[-2:])


def _float(x: Any) -> Any:
    return x if x.dtype.is_floating_point else x.to(flambeau.float32)


def _like(x: Any, other: Any) -> Any:
    return x if other.dtype.is_floating_point else x.round().to(other.dtype)


def _move_boxes(boxes: Any, geometry: Geometry) -> Any:
    corners = _float(convert_bounding_box_format(boxes, BoundingBoxFormat.XYXY).plain())
    x1, y1, x2, y2 = (corners if corners.ndim == 3 else corners[None]).unbind(-1)  # N n
    n = x1.shape[-1]
    points = flambeau.stack([flambeau.cat([x1, x2, x2, x1], -1), flambeau.cat([y1, y1, y2, y2], -1)], -1)
    moved = geometry.points(points)  # N 4n 2
    moved = moved.reshape(moved.shape[0], 4, n, 2)
    new = flambeau.cat([moved.amin(1), moved.amax(1)], -1).reshape(corners.shape)
    made = BoundingBoxes(_like(new, boxes), format=BoundingBoxFormat.XYXY, canvas_size=geometry.size)
    made = clamp_bounding_boxes(made) if geometry.clamp else made
    return convert_bounding_box_format(made, boxes.format)


def numbers(values: Any, like: Any) -> Any:
    """One number for each image, (N, 1, 1, 1), beside `like`."""
    array = np.asarray(values, np.float32).reshape(-1, 1, 1, 1)
    return flambeau.from_numpy(array).to(like.device)


def _offsets(values: Any, points: Any) -> Any:
    """(N, 1, 2) from N pairs (or one)."""
    return flambeau.from_numpy(np.asarray(values, np.float32).reshape(-1, 1, 2)).to(points.device)


# -- resize -------------------------------------------------------------------------------------------------------------------------------
def output_size(height: int, width: int, size: Any, max_size: int | None = None) -> tuple[int, int]:
    """(H, W) after resizing: both sides, or the shorter one (`size` an int) with the longer one at most `max_size`.

    >>> output_size(100, 200, 50), output_size(100, 200, 50, 80), output_size(100, 200, None, 50), output_size(7, 7, (3, 5))
    ((50, 100), (40, 80), (25, 50), (3, 5))
    """
    if isinstance(size, Sequence) and len(size) == 2:
        if max_size is not None:
            raise ArgumentError(explain("resize", expected="max_size with a single size", got=repr(size)))
        return int(size[0]), int(size[1])
    short, long = min(height, width), max(height, width)
    if short < 1:
        raise ArgumentError(explain("resize", expected="an image of at least one pixel", got=f"{height} x {width}"))
    if size is None:
        if max_size is None:
            raise ArgumentError(explain("resize", expected="size or max_size", got="neither"))
        new_short, new_long = int(max_size * short / long), max_size
    else:
        new_short = int(size[0] if isinstance(size, Sequence) else size)
        if max_size is not None and max_size <= new_short:
            raise ArgumentError(explain("resize", expected=f"max_size above size={new_short}", got=repr(max_size)))
        new_long = int(new_short * long / short)
        if max_size is not None and new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_long, new_short) if height > width else (new_short, new_long)


def resample(x: Any, size: tuple[int, int], mode: str, antialias: bool) -> Any:
    """Pixels (N, C, H, W) resized, in their dtype."""
    if min(size) < 1 or min(x.shape[-2:]) < 1:
        raise ArgumentError(explain("resize", expected="sides of at least one pixel", got=f"{tuple(x.shape[-2:])} to {size}"))
    if tuple(x.shape[-2:]) == size:
        return x
    if x.shape[0] * x.shape[1] == 0:
        return flambeau.zeros((*x.shape[:2], *size), dtype=x.dtype, device=x.device)
    smooth = mode in ("bilinear", "bicubic")
    work = x if x.dtype.is_floating_point else x.to(flambeau.float32)
    out = F.interpolate(work, size=size, mode=mode, antialias=antialias and smooth, align_corners=False if smooth else None)
    if x.dtype.is_floating_point:
        return out
    if mode == "bicubic":
        out = out.clamp(
            *((0, 255) if x.dtype == flambeau.uint8 else (float(flambeau.iinfo(x.dtype).min), float(flambeau.iinfo(x.dtype).max)))
        )
    return (out.round() if smooth else out).to(x.dtype)


def resizing(old: tuple[int, int], size: tuple[int, int], interpolation: Any, antialias: bool = True) -> Geometry:
    """All images to one size."""
    mode = mode_of(interpolation)
    ratio = (size[1] / max(old[1], 1), size[0] / max(old[0], 1))
    return Geometry(
        lambda x, mask: resample(x, size, "nearest" if mask else mode, antialias),
        lambda xy: xy * _offsets(ratio, xy),
        size,
        pil=lambda image: resized(image, size, mode),
    )


# -- crops, padding, flips ----------------------------------------------------------------------------------------------------------------
def cropping(top: Any, left: Any, height: int, width: int) -> Geometry:
    """A window of one size, at a place of its own in each image; what lies outside the image is zero."""
    tops, lefts = np.asarray(top, np.int64).reshape(-1), np.asarray(left, np.int64).reshape(-1)
    if height < 0 or width < 0:
        raise ArgumentError(explain("crop", expected="height and width of 0 or more", got=f"{height} x {width}"))
    shift, (x1, y1) = np.stack([lefts, tops], -1), (int(lefts[0]), int(tops[0]))
    return Geometry(
        lambda x, mask: _crop(x, tops, lefts, height, width),
        lambda xy: xy - _offsets(shift, xy),
        (height, width),
        pil=lambda image: image.crop((x1, y1, x1 + width, y1 + height)),
    )


def _crop(x: Any, tops: Any, lefts: Any, height: int, width: int) -> Any:
    before = (max(0, -int(lefts.min())), max(0, -int(tops.min())))
    after = (max(0, int(lefts.max()) + width - x.shape[-1]), max(0, int(tops.max()) + height - x.shape[-2]))
    if any(before) or any(after):
        x = F.pad(x, (before[0], after[0], before[1], after[1]))
        tops, lefts = tops + before[1], lefts + before[0]
    if len(set(tops.tolist())) == 1 == len(set(lefts.tolist())):
        return x[..., int(tops[0]) : int(tops[0]) + height, int(lefts[0]) : int(lefts[0]) + width]
    if height == 0 or width == 0:
        return x[..., :height, :width]
    parts = [x[i, :, t : t + height, s : s + width] for i, (t, s) in enumerate(zip(tops.tolist(), lefts.tolist(), strict=True))]
    return flambeau.stack(parts)


_MIRROR = {-1: lambda x, which: flambeau.where(which, x.flip(-1), x), -2: lambda x, which: flambeau.where(which, x.flip(-2), x)}


def flipping(which: Any, old: tuple[int, int], axis: int) -> Geometry:
    """Mirror the images that are chosen: axis -1 left to right, -2 upside down."""
    chosen = np.asarray(which, bool).reshape(-1)
    side = old[1] if axis == -1 else old[0]

    def pixels(x: Any, mask: bool) -> Any:
        if chosen.all() or not chosen.any():
            return x.flip(axis) if chosen.any() else x
        return fused(_MIRROR[axis], x, flambeau.from_numpy(chosen.reshape(-1, 1, 1, 1)).to(x.device))

    def points(xy: Any) -> Any:
        sign = np.ones((len(chosen), 1, 2), np.float32)
        shift = np.zeros((len(chosen), 1, 2), np.float32)
        sign[chosen, :, 0 if axis == -1 else 1] = -1.0
        shift[chosen, :, 0 if axis == -1 else 1] = side
        return xy * flambeau.from_numpy(sign).to(xy.device) + flambeau.from_numpy(shift).to(xy.device)

    return Geometry(pixels, points, old, pil=lambda image: mirrored(image, axis) if chosen[0] else image)


PADDING_MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "symmetric": "symmetric"}


def four_sides(padding: Any) -> tuple[int, int, int, int]:
    """Left, top, right, bottom from one, two (across, down) or four numbers."""
    if isinstance(padding, int):
        return (padding,) * 4
    sides = tuple(int(side) for side in padding)
    if len(sides) == 1:
        return (sides[0],) * 4
    if len(sides) == 2:
        return (sides[0], sides[1], sides[0], sides[1])
    if len(sides) == 4:
        return (sides[0], sides[1], sides[2], sides[3])
    raise ArgumentError(explain("pad", expected="1, 2 or 4 numbers", got=repr(padding)))


def padding_out(old: tuple[int, int], padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Geometry:
    """More room on four sides; negative numbers take room away."""
    left, top, right, bottom = four_sides(padding)
    if padding_mode not in PADDING_MODES:
        raise ArgumentError(explain("pad", expected=f"padding_mode of {', '.join(PADDING_MODES)}", got=repr(padding_mode)))
    size = (old[0] + top + bottom, old[1] + left + right)
    if min(size) < 0:
        raise ArgumentError(explain("pad", expected="some image to be left", got=f"padding {padding} of {old}"))

    def pixels(x: Any, mask: bool) -> Any:
        if padding_mode == "constant":
            sides = (left, right, top, bottom)
            return fill_outside(F.pad(x, sides), lambda: F.pad(flambeau.ones_like(x[:, :1]), sides), fill, mask)
        if padding_mode == "symmetric":
            return _symmetric(x, (left, right, top, bottom))
        work = x if x.dtype.is_floating_point else x.to(flambeau.float32)
        return F.pad(work, (left, right, top, bottom), PADDING_MODES[padding_mode]).to(x.dtype)

    return Geometry(pixels, lambda xy: xy + _offsets((left, top), xy), size)


def _symmetric(x: Any, sides: tuple[int, int, int, int]) -> Any:
    for axis, (before, after) in ((-1, sides[:2]), (-2, sides[2:])):
        place = np.pad(np.arange(x.shape[axis]), (max(before, 0), max(after, 0)), mode="symmetric")
        place = place[max(-before, 0) : len(place) - max(-after, 0)]
        x = x.index_select(axis, flambeau.from_numpy(place).to(x.device))
    return x


def fill_outside(x: Any, inside: Callable[[], Any], fill: Any, mask: bool) -> Any:
    """x where `inside()` (N, 1, H, W) is not zero, and `fill` elsewhere: a number, or one for each channel. Masks get 0."""
    values = np.atleast_1d(np.asarray(0 if mask or fill is None else fill, np.float64))
    if not values.any():
        return x
    if len(values) not in (1, x.shape[1]):
        raise ArgumentError(explain("fill", expected=f"one number or {x.shape[1]}", got=repr(fill)))
    colour = flambeau.from_numpy(values.reshape(1, -1, 1, 1)).to(x.device).to(x.dtype)
    return flambeau.where(inside() != 0, x, colour)
