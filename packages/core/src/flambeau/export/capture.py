"""Run a function once and keep what it did as a graph of its arguments and constants: what export needs of capture, and what it refuses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flambeau.autograd.modes import no_grad
from flambeau.base import tree
from flambeau.base.errors import FlambeauError, explain
from flambeau.export.program import FIXED
from flambeau.graph.capture import CannotCapture, Capture, _user_line
from flambeau.graph.control.body import live
from flambeau.graph.ir import Graph
from flambeau.graph.memory import root_of
from flambeau.primitives.bind import intercept
from flambeau.tensor.tensor import Tensor


class CannotExport(FlambeauError, RuntimeError):
    """A function does something that a file cannot hold."""


def refuse(got: str, hint: str = "") -> CannotExport:
    """The error for something that cannot be exported."""
    return CannotExport(explain("export", expected="a function of its tensors alone", got=got, hint=hint))


class ExportCapture(Capture):
    """A capture that stops before anything happens that a file cannot hold, so that a model is left as it was."""

    def __init__(self, arguments: list[Any]) -> None:
        super().__init__()
        self.arguments = {id(root_of(x._a)) for x in arguments}

    def __call__(self, prim: Any, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        if "generator" in params:
            raise refuse(f"random numbers at {_user_line()}", "model.eval(), or make the numbers an argument")
        return super().__call__(prim, inputs, params)

    def write(self, x: Any, value: Any) -> None:
        """Arguments may be written to, and what is made inside."""
        if self.is_outside(x) and id(self._home(x)) not in self.arguments:
            raise refuse(f"a write to a tensor of shape {tuple(x._a.shape)} from outside at {_user_line()}", "model.eval()")
        super().write(x, value)

    def observe(self, x: Any, how: str) -> None:
        """A value that Python reads decides something that the file would not show."""
        raise refuse(f"{how} of a tensor of shape {tuple(x._a.shape)} at {_user_line()}", "flambeau.cond or flambeau.where")

    def runtime(self, compute: Callable[[], list[dict[str, float]]]) -> list[dict[str, Any]]:
        """Numbers that an optimizer computes."""
        raise refuse(f"an optimizer's step at {_user_line()}", "export the model alone")

    def touch_grad(self, node: Any, old: Any) -> None:
        """Gradients of parameters."""
        raise refuse(f"a change of .grad at {_user_line()}", "flambeau.autograd.grad")


@dataclass
class Run:
    """What one run did. `sources` says for each input of the graph which leaf of the arguments it is, or None and `arrays` has it."""

    graph: Graph
    sources: list[int | None]
    arrays: list[Any]
    returned: list[tuple[str, Any]]  # for each leaf of the result: ("result", number) or ("value", a Python value)
    structure: Any
    writes: list[tuple[int, int]]  # arguments written to: leaf, result


def run(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Run:
    """Run `fn` under capture, without gradients. Raises CannotExport where it does what a file cannot hold."""
    leaves, _ = tree.flatten((args, dict(kwargs)))
    tensors = [x for x in leaves if isinstance(x, Tensor)]
    capture = ExportCapture(tensors)
    try:
        with no_grad(), intercept(capture):
            result = fn(*args, **kwargs)
            return _finished(capture, leaves, result)
    except CannotCapture as error:
        raise refuse(str(error)) from None


def _finished(capture: ExportCapture, leaves: list[Any], result: Any) -> Run:
    if capture.reads:
        raise refuse(capture.reads[0])
    graph = capture.graph
    outs, structure = tree.flatten(result)
    returned: list[tuple[str, Any]] = []
    for x in outs:
        if isinstance(x, Tensor):
            graph.results.append(capture.read(x))
            returned.append(("result", len(graph.results) - 1))
        elif x is None or isinstance(x, FIXED):
            returned.append(("value", x))
        else:
            raise refuse(f"a result of type {type(x).__name__}", "return tensors in dicts, lists and tuples")
    position = {id(root_of(x._a)): i for i, x in enumerate(leaves) if isinstance(x, Tensor)}
    writes = []
    for array, value in capture.written():
        graph.results.append(value)
        writes.append((position[id(root_of(array))], len(graph.results) - 1))
    exact = {id(x._a): i for i, x in enumerate(leaves) if isinstance(x, Tensor)}
    for array in capture.outside:
        if id(array) not in exact and id(root_of(array)) in position:
            raise refuse("an argument that shares memory with another", "give each argument memory of its own: .clone()")
    kept = live(graph)
    sources = [exact.get(id(a)) for a in capture.outside]
    graph.inputs = [v for v, k in zip(graph.inputs, kept) if k]
    return Run(graph, [s for s, k in zip(sources, kept) if k], [a for a, k in zip(capture.outside, kept) if k], returned, structure, writes)


def argument_names(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[str]:
    """A readable name for each leaf of the arguments: the parameter's, with the place inside a container."""
    names: list[str] = []
    try:
        target = fn.forward if hasattr(fn, "forward") else fn
        bound = inspect.signature(target).bind(*args, **kwargs)
        parameters = list(bound.signature.parameters)
    except (TypeError, ValueError):
        parameters = []
    for i, x in enumerate(args):
        name = parameters[i] if i < len(parameters) else f"arg{i}"
        names += [name + path for path in tree.paths(tree.flatten(x)[1])]
    for name, x in kwargs.items():
        names += [name + path for path in tree.paths(tree.flatten(x)[1])]
    return [name if name not in names[:i] else f"{name}_{i}" for i, name in enumerate(names)]
