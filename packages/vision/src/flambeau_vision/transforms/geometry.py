"""Transforms that move pixels, and boxes, masks and points with them. Names, arguments and defaults are those of torchvision's v2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.functional.geometry import (
    Geometry,
    InterpolationMode,
    cropping,
    flipping,
    four_sides,
    mode_of,
    output_size,
    padding_out,
    resizing,
)
from flambeau_vision.functional.single import center_corner
from flambeau_vision.functional.warp import affine_matrix, expanded_size, perspective_matrix, warping
from flambeau_vision.functional.window import windows_resized
from flambeau_vision.transforms.base import Frame, Transform, check_chance, coins, integers, pair, span, uniform

_BILINEAR, _NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


class Resize(Transform):
    """To (H, W), or the shorter side to one number (the longer one then at most `max_size`).

    >>> import flambeau
    >>> Resize(16)(flambeau.zeros(3, 32, 64)).shape
    flambeau.Size([3, 16, 32])
    """

    def __init__(self, size: Any, interpolation: Any = _BILINEAR, max_size: int | None = None, antialias: bool = True) -> None:
        mode_of(interpolation)
        if isinstance(size, int) or (size is not None and len(size) == 1):
            pair("Resize", size)
        self.size, self.interpolation, self.max_size, self.antialias = size, interpolation, max_size, antialias

    def geometry(self, params: dict[str, Any], frame: Frame) -> Geometry:
        old = (frame.height, frame.width)
        return resizing(old, output_size(*old, self.size, self.max_size), self.interpolation, self.antialias)


class CenterCrop(Transform):
    """The middle; a small image is padded with zeros."""

    def __init__(self, size: Any) -> None:
        self.size = pair("CenterCrop", size)

    def geometry(self, params: dict[str, Any], frame: Frame) -> Geometry:
        return cropping(*center_corner((frame.height, frame.width), self.size), *self.size)


class Pad(Transform):
    """More room on four sides."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        four_sides(padding)
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def geometry(self, params: dict[str, Any], frame: Frame) -> Geometry:
        return padding_out((frame.height, frame.width), self.padding, self.fill, self.padding_mode)


class _RandomFlip(Transform):
    _axis = -1

    def __init__(self, p: float = 0.5) -> None:
        self.p = check_chance(type(self).__name__, p)

    def make_params(self, frame: Frame) -> dict[str, Any]:
        return {"flip": coins(self.p, frame.count)}

    def geometry(self, params: dict[str, Any], frame: Frame) -> Geometry:
        return flipping(params["flip"], (frame.height, frame.width), self._axis)


class RandomHorizontalFlip(_RandomFlip):
    """Left to right with chance p."""


class RandomVerticalFlip(_RandomFlip):
    """Upside down with chance p."""

    _axis = -2


class RandomCrop(Transform):
    """A window of one size at a random place; `padding` goes around the image before, and `pad_if_needed` pads small images."""

    def __init__(self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: Any = 0, padding_mode: str = "constant") -> None:
        self.size, self.padding = pair("RandomCrop", size), padding
        self.pad_if_needed, self.fill, self.padding_mode = pad_if_needed, fill, padding_mode

    def _padding(self, frame: Frame) -> tuple[int, int, int, int]:
        left, top, right, bottom = (0, 0, 0, 0) if self.padding is None else four_sides(self.padding)
        if self.pad_if_needed:
            down = max(self.size[0] - frame.height - top - bottom, 0)
            across = max(self.size[1] - frame.width - left - right, 0)
            left, top, right, bottom = left + across, top + down, right + across, bottom + down
        return left, top, right, bottom

    def make_params(self, frame: Frame) -> dict[str, Any]:
        left, top, right, bottom = self._padding(frame)
        height, width = frame.height + top + bottom, frame.width + left + right
        if height < self.size[0] or width < self.size[1]:
            expected, got = f"an image of at least {self.size[0]} x {self.size[1]}", f"{height} x {width}"
            raise ArgumentError(explain("RandomCrop", expected=expected, got=got, hint="pad_if_needed=True, or padding"))
        return {
            "top": integers(0, height - self.size[0] + 1, frame.count),
            "left": integers(0, width - self.size[1] + 1, frame.count),
        }

    def geometry(self, params: dict[str, Any], frame: Frame) -> Geometry:
        sides = self._padding(frame)
        padded = padding_out((frame.height, frame.width), sides, self.fill, self.padding_mode)
        window = cropping(params["top"], params["left"], *self.size)
        return window if not any(sides) else _then(padded, window)


def _then(first: Geometry, second: Geometry) -> Geometry:
    one, two = first.pil, second.pil
    return Geometry(
        lambda x, mask: second.pixels(first.pixels(x, mask), mask),
        lambda xy: second.points(first.points(xy)),
        second.size,
        second.clamp,
        None if one is None or two is None else lambda image: two(one(image)),
    )


class RandomResizedCrop(Transform):
    """A window of random area and shape, resized to one size (Szegedy et al. 2014, https://arxiv.org/abs/1409.4842).

    Args:
        size: of the result.
        scale: the window's share of the area.
        ratio: the window's width / height, drawn evenly on a logarithmic scale.
        interpolation, antialias: as in Resize.
    """

    def __init__(
        self,
        size: Any,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = _BILINEAR,
        antialias: bool = True,
    ) -> None:
        self.size = pair("RandomResizedCrop", size)
        self.scale, self.ratio = span("RandomResizedCrop", scale, low=0.0), span("RandomResizedCrop", ratio, low=0.0)
        self.interpolation, self.antialias = interpolation, antialias

    def _window(self, frame: Frame) -> tuple[int, int, int, int]:
        """Top, left, height, width."""
        area = frame.height * frame.width
        tries = 10
        shares = uniform(*self.scale, tries) * area
        ratios = np.exp(uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), tries))
        for share, ratio in zip(shares.tolist(), ratios.tolist(), strict=True):
            width, height = round(math.sqrt(share * ratio)), round(math.sqrt(share / ratio))
            if 0 < width <= frame.width and 0 < height <= frame.height:
                top, left = integers(0, frame.height - height + 1, 1), integers(0, frame.width - width + 1, 1)
                return int(top[0]), int(left[0]), height, width
        shape = frame.width / frame.height  # no window fits: the largest one in the middle
        height, width = frame.height, frame.width
        if shape < self.ratio[0]:
            height = round(width / self.ratio[0])
        elif shape > self.ratio[1]:
            width = round(height * self.ratio[1])
        return (frame.height - height) // 2, (frame.width - width) // 2, height, width

    def make_params(self, frame: Frame) -> dict[str, Any]:
        return {"window": np.array([self._window(frame) for _ in range(frame.count)])}

    def geometry(self, params: dict[str, Any], frame: Frame) -> Geometry:
        windows = params["window"]
        if len(windows) == 1:
            top, left, height, width = windows[0].tolist()
            window = cropping(top, left, height, width)
            return _then(window, resizing((height, width), self.size, self.interpolation, self.antialias))
        return windows_resized(windows, self.size, self.interpolation, self.antialias)


class RandomRotation(Transform):
    """Rotate by random degrees, counter-clockwise. Arguments as in `functional.rotate`; `degrees` is a range or one bound of it."""

    def __init__(
        self, degrees: Any, interpolation: Any = _NEAREST, expand: bool = False, center: Sequence[float] | None = None, fill: Any = 0
    ) -> None:
        self.degrees = span("RandomRotation", degrees)
        self.interpolation, self.expand, self.center, self.fill = interpolation, expand, center, fill

    def make_params(self, frame: Frame) -> dict[str, Any]:
        if self.expand and frame.count > 1:
            raise ArgumentError(explain("RandomRotation", expected="expand=False for a batch", got="results of different sizes"))
        return {"angle": uniform(*self.degrees, frame.count)}

    def geometry(self, params: dict[str, Any], frame: Frame) -> Geometry:
        old = (frame.height, frame.width)
        middle = (old[1] / 2, old[0] / 2) if self.center is None or self.expand else self.center
        matrices = [affine_matrix(-angle, (0, 0), 1.0, (0, 0), middle) for angle in params["angle"].tolist()]
        if self.expand:
            matrix, old = expanded_size(matrices[0], old)
            matrices = [matrix]
        return warping(np.stack(matrices), old, self.interpolation, self.fill)


class RandomAffine(Transform):
    """Random rotation (degrees), translation (shares of the size), scale, and shear (degrees)."""

    def __init__(
        self,
        degrees: Any,
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: Any = None,
        interpolation: Any = _NEAREST,
        fill: Any = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        name = "RandomAffine"
        self.degrees = span(name, degrees)
        if translate is not None and (len(translate) != 2 or not all(0 <= share <= 1 for share in translate)):
            raise ArgumentError(explain(name, expected="translate as two shares from 0 to 1", got=repr(translate)))
        self.translate = None if translate is None else tuple(translate)
        self.scale = None if scale is None else span(name, tuple(scale), low=1e-6)
        if isinstance(shear, Sequence) and len(shear) == 4:
            self.shear: Any = (*span(name, tuple(shear[:2])), *span(name, tuple(shear[2:])))
        else:
            self.shear = None if shear is None else (*span(name, shear), 0.0, 0.0)
        self.interpolation, self.fill, self.center = interpolation, fill, center

    def make_params(self, frame: Frame) -> dict[str, Any]:
        n = frame.count
        across, down = (0.0, 0.0) if self.translate is None else self.translate
        moves = np.stack([np.round(uniform(-s, s, n)) for s in (across * frame.width, down * frame.height)], -1)
        x1, x2, y1, y2 = self.shear or (0.0,) * 4
        return {
            "angle": uniform(*self.degrees, n),
            "translate": moves,
            "scale": np.ones(n) if self.scale is None else uniform(*self.scale, n),
            "shear": np.stack([uniform(x1, x2, n), uniform(y1, y2, n)], -1),
        }

    def geometry(self, params: dict[str, Any], frame: Frame) -> Geometry:
        old = (frame.height, frame.width)
        middle = (old[1] / 2, old[0] / 2) if self.center is None else self.center
        columns = [params[name].tolist() for name in ("angle", "translate", "scale", "shear")]
        matrices = [affine_matrix(angle, move, scale, shear, middle) for angle, move, scale, shear in zip(*columns, strict=True)]
        return warping(np.stack(matrices), old, self.interpolation, self.fill)


class RandomPerspective(Transform):
    """With chance p, each corner moves inwards by up to half of `distortion_scale` of the size."""

    def __init__(self, distortion_scale: float = 0.5, p: float = 0.5, interpolation: Any = _BILINEAR, fill: Any = 0) -> None:
        if not 0 <= distortion_scale <= 1:
            raise ArgumentError(explain("RandomPerspective", expected="distortion_scale from 0 to 1", got=repr(distortion_scale)))
        self.distortion_scale, self.p = distortion_scale, check_chance("RandomPerspective", p)
        self.interpolation, self.fill = interpolation, fill

    def make_params(self, frame: Frame) -> dict[str, Any]:
        matrices = [self._matrix(frame) if on else np.eye(3) for on in coins(self.p, frame.count)]
        return {"matrix": np.stack(matrices)}

    def _matrix(self, frame: Frame) -> np.ndarray:
        right, bottom = frame.width - 1, frame.height - 1
        dx, dy = int(self.distortion_scale * (frame.width // 2)), int(self.distortion_scale * (frame.height // 2))
        x, y = integers(0, dx + 1, 4).tolist(), integers(0, dy + 1, 4).tolist()
        start = [(0, 0), (right, 0), (right, bottom), (0, bottom)]
        end = [(x[0], y[0]), (right - x[1], y[1]), (right - x[2], bottom - y[2]), (x[3], bottom - y[3])]
        return perspective_matrix(start, end)

    def geometry(self, params: dict[str, Any], frame: Frame) -> Geometry | None:
        return warping(params["matrix"], (frame.height, frame.width), self.interpolation, self.fill)
