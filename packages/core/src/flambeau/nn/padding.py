"""Padding of signals, images and volumes; `padding` counts (left, right, top, bottom, front, back), or is one number for all sides."""

from __future__ import annotations

from typing import Any

from flambeau.nn import functional as F
from flambeau.nn.module import Module
from flambeau.nn.sizes import ntuple
from flambeau.tensor.tensor import Tensor


class _Pad(Module):
    axes: int
    mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self.axes)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad1d(_ConstantPad):
    """Pads the last axis with a value."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """Pads the last 2 axes with a value."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """Pads the last 3 axes with a value."""

    axes = 3


class ZeroPad1d(_ZeroPad):
    """Pads the last axis with 0."""

    axes = 1


class ZeroPad2d(_ZeroPad):
    """Pads the last 2 axes with 0.

    >>> import flambeau as fb
    >>> fb.nn.ZeroPad2d((1, 1, 0, 2))(fb.ones(1, 3, 3)).shape
    flambeau.Size([1, 5, 5])
    """

    axes = 2


class ZeroPad3d(_ZeroPad):
    """Pads the last 3 axes with 0."""

    axes = 3


class ReflectionPad1d(_Pad):
    """Pads the last axis with its mirror image, the border not repeated."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Pads the last 2 axes with their mirror image, the border not repeated."""

    axes, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Pads the last 3 axes with their mirror image, the border not repeated."""

    axes, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Pads the last axis with its border."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Pads the last 2 axes with their border."""

    axes, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Pads the last 3 axes with their border."""

    axes, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """Pads the last axis with the elements of the other end."""

    axes, mode = 1, "circular"


class CircularPad2d(_Pad):
    """Pads the last 2 axes with the elements of the other end."""

    axes, mode = 2, "circular"


class CircularPad3d(_Pad):
    """Pads the last 3 axes with the elements of the other end."""

    axes, mode = 3, "circular"
