"""The graph of an ONNX model while it is written: nodes, constants, and shapes that depend on the model's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.export.program import Dim, Entry, Ref, Step, Type
from flambeau.export.size import Size, symbol_of

OPSET = 18
FLOAT, INT64, BOOL = np.dtype(np.float32), np.dtype(np.int64), np.dtype(bool)


class Unsupported(Exception):
    """There is no way to write this operation; the text says what about it."""


class Builder:
    """Collects nodes. Values are names; `types` are those of the program's values by number."""

    def __init__(self, entry: Entry) -> None:
        from onnx import helper

        self._helper = helper
        self.entry = entry
        self.types = entry.block.types()
        self.nodes: list[Any] = []
        self.constants: dict[tuple[Any, ...], str] = {}
        self.tensors: list[Any] = []
        self.names: dict[int, str] = {}
        self.origin: dict[str, tuple[str, int]] = {}  # symbol -> the input and the axis that have it
        self.sizes: dict[Any, str] = {}
        self.used = {x.number for s in entry.block.steps for x in s.inputs if isinstance(x, Ref)} | set(entry.block.outputs)

    # -- nodes and constants ------------------------------------------------------------------------------------------------------------
    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; the name of its output, or a list of names."""
        names = [f"{op.lower()}_{len(self.nodes)}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        self.nodes.append(self._helper.make_node(op, list(inputs), names, **attributes))
        return names if outputs > 1 else names[0]

    def identity(self, source: str, name: str) -> None:
        """Give a value the name of an output of the model."""
        self.nodes.append(self._helper.make_node("Identity", [source], [name]))

    def constant(self, array: np.ndarray, name: str | None = None) -> str:
        """A tensor of the model."""
        array = np.asarray(array)
        key = (array.dtype.name, array.shape, array.tobytes()) if name is None else (name,)
        if key not in self.constants:
            self.constants[key] = name or f"constant_{len(self.constants)}"
            self.tensors.append(tensor(self.constants[key], array))
        return self.constants[key]

    def number(self, x: Any, dtype: np.dtype) -> str:
        """A number as a tensor without axes."""
        if isinstance(x, Size):
            return self.cast(self.scalar(x), dtype)
        return self.constant(np.asarray(x).astype(dtype))

    def ints(self, values: Sequence[int]) -> str:
        """Known ints as a vector."""
        return self.constant(np.array(values, np.int64).reshape(len(values)))

    def cast(self, name: str, dtype: np.dtype) -> str:
        """Converted to a dtype."""
        return str(self.node("Cast", name, to=element_type(dtype)))

    # -- sizes that change --------------------------------------------------------------------------------------------------------------
    def scalar(self, size: Dim) -> str:
        """A size as an int64 tensor without axes."""
        return str(self.node("Squeeze", self.vector([size]), self.ints([0])))

    def vector(self, sizes: Sequence[Dim]) -> str:
        """Sizes as an int64 vector, computed from the shapes of the inputs where they depend on symbols."""
        if all(isinstance(n, int) for n in sizes):
            return self.ints([int(n) for n in sizes])  # type: ignore[arg-type]
        parts = [self.ints([n]) if isinstance(n, int) else self._size(n) for n in sizes]
        return parts[0] if len(parts) == 1 else str(self.node("Concat", *parts, axis=0))

    def _size(self, size: Size) -> str:
        """One size as a vector of one element."""
        if size.terms not in self.sizes:
            total = ""
            for names, factor in size.terms:
                product = self.ints([factor])
                for name in names:
                    product = self.node("Mul", product, self._symbol(name))
                total = product if not total else self.node("Add", total, product)
            self.sizes[size.terms] = total or self.ints([0])
        return self.sizes[size.terms]

    def _symbol(self, name: str) -> str:
        if name not in self.sizes:
            source, axis = self.origin[name]
            shape = self.node("Shape", source)
            self.sizes[name] = self.node("Gather", shape, self.ints([axis]), axis=0)
        return self.sizes[name]

    def reshape(self, name: str, sizes: Sequence[Dim]) -> str:
        """Under another shape; one size that changes is inferred."""
        unknown = [i for i, n in enumerate(sizes) if not isinstance(n, int)]
        if len(unknown) == 1 and 0 not in sizes:
            shape = self.ints([-1 if not isinstance(n, int) else n for n in sizes])
        else:
            shape = self.vector(sizes)
        return str(self.node("Reshape", name, shape, allowzero=1 if 0 in sizes else 0))

    def transpose(self, name: str, axes: Sequence[int]) -> str:
        """Axes in another order."""
        if list(axes) == list(range(len(axes))):
            return name
        return str(self.node("Transpose", name, perm=list(axes)))

    # -- operations of the program ------------------------------------------------------------------------------------------------------
    def type(self, x: Any) -> Type:
        """The type of a step's operand."""
        return self.types[x.number]

    def operands(self, step: Step) -> list[str]:
        """Names of a step's operands; a bare number takes the dtype of the tensors beside it."""
        dtype = next((self.type(x).dtype for x in reversed(step.inputs) if isinstance(x, Ref)), FLOAT)
        return [self.names[x.number] if isinstance(x, Ref) else self.number(x, dtype) for x in step.inputs]


def tensor(name: str, array: np.ndarray) -> Any:
    """An array as ONNX stores it."""
    from onnx import helper

    array = np.ascontiguousarray(array).reshape(array.shape)
    return helper.make_tensor(name, element_type(array.dtype), array.shape, array.tobytes(), raw=True)


def element_type(dtype: np.dtype) -> int:
    """ONNX's number of a dtype."""
    from onnx import TensorProto

    names = {"bool": "BOOL", "float32": "FLOAT", "float64": "DOUBLE"}
    return int(getattr(TensorProto, names.get(dtype.name, dtype.name.upper())))


def known(sizes: Sequence[Dim], what: str) -> list[int]:
    """Sizes that must not change."""
    if any(isinstance(n, Size) for n in sizes):
        raise Unsupported(f"{what} that changes ({', '.join(sorted({s for n in sizes if (s := symbol_of(n))}) or ['a symbol'])})")
    return [int(n) for n in sizes]  # type: ignore[arg-type]
