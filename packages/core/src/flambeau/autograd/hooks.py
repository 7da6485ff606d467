"""Hooks on gradients, and the handles that remove them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

_ids = itertools.count()


class RemovableHandle:
    """Returned by the `register_..._hook` methods; `remove()` takes the hook away. Also a context manager."""

    def __init__(self, hooks: dict[int, Any]) -> None:
        self._hooks = hooks
        self.id = next(_ids)

    def remove(self) -> None:
        """Take the hook away; calling it again does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def put(hooks: dict[int, Any], hook: Callable[..., Any]) -> RemovableHandle:
    """Add a hook to a table of hooks."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def add_hook(node: Any, hook: Callable[..., Any]) -> RemovableHandle:
    """Add a hook on the gradient that reaches a node."""
    if node.hooks is None:
        node.hooks = {}
    return put(node.hooks, hook)
