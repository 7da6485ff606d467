"""How a transform works: draw parameters once, then do the same to every image, mask, box and point of a sample.

A sample is whatever a dataset gives: an image, several arguments, nested dicts and lists. Images, Masks, BoundingBoxes, KeyPoints and PIL
images are transformed, all else is passed on. A bare tensor has no meaning, with one exception: as the first argument it is an image.
A batch (N, C, H, W) gets parameters of its own for each image, and masks and boxes with N in front follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base import tree
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau_vision.functional.convert import channels_of, is_pil, pil_to_tensor, to_pil_image
from flambeau_vision.functional.geometry import Geometry, apply_geometry
from flambeau_vision.functional.single import canvas_of
from flambeau_vision.types import BoundingBoxes, Image, KeyPoints, Mask, wrap

_MEANT = (Image, Mask, BoundingBoxes, KeyPoints)


@dataclass(frozen=True)
class Frame:
    """What parameters are drawn for: the size of the images, their channels, and how many there are (None: one, no batch)."""

    height: int
    width: int
    channels: int
    batch: int | None

    @property
    def count(self) -> int:
        """How many sets of parameters are needed."""
        return 1 if self.batch is None else self.batch


class Transform:
    """The base of transforms. A subclass draws in `make_params`, and defines `geometry` (pixels move) or `image` (pixels change)."""

    def make_params(self, frame: Frame) -> dict[str, Any]:
        """Random numbers for this sample; arrays have `frame.count` rows."""
        return {}

    def geometry(self, params: dict[str, Any], frame: Frame) -> Geometry | None:
        """How this sample moves, or None."""
        return None

    def image(self, x: Any, params: dict[str, Any], frame: Frame) -> Any:
        """New pixels of (N, C, H, W)."""
        return x

    by_pillow = False  # whether `image` takes PIL images too

    def apply(self, inpt: Any, params: dict[str, Any], frame: Frame) -> Any:
        """An Image, Mask, BoundingBoxes, KeyPoints or PIL image, transformed."""
        move = self.geometry(params, frame)
        if move is not None:
            out = apply_geometry(inpt, move, frame.batch is not None)
            return wrap(out, inpt) if isinstance(inpt, (Image, Mask)) else out
        if is_pil(inpt):
            return (
                self.image(inpt, params, frame) if self.by_pillow else to_pil_image(self.image(pil_to_tensor(inpt)[None], params, frame)[0])
            )
        if not isinstance(inpt, Image):
            return inpt
        plain = inpt.plain()
        new = self.image(plain if frame.batch is not None else plain[None], params, frame)
        return wrap(new if frame.batch is not None else new[0], inpt)

    def __call__(self, *inputs: Any) -> Any:
        sample = inputs[0] if len(inputs) == 1 else inputs
        leaves, spec = tree.flatten(sample)
        meant = {i: read(leaf, i == 0 and leaf is inputs[0]) for i, leaf in enumerate(leaves)}
        known = {i: value for i, value in meant.items() if value is not None}
        if not known:
            return sample
        new = self.transform(list(known.values()))
        for (i, _), value in zip(known.items(), new, strict=True):
            leaves[i] = write(value, leaves[i])
        return tree.unflatten(spec, leaves)

    def transform(self, things: list[Any]) -> list[Any]:
        """All things of one sample, with the same parameters."""
        frame = frame_of(type(self).__name__, things)
        params = self.make_params(frame)
        return [self.apply(thing, params, frame) for thing in things]

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({facts})"


def read(leaf: Any, first: bool) -> Any:
    """What a part of a sample means, or None when it is passed on."""
    if isinstance(leaf, _MEANT) or is_pil(leaf):
        return leaf
    return Image(leaf) if first and isinstance(leaf, Tensor) and leaf.ndim >= 3 else None


def write(new: Any, old: Any) -> Any:
    """The result in the form that the input had."""
    return new if isinstance(old, _MEANT) or not isinstance(new, Image) else new.plain()


def frame_of(name: str, things: list[Any]) -> Frame:
    """The common frame; ShapeError when images, masks and boxes of one sample do not have the same size."""
    images = [thing for thing in things if isinstance(thing, Image) or is_pil(thing)]
    sizes = {canvas_of(thing) for thing in things}
    if len(sizes) > 1:
        raise ShapeError(explain(name, expected="images, masks and canvases of one size", got=" and ".join(map(str, sorted(sizes)))))
    (height, width) = sizes.pop()
    batch = None
    for thing in images:
        if is_pil(thing):
            continue
        if thing.ndim > 4:
            raise ShapeError(explain(name, expected="images (C, H, W) or (N, C, H, W)", got=f"shape {tuple(thing.shape)}"))
        if thing.ndim == 4:
            batch = int(thing.shape[0])
    if batch is not None and any(is_pil(thing) or int(thing.shape[0]) != batch for thing in things):
        got = ", ".join("a PIL image" if is_pil(thing) else str(tuple(thing.shape)) for thing in things)
        raise ShapeError(explain(name, expected=f"{batch} images, masks and sets of boxes", got=got))
    return Frame(height, width, channels_of(images[0]) if images else 1, batch)


# -- drawing ------------------------------------------------------------------------------------------------------------------------------
def uniform(low: float, high: float, count: int) -> np.ndarray:
    """`count` numbers from [low, high), from the default generator."""
    drawn: np.ndarray = flambeau.rand(count, dtype=flambeau.float64).numpy()
    return low + (high - low) * drawn


def coins(p: float, count: int) -> np.ndarray:
    """`count` decisions that are True with chance p."""
    return uniform(0.0, 1.0, count) < p


def integers(low: int, high: int, count: int) -> np.ndarray:
    """`count` integers from [low, high)."""
    return np.minimum(np.floor(uniform(low, high, count)).astype(np.int64), high - 1)


def check_chance(name: str, p: float) -> float:
    """p, or ArgumentError when it is no probability."""
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(explain(name, expected="p from 0 to 1", got=repr(p)))
    return float(p)


def pair(name: str, size: Any) -> tuple[int, int]:
    """(height, width) from one number or two, at least 1 each."""
    sides = (size, size) if isinstance(size, int) else tuple(size) * (2 if len(size) == 1 else 1)
    if len(sides) != 2 or min(sides) < 1:
        raise ArgumentError(explain(name, expected="a size of one or two positive numbers", got=repr(size)))
    return int(sides[0]), int(sides[1])


def span(name: str, value: Any, center: float = 0.0, low: float = float("-inf"), high: float = float("inf")) -> tuple[float, float]:
    """A range: (a, b) as given, or one number as center - value .. center + value."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ArgumentError(explain(name, expected="a number of 0 or more, or two numbers", got=repr(value)))
        value = (max(center - value, low), center + value)
    if len(value) != 2 or not low <= value[0] <= value[1] <= high:
        raise ArgumentError(explain(name, expected=f"two ordered numbers from {low:g} to {high:g}", got=repr(value)))
    return float(value[0]), float(value[1])
