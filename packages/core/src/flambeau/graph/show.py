"""A graph as text."""

from __future__ import annotations

from typing import Any

from flambeau.graph.ir import Graph, Value


def show(graph: Graph) -> str:
    """One line an operation: results with their types, the primitive, its inputs and parameters."""
    lines = [f"inputs {', '.join(map(_typed, graph.inputs))}"]
    lines += [f"constant {_typed(v)}" for v in graph.constants]
    for op in graph.ops:
        params = "".join(f", {k}={_short(v)}" for k, v in op.params.items() if not isinstance(v, Graph))
        lines.append(f"{', '.join(map(_typed, op.outputs))} = {op.prim.name}({', '.join(map(_short, op.inputs))}{params})")
        for name, body in op.params.items():
            if isinstance(body, Graph):
                lines += [f"    {name}:", *("    " + line for line in show(body).splitlines())]
    lines.append(f"results {', '.join(map(repr, graph.results))}")
    return "\n".join(lines)


def _typed(v: Value) -> str:
    return f"{v!r}: {v.dtype.name}[{', '.join(map(str, v.shape))}]"


def _short(x: Any) -> str:
    text = repr(x)
    return text if len(text) <= 60 else text[:57] + "..."
