"""RandAugment and TrivialAugment: one or a few operations of a list, with a strength. Every image of a batch has its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain
from flambeau_vision import functional as F
from flambeau_vision.functional.convert import is_pil, max_value
from flambeau_vision.functional.geometry import InterpolationMode
from flambeau_vision.functional.single import canvas_of
from flambeau_vision.transforms.base import coins, integers
from flambeau_vision.transforms.compose import EachImage
from flambeau_vision.types import Image, wrap

# Name -> (strengths from 0 to the last bin, given the number of bins and the image's height and width; whether the sign is random).
Space = dict[str, tuple[Callable[[int, int, int], np.ndarray | None], bool]]


def _line(low: float, high: float) -> Callable[[int, int, int], np.ndarray]:
    return lambda bins, height, width: np.linspace(low, high, bins)


def _bits(lost: float) -> Callable[[int, int, int], np.ndarray]:
    return lambda bins, height, width: 8 - np.round(np.arange(bins) / ((bins - 1) / lost))


def _none(bins: int, height: int, width: int) -> None:
    return None


_RAND: Space = {
    "Identity": (_none, False),
    "ShearX": (_line(0.0, 0.3), True),
    "ShearY": (_line(0.0, 0.3), True),
    "TranslateX": (lambda bins, height, width: np.linspace(0.0, 150.0 / 331.0 * width, bins), True),
    "TranslateY": (lambda bins, height, width: np.linspace(0.0, 150.0 / 331.0 * height, bins), True),
    "Rotate": (_line(0.0, 30.0), True),
    "Brightness": (_line(0.0, 0.9), True),
    "Color": (_line(0.0, 0.9), True),
    "Contrast": (_line(0.0, 0.9), True),
    "Sharpness": (_line(0.0, 0.9), True),
    "Posterize": (_bits(4), False),
    "Solarize": (_line(1.0, 0.0), False),
    "AutoContrast": (_none, False),
    "Equalize": (_none, False),
}
_TRIVIAL: Space = {
    **_RAND,
    "ShearX": (_line(0.0, 0.99), True),
    "ShearY": (_line(0.0, 0.99), True),
    "TranslateX": (_line(0.0, 32.0), True),
    "TranslateY": (_line(0.0, 32.0), True),
    "Rotate": (_line(0.0, 135.0), True),
    "Brightness": (_line(0.0, 0.99), True),
    "Color": (_line(0.0, 0.99), True),
    "Contrast": (_line(0.0, 0.99), True),
    "Sharpness": (_line(0.0, 0.99), True),
    "Posterize": (_bits(6), False),
}


def apply_named(image: Any, name: str, strength: float, interpolation: Any, fill: Any) -> Any:
    """One operation of the list on (C, H, W) or a PIL image."""
    if name in ("ShearX", "ShearY"):
        degrees = float(np.degrees(np.arctan(strength)))
        shear = (degrees, 0.0) if name == "ShearX" else (0.0, degrees)
        return F.affine(image, 0.0, (0, 0), 1.0, shear, interpolation, fill, (0, 0))
    if name in ("TranslateX", "TranslateY"):
        move = (int(strength), 0) if name == "TranslateX" else (0, int(strength))
        return F.affine(image, 0.0, move, 1.0, (0.0, 0.0), interpolation, fill)
    if name == "Rotate":
        return F.rotate(image, strength, interpolation, fill=fill)
    if name == "Posterize":
        return F.posterize(image, int(strength))
    if name == "Solarize":
        return F.solarize(image, strength * (255 if is_pil(image) else max_value(image.dtype)))
    simple: dict[str, Callable[[], Any]] = {
        "Identity": lambda: image,
        "Brightness": lambda: F.adjust_brightness(image, 1.0 + strength),
        "Color": lambda: F.adjust_saturation(image, 1.0 + strength),
        "Contrast": lambda: F.adjust_contrast(image, 1.0 + strength),
        "Sharpness": lambda: F.adjust_sharpness(image, 1.0 + strength),
        "AutoContrast": lambda: F.autocontrast(image),
        "Equalize": lambda: F.equalize(image),
    }
    return simple[name]()


class _Augment(EachImage):
    _space: Space

    def __init__(self, interpolation: Any, fill: Any) -> None:
        self.interpolation, self.fill = interpolation, fill

    def _pick(self, bins: int, level: int | None, height: int, width: int) -> tuple[str, float]:
        """A random operation and its strength, at a level or a random one."""
        name = list(self._space)[integers(0, len(self._space), 1)[0]]
        strengths, signed = self._space[name]
        values = strengths(bins, height, width)
        if values is None:
            return name, 0.0
        chosen = float(values[integers(0, bins, 1)[0] if level is None else level])
        return name, -chosen if signed and coins(0.5, 1)[0] else chosen

    def picks(self, height: int, width: int) -> list[tuple[str, float]]:
        """What happens to one image."""
        raise NotImplementedError

    def one(self, things: list[Any]) -> list[Any]:
        images = [thing for thing in things if isinstance(thing, Image) or is_pil(thing)]
        if len(images) != 1 or len(things) != 1:
            got = ", ".join(type(thing).__name__ for thing in things)
            raise ArgumentError(explain(type(self).__name__, expected="a single image, without masks, boxes or points", got=got))
        image = images[0] if is_pil(images[0]) else images[0].plain()
        for name, strength in self.picks(*canvas_of(image)):
            image = apply_named(image, name, strength, self.interpolation, self.fill)
        return [image if is_pil(image) else wrap(image, images[0])]


class RandAugment(_Augment):
    """`num_ops` operations of 14 at one level (Cubuk et al. 2019, https://arxiv.org/abs/1909.13719)."""

    _space = _RAND

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if not 0 <= magnitude < num_magnitude_bins or num_magnitude_bins < 2:
            got = f"{magnitude} of {num_magnitude_bins}"
            raise ArgumentError(explain("RandAugment", expected="a magnitude below num_magnitude_bins (2 or more)", got=got))
        self.num_ops, self.magnitude, self.num_magnitude_bins = num_ops, magnitude, num_magnitude_bins

    def picks(self, height: int, width: int) -> list[tuple[str, float]]:
        return [self._pick(self.num_magnitude_bins, self.magnitude, height, width) for _ in range(self.num_ops)]


class TrivialAugmentWide(_Augment):
    """One operation of 14 at a random level (Müller and Hutter 2021, https://arxiv.org/abs/2103.10158)."""

    _space = _TRIVIAL

    def __init__(self, num_magnitude_bins: int = 31, interpolation: Any = InterpolationMode.NEAREST, fill: Any = None) -> None:
        super().__init__(interpolation, fill)
        if num_magnitude_bins < 2:
            raise ArgumentError(explain("TrivialAugmentWide", expected="num_magnitude_bins of 2 or more", got=repr(num_magnitude_bins)))
        self.num_magnitude_bins = num_magnitude_bins

    def picks(self, height: int, width: int) -> list[tuple[str, float]]:
        return [self._pick(self.num_magnitude_bins, None, height, width)]
