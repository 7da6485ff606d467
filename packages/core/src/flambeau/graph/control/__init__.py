"""Control flow on tensors: `cond`, `scan`, `fori_loop`, `while_loop`. Loops and branches of Python eagerly, operations with graphs inside
under capture; the results are the same."""

from flambeau.graph.control.branch import cond
from flambeau.graph.control.loop import fori_loop, while_loop
from flambeau.graph.control.scan import scan

__all__ = ["cond", "fori_loop", "scan", "while_loop"]
