"""Hooks on gradients, the order in which they run, and the handles that remove them.

The order at a node is PyTorch's: hooks of the tensor (`Tensor.register_hook`), `retain_grad`, capture by `autograd.grad`, hooks before the
node (`Node.register_prehook`), the node itself, hooks after it (`Node.register_hook`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from flambeau.base.epoch import entries, epoch
from flambeau.base.errors import ArgumentTypeError, ShapeError, explain
from flambeau.primitives.value import Value

_ids = itertools.count()


class RemovableHandle:
    """Returned by the `register_..._hook` methods; `remove()` takes the hook away. Also a context manager."""

    def __init__(self, *tables: dict[int, Any]) -> None:
        self._tables = tables
        self.id = next(_ids)

    def remove(self) -> None:
        """Take the hook away; calling it again does nothing."""
        for hooks in self._tables:
            if self.id in hooks:
                epoch.changed(hooks, "hooks", entries, entries(hooks))
                del hooks[self.id]

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one node, by kind, in the order of registration."""

    __slots__ = ("post", "pre", "retain", "tensor")

    def __init__(self) -> None:
        self.tensor: dict[int, Callable[[Any], Any]] = {}
        self.retain: dict[int, Callable[[Any], None]] = {}
        self.pre: dict[int, Callable[..., Any]] = {}
        self.post: dict[int, Callable[..., Any]] = {}

    def on_gradient(self, g: Any) -> Any:
        """The gradient of the value after the hooks of the tensor have seen it."""
        for hook in list(self.tensor.values()):
            g = _replaced(g, hook(g), "register_hook")
        for keep in list(self.retain.values()):
            keep(g)
        return g

    def before(self, g: Any) -> Any:
        """The gradient that goes into the node; hooks see a tuple with an entry per output."""
        for hook in list(self.pre.values()):
            single = type(g) is not list
            parts = (g,) if single else tuple(g)
            new = hook(parts)
            if new is not None:
                new = _checked(parts, new if isinstance(new, tuple) else (new,), "register_prehook")
                g = new[0] if single else list(new)
        return g

    def after(self, grads: Any, g: Any) -> Any:
        """The gradients for the parents; hooks see them and the gradients of the outputs."""
        outer = tuple(g) if type(g) is list else (g,)
        for hook in list(self.post.values()):
            new = hook(tuple(grads), outer)
            if new is not None:
                grads = _checked(tuple(grads), new if isinstance(new, tuple) else (new,), "register_hook")
        return grads


def _replaced(old: Any, new: Any, op: str) -> Any:
    if new is None:
        return old
    if not isinstance(new, Value):
        raise ArgumentTypeError(explain(op, expected="a hook that returns a tensor or None", got=f"one that returned {type(new).__name__}"))
    if old is not None and new._a.shape != old._a.shape:
        expected = f"a hook that keeps the gradient's shape {tuple(old._a.shape)}"
        raise ShapeError(explain(op, expected=expected, got=f"one that returned {tuple(new._a.shape)}"))
    return new


def _checked(old: tuple[Any, ...], new: tuple[Any, ...], op: str) -> tuple[Any, ...]:
    if len(new) != len(old):
        raise ShapeError(explain(op, expected=f"a hook that returns {len(old)} gradients", got=f"one that returned {len(new)}"))
    return tuple([None if n is None else _replaced(o, n, op) for o, n in zip(old, new, strict=True)])


def hooks_of(node: Any) -> Hooks:
    """The hooks of a node, made now if it has none."""
    if node.hooks is None:
        node.hooks = Hooks()
    found: Hooks = node.hooks
    return found


def put(hooks: dict[int, Any], hook: Callable[..., Any]) -> RemovableHandle:
    """Add a hook to a table of hooks."""
    handle = RemovableHandle(hooks)
    epoch.changed(hooks, "hooks", entries, entries(hooks))
    hooks[handle.id] = hook
    return handle


def add_hook(node: Any, hook: Callable[..., Any]) -> RemovableHandle:
    """Add a hook on the gradient that reaches a node."""
    return put(hooks_of(node).tensor, hook)


def move_retained(source: Any, target: Any, key: int) -> None:
    """Let `retain_grad` follow a tensor whose node changed (by a write in place)."""
    if source is not None and source.hooks is not None and target is not None:
        keep = source.hooks.retain.pop(key, None)
        if keep is not None:
            hooks_of(target).retain[key] = keep
