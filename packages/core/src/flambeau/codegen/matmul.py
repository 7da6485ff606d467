"""Matrix products in a compiled program: NumPy's BLAS, called between the native segments."""

from __future__ import annotations

from flambeau.codegen.llvm import Target
from flambeau.codegen.nodes import Node
from flambeau.primitives.prim import lookup


def write_matmul(node: Node, target: Target) -> list[Node]:
    """The product as a step in Python."""
    node.kind = "python"
    node.prim = lookup("matmul")
    node.numbers = node.operands
    return [node]
