"""The record of a primitive: everything the engine knows about one operation stands in one row.

`primitive(...)` makes a row. See docs/design/0001-core.md for what `kernel`, `rule`, `vjp` and `batch` mean.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from flambeau.primitives.bind import execute, state

OUT = 1 << 30  # bits of the mask of what a derivative needs: the output, the inputs' dtypes, and bit i for input i
DTYPES = 1 << 29
Rule = Callable[..., Any]


class Prim:
    """A primitive operation. Calling it binds it to tensors."""

    __slots__ = (
        "_bound",
        "batch",
        "elementwise",
        "infer",
        "inputs",
        "kernel",
        "multi",
        "name",
        "needs",
        "on_numpy",
        "partial",
        "rules",
        "variadic",
        "view",
    )

    def __init__(self, name: str, inputs: str, kernel: str | Callable[..., Any], rule: Rule) -> None:
        self.name = name
        self.inputs = tuple(inputs.replace("*", "").split())
        self.variadic = inputs.startswith("*")
        self.kernel = kernel
        self.infer = rule
        self.rules: tuple[Callable[..., Any] | None, ...] | None = None
        self.needs: tuple[int, ...] = ()
        self.elementwise = self.multi = self.partial = False
        self.view = ""
        self.batch: Callable[..., Any] | str | None = None
        self._bound: dict[Any, Callable[..., Any]] = {}
        self.on_numpy: Callable[..., Any] = self._first_call

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        if state.interceptor is not None:
            return state.interceptor(self, inputs, params)
        return execute(self, inputs, params)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (lookup, (self.name,))

    def _first_call(self, *arrays: Any, **params: Any) -> Any:
        self.on_numpy = self.on(np)
        return self.on_numpy(*arrays, **params)

    def on(self, xp: Any) -> Callable[..., Any]:
        """The kernel for an array module: "exp" is `xp.exp`, "special.erf" is `kernels/special.py`'s function with xp bound."""
        found = self._bound.get(xp)
        if found is None:
            kernel = self.kernel
            if isinstance(kernel, str):
                module, _, function = kernel.rpartition(".")
                if not module:
                    found = getattr(xp, kernel)
                else:
                    found = partial(getattr(importlib.import_module(f"flambeau.primitives.kernels.{module}"), function), xp)
            else:
                found = partial(kernel, xp)
            self._bound[xp] = found
        return found


table: dict[str, Prim] = {}


def lookup(name: str) -> Prim:
    """The primitive with that name."""
    return table[name]


def primitive(
    name: str,
    inputs: str,
    *,
    kernel: str | Callable[..., Any],
    rule: Rule,
    vjp: Any = None,
    batch: Any = None,
    view: str = "",
    multi: bool = False,
    partial: bool = False,
    kept_from: int = 0,
) -> Prim:
    """Add a row to the table. `inputs` names the tensor inputs ("x y"; "*xs" takes any number, and its vjp returns a tuple).

    `view` is "always" if the output shares the input's memory, "maybe" if that depends on the layout. `kept_from`: a vjp that asks for
    all inputs of a variadic primitive gets those from this position on (the earlier ones are not kept alive). The vjp of a `multi` row
    gets zeros for the outputs that no gradient reached; with `partial` it gets None for them.
    """
    assert name not in table, name
    prim = table[name] = unlisted(name, inputs, kernel=kernel, rule=rule, vjp=vjp, kept_from=kept_from)
    prim.batch, prim.view, prim.multi, prim.partial = batch, view, multi, partial
    return prim


def unlisted(name: str, inputs: str, *, kernel: Any, rule: Rule, vjp: Any = None, kept_from: int = 0) -> Prim:
    """A row that is no primitive: for what autograd is to record as one step, though it is a composition of primitives."""
    prim = Prim(name, inputs, kernel, rule)
    if vjp is not None:
        rules = vjp if isinstance(vjp, tuple) else (vjp,)
        compiled = [(None, 0) if fn is None else _compile(fn, prim, kept_from) for fn in rules]
        prim.rules = tuple(c[0] for c in compiled)
        prim.needs = tuple(c[1] for c in compiled)
    return prim


def _compile(fn: Callable[..., Any], prim: Prim, kept_from: int) -> tuple[Callable[..., Any], int]:
    """Turn `fn(g, out, x, axis)` into `rule(g, node)`, and note which values it needs kept (a bit mask)."""
    code = fn.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    assert names[0] == "g", (prim, names)
    mask = 0
    getters = []
    for name in names[1:]:
        if name == "out":
            mask |= OUT
            getters.append(lambda node: node.unpack_out())
        elif name in prim.inputs:
            i = prim.inputs.index(name)
            mask |= DTYPES - (1 << kept_from) if prim.variadic else 1 << i
            getters.append(_all if prim.variadic else partial(_unpack, i))
        elif name.endswith("_shape") and name[:-6] in prim.inputs:
            i = prim.inputs.index(name[:-6])
            getters.append((lambda node: node.shapes) if prim.variadic else partial(_shape, i))
        elif name.endswith("_dtype") and name[:-6] in prim.inputs:
            mask |= DTYPES
            getters.append(partial(_dtype, prim.inputs.index(name[:-6])))
        elif name == "needed":
            getters.append(lambda node: [p is not None for p in node.parents])
        else:
            getters.append(partial(_param, name))
    return _with(fn, getters), mask


def _unpack(i: int, node: Any) -> Any:
    return node.unpack(i)


def _all(node: Any) -> Any:
    return [node.unpack(i) if node.saved is None or node.saved[i] is not None else None for i in range(len(node.parents))]


def _shape(i: int, node: Any) -> Any:
    return node.shapes[i]


def _dtype(i: int, node: Any) -> Any:
    return node.dtypes[i]


def _param(name: str, node: Any) -> Any:
    return node.params[name]


def _with(fn: Callable[..., Any], getters: list[Callable[[Any], Any]]) -> Callable[..., Any]:
    if not getters:
        return lambda g, node: fn(g)
    if len(getters) == 1:
        get = getters[0]
        return lambda g, node: fn(g, get(node))
    return lambda g, node: fn(g, *[get(node) for get in getters])


def _map_rule(result: Any = None) -> Rule:
    """Shapes broadcast; the dtype is the inputs', or `result` (a dtype, or a function of the input dtype)."""
    from flambeau.base.shapes import broadcast

    def rule(*xs: Any, **params: Any) -> Any:
        arrays = [x for x in xs if hasattr(x, "shape")]
        d = next((a.dtype for a in arrays if a.dtype.kind == "c"), arrays[-1].dtype)  # derivatives mix real and complex factors
        d = d if result is None else result(d) if callable(result) else result
        return broadcast("elementwise", *[a.shape for a in arrays]), d

    return rule


def elementwise(name: str, inputs: str, kernel: Any, vjp: Any = None, *, result: Any = None) -> Prim:
    """A row for an operation on elements: inputs broadcast, gradients are summed back to the inputs' shapes."""
    prim = primitive(name, inputs, kernel=kernel, rule=_map_rule(result), vjp=vjp, batch="elementwise")
    prim.elementwise = True
    return prim


unary = partial(elementwise, inputs="x")
binary = partial(elementwise, inputs="x y")


def like(x: Any, *others: Any, **params: Any) -> Any:
    """The rule "same shape and dtype as the first input"."""
    return x.shape, x.dtype
