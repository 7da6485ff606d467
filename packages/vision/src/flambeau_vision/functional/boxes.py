"""Formats of boxes, and boxes that end at the border."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau_vision.types import BoundingBoxes, BoundingBoxFormat, format_of, wrap

_XYXY, _XYWH, _CXCYWH = BoundingBoxFormat.XYXY, BoundingBoxFormat.XYWH, BoundingBoxFormat.CXCYWH


def convert(boxes: Any, old: BoundingBoxFormat, new: BoundingBoxFormat) -> Any:
    """Numbers (..., 4) in another format; integers stay integers."""
    if boxes.shape[-1] != 4:
        raise ShapeError(explain("convert boxes", expected="shape (..., 4)", got=f"shape {tuple(boxes.shape)}"))
    if old is new:
        return boxes
    a, b, c, d = boxes.unbind(-1)
    if old is _XYWH:
        a, b, c, d = a, b, a + c, b + d
    elif old is _CXCYWH:
        a, b, c, d = a - _half(c), b - _half(d), a + _half(c, up=True), b + _half(d, up=True)
    if new is _XYWH:
        a, b, c, d = a, b, c - a, d - b
    elif new is _CXCYWH:
        a, b, c, d = _half(a + c), _half(b + d), c - a, d - b
    return flambeau.stack([a, b, c, d], -1)


def _half(x: Any, up: bool = False) -> Any:
    if x.dtype.is_floating_point:
        return x * 0.5
    return (x + 1) // 2 if up else x // 2


def convert_bounding_box_format(inpt: Any, new_format: BoundingBoxFormat | str, old_format: BoundingBoxFormat | str | None = None) -> Any:
    """Boxes in another format. `old_format` is needed for a bare tensor, and not allowed for BoundingBoxes, which know theirs."""
    new = format_of(new_format)
    if isinstance(inpt, BoundingBoxes):
        if old_format is not None:
            raise ArgumentError(explain("convert_bounding_box_format", expected="no old_format for BoundingBoxes", got=repr(old_format)))
        made = wrap(convert(inpt.plain(), inpt.format, new), inpt)
        made.format = new
        return made
    if old_format is None:
        raise ArgumentError(explain("convert_bounding_box_format", expected="old_format for a bare tensor", got="none"))
    return convert(inpt, format_of(old_format), new)


def clamp_bounding_boxes(inpt: Any) -> Any:
    """Boxes cut off at the border of their canvas."""
    height, width = inpt.canvas_size
    x1, y1, x2, y2 = convert(inpt.plain(), inpt.format, _XYXY).unbind(-1)
    cut = flambeau.stack([x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)], -1)
    return wrap(convert(cut, _XYXY, inpt.format), inpt)
