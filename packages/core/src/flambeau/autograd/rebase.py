"""The graph after a write in place: the written tensor, its base and the other views of that base get a new history."""

from __future__ import annotations

from typing import Any

from flambeau.autograd.hooks import move_retained
from flambeau.autograd.node import AccumulateGrad, record
from flambeau.base import dtypes
from flambeau.base.errors import GradientError, explain
from flambeau.primitives.bind import state
from flambeau.primitives.movement import as_strided, offset_of, put_strided
from flambeau.primitives.value import Value, storage_of


def check_leaf(x: Any, op: str) -> None:
    """Refuse to change a leaf that requires grad, or a view of one, while operations are recorded."""
    base: Any = x if x._base is None else x._base
    if type(base._node) is AccumulateGrad:
        got = "a leaf that requires grad" if base is x else "a view of a leaf that requires grad"
        hint = "with flambeau.no_grad():, or the out-of-place operation"
        raise GradientError(explain(op, expected="a tensor whose history may change in place", got=got, hint=hint))


def geometry(x: Any, base: Any) -> dict[str, Any]:
    """How x lies in the memory of its base, as parameters of the strided primitives."""
    a, b = x._a, base._a
    return {
        "strides": tuple(s // a.itemsize for s in a.strides),
        "offset": offset_of(a),
        "x_strides": tuple(s // b.itemsize for s in b.strides),
        "x_offset": offset_of(b),
    }


def rebase(x: Any, value: Any) -> None:
    """Give x the history of the value that was written into it, and let its base and their other views follow."""
    base: Any = x._base
    if base is None:
        _move(x, value._node)
        base = x
    else:
        if x._a.dtype != base._a.dtype:
            names = [dtypes.of(t._a.dtype).name for t in (x, base)]
            got = f"a view with dtype {names[0]} of a tensor with dtype {names[1]}"
            expected = "a view of the same dtype while gradients are recorded"
            raise GradientError(explain("in-place write", expected=expected, got=got, hint=".clone() first"))
        old, result = state.wrap(base._a), state.wrap(base._a)
        old._node = base._node
        record(put_strided, (old, value), geometry(x, base), result)
        _move(base, result._node)
    for ref in storage_of(base).views:
        view: Any = ref()
        if view is not None and view._base is base and view._a.dtype == base._a.dtype:
            _refresh(view, base)


def _refresh(view: Any, base: Any) -> None:
    """Re-derive a view's node from its base."""
    fresh = state.wrap(view._a)
    if base._node is not None:
        record(as_strided, (base,), {"shape": view._a.shape, **geometry(view, base)}, fresh)
    _move(view, fresh._node)


def _move(x: Value, node: Any) -> None:
    """Hang x on another node; `retain_grad` goes with the tensor, other hooks stay with the old value (as in PyTorch)."""
    old, x._node = x._node, node
    if old is not None and old.hooks is not None:
        key = x.__dict__.get("_retains")
        if key is not None:
            move_retained(old, node, key)
