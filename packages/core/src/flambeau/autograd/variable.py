"""`Variable`, a name of old PyTorch programs: every tensor is one."""

from __future__ import annotations

from typing import Any

from flambeau.primitives.bind import state
from flambeau.primitives.value import Value, storage_of


class _IsTensor(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Value)


class Variable(metaclass=_IsTensor):
    """`Variable(tensor, requires_grad=False)` is a tensor with the same memory.

    >>> import flambeau as fb
    >>> v = fb.autograd.Variable(fb.ones(2), requires_grad=True)
    >>> isinstance(v, fb.Tensor), v.requires_grad
    (True, True)
    """

    def __new__(cls, data: Any, requires_grad: bool = False, **old: Any) -> Any:
        """A tensor on the memory of `data`; other arguments of old programs (`volatile`) are ignored."""
        out = state.wrap(data._a)
        out._st = storage_of(data)
        return out.requires_grad_() if requires_grad else out
