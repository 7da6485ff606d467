"""Contractions from rows of the graph: their rules, and the steps of the nodes that the rules make."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from flambeau.codegen import convolve, pooling
from flambeau.codegen.epilogue import Epilogue
from flambeau.codegen.image import is_readable
from flambeau.codegen.layout import Ints, row_major
from flambeau.codegen.llvm import Target
from flambeau.codegen.loops import Kernel
from flambeau.codegen.nodes import Access, Buffer, Node
from flambeau.codegen.packing import write_transposed
from flambeau.codegen.product import write_product
from flambeau.graph.ir import Op
from flambeau.primitives.kernels.layout import as_pairs

FLOATS = (np.dtype("f4"), np.dtype("f8"))
_FUSED = {"matmul": write_product, "conv": convolve.forward, "conv_input_grad": convolve.input_grad}


def _transpose(node: Node, target: Target) -> list[list[Kernel]]:
    (x,) = node.accesses()
    batch, rows, columns = node.params["matrices"]
    return [write_transposed(x.buffer, node.outputs[0], batch, rows, columns, target, x.layout.offset)]


_ALONE = {
    "conv_weight_grad": convolve.weight_grad,
    "unpool": pooling.write_unpool,
    "transpose": _transpose,
    **dict.fromkeys(pooling.ROWS, pooling.write_pooling),
}


def write_contract(nodes: list[Node], stored: list[Node], target: Target) -> list[list[Kernel]]:
    """The steps of a "contract" node and of the maps that were fused with it, or of a "steps" node."""
    first = nodes[0]
    if first.kind == "steps":
        return _ALONE[first.name](first, target)
    return _FUSED[first.name](first, Epilogue(nodes, stored, first.params["full"][-1]), target)


def _operands(low: Any, handles: list[Any], images: int) -> tuple[Access, ...]:
    """The first operands as images that can be read, the others (weights) in row-major order."""
    xs = [low.memory(h) for h in handles]
    return tuple((x if is_readable(x.layout) else low.copied(x)) if i < images else _rowmajor(low, x) for i, x in enumerate(xs))


def _rowmajor(low: Any, x: Access) -> Access:
    return x if x.layout.strides == row_major(x.shape) else low.copied(x)


def _image(low: Any, name: str, operands: tuple[Access, ...], shape: Ints, params: dict[str, Any]) -> Access:
    """A node whose result is an image with its channels last, with which maps fuse."""
    dims = len(shape) - 2
    full = (shape[0], *(1,) * (3 - dims), *shape[2:], shape[1])
    node = Node("contract", name, operands, tuple(n for n in full if n != 1), params={**params, "full": full, "dims": dims})
    return _last(low.node(node, (shape[0], *shape[2:], shape[1]), operands[0].dtype))


def _last(x: Access) -> Access:
    """Memory (N, *spatial, C) as (N, C, *spatial)."""
    n = len(x.shape)
    return Access(x.buffer, x.layout.permute((0, n - 1, *range(1, n - 1))))


def _is_for_us(handles: list[Any], op: Op) -> bool:
    v = op.outputs[0]
    padding = as_pairs(op.params["padding"])
    return (
        v.dtype in FLOATS and all(h.dtype == v.dtype for h in handles) and len(v.shape) <= 5 and all(p >= 0 for lo in padding for p in lo)
    )


def _conv(low: Any, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    if not _is_for_us(handles, op):
        return None
    return _image(low, op.prim.name, _operands(low, handles, 1), op.outputs[0].shape, params)


def _weight_grad(low: Any, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    if not _is_for_us(handles, op):
        return None
    v = op.outputs[0]
    return low.node(Node("steps", op.prim.name, _operands(low, handles, 2), v.shape, params=params), v.shape, v.dtype)


def _pooling(low: Any, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    x, v = low.memory(handles[0]), op.outputs[0]
    tables = pooling.tables_of(op.prim.name, x.shape, v.shape, params)
    empty = any(0 in t.count for t in tables) and "max" in op.prim.name  # windows of nothing but padding
    if x.dtype not in FLOATS or len(v.shape) > 5 or empty or prod(x.shape[2:]) >= 1 << 31:
        return None
    operand = x if x.layout.strides[1] == 1 or x.shape[1] == 1 else low.channels_last(x)
    node = Node("steps", op.prim.name, (operand,), (), params={**params, "result": v.shape})
    shape = (v.shape[0], *v.shape[2:], v.shape[1])
    node.outputs = tuple(Buffer(shape, o.dtype, node) for o in op.outputs)
    low.nodes.append(node)
    found = tuple(_last(low.whole(b)) for b in node.outputs)
    return found if len(found) > 1 else found[0]


def _unpool(low: Any, handles: list[Any], params: dict[str, Any], op: Op) -> Any:
    values, at, v = low.memory(handles[0]), low.memory(handles[1]), op.outputs[0]
    if values.dtype not in FLOATS or len(v.shape) > 5 or len(v.shape) < 3:
        return None
    shape = (v.shape[0], *v.shape[2:], v.shape[1])
    return _last(low.node(Node("steps", "unpool", (values, at), (), params={"result": v.shape}), shape, v.dtype))


CONTRACTIONS = {
    "conv": _conv,
    "conv_input_grad": _conv,
    "conv_weight_grad": _weight_grad,
    "unpool": _unpool,
    **dict.fromkeys(pooling.ROWS, _pooling),
}
