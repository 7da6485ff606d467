"""An entry for given sizes: its graph, verified, and refused where it would need more memory than the machine has."""

from __future__ import annotations

import functools
import os
from typing import Any

from flambeau.base.errors import FlambeauError, ShapeError, explain
from flambeau.export.check import check_op
from flambeau.export.program import Entry
from flambeau.export.size import Env
from flambeau.graph.ir import Graph
from flambeau.graph.verify import verify

_UNKNOWN_MEMORY = 1 << 36


@functools.cache
def machine_memory() -> int:
    """Bytes of memory that this machine has; 64 GiB where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN_MEMORY


def specialise(entry: Entry, env: Env) -> Graph:
    """The graph for these sizes. Raises a FlambeauError that names the operation if something does not fit."""
    graph = entry.block.graph(env)
    _check(entry, graph)
    try:
        return verify(graph, after="loading")
    except FlambeauError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise _broken(entry, "its steps", error) from None


def _check(entry: Entry, graph: Graph) -> None:
    """Sizes, and what kernels take for granted, also inside loops and branches."""
    limit = machine_memory()
    for v in (*graph.inputs, *(v for op in graph.ops for v in op.outputs)):
        where = f" at {v.op.where}" if v.op is not None and v.op.where else ""
        name = f"{v.op.prim.name}{where}" if v.op is not None else "an input"
        if any(n < 0 for n in v.shape):
            raise ShapeError(explain(f"entry {entry.name!r}", expected="sizes of 0 or more", got=f"{v.shape} of {name}"))
        if v.size * v.dtype.itemsize > limit:
            expected = f"arrays that fit into the memory of this machine ({limit >> 20} MiB)"
            raise ShapeError(explain(f"entry {entry.name!r}", expected=expected, got=f"{v.dtype.name}{list(v.shape)} of {name}"))
    for position, op in enumerate(graph.ops):
        for body in op.bodies():
            _check(entry, body)
        try:
            check_op(op)
        except FlambeauError:
            raise
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise _broken(entry, f"step {position} ({op.prim.name} at {op.where})", error) from None


def _broken(entry: Entry, what: str, error: Any) -> ShapeError:
    return ShapeError(explain(f"entry {entry.name!r}", expected=f"{what} to fit", got=f"{type(error).__name__}: {error}"))
