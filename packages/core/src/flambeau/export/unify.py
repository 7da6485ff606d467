"""From several captures of a function, at different sizes, to one entry whose sizes depend on symbols."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flambeau.base import tree
from flambeau.base.errors import ArgumentError, explain
from flambeau.export.capture import CannotExport, Run, argument_names, refuse, run
from flambeau.export.program import FIXED, Argument, Block, Entry, Ref, Step, Type
from flambeau.export.size import Env, Size, corners, fit, symbol
from flambeau.graph.ir import Graph, Op, Value
from flambeau.primitives.bind import state
from flambeau.tensor.tensor import Tensor

Names = Callable[[Any], str]  # the name under which an array is stored


def trace(
    name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], axes: list[dict[int, str]], named: Names
) -> Entry:
    """Capture `fn` at several sizes of the symbols in `axes` (for each leaf of the arguments: axis -> symbol) and join the captures."""
    leaves, structure = tree.flatten((args, dict(kwargs)))
    example = _example_sizes(leaves, axes, argument_names(fn, args, kwargs))
    envs = corners({symbol: _sizes(n, _on_first(symbol, axes)) for symbol, n in example.items()})
    runs = []
    for env in envs:
        resized = [_resized(x, named_axes, env) if isinstance(x, Tensor) else x for x, named_axes in zip(leaves, axes, strict=True)]
        given, keywords = tree.unflatten(structure, resized)
        try:
            runs.append(run(fn, given, keywords))
        except CannotExport:
            raise
        except Exception as error:
            if env == example or not env:
                raise
            raise refuse(f"{type(error).__name__} for {_text(env)}: {error}", _HINT) from error
    return _Join(envs, runs, named).entry(name, fn, args, kwargs, axes, example)


_HINT = "dynamic_shapes=None, if the sizes do not change"


def _example_sizes(leaves: list[Any], axes: list[dict[int, str]], names: list[str]) -> dict[str, int]:
    """The size of each symbol in the example."""
    sizes: dict[str, int] = {}
    for x, named_axes, name in zip(leaves, axes, names, strict=True):
        for axis, s in named_axes.items():
            n = x.shape[axis]
            if n == 0 or sizes.setdefault(s, n) != n:
                expected = f"{s!r} of one size (not 0) in all arguments"
                got = f"{name} of shape {tuple(x.shape)}" + (f" and another of size {sizes[s]}" if n else "")
                raise ArgumentError(explain("export", expected=expected, got=got, hint="dynamic_shapes={name: {axis: symbol}}"))
    return sizes


def _on_first(symbol: str, axes: list[dict[int, str]]) -> bool:
    return all(axis == 0 for named in axes for axis, s in named.items() if s == symbol)


def _sizes(n: int, batch: bool) -> tuple[int, int, int]:
    """Where to look: a batch may be small, which is quick; other axes are near the example's, which the function takes."""
    return (2, 3, 5) if batch else (n, n + 1, n + 3)


def _resized(x: Tensor, named: dict[int, str], env: Env) -> Any:
    """The example with other sizes: its elements over and over. A copy, so that writes do not reach the example."""
    array = np.array(x._a)
    for axis, name in named.items():
        array = np.take(array, np.arange(env[name]) % array.shape[axis], axis=axis)
    return state.wrap(np.ascontiguousarray(array).reshape(array.shape))


def _text(env: Env) -> str:
    return ", ".join(f"{name}={n}" for name, n in env.items())


class _Join:
    """Walks through the captures side by side."""

    def __init__(self, envs: list[dict[str, int]], runs: list[Run], named: Names) -> None:
        self.envs, self.runs, self.named = envs, runs, named
        self.numbers: list[dict[Value, int]] = []  # of the values of each capture

    def entry(
        self,
        name: str,
        fn: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        axes: list[dict[int, str]],
        example: dict[str, int],
    ) -> Entry:
        """All together."""
        first = self.runs[0]
        self._same([(r.sources, r.returned, r.structure, r.writes) for r in self.runs], "what it takes and returns")
        block = self._block([r.graph for r in self.runs])
        sources = [s if s is not None else self._weight(i) for i, s in enumerate(first.sources)]
        leaves, structure = tree.flatten((args, dict(kwargs)))
        arguments = []
        for x, named, label in zip(leaves, axes, argument_names(fn, args, kwargs), strict=True):
            if isinstance(x, Tensor):
                shape = tuple(symbol(named[i]) if i in named else n for i, n in enumerate(x.shape))
                arguments.append(Argument(label, Type(x._a.dtype, shape)))
            elif x is None or isinstance(x, FIXED):
                arguments.append(Argument(label, None, x))
            else:
                raise refuse(f"an argument {label} of type {type(x).__name__}", "tensors, numbers and strings in dicts, lists and tuples")
        results = outline(first.structure)
        return Entry(name, arguments, outline(structure), block, sources, first.returned, results, first.writes, example)

    def _block(self, graphs: Sequence[Graph]) -> Block:
        """Graphs as one, with numbers of its own for its values."""
        before, self.numbers = self.numbers, [{v: i for i, v in enumerate(g.inputs)} for g in graphs]
        self._same([[op.prim for op in g.ops] for g in graphs], "its operations")
        inputs = [self._type(vs, "an input") for vs in zip(*[g.inputs for g in graphs])]
        steps = [self._step(ops) for ops in zip(*[g.ops for g in graphs])]
        outputs = [self._number(vs, "a result") for vs in zip(*[g.results for g in graphs])]
        self.numbers = before
        return Block(inputs, steps, outputs)

    def _same(self, things: Sequence[Any], what: str) -> None:
        if any(thing != things[0] for thing in things):
            raise refuse(f"a function for which {what} depend on {', '.join(self.envs[0])}", _HINT)

    def _weight(self, i: int) -> str:
        arrays = [r.arrays[i] for r in self.runs]
        first = arrays[0]
        for a in arrays[1:]:
            if a is not first and (a.shape != first.shape or a.dtype != first.dtype or a.tobytes() != first.tobytes()):
                got = f"a tensor of shape {tuple(first.shape)} made of Python values, which depend on {', '.join(self.envs[0])}"
                raise refuse(got, "flambeau.arange and comparisons, or dynamic_shapes=None")
        return self.named(first)

    def _number(self, vs: Sequence[Value], what: str) -> int:
        found = [table[v] for table, v in zip(self.numbers, vs)]
        self._same(found, what)
        return found[0]

    def _type(self, vs: Sequence[Value], what: str) -> Type:
        self._same([v.dtype for v in vs], f"the dtype of {what}")
        self._same([len(v.shape) for v in vs], f"the axes of {what}")
        return Type(vs[0].dtype, tuple(self._size(ns, f"the shape of {what}") for ns in zip(*[v.shape for v in vs])))

    def _size(self, ns: Sequence[int], what: str) -> int | Size:
        found = fit(ns, self.envs)
        if found is None:
            values = "; ".join(f"{n} for {_text(env)}" for n, env in zip(ns, self.envs))
            raise refuse(f"{what}, which is {values}", "sizes that are sums and products of the symbols, or dynamic_shapes=None")
        return found

    def _step(self, ops: Sequence[Op]) -> Step:
        op = ops[0]
        what = f"{op.prim.name} at {op.where}"
        self._same([len(o.inputs) for o in ops], f"the inputs of {what}")
        inputs = tuple(
            Ref(self._number(xs, f"an input of {what}")) if isinstance(xs[0], Value) else self._parameter(xs, f"a number of {what}")
            for xs in zip(*[o.inputs for o in ops])
        )
        self._same([sorted(o.params) for o in ops], f"the parameters of {what}")
        params = {k: self._parameter([o.params[k] for o in ops], f"{k} of {what}") for k in op.params}
        outputs = tuple(self._type(vs, f"the result of {what}") for vs in zip(*[o.outputs for o in ops]))
        for table, o in zip(self.numbers, ops):
            for v in o.outputs:
                table[v] = len(table)
        return Step(op.prim, inputs, params, outputs, _short(op.where))

    def _parameter(self, xs: Sequence[Any], what: str) -> Any:
        x = xs[0]
        self._same([type(y) for y in xs], what)
        if isinstance(x, Graph):
            return self._block(xs)
        if isinstance(x, slice):
            return slice(*[self._parameter([getattr(y, part) for y in xs], what) for part in ("start", "stop", "step")])
        if isinstance(x, (tuple, list)):
            self._same([len(y) for y in xs], what)
            return tuple(self._parameter(ys, what) for ys in zip(*xs))
        if isinstance(x, numbers.Integral) and not isinstance(x, (bool, np.bool_)):
            return self._size([int(y) for y in xs], what)
        if isinstance(x, float) and any(y != x for y in xs) and all(y.is_integer() for y in xs):
            size = self._size([int(y) for y in xs], what)
            return Size(size.terms, real=True) if isinstance(size, Size) else x
        if not (isinstance(x, float) and x != x):
            self._same(xs, what)
        return x


def outline(structure: Any) -> Any:
    """Nested containers with the numbers of the leaves in place of them; named tuples become tuples."""
    return _plain(tree.unflatten(structure, list(range(structure.num_leaves))))


def _plain(x: Any) -> Any:
    if isinstance(x, dict):
        if not all(type(key) in (str, int) for key in x):
            raise refuse(f"a dict with keys {list(x)[:4]}", "strings or ints as keys")
        return {key: _plain(value) for key, value in x.items()}
    if isinstance(x, (tuple, list)):
        return (list if type(x) is list else tuple)(_plain(value) for value in x)
    return x


def _short(where: str) -> str:
    """The user's file without its folders, which are nobody's business."""
    return where.replace("\\", "/").rpartition("/")[2]
