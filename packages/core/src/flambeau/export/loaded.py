"""Exported programs, ready to be called: each entry is specialised for the sizes that come, and compiled where that is possible."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock
from typing import IO, Any

import numpy as np

from flambeau.base import tree
from flambeau.base.errors import ArgumentError, ArgumentTypeError, FlambeauError, NameNotFound, ShapeError, did_you_mean, explain
from flambeau.codegen import llvm
from flambeau.export.program import Argument, Entry, Exported
from flambeau.export.size import Env, symbol_of
from flambeau.export.specialise import specialise
from flambeau.graph.interpret import interpret
from flambeau.graph.ir import Graph
from flambeau.primitives.bind import state
from flambeau.primitives.value import storage_of
from flambeau.tensor.tensor import Tensor

KEPT = 16  # how many sizes of an entry stay compiled; the one used longest ago goes first


class Function:
    """One entry of a program: call it as the function that was exported. Results carry no gradient."""

    def __init__(self, entry: Entry, weights: dict[str, np.ndarray], compiled: bool) -> None:
        self.entry = entry
        self._weights, self._compiled = weights, compiled
        self._runs: OrderedDict[tuple[int, ...], _Run] = OrderedDict()
        self._lock = Lock()
        args, kwargs = entry.outline
        self._structure = tree.flatten((args, kwargs))[1]

    def __repr__(self) -> str:
        arguments = ", ".join(f"{a.name}: {a.type if a.type is not None else repr(a.value)}" for a in self.entry.arguments)
        return f"<exported {self.entry.name}({arguments})>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run for these arguments."""
        leaves, structure = tree.flatten((args, kwargs))
        if structure != self._structure:
            raise ArgumentTypeError(explain(f"entry {self.entry.name!r}", expected=self._wanted(), got=f"{len(leaves)} other arguments"))
        env = self._sizes(leaves)
        results = self._run(env).run([x._a if isinstance(x, Tensor) else x for x in leaves])
        for argument, result in self.entry.writes:
            target = leaves[argument]
            np.copyto(target._a, results[result])
            storage_of(target).version += 1
        out = [state.wrap(results[x]) if kind == "result" else x for kind, x in self.entry.returned]
        return tree.unflatten(tree.flatten(self.entry.results)[1], out)

    def _wanted(self) -> str:
        return f"the arguments {', '.join(a.name for a in self.entry.arguments)} in the containers they were exported in"

    def _sizes(self, leaves: list[Any]) -> dict[str, int]:
        """The sizes of the symbols in these arguments, which are checked."""
        env: dict[str, int] = {}
        for a, x in zip(self.entry.arguments, leaves, strict=True):
            if a.type is None:
                if type(x) is not type(a.value) or x != a.value:
                    got = f"{x!r}"
                    raise ArgumentError(explain(f"entry {self.entry.name!r}", expected=f"{a.name}={a.value!r}, as exported", got=got))
            else:
                self._match(a, x, env)
        return env

    def _match(self, a: Argument, x: Any, env: dict[str, int]) -> None:
        assert a.type is not None
        if not isinstance(x, Tensor) or type(x._a) is not np.ndarray:
            got = f"a {type(x).__name__}" if not isinstance(x, Tensor) else f"a tensor on {x.device}"
            hint = "flambeau.from_numpy" if isinstance(x, np.ndarray) else ""
            raise ArgumentTypeError(explain(f"entry {self.entry.name!r}", expected=f"{a.name} as a tensor on the CPU", got=got, hint=hint))
        fits = x._a.dtype == a.type.dtype and len(x._a.shape) == len(a.type.shape)
        if fits:
            for n, want in zip(x._a.shape, a.type.shape):
                name = symbol_of(want)
                fits = fits and n == (env.setdefault(name, n) if name is not None else want)
        if not fits:
            given = ", ".join(f"{name} = {n}" for name, n in env.items())
            given = f" with {given}" if given else ""
            got = f"{x._a.dtype.name}{list(x._a.shape)}"
            raise ShapeError(explain(f"entry {self.entry.name!r}", expected=f"{a.name} as {a.type}{given}", got=got))

    def _run(self, env: Env) -> _Run:
        key = tuple(env[name] for name in self.entry.symbols)
        with self._lock:
            found = self._runs.get(key)
            if found is None:
                found = self._runs[key] = _Run(self.entry, specialise(self.entry, env), self._weights, self._compiled)
                if len(self._runs) > KEPT:
                    self._runs.popitem(last=False)
            self._runs.move_to_end(key)
        return found


class _Run:
    """An entry for one choice of sizes."""

    def __init__(self, entry: Entry, graph: Graph, weights: dict[str, np.ndarray], compiled: bool) -> None:
        self.entry, self.graph = entry, graph
        self.arrays = [weights[s] if isinstance(s, str) else np.zeros(v.shape, v.dtype) for s, v in zip(entry.sources, graph.inputs)]
        self.given = [(k, s) for k, s in enumerate(entry.sources) if not isinstance(s, str)]
        self.call: Any = None
        self.lock = Lock()
        if compiled:
            from flambeau.codegen.build import build

            self.call = build(graph).bind(self.arrays)

    def run(self, leaves: list[Any]) -> list[np.ndarray]:
        """The results, in new arrays."""
        try:
            with self.lock:
                if self.call is None:
                    arrays = list(self.arrays)
                    for k, source in self.given:
                        arrays[k] = leaves[source]
                    return [r.copy() for r in interpret(self.graph, arrays)]
                for k, source in self.given:
                    self.call.set(k, leaves[source])
                self.call()
                return [r.reshape(v.shape).copy() for r, v in zip(self.call.results, self.graph.results)]
        except FlambeauError:
            raise
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, MemoryError) as error:
            got = f"{type(error).__name__}: {error}"
            raise ShapeError(explain(f"entry {self.entry.name!r}", expected="steps that can run on these arguments", got=got)) from error


class Loaded:
    """An exported program. Call it if it has one entry; else `program["name"](...)`, or `program.name(...)`."""

    def __init__(self, program: Exported, compiled: bool | None = None) -> None:
        if compiled and not llvm.available():
            from flambeau.base.errors import missing_extra

            raise missing_extra("export.load", "llvmlite", "flambeau[compile]")
        compiled = llvm.available() if compiled is None else compiled
        self._program = program
        self._functions = {name: Function(e, program.weights, compiled) for name, e in program.entries.items()}

    @property
    def entries(self) -> list[str]:
        """The names of the entries."""
        return list(self._functions)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The tensors that the program holds, by name."""
        return {name: state.wrap(array) for name, array in self._program.weights.items()}

    def __getitem__(self, name: str) -> Function:
        if name not in self._functions:
            hint = did_you_mean(name, self._functions)
            raise NameNotFound(explain("exported program", expected=f"one of {self.entries}", got=repr(name), hint=hint))
        return self._functions[name]

    def __getattr__(self, name: str) -> Function:
        if name.startswith("_") or name not in self._functions:
            raise AttributeError(f"the program has no entry {name!r}; it has {self.entries}")
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the only entry."""
        if len(self._functions) != 1:
            raise ArgumentError(explain("exported program", expected="a call of one entry", got=f"one of {self.entries} to choose"))
        return next(iter(self._functions.values()))(*args, **kwargs)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self._functions.values()))


def load(path: str | os.PathLike[str] | IO[bytes], *, compiled: bool | None = None) -> Loaded:
    """Load an exported program. Nothing in the file is run as code, and all of it is checked first.

    Args:
        path: a file written by `flambeau.export.save`, or an open one.
        compiled: machine code (needs the extra `compile`) or the interpreter; by default machine code where llvmlite is installed.

    Raises:
        FileFormatError: naming what is wrong with the file, or that a newer Flambeau wrote it.
    """
    from flambeau.export.codec import decode
    from flambeau.serialization import load as load_state

    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else "an open file"
    return Loaded(decode(load_state(path), name), compiled)
