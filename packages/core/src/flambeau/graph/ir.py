"""The intermediate representation: a list of primitive operations in single-assignment form.

A `Graph` has inputs (values that come from outside at each run), operations in order, and results. Writes in place do not exist here:
capture has renamed them, so a storage that a program changes is an input and a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flambeau.primitives.prim import Prim


class Value:
    """One array of a graph: its shape, dtype, and the operation that makes it (None for an input or a constant)."""

    __slots__ = ("dtype", "index", "number", "op", "shape")

    def __init__(self, number: int, shape: tuple[int, ...], dtype: np.dtype, op: Op | None = None, index: int = 0) -> None:
        self.number, self.shape, self.dtype, self.op, self.index = number, shape, dtype, op, index

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __repr__(self) -> str:
        return f"%{self.number}"


@dataclass(eq=False)
class Scalar:
    """A Python number that may differ from run to run (a learning rate): `name` says which."""

    name: Any

    def __repr__(self) -> str:
        return f"${self.name}"


@dataclass(eq=False)
class Op:
    """A primitive applied to values, scalars and plain numbers; `outputs` are its results (several for sort and the like)."""

    prim: Prim
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    outputs: tuple[Value, ...] = ()
    where: str = ""  # file:line of the user's code

    def values(self) -> Iterator[Value]:
        """The inputs that are values."""
        return (x for x in self.inputs if isinstance(x, Value))

    def bodies(self) -> Iterator[Graph]:
        """The graphs inside, of loops and branches."""
        return (x for x in self.params.values() if isinstance(x, Graph))


@dataclass(eq=False)
class Graph:
    """A program. `inputs` and `constants` are values without an operation; `results` are what a run returns, in order."""

    inputs: list[Value] = field(default_factory=list)
    constants: dict[Value, Any] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    results: list[Value] = field(default_factory=list)
    scalars: list[Scalar] = field(default_factory=list)
    count: int = 0

    def value(self, shape: tuple[int, ...], dtype: np.dtype, op: Op | None = None, index: int = 0) -> Value:
        """A new value."""
        self.count += 1
        return Value(self.count, tuple(shape), np.dtype(dtype), op, index)

    def input(self, shape: tuple[int, ...], dtype: np.dtype) -> Value:
        """A new input."""
        v = self.value(shape, dtype)
        self.inputs.append(v)
        return v

    def constant(self, array: Any) -> Value:
        """A value known when the graph is made."""
        v = self.value(array.shape, array.dtype)
        self.constants[v] = array
        return v

    def add(
        self, prim: Prim, inputs: tuple[Any, ...], params: dict[str, Any], like: list[tuple[tuple[int, ...], Any]], where: str = ""
    ) -> Op:
        """Append an operation whose outputs have these shapes and dtypes."""
        op = Op(prim, inputs, params, (), where)
        op.outputs = tuple(self.value(shape, dtype, op, i) for i, (shape, dtype) in enumerate(like))
        self.ops.append(op)
        return op

    def uses(self) -> dict[Value, list[Op]]:
        """For each value, the operations that read it, in order."""
        table: dict[Value, list[Op]] = {}
        for op in self.ops:
            for v in dict.fromkeys(op.values()):
                table.setdefault(v, []).append(op)
        return table
