"""Transforms that change colours; masks, boxes and points stay as they are. Names and defaults are those of torchvision's v2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision import functional
from flambeau_vision.functional.convert import channels_of
from flambeau_vision.functional.geometry import numbers
from flambeau_vision.transforms.base import Frame, Transform, check_chance, coins, span, uniform


def _factors(drawn: np.ndarray, like: Any) -> Any:
    """A number, or one for each image."""
    return float(drawn[0]) if len(drawn) == 1 else numbers(drawn, like)


class Grayscale(Transform):
    """Luminance, in 1 or 3 channels."""

    by_pillow = True

    def __init__(self, num_output_channels: int = 1) -> None:
        self.num_output_channels = num_output_channels

    def image(self, x: Any, params: dict[str, Any], frame: Frame) -> Any:
        return functional.rgb_to_grayscale(x, self.num_output_channels)


class _Sometimes(Transform):
    """Changes images with chance p, each by itself."""

    by_pillow = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = check_chance(type(self).__name__, p)

    def make_params(self, frame: Frame) -> dict[str, Any]:
        return {"on": coins(self.p, frame.count)}

    def change(self, x: Any) -> Any:
        """The change itself, (N, C, H, W) -> the same shape."""
        raise NotImplementedError

    def image(self, x: Any, params: dict[str, Any], frame: Frame) -> Any:
        on = params["on"]
        if not on.any():
            return x
        new = self.change(x)
        return new if on.all() else flambeau.where(flambeau.from_numpy(on.reshape(-1, 1, 1, 1)).to(x.device), new, x)


class RandomGrayscale(_Sometimes):
    """Luminance in as many channels as the image has."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def change(self, x: Any) -> Any:
        return functional.rgb_to_grayscale(x, channels_of(x))


class RandomInvert(_Sometimes):
    """The negative."""

    def change(self, x: Any) -> Any:
        return functional.invert(x)


class RandomPosterize(_Sometimes):
    """Fewer bits."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def change(self, x: Any) -> Any:
        return functional.posterize(x, self.bits)


class RandomSolarize(_Sometimes):
    """Invert what is bright."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def change(self, x: Any) -> Any:
        return functional.solarize(x, self.threshold)


class RandomAutocontrast(_Sometimes):
    """The whole range."""

    def change(self, x: Any) -> Any:
        return functional.autocontrast(x)


class RandomEqualize(_Sometimes):
    """An even histogram."""

    def change(self, x: Any) -> Any:
        return functional.equalize(x)


class RandomAdjustSharpness(_Sometimes):
    """Sharper or softer."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def change(self, x: Any) -> Any:
        return functional.adjust_sharpness(x, self.sharpness_factor)


class ColorJitter(Transform):
    """Random brightness, contrast, saturation and hue, in a random order.

    Each is a range, or a number: b means a factor from max(0, 1 - b) to 1 + b, and for hue a turn from -b to b (at most 0.5).
    In a batch each image has factors of its own; the order is one for all.
    """

    by_pillow = True

    def __init__(self, brightness: Any = None, contrast: Any = None, saturation: Any = None, hue: Any = None) -> None:
        self.brightness = self._range("brightness", brightness, 1.0, 0.0)
        self.contrast = self._range("contrast", contrast, 1.0, 0.0)
        self.saturation = self._range("saturation", saturation, 1.0, 0.0)
        self.hue = self._range("hue", hue, 0.0, -0.5, 0.5)

    @staticmethod
    def _range(name: str, value: Any, center: float, low: float, high: float = float("inf")) -> tuple[float, float] | None:
        if value is None:
            return None
        limits = span(f"ColorJitter {name}", value, center, low, high)
        return None if limits == (center, center) else limits

    def make_params(self, frame: Frame) -> dict[str, Any]:
        factors = {
            name: uniform(limits[0], limits[1], frame.count)
            for name in ("brightness", "contrast", "saturation", "hue")
            if (limits := getattr(self, name)) is not None
        }
        return {"order": [list(factors)[i] for i in flambeau.randperm(len(factors)).tolist()], "factors": factors}

    def image(self, x: Any, params: dict[str, Any], frame: Frame) -> Any:
        for name in params["order"]:
            x = getattr(functional, f"adjust_{name}")(x, _factors(params["factors"][name], x))
        return x


class GaussianBlur(Transform):
    """Blur with a random sigma."""

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        sizes = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
        if any(size < 1 or size % 2 == 0 for size in sizes):
            raise ArgumentError(explain("GaussianBlur", expected="odd kernel sizes", got=repr(kernel_size)))
        self.kernel_size = kernel_size
        limits = (sigma, sigma) if isinstance(sigma, (int, float)) else tuple(sigma)
        self.sigma = span("GaussianBlur", limits, low=1e-9)

    def make_params(self, frame: Frame) -> dict[str, Any]:
        return {"sigma": uniform(*self.sigma, frame.count)}

    def image(self, x: Any, params: dict[str, Any], frame: Frame) -> Any:
        return functional.gaussian_blur(x, self.kernel_size, params["sigma"])


class Normalize(Transform):
    """(image - mean) / std, of floats."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean, self.std, self.inplace = list(mean), list(std), inplace

    def image(self, x: Any, params: dict[str, Any], frame: Frame) -> Any:
        return functional.normalize(x, self.mean, self.std, self.inplace)


class RandomErasing(Transform):
    """With chance p, a random window gets `value` (Zhong et al. 2017, https://arxiv.org/abs/1708.04896).

    Args:
        p: for each image.
        scale: the window's share of the area.
        ratio: its height / width.
        value: a number, one for each channel, or "random" for normal noise.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0.0,
        inplace: bool = False,
    ) -> None:
        self.p = check_chance("RandomErasing", p)
        self.scale, self.ratio = span("RandomErasing", scale, low=0.0, high=1.0), span("RandomErasing", ratio, low=1e-9)
        if isinstance(value, str) and value != "random":
            raise ArgumentError(explain("RandomErasing", expected="a number, numbers or 'random'", got=repr(value)))
        self.value, self.inplace = value, inplace

    def make_params(self, frame: Frame) -> dict[str, Any]:
        windows = [self._window(frame) if on else (0, 0, 0, 0) for on in coins(self.p, frame.count)]
        return {"window": np.array(windows)}

    def _window(self, frame: Frame) -> tuple[int, int, int, int]:
        shares = uniform(*self.scale, 10) * frame.height * frame.width
        ratios = np.exp(uniform(np.log(self.ratio[0]), np.log(self.ratio[1]), 10))
        for share, ratio in zip(shares.tolist(), ratios.tolist(), strict=True):
            height, width = round((share * ratio) ** 0.5), round((share / ratio) ** 0.5)
            if height < frame.height and width < frame.width:
                top, left = (int(uniform(0, whole - part + 1, 1)[0]) for whole, part in ((frame.height, height), (frame.width, width)))
                return top, left, height, width
        return 0, 0, 0, 0

    def image(self, x: Any, params: dict[str, Any], frame: Frame) -> Any:
        top, left, height, width = (params["window"][:, i].reshape(-1, 1, 1, 1) for i in range(4))
        rows, columns = np.arange(frame.height).reshape(1, 1, -1, 1), np.arange(frame.width).reshape(1, 1, 1, -1)
        inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
        if not inside.any():
            return x
        if self.value == "random":
            new = flambeau.randn(*x.shape, device=x.device).to(x.dtype)
        else:
            new = flambeau.tensor(np.atleast_1d(np.asarray(self.value, np.float32)).reshape(1, -1, 1, 1)).to(x.device).to(x.dtype)
        return flambeau.where(flambeau.from_numpy(inside).to(x.device), new, x)
