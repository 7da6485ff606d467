"""From a graph to nodes: views become layouts, known numbers are computed now, compound rows are taken apart, the rest becomes nodes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from flambeau.codegen import expr, halves
from flambeau.codegen.contract import CONTRACTIONS
from flambeau.codegen.decompose import DECOMPOSED
from flambeau.codegen.layout import Ints, Layout, channels_last, transposition
from flambeau.codegen.nodes import Access, Buffer, Node, Operand, Parameter, Uniform
from flambeau.codegen.random import streams_of
from flambeau.codegen.rules import RULES
from flambeau.codegen.value import BOOL, is_half
from flambeau.graph.ir import Graph, Op, Scalar, Value
from flambeau.primitives.prim import lookup

Handle = Access | Uniform  # what stands for a value of the graph
_ELEMENTWISE = ("cast", "copy")
_LARGE = 1 << 12  # elements from which a transposed copy is a step of its own


class Lowering:
    """The state of lowering one graph; `nodes` is the result, in an order in which they can run."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[Node] = []
        self.ranges: dict[Buffer, Any] = {}  # of integers: what checks.py knows of their values
        self.streams = streams_of(graph)
        self.inputs = [Buffer(v.shape, v.dtype, input=i) for i, v in enumerate(graph.inputs)]
        self.handles: dict[Value, Handle] = {v: self.whole(b) for v, b in zip(graph.inputs, self.inputs)}
        for v, array in graph.constants.items():
            self.handles[v] = self.constant(np.asarray(array))
        for op in graph.ops:
            self._op(op)
        for stream in self.streams.values():
            stream.close()
        self.results = [self.handles[v] for v in graph.results]

    # -- what rules call ------------------------------------------------------------------------------------------------------------------
    def whole(self, buffer: Buffer, shape: Ints | None = None) -> Access:
        """All of a buffer, under a shape with as many elements."""
        return Access(buffer, Layout.contiguous(buffer.shape if shape is None else shape))

    def constant(self, array: np.ndarray) -> Handle:
        """An array that is known now."""
        if array.size and (array == array.flat[0]).all():
            return Uniform(array.flat[0], array.dtype, array.shape)
        return self.whole(Buffer(array.shape, array.dtype, constant=np.ascontiguousarray(array)))

    def map(self, name: str, *operands: Handle | Parameter | Any, result: np.dtype | None = None, **params: Any) -> Handle:
        """Apply an elementwise primitive; plain numbers take the dtype of the arrays. `result` is the result's dtype, if not theirs."""
        handles = [x for x in operands if isinstance(x, (Access, Uniform))]
        shape = np.broadcast_shapes(*[h.shape for h in handles])
        own = handles[-1].dtype
        result = own if result is None else result
        if not any(isinstance(x, (Access, Parameter)) for x in operands):
            return self._known(name, operands, params, shape, result)
        arguments = tuple(self._operand(x, shape, own) for x in operands)
        order = channels_last([x.layout for x in arguments if isinstance(x, Access)])
        if name == "cast":
            params = {}
        return self._ordered(Node("map", name, tuple(_along(x, order) for x in arguments), (), params=params), shape, result, order)

    def reduce(self, kind: str, x: Handle, axis: Ints, keepdim: bool = True) -> Handle:
        """Reduce over axes."""
        axes = {a % len(x.shape) for a in axis}
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keepdim or i not in axes)
        x = self.memory(x)
        order = channels_last([x.layout]) or tuple(range(len(x.shape)))
        kept = [i for i in order if x.shape[i] != 1]
        if [i for i in kept if i not in axes] != sorted(i for i in kept if i not in axes):
            order = tuple(range(len(x.shape)))  # the result would not come out in row-major order
            kept = [i for i in order if x.shape[i] != 1]
        reduced = tuple(at for at, i in enumerate(kept) if i in axes)
        if kind in ("any", "all") and x.dtype.kind != "b":
            x = self.map("ne", x, 0, result=np.dtype(bool))
            assert isinstance(x, Access)
        if not reduced:
            return Access(x.buffer, self._reshaped(x, shape).layout) if isinstance(x, Access) else x
        operand = Access(x.buffer, x.layout.permute(order).squeeze())
        return self.node(Node("reduce", kind, (operand,), operand.shape, axes=reduced), shape, x.dtype)

    def uniform_like(self, number: Any, x: Handle, axis: Ints) -> Uniform:
        """A number in the shape of a reduction that keeps its axes."""
        axes = {a % len(x.shape) for a in axis}
        return Uniform(x.dtype.type(number), x.dtype, tuple(1 if i in axes else n for i, n in enumerate(x.shape)))

    def reshape(self, x: Handle, shape: Ints) -> Handle:
        """The same elements under another shape; copied if no strides can say that."""
        if isinstance(x, Uniform):
            return Uniform(x.number, x.dtype, tuple(shape))
        return self._reshaped(x, tuple(shape))

    def materialise(self, x: Handle) -> Access:
        """The elements in row-major order in a buffer of their own."""
        if isinstance(x, Access) and x.layout.is_contiguous and x.buffer.size == prod(x.shape):
            return x
        return self.copied(x)

    # -- details --------------------------------------------------------------------------------------------------------------------------
    def node(self, node: Node, shape: Ints, dtype: np.dtype) -> Access:
        """Append a node that computes one new buffer."""
        buffer = Buffer(tuple(shape), dtype, node)
        node.outputs = (buffer,)
        self.nodes.append(node)
        return self.whole(buffer)

    def _ordered(self, node: Node, shape: Ints, dtype: np.dtype, order: Ints | None) -> Access:
        """Append a node whose result lies in memory with its axes in this order (None: as they come)."""
        if order is None:
            node.shape = tuple(n for n in shape if n != 1)
            return self.node(node, shape, dtype)
        there = tuple(shape[i] for i in order)
        node.shape = tuple(n for n in there if n != 1)
        x = self.node(node, there, dtype)
        return Access(x.buffer, x.layout.permute(tuple(order.index(i) for i in range(len(shape)))))

    def copied(self, x: Handle) -> Access:
        """A copy in row-major order."""
        if isinstance(x, Uniform):
            x = self.memory(x)
        if not expr.movable(x.dtype) or 0 in x.shape:
            node = Node("python", "pack", (x,), (), prim=lookup("pack"), numbers=(x,))
            return self.node(node, x.shape, x.dtype)
        matrices = transposition(x.layout)
        if matrices and x.layout.size >= _LARGE and x.dtype.kind != "b" and x.dtype.itemsize >= 4:
            return self.node(Node("steps", "transpose", (x,), (), params={"matrices": matrices}), x.shape, x.dtype)
        space = tuple(n for n in x.shape if n != 1)
        return self.node(Node("map", "copy", (Access(x.buffer, x.layout.squeeze()),), space), x.shape, x.dtype)

    def channels_last(self, x: Access) -> Access:
        """A copy of an image with its channels (axis 1) last in memory."""
        n = len(x.shape)
        order = (0, *range(2, n), 1)
        return self._ordered(Node("map", "copy", (_along(x, order),), ()), x.shape, x.dtype, order)

    def memory(self, x: Handle) -> Access:
        """A known number as an array in memory; an access as it is."""
        if isinstance(x, Access):
            return x
        base = Buffer((1,), x.dtype, constant=np.full((1,), x.number, x.dtype))
        return Access(base, Layout(x.shape, (0,) * len(x.shape)))

    def _reshaped(self, x: Access, shape: Ints) -> Access:
        layout = x.layout.reshape(shape)
        if layout is None:
            x = self.materialise(x)
            layout = Layout.contiguous(shape)
        return Access(x.buffer, layout)

    def _operand(self, x: Any, shape: Ints, dtype: np.dtype) -> Operand:
        if isinstance(x, Parameter):
            return x
        if isinstance(x, Access):
            return Access(x.buffer, x.layout.expand(shape))
        return Uniform(x.number, x.dtype, ()) if isinstance(x, Uniform) else Uniform(x, dtype, ())

    def _known(self, name: str, operands: Any, params: dict[str, Any], shape: Ints, dtype: np.dtype) -> Uniform:
        with np.errstate(all="ignore"):
            numbers = [np.full((1,), x.number, x.dtype) if isinstance(x, Uniform) else x for x in operands]
            value = lookup(name).on_numpy(*numbers, **params)
        return Uniform(np.asarray(value).reshape(-1)[0], dtype, shape)

    # -- one operation of the graph ---------------------------------------------------------------------------------------------------
    def _op(self, op: Op) -> None:
        handles = [self._handle(x) for x in op.inputs]
        params = {k: v for k, v in op.params.items() if k != "device"}
        outputs: Any = None
        if all(0 not in v.shape for v in (*op.values(), *op.outputs)):
            if halves.computes(op) and any(is_half(v.dtype) for v in op.values()):
                outputs = halves.lowered(self, op, handles, lambda wide, op: self._lowered(wide, params, op))
            else:
                outputs = self._lowered(handles, params, op)
        if outputs is None:
            outputs = self.python(op, params)
        for v, h in zip(op.outputs, outputs if isinstance(outputs, tuple) else (outputs,)):
            self.handles[v] = h

    def _lowered(self, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
        """What stands for the results, or None if there is no code."""
        name = op.prim.name
        rule = RULES.get(name) or CONTRACTIONS.get(name)
        if rule is not None:
            return rule(self, handles, params, op)
        if name in DECOMPOSED:
            return DECOMPOSED[name](self, *handles, **params)
        return self.elementwise(name, handles, params, op) if op.prim.elementwise or name in _ELEMENTWISE else None

    def _handle(self, x: Any) -> Any:
        if isinstance(x, Value):
            return self.handles[x]
        return Parameter(self.graph.scalars.index(x)) if isinstance(x, Scalar) else x

    def elementwise(self, name: str, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
        """An elementwise row, or None if it has no code for these operands."""
        dtypes = [h.dtype for h in handles if isinstance(h, (Access, Uniform))]
        numbers = [x for x in handles if not isinstance(x, (Access, Uniform))]
        if not expr.supports(name, dtypes, params) or not all(_fits(n, dtypes[-1]) for n in numbers):
            return None
        if any(d != dtypes[-1] for d in (dtypes[1:] if name == "where" else dtypes)) or (name == "where" and len(dtypes) == 1):
            return None
        if name == "copy":
            return handles[0]
        if name != "cast" and op.outputs[0].dtype not in (dtypes[-1], BOOL):
            return None  # NumPy promotes where it is given more than plain numbers
        return self.map(name, *handles, result=op.outputs[0].dtype, **params)

    def python(self, op: Op, params: dict[str, Any]) -> tuple[Handle, ...]:
        """A node for an operation without code, whose kernel is called."""
        operands = tuple(self.memory(self.handles[x]) if isinstance(x, Value) else self._handle(x) for x in op.inputs)
        node = Node("python", op.prim.name, tuple(x for x in operands if isinstance(x, (Access, Parameter))), (), params=params)
        node.prim, node.numbers = op.prim, operands
        node.outputs = tuple(Buffer(v.shape, v.dtype, node) for v in op.outputs)
        self.nodes.append(node)
        return tuple(self.whole(b) for b in node.outputs)


def _along(x: Operand, order: Ints | None) -> Operand:
    """An operand with its axes in this order, without those of size 1."""
    if not isinstance(x, Access):
        return x
    return Access(x.buffer, (x.layout if order is None else x.layout.permute(order)).squeeze())


def _fits(number: Any, dtype: np.dtype) -> bool:
    """A number that is given at each run is a float."""
    return dtype.kind == "f" if isinstance(number, Parameter) else expr.fits(number, dtype)
