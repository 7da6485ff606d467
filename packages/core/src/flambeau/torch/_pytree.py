"""`torch.utils._pytree`: nested containers, through `flambeau.base.tree`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.base import tree as _tree
from flambeau.base.tree import TreeSpec as TreeSpec

PyTree = Any


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """The leaves from left to right, and the spec that rebuilds the tree."""
    return _tree.flatten(tree, is_leaf=is_leaf)


def tree_unflatten(leaves: Any, treespec: TreeSpec) -> Any:
    """The tree with the given leaves."""
    return _tree.unflatten(treespec, leaves)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves from left to right."""
    return _tree.leaves(tree, is_leaf=is_leaf)


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The tree without its leaves."""
    return _tree.flatten(tree, is_leaf=is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The tree with `func(leaf, ...)` in the place of each leaf.

    >>> tree_map(lambda a: a + 1, {"x": [1, 2]})
    {'x': [2, 3]}
    """
    return _tree.map(func, tree, *rests, is_leaf=is_leaf)


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """`tree_map` of the leaves of a type, of one of several types, or that a function chooses."""
    chosen = (lambda leaf: isinstance(leaf, kind)) if isinstance(kind, (type, tuple)) else kind
    return _tree.map(lambda leaf: func(leaf) if chosen(leaf) else leaf, tree, is_leaf=is_leaf)


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether `pred` holds for a leaf."""
    return any(map(pred, _tree.leaves(tree, is_leaf=is_leaf)))


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether `pred` holds for all leaves."""
    return all(map(pred, _tree.leaves(tree, is_leaf=is_leaf)))
