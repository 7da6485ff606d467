"""A captured program: where its inputs come from, what it returns, what it changes, and how a replay does all that."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base import tree
from flambeau.base.errors import explain
from flambeau.graph.capture import CannotCapture, Capture, RuntimeNumber
from flambeau.graph.interpret import interpret
from flambeau.graph.ir import Graph
from flambeau.graph.verify import verify
from flambeau.primitives.bind import state
from flambeau.primitives.value import Storage, storage_of


class Program:
    """What a function did, as a graph with the bookkeeping around it."""

    def __init__(self, capture: Capture, leaves: list[Any], result: Any, epoch: int) -> None:
        if capture.reads:
            raise CannotCapture(explain("capture", expected="values that stay inside", got=capture.reads[0], hint="return the tensor and read it outside"))
        self.epoch = epoch
        self.graph: Graph = capture.graph
        self.numbers = capture.numbers
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
                raise CannotCapture(explain("capture", expected="results without gradient", got=got, hint="call backward inside, or return .detach()"))
            else:
                self.returned.append(("result", self._result(capture.read(x._a))))

    def _result(self, value: Any) -> int:
        self.graph.results.append(value)
        return len(self.graph.results) - 1

    def _grads(self, capture: Capture) -> None:
        """Leaves whose `.grad` is another tensor after the run: they get a new one after each replay."""
        self.grads: list[tuple[Any, int | None]] = []
        for node in capture.grads:
            if node.grad is None:
                self.grads.append((node, None))
            elif not capture.is_outside(node.grad._a):
                self.grads.append((node, self._result(capture.read(node.grad._a))))

    def _writes(self, capture: Capture, leaves: list[Any]) -> None:
        """Outside memory that the program changes: where the new value goes."""
        position = {id(x._a): i for i, x in enumerate(leaves) if _is_tensor(x)}
        self.writes: list[tuple[int | None, Any, int]] = []
        for array, value in capture.written():
            self.writes.append((position.get(id(array)), array, self._result(value)))
        self.storages: list[Storage] = capture.storages

    # -- each replay ----------------------------------------------------------------------------------------------------------------------
    def replay(self, leaves: list[Any]) -> Any:
        """Run for these arguments."""
        arrays = [a if i is None else leaves[i]._a for i, a in zip(self.sources, self.implicit, strict=True)]
        results = self.run(arrays, {s: v for take in self.numbers for s, v in take().items()})
        self._store(leaves, results)
        for node, at in self.grads:
            node.grad = None if at is None else state.wrap(results[at])
        return tree.unflatten(self.structure, [self._returned(kind, x, leaves, results) for kind, x in self.returned])

    def run(self, arrays: list[Any], scalars: dict[Any, float]) -> list[Any]:
        """The results of the graph."""
        return interpret(self.graph, arrays, scalars)

    def _store(self, leaves: list[Any], results: list[Any]) -> None:
        """Put new values into the memory they belong to; what still reads that memory is copied first."""
        targets = [array if i is None else leaves[i]._a for i, array, _ in self.writes]
        for at, result in enumerate(results):
            if any(result is not t and np.may_share_memory(result, t) for t in targets):
                results[at] = result.copy()
        for (i, _, at), target in zip(self.writes, targets, strict=True):
            np.copyto(target, results[at])
            if i is not None:
                storage_of(leaves[i]).version += 1
        for st in self.storages:
            st.version += 1

    def _returned(self, kind: str, x: Any, leaves: list[Any], results: list[Any]) -> Any:
        if kind == "value":
            return x
        return leaves[x] if kind == "argument" else state.wrap(results[x])


def _is_tensor(x: Any) -> bool:
    return hasattr(x, "_a") and hasattr(x, "_node")


__all__ = ["Program", "RuntimeNumber"]
