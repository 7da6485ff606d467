"""The old transforms of torchvision that its programs use most and Flambeau's transforms replace by `ToImage` and `ToDtype`."""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentTypeError, explain


def to_tensor(pic: Any) -> flambeau.Tensor:
    """A picture (of Pillow, or an array `(H, W)` or `(H, W, C)`) as a tensor `(C, H, W)`; bytes become floats in 0..1.

    >>> to_tensor(np.full((2, 2, 3), 255, np.uint8)).shape
    flambeau.Size([3, 2, 2])
    """
    if isinstance(pic, flambeau.Tensor):
        raise ArgumentTypeError(explain("to_tensor", expected="a picture or an array", got="a tensor", hint="leave the transform out"))
    array = np.asarray(pic)
    if array.ndim not in (2, 3):
        raise ArgumentTypeError(explain("to_tensor", expected="an array with 2 or 3 axes", got=f"{array.ndim}"))
    if array.dtype == np.bool_:  # Pillow's pictures of one bit
        array = array.astype(np.uint8) * np.uint8(255)
    made = flambeau.from_numpy(np.array(array[..., None] if array.ndim == 2 else array)).permute(2, 0, 1).contiguous()
    return made.to(flambeau.get_default_dtype()).div(255) if made.dtype is flambeau.uint8 else made


class ToTensor:
    """`to_tensor` as a transform."""

    def __call__(self, pic: Any) -> flambeau.Tensor:
        return to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"
