"""What computes a graph: the interface of engines, and the one that interprets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flambeau.graph.interpret import interpret
from flambeau.graph.ir import Graph


@dataclass(eq=False)
class Task:
    """A graph with how it is fed.

    Args:
        held: for each input the array that it always is (its contents change), or None where an array is given for each run.
        donated: results that replace a held input: result number -> input number. An engine may store them in its memory.
        fresh: results that are new arrays in each run; others may lie in memory of the engine until the next run.
        strided: inputs given for each run that are not contiguous.
    """

    graph: Graph
    held: list[Any]
    donated: dict[int, int]
    fresh: frozenset[int]
    strided: frozenset[int]


class Engine(Protocol):
    """Computes the results of a task. `stored`: donated results that are in the memory of their input after a run."""

    stored: frozenset[int]

    def run(self, given: Sequence[Any], numbers: Sequence[float]) -> list[Any]:
        """The results, for the arrays of the inputs that are given, in order, and the scalars of the graph."""
        ...

    def hold(self, k: int, array: Any) -> None:
        """From now on held input k is another array, of the same layout."""
        ...


class Interpreted:
    """The engine that interprets, operation by operation."""

    stored: frozenset[int] = frozenset()

    def __init__(self, task: Task) -> None:
        self.graph, self.held = task.graph, task.held
        self.open = [k for k, array in enumerate(task.held) if array is None]
        self.names = [scalar.name for scalar in task.graph.scalars]

    def run(self, given: Sequence[Any], numbers: Sequence[float]) -> list[Any]:
        """Results are copied, since they may be views of inputs."""
        arrays = list(self.held)
        for k, array in zip(self.open, given):
            arrays[k] = array
        return [r.copy() for r in interpret(self.graph, arrays, dict(zip(self.names, numbers)))]

    def hold(self, k: int, array: Any) -> None:
        """See `Engine`."""
        self.held[k] = array
