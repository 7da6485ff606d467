"""Parameter and Buffer: tensors that a module registers when they are assigned to an attribute."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import ArgumentTypeError, explain
from flambeau.primitives.value import storage_of
from flambeau.tensor.creation import empty
from flambeau.tensor.tensor import Tensor

_new = object.__new__


def _shared(cls: type, data: Any) -> Any:
    """An instance of `cls` on the memory of `data`, without its history."""
    if data is None:
        data = empty(0)
    if not isinstance(data, Tensor):
        raise ArgumentTypeError(explain(cls.__name__, expected="a Tensor", got=type(data).__name__, hint="flambeau.tensor(data)"))
    made: Any = _new(cls)
    made._a, made._node, made._base = data._a, None, None
    made._st = storage_of(data)
    return made


def blank(*size: int, device: Any = None, dtype: Any = None) -> Parameter:
    """A parameter of that shape whose values are still to be set."""
    return Parameter(empty(*size, device=device, dtype=dtype))


class Parameter(Tensor):
    """A tensor that a module learns: assigned to an attribute of a `Module` it appears in `module.parameters()`.

    It shares the memory of `data` and is a leaf of the autograd graph.

    >>> import flambeau as fb
    >>> fb.nn.Parameter(fb.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        made = _shared(cls, data)
        return made.requires_grad_() if requires_grad else made

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            grad, self.grad = self.grad, None  # a copy starts without gradient
            try:
                memo[id(self)] = super().__deepcopy__(memo)
            finally:
                self.grad = grad
        return memo[id(self)]


class Buffer(Tensor):
    """A tensor that belongs to a module's state without being learnt: assigned to an attribute it appears in `module.buffers()`.

    `persistent=False` leaves it out of the state dict.

    >>> import flambeau as fb
    >>> m = fb.nn.Module()
    >>> m.mean = fb.nn.Buffer(fb.zeros(2))
    >>> list(m.state_dict())
    ['mean']
    """

    __slots__ = ()
    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        made = _shared(cls, data)
        made.persistent = persistent
        return made
