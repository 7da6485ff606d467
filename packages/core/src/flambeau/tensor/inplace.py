"""Writing to tensors in place: the data, the version, and the autograd graph of the tensor and of everything that shares its memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd.modes import mode
from flambeau.autograd.rebase import check_leaf, rebase
from flambeau.base import dtypes
from flambeau.base.errors import DtypeError, GradientError, ShapeError, explain
from flambeau.base.shapes import spreads
from flambeau.device.base import executors
from flambeau.primitives.batching import unbatched_target
from flambeau.primitives.bind import detached, state
from flambeau.primitives.elementwise import copy
from flambeau.primitives.movement import expand
from flambeau.primitives.prim import Prim
from flambeau.primitives.value import storage_of
from flambeau.tensor.tensor import Tensor, wrap


def write(x: Tensor, value: Tensor, op: str) -> Tensor:
    """Replace the elements of x by those of `value` (broadcast and converted), as an operation that autograd sees."""
    _check(x, value, op)
    if state.interceptor is not None:
        state.interceptor.write(x, value)
    array, source = x._a, value._a
    if mode.grad and (x._node is not None or value._node is not None):
        if source.shape != array.shape:
            value = expand(value, shape=array.shape)
        if value._a.dtype != array.dtype:
            value = value.to(x.dtype)
        _store(array, value)
        storage_of(x).version += 1
        rebase(x, value)
    else:
        _store(array, value)
        storage_of(x).version += 1
    return x


def _store(array: Any, value: Tensor) -> None:
    source = value._a
    if type(array) is np.ndarray and type(source) is np.ndarray:
        np.copyto(array, source, casting="unsafe")
        return
    owner = executors[type(array)]
    if type(source) is not type(array) and executors[type(source)].priority > owner.priority:
        raise unbatched_target()
    owner.store(array, value)


def _check(x: Tensor, value: Tensor, op: str) -> None:
    if mode.grad:
        check_leaf(x, op)
    array, source = x._a, value._a
    if source.shape != array.shape and not spreads(source.shape, array.shape):
        raise ShapeError(explain(op, expected=f"a result that fits the tensor of shape {tuple(array.shape)}", got=str(tuple(source.shape))))
    if source.dtype != array.dtype and dtypes.of(source.dtype).category > x.dtype.category and op != "copy_":
        hint = f"the out-of-place {op.rstrip('_')}"
        raise DtypeError(explain(op, expected=f"a result that converts to {x.dtype!r}", got=repr(value.dtype), hint=hint))
    if array.size > 1 and 0 in array.strides and any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True)):
        got = "an expanded tensor, in which several elements share memory"
        raise GradientError(explain(op, expected="a tensor with memory for each element", got=got, hint=".clone() first"))


def alias(x: Tensor) -> Tensor:
    """Another tensor object for the same value, so that a node can keep it while x moves on."""
    a = x._a
    t = wrap(a if type(a) is np.ndarray else executors[type(a)].alias(a))
    t._node, t._st, t._base = x._node, storage_of(x), x._base
    return t


def apply_recorded(x: Tensor, op: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Tensor:
    """Compute with the value of x and write the result into x, while autograd records.

    The node may keep the old value for its derivative. Then it gets a copy, because the memory is about to be overwritten.
    """
    check_leaf(x, name)
    old: Any = alias(x)
    result = op(old, *args, **kwargs)
    layers = []
    while old is not None:  # inside vmap there are tensors within
        layers.append(weakref.ref(old))
        old = getattr(old._a, "value", None)
    survivors = [value for layer in layers if (value := layer()) is not None]
    if survivors:
        survivors[-1]._a = copy(detached(survivors[-1]))._a
        for value in survivors:
            value._st = None
    return write(x, result, name)


def inplace(op: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The in-place form of an operation: compute, then write."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not mode.grad:
            return write(self, op(self, *args, **kwargs), name)
        return apply_recorded(self, op, name, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place version of `{name[:-1]}`."
    return method


def inplace_binary(prim: Prim, op: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The in-place form of an arithmetic operation, which writes straight into the memory when nothing is recorded."""
    general = inplace(op, name)
    ufunc: Any = None

    def method(self: Tensor, other: Any, *args: Any, **kwargs: Any) -> Tensor:
        nonlocal ufunc
        a = self._a
        if (
            not kwargs
            and not args
            and type(a) is np.ndarray
            and a.dtype.kind == "f"
            and state.interceptor is None
            and (self._node is None or not mode.grad)
        ):
            if isinstance(other, Tensor):
                b = other._a
                fits = type(b) is np.ndarray and b.dtype is a.dtype and b.shape == a.shape and (other._node is None or not mode.grad)
            else:
                b = other
                fits = type(b) is float or type(b) is int
            if fits and 0 not in a.strides:
                if ufunc is None:
                    ufunc = prim.on(np)
                ufunc(a, b, out=a)
                storage_of(self).version += 1
                return self
        return general(self, other, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place version of `{name[:-1]}`."
    return method
