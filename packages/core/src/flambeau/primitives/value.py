"""The record that operations work on: an array with its storage and its place in the autograd graph.

`Tensor` (layer 4) adds the methods. Slots: `_a` the array; `_node` None or the autograd node of this value; `_st` its Storage, made when a
view, an in-place write or a saved output first needs one; `_base` the value this one is a differentiable view of.
"""

from __future__ import annotations

import weakref
from typing import Any

_ref = weakref.ref


class Storage:
    """What views of one memory share: a version, counted up by in-place writes, and the views that are alive."""

    __slots__ = ("__weakref__", "limit", "version", "views")

    def __init__(self) -> None:
        self.version = 0
        self.views: list[weakref.ref[Value]] = []
        self.limit = 16

    def add_view(self, view: Value) -> None:
        """Remember a view; dead ones are dropped now and then."""
        views = self.views
        if len(views) >= self.limit:
            views[:] = [ref for ref in views if ref() is not None]
            self.limit = 2 * len(views) + 16
        views.append(weakref.ref(view))


class Value:
    """An array, its storage, and its autograd node."""

    __slots__ = ("__dict__", "__weakref__", "_a", "_base", "_node", "_st")
    _a: Any
    _node: Any
    _st: Storage | None
    _base: Value | None


def storage_of(x: Value) -> Storage:
    """The storage, made now if there is none yet."""
    st = x._st
    if st is None:
        st = x._st = Storage()
    return st


def memory_of(array: Any) -> Any:
    """The array that owns the memory under an array, as far as the dtype is the same. NumPy puts helpers between a strided view and its
    source, which are no arrays."""
    root = node = array
    while (node := getattr(node, "base", None)) is not None:
        if type(node) is type(array):
            if node.dtype != array.dtype:
                break
            root = node
    return root


def link_view(x: Value, view: Value, kind: str) -> None:
    """Let `view` share x's storage. A view that is only "maybe" one does if its array shares x's memory (a reshape may have copied)."""
    origin = view._a.base
    if kind == "always" or (origin is not None and (origin is x._a or origin is x._a.base)):
        st = x._st
        if st is None:
            st = x._st = Storage()
        view._st = st
        view._base = x if x._base is None else x._base
        views = st.views
        if len(views) < st.limit:
            views.append(_ref(view))
        else:
            st.add_view(view)
