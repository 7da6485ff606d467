"""The interpreter: runs a graph operation by operation with the primitives' kernels. It defines what a graph means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flambeau.device.base import executors
from flambeau.device.cpu import CPU_BACKEND
from flambeau.graph.ir import Graph, Scalar, Value
from flambeau.primitives.bind import run_kernel


def interpret(graph: Graph, inputs: Sequence[Any], scalars: Mapping[Any, float] | None = None) -> list[Any]:
    """The results for these input arrays and scalars (by name)."""
    env: dict[Value, Any] = dict(graph.constants)
    env.update(zip(graph.inputs, inputs, strict=True))
    last = _last_uses(graph)
    for position, op in enumerate(graph.ops):
        arrays = [env[x] if isinstance(x, Value) else scalars[x.name] if isinstance(x, Scalar) else x for x in op.inputs]  # type: ignore[index]
        params = {k: v for k, v in op.params.items() if k != "device"}
        executor = next((executors[type(env[x])] for x in op.values()), CPU_BACKEND)
        out = run_kernel(executor, op.prim, arrays, tuple(arrays), params)
        for v, array in zip(op.outputs, out if type(out) is tuple else (out,), strict=True):
            env[v] = array
        for v in last.get(position, ()):
            del env[v]
    return [env[v] for v in graph.results]


def _last_uses(graph: Graph) -> dict[int, list[Value]]:
    """For each operation, the values that nobody needs after it."""
    kept = set(graph.results)
    last: dict[Value, int] = {}
    for position, op in enumerate(graph.ops):
        for v in (*op.values(), *op.outputs):
            last[v] = position
    table: dict[int, list[Value]] = {}
    for v, position in last.items():
        if v not in kept:
            table.setdefault(position, []).append(v)
    return table
