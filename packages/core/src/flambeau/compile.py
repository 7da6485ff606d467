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
from flambeau.graph.program import Program
from flambeau.tensor.tensor import Tensor


class CompiledFunction:
    """A function that is captured once for each kind of arguments. `programs` maps keys to programs."""

    def __init__(self, fn: Callable[..., Any], fullgraph: bool) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.fullgraph = fullgraph
        self.programs: dict[Any, Program | None] = {}
        self.warm: set[Any] = set()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree.flatten((args, kwargs))
        key = (structure, mode.grad, mode.inference, tuple([_kind(x) for x in leaves]))
        program = self.programs.get(key)
        if program is not None and program.epoch == epoch.count:
            return program.replay(leaves)
        if key in self.programs and program is None:
            return self.fn(*args, **kwargs)
        if key not in self.warm:  # lazily made state (optimizers', buffers') comes to be outside the program
            self.warm.add(key)
            return self.fn(*args, **kwargs)
        return self._capture(key, leaves, args, kwargs)

    def _capture(self, key: Any, leaves: list[Any], args: Any, kwargs: Any) -> Any:
        with capturing() as capture:
            result = self.fn(*args, **kwargs)
        try:
            self.programs[key] = Program(capture, leaves, result, epoch.count)
        except CannotCapture as error:
            if self.fullgraph:
                raise
            self.programs[key] = None
            warnings.warn(f"{getattr(self.fn, '__qualname__', self.fn)} runs uncompiled. {error}", stacklevel=3)
        return result

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)


def _kind(x: Any) -> Any:
    if isinstance(x, Tensor):
        a = x._a
        return a.shape, a.dtype, type(a), x._node is not None, a.strides if hasattr(a, "strides") else None
    if isinstance(x, np.ndarray):
        raise ArgumentTypeError(explain("compile", expected="tensors, numbers, strings and nested containers of them", got="a NumPy array", hint="flambeau.from_numpy"))
    try:
        hash(x)
    except TypeError:
        return id(x)
    return type(x), x


def compile(fn: Callable[..., Any] | None = None, *, fullgraph: bool = False) -> Any:
    """Make a function, method or module run as one program. A decorator, too.

    >>> import flambeau as fb
    >>> from flambeau.compile import compile
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
