"""A program as plain data (dicts, lists, numbers, strings) that `flambeau.serialization` stores, and back with every part checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from flambeau.__about__ import __version__
from flambeau.base import dtypes
from flambeau.base.errors import FileFormatError, FlambeauError, explain
from flambeau.export.capture import refuse
from flambeau.export.check import check_step, is_exportable
from flambeau.export.program import FIXED, Argument, Block, Entry, Exported, Ref, Step, Type
from flambeau.export.size import LIMIT, Size
from flambeau.export.specialise import specialise
from flambeau.primitives.bind import state
from flambeau.primitives.prim import table
from flambeau.tensor.tensor import Tensor

FORMAT = "flambeau.program"
VERSION = 1
MAX_AXES = 32
NAMES = frozenset("bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64 complex64 complex128".split())


# -- to plain data --------------------------------------------------------------------------------------------------------------------
def encode(program: Exported) -> dict[str, Any]:
    """The whole program. Raises CannotExport if it has primitives that files do not hold."""
    steps = [s for e in program.entries.values() for s in e.block.all_steps() if not is_exportable(s.prim.name)]
    if steps:
        raise refuse(f"primitives that files do not hold: {', '.join(dict.fromkeys(f'{s.prim.name} at {s.where}' for s in steps))}")
    return {
        "format": FORMAT,
        "version": VERSION,
        "producer": f"flambeau {__version__}",
        "entries": {name: _entry(e) for name, e in program.entries.items()},
        "weights": {name: state.wrap(a) for name, a in program.weights.items()},
    }


def _entry(e: Entry) -> dict[str, Any]:
    return {
        "symbols": e.symbols,
        "arguments": [[a.name, None if a.type is None else _type(a.type), a.value] for a in e.arguments],
        "outline": e.outline,
        "block": _block(e.block),
        "sources": e.sources,
        "returned": [list(r) for r in e.returned],
        "results": e.results,
        "writes": [list(w) for w in e.writes],
    }


def _block(b: Block) -> dict[str, Any]:
    return {"inputs": [_type(t) for t in b.inputs], "steps": [_step(s) for s in b.steps], "outputs": b.outputs}


def _type(t: Type) -> list[Any]:
    return [t.dtype.name, [_plain(n) for n in t.shape]]


def _step(s: Step) -> list[Any]:
    inputs = [[x.number] if isinstance(x, Ref) else _plain(x) for x in s.inputs]
    return [s.prim.name, inputs, {k: _plain(v) for k, v in s.params.items()}, [_type(t) for t in s.outputs], s.where]


def _plain(x: Any) -> Any:
    if isinstance(x, Size):
        return {"size": [[list(names), factor] for names, factor in x.terms], "real": x.real}
    if isinstance(x, Block):
        return _block(x)
    if isinstance(x, slice):
        return {"slice": [_plain(x.start), _plain(x.stop), _plain(x.step)]}
    if isinstance(x, (tuple, list)):
        return tuple(_plain(v) for v in x)
    if x is Ellipsis:
        return {"all": True}
    if isinstance(x, np.dtype):
        return {"dtype": x.name}
    return x.item() if isinstance(x, np.generic) else x


# -- from plain data ------------------------------------------------------------------------------------------------------------------
def decode(data: Any, source: str) -> Exported:
    """The program in what was read from the file `source`. Raises FileFormatError that names what is wrong."""
    reader = _Reader(source)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise reader.wrong("an exported program", "another kind of file", "flambeau.load for the state of a model")
    version = data.get("version")
    if type(version) is not int or version < 1:
        raise reader.wrong("a version number", repr(version))
    if version > VERSION:
        got = f"version {version}, written by {str(data.get('producer'))[:40]}"
        raise reader.wrong(f"a program of version {VERSION} or older", got, "pip install --upgrade flambeau")
    return reader.guarded("the program", lambda: reader.program(data))


class _Reader:
    """Reads parts; `at` says which one, for errors."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.symbols: dict[str, int] = {}

    def wrong(self, expected: str, got: str, hint: str = "") -> FileFormatError:
        """The error for this file."""
        return FileFormatError(explain(f"program {self.source}", expected=expected, got=got[:300], hint=hint))

    def guarded(self, what: str, read: Callable[[], Any]) -> Any:
        """What `read` gives; whatever goes wrong in it is said to be wrong in the file."""
        try:
            return read()
        except FileFormatError:
            raise
        except RecursionError:
            raise self.wrong(f"{what} without endless nesting", "too many levels") from None
        except (FlambeauError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, MemoryError) as error:
            raise self.wrong(f"{what} in order", f"{type(error).__name__}: {error}") from None

    def must(self, condition: bool, expected: str, got: Any) -> None:
        """Raise unless the condition holds."""
        if not condition:
            raise self.wrong(expected, repr(got))

    def program(self, data: Mapping[str, Any]) -> Exported:
        weights, entries = data["weights"], data["entries"]
        self.must(type(weights) is dict and all(type(n) is str and isinstance(w, Tensor) for n, w in weights.items()), "tensors", weights)
        self.must(type(entries) is dict and len(entries) > 0 and all(type(n) is str for n in entries), "named entries", entries)
        arrays = {name: np.ascontiguousarray(w._a).reshape(w._a.shape) for name, w in weights.items()}
        read = {n: self.guarded(f"entry {n!r}", partial(self.entry, n, e, arrays)) for n, e in entries.items()}
        return Exported(read, arrays)

    def entry(self, name: str, data: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> Entry:
        """One entry; its graph is verified at the sizes of its example."""
        symbols = data["symbols"]
        good = type(symbols) is dict and all(type(k) is str and type(n) is int and 0 < n < LIMIT for k, n in symbols.items())
        self.must(good and len(symbols) <= 8, "symbols with sizes", symbols)
        self.symbols = symbols
        arguments = [self.argument(*row) for row in self.rows(data["arguments"], 3)]
        block = self.block(data["block"])
        known, outputs = block.types(), block.outputs
        returned = [self.pair(row) for row in self.rows(data["returned"], 2)]
        sources = self.sources(data["sources"], block.inputs, arguments, weights)
        writes = [
            (self.index(a, len(arguments), "argument"), self.index(r, len(outputs), "result")) for a, r in self.rows(data["writes"], 2)
        ]
        for kind, x in returned:
            if kind == "result":
                self.index(x, len(outputs), "result")
        self.outline(data["outline"], len(arguments))
        self.must(type(data["outline"]) is tuple and [type(x) for x in data["outline"]] == [tuple, dict], "arguments", data["outline"])
        self.outline(data["results"], len(returned))
        for a, r in writes:
            wanted, have = arguments[a].type, known[outputs[r]]
            self.must(
                wanted is not None and (wanted.dtype, wanted.shape) == (have.dtype, have.shape), "an argument of the result's type", a
            )
        entry = Entry(name, arguments, data["outline"], block, sources, returned, data["results"], writes, symbols)
        specialise(entry, symbols)
        return entry

    def block(self, data: Any) -> Block:
        """A graph, whose steps come in order."""
        self.must(type(data) is dict and set(data) == {"inputs", "steps", "outputs"}, "inputs, steps and outputs", data)
        inputs = [self.type(*row) for row in self.rows(data["inputs"], 2)]
        steps: list[Step] = []
        known = len(inputs)
        for row in self.rows(data["steps"], 5):
            step = self.guarded(f"step {len(steps)}", partial(self.step, row, known))
            steps.append(step)
            known += len(step.outputs)
        return Block(inputs, steps, [self.index(i, known, "result") for i in self.items(data["outputs"])])

    def sources(self, data: Any, inputs: list[Type], arguments: list[Argument], weights: Mapping[str, np.ndarray]) -> list[int | str]:
        self.must(len(self.items(data)) == len(inputs), "a source for each input", data)
        for source, t in zip(data, inputs):
            if type(source) is str:
                self.must(source in weights, "the name of a tensor in the file", source)
                have = weights[source]
                self.must((have.dtype, have.shape) == (t.dtype, t.shape), f"{source!r} to be {t}", f"{have.dtype}{have.shape}")
            else:
                found = arguments[self.index(source, len(arguments), "argument")].type
                self.must(found is not None and (found.dtype, found.shape) == (t.dtype, t.shape), f"an argument {t}", str(found))
        return list(data)

    def argument(self, name: Any, t: Any, value: Any) -> Argument:
        self.must(type(name) is str, "a name", name)
        self.must(value is None or isinstance(value, FIXED), "a plain value", value)
        return Argument(name, None if t is None else self.type(*self.items(t)), value)

    def pair(self, row: list[Any]) -> tuple[str, Any]:
        kind, x = row
        self.must(kind in ("result", "value"), "'result' or 'value'", kind)
        self.must(x is None or isinstance(x, FIXED), "a plain value", x)
        return kind, x

    def step(self, row: list[Any], known: int) -> Step:
        """One operation, of which only the shapes are not checked yet."""
        name, inputs, params, outputs, where = row
        self.must(type(name) is str and name in table and is_exportable(name), "a primitive that programs may have", name)
        self.must(type(where) is str and type(params) is dict and all(type(k) is str for k in params), "parameters by name", params)
        operands = tuple(Ref(self.index(x[0], known, "value")) if type(x) is list and len(x) == 1 else self.number(x) for x in inputs)
        read = {k: self.parameter(v) for k, v in params.items()}
        step = Step(table[name], operands, read, tuple(self.type(*t) for t in self.rows(outputs, 2)), where[:200])
        check_step(step)
        return step

    def number(self, x: Any) -> Any:
        x = self.parameter(x)
        self.must(type(x) in (bool, int, float, complex, Size), "a value or a number", x)
        return x

    def parameter(self, x: Any) -> Any:
        if type(x) is dict:
            if set(x) == {"size", "real"}:
                return self.size(x["size"], x["real"])
            if set(x) == {"slice"}:
                start, stop, step = [self.parameter(v) for v in x["slice"]]
                return slice(start, stop, step)
            if set(x) == {"inputs", "steps", "outputs"}:
                return self.block(x)
            if x == {"all": True}:
                return Ellipsis
            if set(x) == {"dtype"}:
                return self.dtype(x["dtype"])
        if type(x) is tuple:
            return tuple(self.parameter(v) for v in x)
        good = x is None or type(x) in (bool, float, complex, str) or (type(x) is int and abs(x) < 1 << 64)
        self.must(good, "a parameter", x)
        return x

    def size(self, terms: Any, real: Any) -> Size:
        self.must(type(real) is bool, "true or false", real)
        read = []
        for names, factor in self.rows(terms, 2):
            good = type(factor) is int and abs(factor) < LIMIT and len(names) <= 8 and all(n in self.symbols for n in names)
            self.must(good, f"a product of {sorted(self.symbols)}", (names, factor))
            read.append((tuple(names), factor))
        return Size(tuple(read), real)

    def type(self, name: Any, shape: Any) -> Type:
        self.must(len(self.items(shape)) <= MAX_AXES, f"at most {MAX_AXES} axes", len(shape))
        sizes = tuple(self.parameter(n) for n in shape)
        self.must(all((type(n) is int and 0 <= n < LIMIT) or (isinstance(n, Size) and not n.real) for n in sizes), "sizes", sizes)
        return Type(self.dtype(name), sizes)

    def dtype(self, name: Any) -> np.dtype:
        self.must(type(name) is str and name in NAMES, "the name of a dtype", name)
        return dtypes.named(name).numpy

    def index(self, i: Any, n: int, what: str) -> int:
        self.must(type(i) is int and 0 <= i < n, f"the number of a {what} that comes before (below {n})", i)
        return int(i)

    def items(self, x: Any) -> list[Any]:
        self.must(type(x) is list, "a list", x)
        return list(x)

    def rows(self, x: Any, n: int) -> list[list[Any]]:
        self.must(type(x) is list and all(type(row) is list and len(row) == n for row in x), f"rows of {n}", x)
        return list(x)

    def outline(self, x: Any, n: int) -> None:
        """Containers whose leaves are 0, 1, ..., n - 1 in order."""
        found: list[Any] = []
        _leaves(x, found)
        self.must(found == list(range(n)) and all(type(i) is int for i in found), f"containers with leaves 0 to {n - 1}", found)


def _leaves(x: Any, found: list[Any]) -> None:
    if type(x) is dict or type(x) in (list, tuple):
        for value in x.values() if type(x) is dict else x:
            _leaves(value, found)
    else:
        found.append(x)
