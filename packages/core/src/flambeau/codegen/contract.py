"""Contractions from rows of the graph: their rules, and the steps of the nodes that the rules make."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.codegen import convolve
from flambeau.codegen.epilogue import Epilogue
from flambeau.codegen.image import is_readable
from flambeau.codegen.layout import Ints, row_major
from flambeau.codegen.llvm import Target
from flambeau.codegen.nodes import Access, Node
from flambeau.graph.ir import Op

FLOATS = (np.dtype("f4"), np.dtype("f8"))
_WRITERS = {"conv": convolve.forward, "conv_input_grad": convolve.input_grad, "conv_weight_grad": convolve.weight_grad}


def write_contract(nodes: list[Node], stored: list[Node], target: Target) -> convolve.Steps:
    """The steps of a contraction and of the maps that were fused with it."""
    first = nodes[0]
    return _WRITERS[first.name](first, Epilogue(nodes, stored, first.params["full"][-1]), target)


def _operands(low: Any, handles: list[Any], images: int) -> tuple[Access, ...]:
    """The first operands as images that can be read, the others (weights) in row-major order."""
    xs = [low.memory(h) for h in handles]
    return tuple((x if is_readable(x.layout) else low.copied(x)) if i < images else _rowmajor(low, x) for i, x in enumerate(xs))


def _rowmajor(low: Any, x: Access) -> Access:
    return x if x.layout.strides == row_major(x.shape) else low.copied(x)


def _image(low: Any, name: str, operands: tuple[Access, ...], shape: Ints, params: dict[str, Any]) -> Access:
    """A node whose result is an image with its channels last."""
    dims = len(shape) - 2
    full = (shape[0], *(1,) * (3 - dims), *shape[2:], shape[1])
    node = Node("contract", name, operands, tuple(n for n in full if n != 1), params={**params, "full": full, "dims": dims, "fuses": True})
    last = low.node(node, (shape[0], *shape[2:], shape[1]), operands[0].dtype)
    return Access(last.buffer, last.layout.permute((0, dims + 1, *range(1, dims + 1))))


def _is_for_us(handles: list[Any], op: Op) -> bool:
    v = op.outputs[0]
    padding = op.params["padding"]
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
    return low.node(
        Node("contract", op.prim.name, _operands(low, handles, 2), v.shape, params={**params, "full": v.shape}), v.shape, v.dtype
    )


CONTRACTIONS = {"conv": _conv, "conv_input_grad": _conv, "conv_weight_grad": _weight_grad}
