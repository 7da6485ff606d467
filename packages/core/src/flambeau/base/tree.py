"""Nested containers as trees: flatten, rebuild, map.

Nodes are `dict` (insertion order), `OrderedDict`, `defaultdict`, `list`, `tuple` and named tuples. Anything else is a leaf, `None` too
unless `none_is_leaf=False`. Subclasses of the containers that are not named tuples (a shape object, say) are leaves.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from flambeau.base.errors import ArgumentError, explain

IsLeaf = Callable[[Any], bool]


class TreeSpec(NamedTuple):
    """The shape of a tree without its leaves. Hashable and comparable, so it can be a cache key.

    `kind` is the container's type (None for a leaf), `context` what rebuilding needs besides the children: the keys of a dict, the
    factory and keys of a defaultdict.
    """

    kind: type | None
    context: Any
    children: tuple[TreeSpec, ...]
    num_leaves: int


LEAF = TreeSpec(None, None, (), 1)
_NONE = TreeSpec(type(None), None, (), 0)


def flatten(tree: Any, *, is_leaf: IsLeaf | None = None, none_is_leaf: bool = True) -> tuple[list[Any], TreeSpec]:
    """The leaves from left to right, and the spec that rebuilds the tree.

    >>> leaves, spec = flatten({"b": 1, "a": [2, (3, None)]})
    >>> leaves
    [1, 2, 3, None]
    >>> unflatten(spec, ["w", "x", "y", "z"])
    {'b': 'w', 'a': ['x', ('y', 'z')]}
    """
    out: list[Any] = []
    return out, _flatten(tree, out, is_leaf, none_is_leaf)


def unflatten(spec: TreeSpec, leaves: Iterable[Any]) -> Any:
    """The tree of shape `spec` with the given leaves. Raises ArgumentError when their number is wrong."""
    values = leaves if isinstance(leaves, (list, tuple)) else list(leaves)
    if len(values) != spec.num_leaves:
        raise ArgumentError(explain("tree.unflatten", expected=f"{spec.num_leaves} leaves", got=str(len(values))))
    return _build(spec, iter(values))


def leaves(tree: Any, *, is_leaf: IsLeaf | None = None, none_is_leaf: bool = True) -> list[Any]:
    """The leaves from left to right.

    >>> leaves([1, {"x": 2}, None], none_is_leaf=False)
    [1, 2]
    """
    out: list[Any] = []
    _flatten(tree, out, is_leaf, none_is_leaf)
    return out


def map(fn: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf | None = None, none_is_leaf: bool = True) -> Any:
    """A tree of the same shape whose leaves are `fn(leaf, *matching parts of rest)`.

    Each tree of `rest` must have the nodes of `tree`; what lies below a leaf of `tree` is handed over whole. Dictionaries are matched by
    key, so their order may differ. Raises ArgumentError, with the path, where the trees part.

    >>> map(lambda a, b: a + b, {"x": 1, "y": (2, 3)}, {"y": (20, 30), "x": 10})
    {'x': 11, 'y': (22, 33)}
    """
    flat, spec = flatten(tree, is_leaf=is_leaf, none_is_leaf=none_is_leaf)
    if not rest:
        return _build(spec, iter([fn(leaf) for leaf in flat]))
    columns = [flatten_up_to(spec, other) for other in rest]
    return _build(spec, iter([fn(*row) for row in zip(flat, *columns, strict=True)]))


def flatten_up_to(spec: TreeSpec, tree: Any) -> list[Any]:
    """The parts of `tree` that stand where `spec` has leaves. Raises ArgumentError where `tree` lacks a node of `spec`."""
    out: list[Any] = []
    _match(spec, tree, out, "")
    return out


def paths(spec: TreeSpec) -> list[str]:
    """One readable path for each leaf, for error messages.

    >>> paths(flatten({"a": [1, 2], "b": 3})[1])
    ["['a'][0]", "['a'][1]", "['b']"]
    """
    return list(_paths(spec, ""))


def _keys(spec: TreeSpec) -> Sequence[Any]:
    kind, context = spec.kind, spec.context
    if kind is dict or kind is OrderedDict:
        return context
    return context[1] if kind is defaultdict else range(len(spec.children))


def _is_namedtuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields") and hasattr(kind, "_make")


def _flatten(tree: Any, out: list[Any], is_leaf: IsLeaf | None, none_is_leaf: bool) -> TreeSpec:
    kind = type(tree)
    if is_leaf is not None and is_leaf(tree):
        out.append(tree)
        return LEAF
    context: Any = None
    children: Iterable[Any]
    if kind is list or kind is tuple:
        children = tree
    elif kind is dict or kind is OrderedDict:
        context, children = tuple(tree), tree.values()
    elif tree is None and not none_is_leaf:
        return _NONE
    elif kind is defaultdict:
        context, children = (tree.default_factory, tuple(tree)), tree.values()
    elif _is_namedtuple(kind):
        children = tree
    else:
        out.append(tree)
        return LEAF
    start = len(out)
    specs = tuple([_flatten(child, out, is_leaf, none_is_leaf) for child in children])
    return TreeSpec(kind, context, specs, len(out) - start)


def _build(spec: TreeSpec, values: Iterator[Any]) -> Any:
    kind = spec.kind
    if kind is None:
        return next(values)
    if kind is type(None):
        return None
    built = [_build(child, values) for child in spec.children]
    if kind is list:
        return built
    if kind is tuple:
        return tuple(built)
    if kind is dict or kind is OrderedDict:
        return kind(zip(spec.context, built, strict=True))
    if kind is defaultdict:
        return defaultdict(spec.context[0], zip(spec.context[1], built, strict=True))
    return kind._make(built)  # type: ignore[attr-defined]


def _match(spec: TreeSpec, tree: Any, out: list[Any], path: str) -> None:
    kind: Any = spec.kind
    if kind is None:
        out.append(tree)
        return
    keys = _keys(spec)
    if type(tree) is not kind:
        raise ArgumentError(explain("tree.map", expected=f"a {kind.__name__} at tree{path}", got=f"a {type(tree).__name__}"))
    if kind is type(None):
        return
    if len(tree) != len(keys) or (isinstance(tree, dict) and any(key not in tree for key in keys)):
        got = f"keys {list(tree)}" if isinstance(tree, dict) else f"{len(tree)} items"
        wanted = f"keys {list(keys)}" if isinstance(tree, dict) else f"{len(keys)} items"
        raise ArgumentError(explain("tree.map", expected=f"{wanted} at tree{path}", got=got))
    for key, child in zip(keys, spec.children, strict=True):
        _match(child, tree[key], out, f"{path}[{key!r}]")


def _paths(spec: TreeSpec, path: str) -> Iterator[str]:
    if spec.kind is None:
        yield path
    for key, child in zip(_keys(spec), spec.children, strict=True) if spec.children else ():
        yield from _paths(child, f"{path}[{key!r}]")
