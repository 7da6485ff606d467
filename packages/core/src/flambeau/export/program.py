"""An exported program: graphs whose sizes may depend on symbols, the tensors that they hold, and what goes in and comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flambeau.base.dtypes import dtype
from flambeau.export.size import Env, Size, at
from flambeau.graph.ir import Graph, Value
from flambeau.primitives.prim import Prim

Dim = int | Size
FIXED = (bool, int, float, complex, str, dtype)  # what arguments and results may be besides tensors and None


@dataclass(frozen=True)
class Ref:
    """The value with this number: inputs come first, then the outputs of operations in order."""

    number: int


@dataclass(frozen=True)
class Type:
    """Dtype and shape of a value."""

    dtype: np.dtype
    shape: tuple[Dim, ...]

    def at(self, env: Env) -> tuple[int, ...]:
        """The shape for these symbols."""
        return tuple(at(n, env) for n in self.shape)

    def __str__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"


@dataclass
class Step:
    """A primitive applied to values and numbers. Parameters may contain sizes. `where` names the user's file and line."""

    prim: Prim
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    outputs: tuple[Type, ...]
    where: str = ""


@dataclass
class Block:
    """A graph with sizes that may depend on symbols: the body of a loop or a branch, among a step's parameters."""

    inputs: list[Type]
    steps: list[Step]
    outputs: list[int]

    def graph(self, env: Env) -> Graph:
        """The graph for these sizes."""
        graph = Graph()
        values: list[Value] = [graph.input(t.at(env), t.dtype) for t in self.inputs]
        for step in self.steps:
            inputs = tuple(values[x.number] if isinstance(x, Ref) else evaluated(x, env) for x in step.inputs)
            params = {k: evaluated(v, env) for k, v in step.params.items()}
            values += graph.add(step.prim, inputs, params, [(t.at(env), t.dtype) for t in step.outputs], step.where).outputs
        graph.results = [values[i] for i in self.outputs]
        return graph

    def types(self) -> list[Type]:
        """The types of all values."""
        return [*self.inputs, *(t for step in self.steps for t in step.outputs)]

    def all_steps(self) -> Iterator[Step]:
        """Steps, and those of blocks inside."""
        for step in self.steps:
            yield step
            for x in step.params.values():
                if isinstance(x, Block):
                    yield from x.all_steps()


@dataclass
class Argument:
    """A leaf of the arguments: a tensor of a type, or (type None) a Python value that the program was made for."""

    name: str
    type: Type | None
    value: Any = None


@dataclass
class Entry:
    """One function of a program.

    `sources` says for each input of the block which argument it is (a number) or which of the program's tensors (a name). `outline` and
    `results` are the nested containers of arguments and results with numbers for leaves; `returned` says what each leaf of the results is:
    ("result", number) or ("value", a Python value). `writes` are arguments that are changed in place: (argument, result).
    """

    name: str
    arguments: list[Argument]
    outline: Any
    block: Block
    sources: list[int | str]
    returned: list[tuple[str, Any]]
    results: Any
    writes: list[tuple[int, int]]
    symbols: dict[str, int] = field(default_factory=dict)  # and the sizes that the example had


@dataclass
class Exported:
    """Entries by name, and the tensors that they use."""

    entries: dict[str, Entry]
    weights: dict[str, np.ndarray]


def evaluated(x: Any, env: Env) -> Any:
    """A parameter with its sizes replaced by numbers."""
    if isinstance(x, Block):
        return x.graph(env)
    return mapped(x, lambda leaf: leaf.at(env) if isinstance(leaf, Size) else leaf)


def mapped(x: Any, fn: Callable[[Any], Any]) -> Any:
    """A parameter with `fn` applied to the leaves of its tuples, lists and slices."""
    if isinstance(x, slice):
        return slice(mapped(x.start, fn), mapped(x.stop, fn), mapped(x.step, fn))
    if isinstance(x, (tuple, list)):
        return type(x)(mapped(v, fn) for v in x)
    return fn(x)
