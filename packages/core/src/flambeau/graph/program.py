"""A captured program: where its inputs come from, what it returns, what it changes, and how a replay does all that.

Who computes the graph's results is an `Engine`: the interpreter here, machine code in layer 6.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import numpy as np

from flambeau.base import tree
from flambeau.base.errors import explain
from flambeau.graph.capture import CannotCapture, Capture
from flambeau.graph.interpret import interpret
from flambeau.graph.ir import Graph
from flambeau.graph.verify import verify
from flambeau.primitives.bind import state
from flambeau.primitives.value import Storage, storage_of


class Program:
    """What a function did, as a graph with the bookkeeping around it."""

    def __init__(self, capture: Capture, leaves: list[Any], result: Any, epoch: int) -> None:
        if capture.reads:
            raise CannotCapture(
                explain("capture", expected="values that stay inside", got=capture.reads[0], hint="return the tensor and read it outside")
            )
        self.epoch = epoch
        self.graph: Graph = capture.graph
        self.numbers = capture.numbers
        self.guards = capture.guards
        self._inputs(capture, leaves)
        self._outputs(capture, leaves, result)
        self._grads(capture)
        self._writes(capture, leaves)
        verify(self.graph)

    # -- made once ------------------------------------------------------------------------------------------------------------------------
    def _inputs(self, capture: Capture, leaves: list[Any]) -> None:
        """For each input of the graph: the position of an argument, or the array of an implicit input."""
        position = {id(x._a): i for i, x in enumerate(leaves) if _is_tensor(x)}
        self.sources: list[int | None] = [position.get(id(a)) for a in capture.outside]
        self.implicit = [None if i is not None else a for i, a in zip(self.sources, capture.outside, strict=True)]

    def _outputs(self, capture: Capture, leaves: list[Any], result: Any) -> None:
        """Tensors of the result: an argument handed back, or a value."""
        outs, self.structure = tree.flatten(result)
        same = {id(x): i for i, x in enumerate(leaves) if _is_tensor(x)}
        self.returned: list[tuple[str, Any]] = []
        for x in outs:
            if not _is_tensor(x):
                self.returned.append(("value", x))
            elif id(x) in same:
                self.returned.append(("argument", same[id(x)]))
            elif x._node is not None:
                got = f"a result of shape {tuple(x._a.shape)} that requires grad"
                raise CannotCapture(
                    explain("capture", expected="results without gradient", got=got, hint="call backward inside, or return .detach()")
                )
            else:
                self.returned.append(("result", self._result(capture.read(x))))

    def _result(self, value: Any) -> int:
        self.graph.results.append(value)
        return len(self.graph.results) - 1

    def _grads(self, capture: Capture) -> None:
        """Leaves whose `.grad` is another tensor after the run: they get a new one after each replay.

        Where the run depends on what `.grad` was before (it added to it, or read it), a guard asks whether it is that still.
        """
        self.grads: list[tuple[Any, int | None]] = []
        read = {id(a) for a in capture.outside}
        for node, (old, cleared) in capture.grads.items():
            if old is not None and (id(old._a) in read or node.grad is old):
                self.guards.append(partial(_holds, node, old))
            elif old is None and not cleared:
                self.guards.append(partial(_holds, node, None))
            if node.grad is None:
                self.grads.append((node, None))
            elif not capture.is_outside(node.grad):
                self.grads.append((node, self._result(capture.read(node.grad))))

    def _writes(self, capture: Capture, leaves: list[Any]) -> None:
        """Outside memory that the program changes: where the new value goes."""
        position = {id(x._a): i for i, x in enumerate(leaves) if _is_tensor(x)}
        self.writes: list[tuple[int | None, Any, int]] = []
        for array, value in capture.written():
            self.writes.append((position.get(id(array)), array, self._result(value)))
        self.storages: list[Storage] = capture.storages

    def current(self) -> bool:
        """Whether host code that the program depends on (settings of optimizers) still says what it said."""
        return all(guard() for guard in self.guards)

    def donated(self) -> dict[int, int]:
        """Results that replace an implicit input: result number -> input number."""
        home = {id(a): k for k, a in enumerate(self.implicit) if a is not None}
        return {at: home[id(array)] for argument, array, at in self.writes if argument is None and id(array) in home}

    # -- each replay ----------------------------------------------------------------------------------------------------------------------
    def replay(self, leaves: list[Any], engine: Engine) -> Any:
        """Run for these arguments."""
        given = [(k, leaves[i]._a) for k, i in enumerate(self.sources) if i is not None]
        results = engine.run(given, [compute() for compute in self.numbers])
        for argument, array, at in self.writes:
            target = array if argument is None else leaves[argument]._a
            if results[at] is not target and not _same_memory(results[at], target):
                np.copyto(target, results[at])
            if argument is not None:
                storage_of(leaves[argument]).version += 1
        for st in self.storages:
            st.version += 1
        for node, place in self.grads:
            node.grad = None if place is None else state.wrap(results[place])
        return tree.unflatten(self.structure, [self._returned(kind, x, leaves, results) for kind, x in self.returned])

    def _returned(self, kind: str, x: Any, leaves: list[Any], results: list[Any]) -> Any:
        if kind == "value":
            return x
        return leaves[x] if kind == "argument" else state.wrap(results[x])


class Engine(Protocol):
    """Computes the results of a program's graph."""

    def run(self, given: list[tuple[int, Any]], tables: list[Any]) -> list[Any]:
        """The results; `given` are the arrays of arguments with the number of the input that each is for. A scalar named (t, i, name) is
        `tables[t][i][name]`. A result that replaces an implicit input may already be in its memory."""
        ...


class Interpreted:
    """The engine that interprets."""

    def __init__(self, program: Program) -> None:
        self.graph, self.arrays = program.graph, list(program.implicit)

    def run(self, given: list[tuple[int, Any]], tables: list[Any]) -> list[Any]:
        """Operation by operation. Results are copied, since they may be views of inputs."""
        names = [scalar.name for scalar in self.graph.scalars]
        scalars = {(t, i, name): tables[t][i][name] for t, i, name in names}
        for k, array in given:
            self.arrays[k] = array
        return [r.copy() for r in interpret(self.graph, self.arrays, scalars)]


def _same_memory(result: Any, target: Any) -> bool:
    """Whether the engine has stored a result where it belongs already."""
    return result.base is target


def _holds(node: Any, grad: Any) -> bool:
    """Whether a leaf's `.grad` is that tensor."""
    return node.grad is grad


def _is_tensor(x: Any) -> bool:
    return hasattr(x, "_a") and hasattr(x, "_node")
