"""The body of a loop or a branch as a graph: run once under a capture of its own, on copies, with nothing changed outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.autograd.modes import no_grad
from flambeau.base import tree
from flambeau.base.errors import ArgumentTypeError, FlambeauError, ShapeError, explain
from flambeau.graph.capture import CannotCapture, Capture
from flambeau.graph.ir import Graph, Op, Value
from flambeau.primitives.bind import intercept, state
from flambeau.primitives.source import random
from flambeau.tensor.creation import as_tensor
from flambeau.tensor.tensor import Tensor

Flat = Callable[[list[Any]], list[Any]]


class CannotTrace(FlambeauError, RuntimeError):
    """A body does something that a graph inside a graph cannot hold; the loop then runs step by step."""


class BodyCapture(Capture):
    """Stops before anything happens outside. `tensors` are those that came from there, in the order of the graph's inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[Any] = []
        self.states: list[tuple[Any, Any]] = []  # generators, and what they were before

    def __call__(self, prim: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if prim is random and all(params["generator"] is not g for g, _ in self.states):
            with intercept(None):
                self.states.append((params["generator"], params["generator"].get_state()))
        return super().__call__(prim, inputs, params)

    def _operand(self, x: Any) -> Any:
        if type(x).__name__ == "RuntimeNumber":
            raise CannotTrace("a number of an optimizer")
        return super()._operand(x)

    def read(self, x: Any) -> Value:
        """Notes which tensor an input of the graph is."""
        before = len(self.outside)
        value = super().read(x)
        if len(self.outside) > before:
            self.tensors.append(x)
        return value

    def write(self, x: Any, value: Any) -> None:
        """Only memory made inside may be written to."""
        if self.is_outside(x):
            raise CannotTrace("a write to memory from outside")
        super().write(x, value)

    def observe(self, x: Any, how: str) -> None:
        """What Python reads decides."""
        raise CannotTrace(how)

    def runtime(self, compute: Any) -> Any:
        """An optimizer's step."""
        raise CannotTrace("an optimizer's step")

    def touch_grad(self, node: Any, old: Any) -> None:
        """Gradients of leaves outside."""
        raise CannotTrace("a change of .grad")


def trace(fn: Flat, like: Sequence[Any]) -> tuple[Graph, list[Any]]:
    """`fn` as a graph: its inputs are tensors like these, then those from outside that it uses, which are also given.

    Raises CannotTrace. Generators of random numbers are as they were before.
    """
    capture = BodyCapture()
    arguments = [state.wrap(np.array(x._a)) for x in like]
    try:
        with no_grad(), intercept(capture):
            for x in arguments:
                capture.read(x)
            graph = capture.graph
            graph.results = [capture.read(x) for x in fn(arguments)]
    except CannotCapture as error:
        raise CannotTrace(str(error)) from error
    finally:
        with intercept(None):
            for generator, before in capture.states:
                generator.set_state(before)
    if capture.reads:
        raise CannotTrace(capture.reads[0])
    outer = state.interceptor
    if isinstance(outer, Capture):
        outer.generators += [g for g in capture.generators if g not in outer.generators]
        outer.guards += capture.guards
    n = len(arguments)
    needed = live(graph)
    kept = [i for i in range(len(graph.inputs)) if i < n or needed[i]]
    graph.inputs = [graph.inputs[i] for i in kept]
    return graph, [capture.tensors[i] for i in kept[n:]]


def live(graph: Graph) -> list[bool]:
    """Drop operations whose results nobody needs; for each input, whether something needs it."""
    needed: set[Value] = set(graph.results)
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if any(v in needed for v in op.outputs):
            kept.append(op)
            needed.update(op.values())
    graph.ops = kept[::-1]
    return [v in needed for v in graph.inputs]


def capturing(tensors: Sequence[Any]) -> bool:
    """Whether a graph is being made of operations on these tensors."""
    return isinstance(state.interceptor, Capture) and all(type(x._a) is np.ndarray for x in tensors)


# -- containers -----------------------------------------------------------------------------------------------------------------------
def flatten(op: str, what: str, x: Any) -> tuple[list[Any], Any]:
    """The tensors in nested containers (numbers become tensors, None stays out) and the structure."""
    leaves, structure = tree.flatten(x, none_is_leaf=False)
    found = []
    for leaf in leaves:
        if isinstance(leaf, (bool, int, float, complex)):
            leaf = as_tensor(leaf)
        if not isinstance(leaf, Tensor):
            expected = f"{what} as tensors and numbers in dicts, lists and tuples"
            raise ArgumentTypeError(explain(op, expected=expected, got=f"a {type(leaf).__name__}"))
        found.append(leaf)
    return found, structure


def check_same(op: str, what: str, found: tuple[list[Any], Any], wanted: tuple[list[Any], Any]) -> None:
    """Raise unless two results have the same containers, shapes and dtypes."""
    if found[1] != wanted[1]:
        raise ArgumentTypeError(explain(op, expected=f"{what} in the same containers", got="others"))
    for x, y in zip(found[0], wanted[0], strict=True):
        if x._a.shape != y._a.shape or x._a.dtype != y._a.dtype:
            have, want = (f"{t._a.dtype}{list(t._a.shape)}" for t in (x, y))
            raise ShapeError(explain(op, expected=f"{what} of the same shapes and dtypes: {want}", got=have))
