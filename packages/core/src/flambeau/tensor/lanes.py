"""In-place arithmetic with two and three operands, written straight into CPU memory when nothing is recorded.

These are the operations that optimizers live on. Each makes at most one temporary; every other case (recording, broadcasting, promotion,
other devices) goes to the general in-place form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd.modes import mode
from flambeau.primitives.bind import state
from flambeau.primitives.value import storage_of
from flambeau.tensor.tensor import Tensor

ndarray = np.ndarray
Method = Callable[..., Any]


def ready(x: Tensor, *others: Any) -> bool:
    """Whether NumPy may write into x at once: floats of one dtype and shape in host memory, and nothing to record."""
    a = x._a
    if type(a) is not ndarray or a.dtype.kind != "f" or a.itemsize < 4 or not a.ndim or 0 in a.strides or state.interceptor is not None:
        return False
    recording = mode.grad
    if recording and x._node is not None:
        return False
    for y in others:
        if not isinstance(y, Tensor) or (recording and y._node is not None):
            return False
        b = y._a
        if type(b) is not ndarray or b.dtype is not a.dtype or b.shape != a.shape:
            return False
    return True


def number(value: Any) -> bool:
    """Whether NumPy takes the value as weak, that is, keeps the dtype of the array."""
    return type(value) is float or type(value) is int


def scaled(ufunc: Any, plain: Method, general: Method) -> Method:
    """`add_` and `sub_`, which take `alpha`."""

    def method(self: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
        if type(alpha) is int and alpha == 1:
            return plain(self, other)
        if number(alpha) and ready(self, other):
            a = self._a
            ufunc(a, other._a * alpha, out=a)
            storage_of(self).version += 1
            return self
        return general(self, other, alpha=alpha)

    return _named(method, general)


def product(ufunc: Any, general: Method) -> Method:
    """`addcmul_` and `addcdiv_`: self + (value * tensor1) * or / tensor2."""

    def method(self: Tensor, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Tensor:
        if number(value) and ready(self, tensor1, tensor2):
            a = self._a
            scratch = tensor1._a * value
            ufunc(scratch, tensor2._a, out=scratch)
            np.add(a, scratch, out=a)
            storage_of(self).version += 1
            return self
        return general(self, tensor1, tensor2, value=value)

    return _named(method, general)


def towards(general: Method) -> Method:
    """`lerp_` with a number as weight."""

    def method(self: Tensor, end: Any, weight: Any) -> Tensor:
        if number(weight) and ready(self, end):
            a, b = self._a, end._a
            scratch = b - a
            if weight < 0.5:
                np.multiply(scratch, weight, out=scratch)
                np.add(a, scratch, out=a)
            else:
                np.multiply(scratch, 1 - weight, out=scratch)
                np.subtract(b, scratch, out=a)
            storage_of(self).version += 1
            return self
        return general(self, end, weight)

    return _named(method, general)


def single(ufunc: Any, general: Method) -> Method:
    """The in-place form of a function of one operand."""

    def method(self: Tensor) -> Tensor:
        if ready(self):
            ufunc(self._a, out=self._a)
            storage_of(self).version += 1
            return self
        return general(self)

    return _named(method, general)


def _named(method: Method, general: Method) -> Method:
    method.__name__ = method.__qualname__ = general.__name__
    method.__doc__ = general.__doc__
    return method
