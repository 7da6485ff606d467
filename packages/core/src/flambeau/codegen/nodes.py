"""What a graph is lowered to: buffers, accesses to them, and nodes that compute buffers from accesses."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from flambeau.codegen.layout import Ints, Layout


@dataclass(eq=False)
class Buffer:
    """Contiguous memory for an array. `node` computes it; an input or a constant has none."""

    shape: Ints
    dtype: np.dtype
    node: Node | None = None
    input: int | None = None
    constant: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class Access:
    """A view of a buffer."""

    buffer: Buffer
    layout: Layout

    @property
    def shape(self) -> Ints:
        """Of the view."""
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype:
        """Of the elements."""
        return self.buffer.dtype


@dataclass(frozen=True)
class Uniform:
    """An array whose elements are all one known number."""

    number: Any
    dtype: np.dtype
    shape: Ints


@dataclass(frozen=True)
class Parameter:
    """A number that is given at each run: the position in the graph's scalars."""

    index: int


Operand = Access | Uniform | Parameter


@dataclass(eq=False)
class Node:
    """One computation.

    kind "map": a primitive on elements; all operands have the node's shape, in which no axis has size 1.
    kind "reduce": `name` over `axes` of the single operand, in whose shape no axis has size 1; `shape` is the operand's.
    kind "matmul": a batched product of two operands.
    kind "contract": a contraction with which maps of its space, `shape`, can be fused; params["full"] is that space with axes of size 1.
    kind "steps": a computation with code of its own (contract.py names them): gradients of weights, pooling, transposed copies.
    kind "pieces": copies of the operands into regions (`regions`: a layout for each) of one buffer.
    kind "scatter": a copy of the first operand, in which the second is stored or combined at indices.
    kind "check": leaves the program if the first operand, a flag, is set; the second is the index that it is about (checks.py).
    kind "native": what has kernels of its own; `params["write"](node, target)` gives their steps.
    kind "python": a primitive that has no code here; its kernel is called. `numbers` are its operands with plain numbers among them.
    """

    kind: str
    name: str
    operands: tuple[Operand, ...]
    shape: Ints
    outputs: tuple[Buffer, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    axes: tuple[int, ...] = ()
    regions: tuple[Layout, ...] = ()
    prim: Any = None
    numbers: tuple[Any, ...] = ()

    def accesses(self) -> list[Access]:
        """The operands that are in memory."""
        return [x for x in self.operands if isinstance(x, Access)]
