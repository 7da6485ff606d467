"""Moving tensors between devices as an operation that gradients flow back through."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.autograd.modes import mode
from flambeau.autograd.node import Node
from flambeau.device.base import device
from flambeau.tensor.creation import transfer
from flambeau.tensor.tensor import Tensor


class TransferBackward(Node):
    """Brings a gradient back to the device where the input was."""

    __slots__ = ("source",)

    def __init__(self, parent: Node, source: device) -> None:
        super().__init__((parent,))
        self.source = source

    def apply(self, g: Any, needed: Any) -> Any:
        return (g.to(self.source),)


def to_device(x: Tensor, where: device) -> Tensor:
    """x on another device; gradients flow back."""
    if x.device == where:
        return x
    moved = transfer(x, where)
    if x._node is not None and mode.grad:
        moved._node = TransferBackward(x._node, x.device)
    return moved


def meet(x: Tensor, where: device) -> Tensor:
    """A zero-dimensional CPU tensor meets any device; others stay where they are."""
    return to_device(x, where) if x._a.ndim == 0 and type(x._a) is np.ndarray else x
