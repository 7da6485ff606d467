"""Merging and splitting axes."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import ArgumentTypeError, explain
from flambeau.nn.module import Module
from flambeau.tensor.tensor import Tensor


class Flatten(Module):
    """Merges the axes from `start_dim` to `end_dim` into one.

    >>> import flambeau as fb
    >>> fb.nn.Flatten()(fb.zeros(2, 3, 4)).shape
    flambeau.Size([2, 12])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits the axis `dim` into axes of the sizes `unflattened_size`."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        if not isinstance(dim, int) or not isinstance(unflattened_size, (tuple, list)):
            got = f"{dim!r} and {unflattened_size!r}"
            raise ArgumentTypeError(explain("Unflatten", expected="an axis number and a tuple of sizes", got=got))
        if not all(isinstance(n, int) for n in unflattened_size):
            raise ArgumentTypeError(explain("Unflatten", expected="sizes as ints", got=repr(unflattened_size)))
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Any) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
