"""What must hold of a graph after every pass; a violation names the operation."""

from __future__ import annotations

from flambeau.base.errors import FlambeauError, explain
from flambeau.graph.ir import Graph, Scalar, Value


class GraphError(FlambeauError, RuntimeError):
    """A graph is malformed: a bug of a pass."""


def verify(graph: Graph, after: str = "capture") -> Graph:
    """Check that values are defined once and before use, and that shapes and dtypes are what the primitives' rules say."""
    defined: set[Value] = {*graph.inputs, *graph.constants}
    if len(defined) != len(graph.inputs) + len(graph.constants):
        raise _error(after, "inputs and constants that differ", "one listed twice")
    for position, op in enumerate(graph.ops):
        name = f"operation {position} ({op.prim.name})"
        for x in op.inputs:
            if isinstance(x, Value) and x not in defined:
                raise _error(after, f"{name} to read values that are defined before it", repr(x))
            if isinstance(x, Scalar) and x not in graph.scalars:
                raise _error(after, f"{name} to read scalars of the graph", repr(x))
        for v in op.outputs:
            if v in defined or v.op is not op:
                raise _error(after, f"{name} to define new values of its own", repr(v))
            defined.add(v)
        for body in op.bodies():
            verify(body, f"{after}, inside {name}")
        _shapes(op, name, after)
    for v in graph.results:
        if v not in defined:
            raise _error(after, "results that are defined", repr(v))
    return graph


def _shapes(op: object, name: str, after: str) -> None:
    from flambeau.base.errors import DeviceError
    from flambeau.graph.ir import Op

    assert isinstance(op, Op)
    try:
        inferred = op.prim.infer(*[1.0 if isinstance(x, Scalar) else x for x in op.inputs], **op.params)
    except DeviceError:
        return  # the shape depends on the data
    expected = inferred if isinstance(inferred, list) else [inferred]
    found = [(v.shape, v.dtype) for v in op.outputs]
    if [(tuple(s), d) for s, d in expected] != found:
        raise _error(after, f"{name} to give {expected}", str(found))


def _error(after: str, expected: str, got: str) -> GraphError:
    return GraphError(explain(f"graph after {after}", expected=expected, got=got))
