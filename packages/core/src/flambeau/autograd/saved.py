"""What happens to the values that nodes keep while somebody watches: pack and unpack hooks, and the traceback of anomaly detection."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from flambeau.autograd.modes import mode
from flambeau.base.errors import ArgumentTypeError, explain
from flambeau.primitives.bind import detached, state
from flambeau.primitives.value import Value

_PACKAGE = os.path.dirname(os.path.dirname(__file__))


class Packed:
    """A saved value in the form that a pack hook gave it."""

    __slots__ = ("_what", "_unpack")

    def __init__(self, x: Any, hooks: tuple[Callable[[Any], Any], Callable[[Any], Any]]) -> None:
        before = mode.grad
        mode.grad = False
        try:
            self._what = hooks[0](x)
        finally:
            mode.grad = before
        self._unpack = hooks[1]

    def restore(self, node: Any) -> Any:
        """The value, hanging on `node`."""
        x = self._unpack(self._what)
        if not isinstance(x, Value):
            raise ArgumentTypeError(explain("saved_tensors_hooks", expected="an unpack hook that returns a tensor", got=type(x).__name__))
        if x._node is node:
            return x
        alias = state.wrap(x._a)
        alias._st, alias._node = x._st, node
        return alias


def pack(x: Any) -> Any:
    """A saved value as the innermost hooks want it; anything but a tensor is left as it is."""
    return Packed(x, mode.hooks[-1]) if mode.hooks and isinstance(x, Value) else x


def called_from() -> str:
    """The stack of calls down to the line outside this package that called an operation."""
    import traceback  # only under anomaly detection

    frames = traceback.extract_stack()
    while len(frames) > 1 and frames[-1].filename.startswith(_PACKAGE):
        frames.pop()
    return "".join(frames.format())


def watch(node: Any, out: Any) -> None:
    """Let the hooks and the anomaly detection of this thread see a new node of a primitive."""
    if mode.anomaly:
        node.trace = called_from()
    if mode.hooks:
        node.saved = [pack(x) for x in node.saved]
        if node.out is not None:
            # Without the node that keeps it, or they would keep each other alive.
            node.out = [pack(detached(o)) for o in (out if type(out) is tuple else (out,))]
