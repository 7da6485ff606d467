"""Compositions of elementwise operations that run as one kernel, forward and backward, on large CPU tensors.

`@fused` says that `fn(x, ...)` computes each element of its result from that element of x. What it means is what its Python says; only
where and when it runs changes. The backward kernel starts from x again, so nothing but x is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numpy import ndarray

from flambeau.autograd.engine import grad
from flambeau.autograd.modes import enable_grad, mode
from flambeau.autograd.node import record
from flambeau.device.cpu import CPU_BACKEND
from flambeau.primitives.bind import state
from flambeau.primitives.prim import like, unlisted
from flambeau.tensor.tensor import Tensor

_LEAST = 1 << 15  # elements from which a kernel is worth its call


def fused(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a function of one tensor, and of settings that are hashable."""

    def value(x: Any, settings: Any) -> Any:
        return fn(x, *settings[0], **dict(settings[1]))

    def slope(g: Any, x: Any, settings: Any) -> Any:
        with enable_grad():
            y = x.detach().requires_grad_()
            (result,) = grad([value(y, settings)], [y], [g])
        return result

    def vjp(g: Any, x: Any, settings: Any) -> Any:
        if mode.grad:
            return grad([value(x, settings)], [x], [g], create_graph=True)[0]
        if state.interceptor is None and type(g._a) is ndarray and type(x._a) is ndarray:
            found = CPU_BACKEND.compiled(slope, (g._a, x._a), {"settings": settings})
            if found is not NotImplemented:
                return state.wrap(found)
        return slope(g, x, settings)

    value.__qualname__, slope.__qualname__ = fn.__name__, f"{fn.__name__}_slope"
    row = unlisted(fn.__name__, "x", kernel=lambda xp, x, settings: NotImplemented, rule=like, vjp=vjp)

    @functools.wraps(fn)
    def call(input: Any, *args: Any, **kwargs: Any) -> Any:
        if (
            type(input) is Tensor
            and type(input._a) is ndarray
            and input._a.size >= max(CPU_BACKEND.large, _LEAST)
            and state.interceptor is None
        ):
            settings = (args, tuple(kwargs.items()))
            in_place = True in args or kwargs.get("inplace")
            if not in_place and input._a.dtype.kind == "f":
                found = CPU_BACKEND.compiled(value, (input._a,), {"settings": settings})
                if found is not NotImplemented:
                    out = state.wrap(found)
                    if input._node is not None:
                        record(row, (input,), {"settings": settings}, out)
                    return out
        return fn(input, *args, **kwargs)

    return call
