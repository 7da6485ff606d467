"""Transforms that change what something is: dtypes, PIL images, formats of boxes; and boxes that are no longer there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flambeau import Tensor
from flambeau.base import tree
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision import functional
from flambeau_vision.functional.boxes import convert
from flambeau_vision.functional.convert import is_pil
from flambeau_vision.transforms.base import Frame, Transform
from flambeau_vision.types import BoundingBoxes, BoundingBoxFormat, Image, Mask, wrap


class _EachLeaf(Transform):
    """Acts on single parts, whatever their sizes."""

    def leaf(self, value: Any) -> Any:
        """The new part."""
        raise NotImplementedError

    def __call__(self, *inputs: Any) -> Any:
        return tree.map(self.leaf, inputs[0] if len(inputs) == 1 else inputs)


class ToImage(_EachLeaf):
    """PIL images and arrays become Images."""

    def leaf(self, value: Any) -> Any:
        import numpy as np

        return functional.to_image(value) if is_pil(value) or isinstance(value, np.ndarray) else value


class PILToTensor(_EachLeaf):
    """PIL images become tensors (C, H, W) in their own range."""

    def leaf(self, value: Any) -> Any:
        return functional.pil_to_tensor(value) if is_pil(value) else value


class ToPILImage(_EachLeaf):
    """Images, and tensors (C, H, W), become PIL images."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def leaf(self, value: Any) -> Any:
        pixels = isinstance(value, Image) or (isinstance(value, Tensor) and type(value) is Tensor and value.ndim == 3)
        return functional.to_pil_image(value, self.mode) if pixels else value


class ToPureTensor(_EachLeaf):
    """Images, Masks, BoundingBoxes and KeyPoints become tensors without a meaning."""

    def leaf(self, value: Any) -> Any:
        return value.plain() if hasattr(value, "plain") else value


class ToDtype(Transform):
    """Convert pixels; with `scale`, white stays white (uint8 255 becomes 1.0).

    `dtype` is that of images, or a mapping from types (Image, Mask, BoundingBoxes, KeyPoints) to dtypes.
    """

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        self.dtype, self.scale = dtype, scale

    def apply(self, inpt: Any, params: dict[str, Any], frame: Frame) -> Any:
        if isinstance(self.dtype, Mapping):
            dtype = next((new for kind, new in self.dtype.items() if isinstance(kind, type) and isinstance(inpt, kind)), None)
        else:
            dtype = self.dtype if isinstance(inpt, Image) else None
        if dtype is None:
            return inpt
        return wrap(functional.to_dtype(inpt, dtype, self.scale and isinstance(inpt, Image)), inpt)

    def transform(self, things: list[Any]) -> list[Any]:
        return [self.apply(thing, {}, Frame(0, 0, 0, None)) for thing in things]

    def __call__(self, *inputs: Any) -> Any:
        first = inputs[0] if len(inputs) == 1 else None
        if isinstance(first, Tensor) and type(first) is Tensor:
            return functional.to_dtype(first, self.dtype, self.scale)
        return super().__call__(*inputs)


class Identity(Transform):
    """Does nothing."""

    def __call__(self, *inputs: Any) -> Any:
        return inputs[0] if len(inputs) == 1 else inputs


class Lambda(_EachLeaf):
    """A function of each part, or only of parts of some types."""

    def __init__(self, lambd: Callable[[Any], Any], *types: type) -> None:
        self.lambd, self.types = lambd, types or (object,)

    def leaf(self, value: Any) -> Any:
        return self.lambd(value) if isinstance(value, self.types) else value


class ConvertBoundingBoxFormat(Transform):
    """Boxes in another format."""

    def __init__(self, format: BoundingBoxFormat | str) -> None:
        self.format = format

    def apply(self, inpt: Any, params: dict[str, Any], frame: Frame) -> Any:
        return functional.convert_bounding_box_format(inpt, self.format) if isinstance(inpt, BoundingBoxes) else inpt


class ClampBoundingBoxes(Transform):
    """Boxes end at the border."""

    def apply(self, inpt: Any, params: dict[str, Any], frame: Frame) -> Any:
        return functional.clamp_bounding_boxes(inpt) if isinstance(inpt, BoundingBoxes) else inpt


class SanitizeBoundingBoxes:
    """Removes boxes that are smaller than `min_size`, or out of the canvas, with their labels and masks.

    The sample is a dict, or (image, dict): `boxes`, `labels`, `masks` and further entries named in `labels` are filtered.
    """

    def __init__(
        self, min_size: float = 1.0, min_area: float = 1.0, labels: tuple[str, ...] = ("labels", "masks", "iscrowd", "area")
    ) -> None:
        if min_size < 1 or min_area < 1:
            raise ArgumentError(
                explain("SanitizeBoundingBoxes", expected="min_size and min_area of 1 or more", got=f"{min_size}, {min_area}")
            )
        self.min_size, self.min_area, self.labels = min_size, min_area, labels

    def __call__(self, *inputs: Any) -> Any:
        sample = inputs[0] if len(inputs) == 1 else inputs
        if isinstance(sample, (tuple, list)):
            return type(sample)(self._filter(part) if isinstance(part, dict) else part for part in sample)
        return self._filter(sample)

    def _filter(self, target: dict[str, Any]) -> dict[str, Any]:
        found = [name for name, value in target.items() if isinstance(value, BoundingBoxes)]
        if len(found) != 1:
            raise ArgumentError(explain("SanitizeBoundingBoxes", expected="one entry of BoundingBoxes", got=str(found)))
        boxes = target[found[0]]
        height, width = boxes.canvas_size
        x1, y1, x2, y2 = convert(boxes.plain(), boxes.format, BoundingBoxFormat.XYXY).unbind(-1)
        w, h = x2 - x1, y2 - y1
        keep = (w >= self.min_size) & (h >= self.min_size) & (w * h >= self.min_area)
        keep = keep & (x1 >= 0) & (y1 >= 0) & (x2 <= width) & (y2 <= height)
        out = dict(target)
        out[found[0]] = wrap(boxes.plain()[keep], boxes)
        for name in self.labels:
            value = target.get(name)
            if isinstance(value, Tensor) and value.ndim and value.shape[0] == keep.shape[0]:
                out[name] = wrap(value.plain()[keep], value) if isinstance(value, Mask) else value[keep]
        return out
