"""What a program depends on besides the state of modules: the kinds of its arguments, the modes of autograd, closed-over values."""

from __future__ import annotations

import types
from collections.abc import Callable
from operator import is_
from typing import Any

import numpy as np

from flambeau.autograd.modes import mode
from flambeau.base.errors import ArgumentTypeError, explain
from flambeau.graph.memory import root_of
from flambeau.primitives.value import Value

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
ndarray = np.ndarray


def kind_of(x: Any) -> Any:
    """What a program depends on of an argument: of a tensor its type and layout, of anything else the value."""
    if isinstance(x, Value):
        a = x._a
        return type(x), a.shape, a.dtype, type(a), x._node is not None, a.strides if hasattr(a, "strides") else None
    if isinstance(x, ndarray):
        expected = "tensors, numbers, strings and nested containers of them"
        raise ArgumentTypeError(explain("compile", expected=expected, got="a NumPy array", hint="flambeau.from_numpy"))
    try:
        hash(x)
    except TypeError:
        return id(x)
    return type(x), x


def described(kinds: tuple[Any, ...]) -> str:
    """Kinds of arguments for people."""
    return ", ".join(f"{k[2]}{list(k[1])}" if len(k) == 6 else repr(k[1]) if isinstance(k, tuple) else "an object" for k in kinds)


def matcher(args: tuple[Any, ...], owners: set[int]) -> Callable[[tuple[Any, ...]], bool] | None:
    """A quick test whether other positional arguments are of the same kinds, each in memory of its own, which is not that of `owners`; None
    where there is none (containers, arguments that share memory)."""
    plain: list[tuple[int, type, Any]] = []
    tensors: list[Any] = []
    for i, x in enumerate(args):
        if isinstance(x, Value) and type(x._a) is ndarray:
            tensors.append((i, type(x), x._node is not None, x._a.shape, x._a.dtype, x._a.strides))
        elif isinstance(x, _PLAIN):
            plain.append((i, type(x), x))
        else:
            return None
    if overlap(list(args), owners):
        return None
    count, grad, inference, low = len(args), mode.grad, mode.inference, mode.casting

    def matches(given: tuple[Any, ...]) -> bool:
        if len(given) != count or mode.grad is not grad or mode.inference is not inference or mode.casting != low:
            return False
        for i, kind, value in plain:
            if type(given[i]) is not kind or given[i] != value:
                return False
        roots: tuple[int, ...] = ()
        for i, kind, requires, shape, dtype, strides in tensors:
            x = given[i]
            if type(x) is not kind or (x._node is not None) is not requires:
                return False
            a = x._a
            if type(a) is not ndarray or a.shape != shape or a.dtype is not dtype or a.strides != strides:
                return False
            root = id(a) if a.base is None else id(root_of(a))
            if root in owners or root in roots:
                return False
            roots += (root,)
        return True

    return matches


class Closure:
    """The variables that a function closes over, and the plain globals that it names: the objects that they are bound to."""

    def __init__(self, fn: Any) -> None:
        function = getattr(fn, "__func__", fn)
        self.cells = getattr(function, "__closure__", None) or ()
        code = getattr(function, "__code__", None)
        self.names: tuple[str, ...] = code.co_freevars if code else ()
        self.globals: dict[str, Any] = getattr(function, "__globals__", {})
        self.used = tuple(n for n in (code.co_names if code else ()) if isinstance(self.globals.get(n, self), _PLAIN))

    def values(self) -> list[Any]:
        """What they are bound to now."""
        try:
            found = [cell.cell_contents for cell in self.cells]
        except ValueError:  # one is still empty
            found = [_content(cell) for cell in self.cells]
        return [*found, *[self.globals.get(name) for name in self.used]] if self.used else found

    def plain(self) -> tuple[Any, ...]:
        """Numbers and the like among them, which are part of the key of a program."""
        return tuple((type(v), v) for v in self.values() if isinstance(v, _PLAIN))

    def difference(self, before: list[Any]) -> str | None:
        """A variable that is bound to something else than `before`."""
        if all(map(is_, self.values(), before)):
            return None
        for name, old, now in zip((*self.names, *self.used), before, self.values()):
            if now is not old and not (isinstance(now, _PLAIN) and type(now) is type(old) and now == old):
                return f"the variable {name} is bound to another object"
        return None


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def overlap(leaves: list[Any], owners: set[int]) -> tuple[Any, ...]:
    """Which arguments lie in memory of these owners (1) or in that of an earlier argument, as the same array or another."""
    found: list[Any] = []
    arrays = [x._a if isinstance(x, Value) and type(x._a) is ndarray else None for x in leaves]
    roots = [None if a is None else id(root_of(a)) for a in arrays]
    for i, (a, root) in enumerate(zip(arrays, roots)):
        if root is None:
            continue
        if root in owners:
            found.append((i, 1))
        first = roots.index(root)
        if first != i:
            found.append((i, first, next((k for k in range(i) if arrays[k] is a), -1)))
    return tuple(found)


def source_line(fn: Any) -> str:
    """file:line of a function, for messages."""
    code = getattr(getattr(fn, "__func__", fn), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if isinstance(code, types.CodeType) else ""
