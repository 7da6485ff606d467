"""Writing to tensors in place: the data, the version, and the autograd graph of the tensor and of everything that shares its memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd.modes import mode
from flambeau.autograd.node import AccumulateGrad, record
from flambeau.base import dtypes
from flambeau.base.errors import DtypeError, GradientError, ShapeError, explain
from flambeau.primitives.bind import state
from flambeau.primitives.movement import as_strided, expand, offset_of, put_strided
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
        _store(array, value._a)
        storage_of(x).version += 1
        _rebase(x, value)
    else:
        _store(array, source)
        storage_of(x).version += 1
    return x


def _store(array: Any, source: Any) -> None:
    if type(array) is np.ndarray:
        np.copyto(array, source, casting="unsafe")
    else:
        array[...] = source


def _check(x: Tensor, value: Tensor, op: str) -> None:
    if mode.grad:
        check_leaf(x, op)
    array, source = x._a, value._a
    if source.shape != array.shape and np.broadcast_shapes(source.shape, array.shape) != array.shape:
        raise ShapeError(explain(op, expected=f"a result that fits the tensor of shape {tuple(array.shape)}", got=str(tuple(source.shape))))
    if source.dtype != array.dtype and dtypes.of(source.dtype).category > x.dtype.category and op != "copy_":
        hint = f"the out-of-place {op.rstrip('_')}"
        raise DtypeError(explain(op, expected=f"a result that converts to {x.dtype!r}", got=repr(value.dtype), hint=hint))
    if array.size > 1 and 0 in array.strides and any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True)):
        got = "an expanded tensor, in which several elements share memory"
        raise GradientError(explain(op, expected="a tensor with memory for each element", got=got, hint=".clone() first"))


def check_leaf(x: Tensor, op: str) -> None:
    """Refuse to change a leaf that requires grad, or a view of one, while operations are recorded."""
    base: Any = x if x._base is None else x._base
    if type(base._node) is AccumulateGrad:
        got = "a leaf that requires grad" if base is x else "a view of a leaf that requires grad"
        hint = "with flambeau.no_grad():, or the out-of-place operation"
        raise GradientError(explain(op, expected="a tensor whose history may change in place", got=got, hint=hint))


def _geometry(x: Any, base: Any) -> dict[str, Any]:
    a, b = x._a, base._a
    return {
        "strides": tuple(s // a.itemsize for s in a.strides),
        "offset": offset_of(a),
        "x_strides": tuple(s // b.itemsize for s in b.strides),
        "x_offset": offset_of(b),
    }


def _rebase(x: Tensor, value: Tensor) -> None:
    """Give x (and its base and the other views of that base) the history of the written value."""
    base: Any = x if x._base is None else x._base
    if base is x:
        x._node = value._node
    else:
        if x._a.dtype != base._a.dtype:
            got = f"a view with dtype {x.dtype!r} of a tensor with dtype {base.dtype!r}"
            raise GradientError(
                explain("in-place write", expected="a view of the same dtype while gradients are recorded", got=got, hint=".clone() first")
            )
        old, result = wrap(base._a), wrap(base._a)
        old._node = base._node
        record(put_strided, (old, value), _geometry(x, base), result)
        base._node = result._node
    array: Any = base._a
    for ref in storage_of(base).views:
        view = ref()
        if view is not None and view._base is base and view._a.dtype == array.dtype:
            refresh(view, base)


def refresh(view: Any, base: Any) -> None:
    """Re-derive a view's node from its base."""
    view._node = None
    if base._node is not None:
        record(as_strided, (base,), {"shape": view._a.shape, **_geometry(view, base)}, view)


def alias(x: Tensor) -> Tensor:
    """Another tensor object for the same value, so that a node can keep it while x moves on."""
    t = wrap(x._a)
    t._node, t._st, t._base = x._node, storage_of(x), x._base
    return t


def apply_recorded(x: Tensor, op: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Tensor:
    """Compute with the value of x and write the result into x, while autograd records.

    The node may keep the old value for its derivative. Then it gets a copy, because the memory is about to be overwritten.
    """
    check_leaf(x, name)
    old = alias(x)
    result = op(old, *args, **kwargs)
    kept = weakref.ref(old)
    del old
    survivor = kept()
    if survivor is not None:
        survivor._a, survivor._st = x._a.copy(), None
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
