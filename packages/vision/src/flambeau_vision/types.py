"""What a tensor means: an image, a mask, boxes, or points. Transforms act on these; a bare tensor has no meaning of its own.

Each type is a tensor that shares the memory of its data. Operations on it give plain tensors: arithmetic on boxes need not give boxes.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, ShapeError, explain


class BoundingBoxFormat(Enum):
    """How four numbers mean a box: two corners; a corner, width and height; or the centre, width and height."""

    XYXY = "XYXY"
    XYWH = "XYWH"
    CXCYWH = "CXCYWH"


def _tensor(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data
    return flambeau.from_numpy(data) if isinstance(data, np.ndarray) else flambeau.as_tensor(data)


class _Meaning(Tensor):
    """A tensor with a meaning; subclasses say which."""

    def __repr__(self) -> str:
        facts = "".join(f", {name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({Tensor.__repr__(self.as_subclass(Tensor))}{facts})"

    def plain(self) -> Any:
        """The tensor without its meaning."""
        return self.as_subclass(Tensor)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _remake, (type(self), self.plain(), dict(vars(self)))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return _remake(type(self), self.plain().clone(), dict(vars(self)))


def _remake(cls: type[_Meaning], data: Any, facts: dict[str, Any]) -> Any:
    made = data.as_subclass(cls)
    vars(made).update(facts)
    return made


class Image(_Meaning):
    """Pixels: (C, H, W), or a batch (N, C, H, W). `Image(data)` takes a tensor, an array, a PIL image or numbers; (H, W) gets a channel.

    >>> import flambeau
    >>> Image(flambeau.zeros(4, 5)).shape
    flambeau.Size([1, 4, 5])
    """

    def __new__(cls, data: Any) -> Any:
        if hasattr(data, "getbands"):
            from flambeau_vision.functional.convert import pil_to_tensor

            data = pil_to_tensor(data)
        value = _tensor(data)
        if value.ndim < 2:
            raise ShapeError(explain("Image", expected="shape (C, H, W) or (N, C, H, W)", got=f"shape {tuple(value.shape)}"))
        return (value[None] if value.ndim == 2 else value).as_subclass(cls)


class Mask(_Meaning):
    """A class, or one truth value, for each pixel: (H, W), (n, H, W) for n objects; a batch has one more axis in front."""

    def __new__(cls, data: Any) -> Any:
        if hasattr(data, "getbands"):
            data = np.array(data)
        value = _tensor(data)
        if value.ndim < 2:
            raise ShapeError(explain("Mask", expected="shape (..., H, W)", got=f"shape {tuple(value.shape)}"))
        return value.as_subclass(cls)


class BoundingBoxes(_Meaning):
    """Boxes (n, 4), or (N, n, 4) for a batch, in pixels of a canvas: an image of (H, W) with the origin at its top left corner.

    Args:
        data: the numbers. None at all (an empty list) are zero boxes.
        format: "XYXY", "XYWH" or "CXCYWH".
        canvas_size: (height, width) of the image that they lie on.

    >>> boxes = BoundingBoxes([[1, 2, 5, 6]], format="XYXY", canvas_size=(10, 10))
    >>> boxes.format.value, boxes.canvas_size, (boxes + 1).tolist()
    ('XYXY', (10, 10), [[2, 3, 6, 7]])
    """

    format: BoundingBoxFormat
    canvas_size: tuple[int, int]

    def __new__(cls, data: Any, *, format: BoundingBoxFormat | str, canvas_size: tuple[int, int]) -> Any:
        value = _coordinates("BoundingBoxes", data, 4)
        made = value.as_subclass(cls)
        made.format, made.canvas_size = format_of(format), _canvas("BoundingBoxes", canvas_size)
        return made


class KeyPoints(_Meaning):
    """Points (..., 2) as x, y in pixels of a canvas: an image of (H, W) with the origin at its top left corner."""

    canvas_size: tuple[int, int]

    def __new__(cls, data: Any, *, canvas_size: tuple[int, int]) -> Any:
        made = _coordinates("KeyPoints", data, 2).as_subclass(cls)
        made.canvas_size = _canvas("KeyPoints", canvas_size)
        return made


def _coordinates(what: str, data: Any, width: int) -> Any:
    value = _tensor(data)
    if value.numel() == 0 and value.ndim < 2:
        value = value.reshape(0, width)
    if value.ndim == 1:
        value = value[None]
    if value.shape[-1] != width:
        raise ShapeError(explain(what, expected=f"shape (..., {width})", got=f"shape {tuple(value.shape)}"))
    return value


def _canvas(what: str, size: Any) -> tuple[int, int]:
    if len(tuple(size)) != 2 or min(size) < 0:
        raise ArgumentError(explain(what, expected="canvas_size=(height, width)", got=repr(size)))
    height, width = size
    return int(height), int(width)


def format_of(format: BoundingBoxFormat | str) -> BoundingBoxFormat:
    """The format of that name; ArgumentError for another."""
    if isinstance(format, BoundingBoxFormat):
        return format
    if isinstance(format, str) and format.upper() in BoundingBoxFormat.__members__:
        return BoundingBoxFormat[format.upper()]
    known = ", ".join(BoundingBoxFormat.__members__)
    raise ArgumentError(explain("BoundingBoxes", expected=f"a format of {known}", got=repr(format)))


def wrap(data: Any, like: Any) -> Any:
    """Give plain data the meaning of `like`."""
    return _remake(type(like), _tensor(data), dict(vars(like)))
