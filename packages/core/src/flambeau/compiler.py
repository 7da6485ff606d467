"""`compile`: capture a function once, then replay it as a program.

The first call with a new kind of arguments runs the function under capture; later calls replay the graph. What a replay depends on is
checked by a key of the arguments (structure, shapes, dtypes, devices, Python values), the modes of autograd, and the configuration epoch
that modules and hooks count up. Numbers of optimizers are computed anew for each replay, so that a schedule never captures again.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd.modes import mode
from flambeau.base import tree
from flambeau.base.epoch import epoch
from flambeau.base.errors import ArgumentTypeError, explain
from flambeau.graph.capture import CannotCapture, Capture, capturing
from flambeau.graph.program import Engine, Interpreted, Program
from flambeau.primitives.bind import state
from flambeau.tensor.tensor import Tensor

RECAPTURES = 8  # from then on a warning says that capturing again and again costs more than it saves


class CompiledFunction:
    """A function that is captured once for each kind of arguments. `programs` maps keys to (program, engine)."""

    def __init__(self, fn: Callable[..., Any], fullgraph: bool) -> None:
        functools.update_wrapper(self, fn, updated=())
        self.fn = fn
        self.fullgraph = fullgraph
        self.programs: dict[Any, tuple[Program, Engine] | None] = {}
        self.captures: dict[Any, int] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.interceptor is not None:  # inside another capture
            return self.fn(*args, **kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        key = (structure, mode.grad, mode.inference, tuple([_kind(x) for x in leaves]), _scalars(self.fn))
        if key not in self.captures:  # the first call runs as it is: lazily made state comes to be outside the program
            self.captures[key] = 0
            return self.fn(*args, **kwargs)
        if key in self.programs:
            found = self.programs[key]
            if found is None:
                return self.fn(*args, **kwargs)
            if found[0].epoch == epoch.count and found[0].current():
                return found[0].replay(leaves, found[1])
        return self._capture(key, leaves, args, kwargs)

    def _capture(self, key: Any, leaves: list[Any], args: Any, kwargs: Any) -> Any:
        self.captures[key] += 1
        name = getattr(self.fn, "__qualname__", repr(self.fn))
        if self.captures[key] == RECAPTURES:
            warnings.warn(f"{name} was captured {RECAPTURES} times: its modules or optimizers change between calls", stacklevel=3)
        with capturing() as capture:
            result = self.fn(*args, **kwargs)
        try:
            program = Program(capture, leaves, result, epoch.count)
            self.programs[key] = program, engine(program)
        except CannotCapture as error:
            if self.fullgraph:
                raise
            self.programs[key] = None
            warnings.warn(f"{name} runs uncompiled. {error}", stacklevel=3)
        return result

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)


def engine(program: Program) -> Engine:
    """Machine code where LLVM is installed, else the interpreter."""
    from flambeau.codegen import llvm

    if not llvm.available():
        return Interpreted(program)
    from flambeau.codegen.engine import Native

    return Native(program)


def _scalars(fn: Any) -> tuple[Any, ...]:
    """Numbers, strings and the like that a function closes over: part of what its program depends on."""
    cells = getattr(fn, "__closure__", None) or ()
    values = []
    for cell in cells:
        try:
            value = cell.cell_contents
        except ValueError:  # still empty
            continue
        if value is None or isinstance(value, (bool, int, float, complex, str)):
            values.append(value)
    return tuple(values)


def _kind(x: Any) -> Any:
    if isinstance(x, Tensor):
        a = x._a
        return a.shape, a.dtype, type(a), x._node is not None, a.strides if hasattr(a, "strides") else None
    if isinstance(x, np.ndarray):
        expected = "tensors, numbers, strings and nested containers of them"
        raise ArgumentTypeError(explain("compile", expected=expected, got="a NumPy array", hint="flambeau.from_numpy"))
    try:
        hash(x)
    except TypeError:
        return id(x)
    return type(x), x


def compile(fn: Callable[..., Any] | None = None, *, fullgraph: bool = False) -> Any:
    """Make a function, method or module run as one program. A decorator, too.

    >>> import flambeau as fb
    >>> from flambeau.compiler import compile
    >>> double = compile(lambda x: x * 2 + 1)
    >>> for _ in range(3):
    ...     y = double(fb.tensor([1.0, 2.0]))
    >>> y
    tensor([3., 5.])
    """
    if fn is None:
        return functools.partial(compile, fullgraph=fullgraph)
    return CompiledFunction(fn, fullgraph)


__all__ = ["CompiledFunction", "Capture", "compile"]
