"""Batched arrays: what the tensors inside `vmap` are made of, and how primitives run on them.

A tensor inside `vmap` holds a `BatchedArray`: an inner tensor with one more axis, which is hidden. The executor registered for that type
applies the batch rule of a primitive, which binds on the inner tensors; those may be batched by an outer `vmap`, and have a graph of their
own, so `vmap` nests and gradients flow through it and inside it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from flambeau.autograd.modes import mode
from flambeau.base.errors import ArgumentTypeError, GradientError, explain
from flambeau.base.shapes import contiguous_strides
from flambeau.device.base import executors, register_executor
from flambeau.primitives import batching
from flambeau.primitives.bind import state
from flambeau.primitives.movement import expand, offset_of, reshape
from flambeau.primitives.value import Value, storage_of

_levels = itertools.count(1)


class Frame:
    """A running vmap: its level (higher is further inside), the size of its batch, what random numbers do, whether it still runs."""

    __slots__ = ("level", "live", "randomness", "size", "starts")

    def __init__(self, size: int, randomness: str) -> None:
        self.starts: dict[int, Any] | None = None  # the first state of each generator, for further chunks with the same numbers
        self.level, self.size, self.randomness, self.live = next(_levels), size, randomness, True


class _Frames(threading.local):
    def __init__(self) -> None:
        self.stack: list[Frame] = []


frames = _Frames()


@contextmanager
def frame(size: int, randomness: str = "error") -> Iterator[Frame]:
    """The extent of a vmap in this thread."""
    made = Frame(size, randomness)
    frames.stack.append(made)
    mode.vmap += 1
    try:
        yield made
    finally:
        made.live = False
        mode.vmap -= 1
        frames.stack.pop()


class BatchedArray:
    """An inner tensor whose axis `axis` is hidden: the batch axis of a vmap."""

    __slots__ = ("axis", "base", "frame", "value")

    def __init__(self, value: Any, axis: int, owner: Frame) -> None:
        self.value, self.axis, self.frame = value, axis, owner
        self.base: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        shape = self.value._a.shape
        return tuple(shape[: self.axis] + shape[self.axis + 1 :])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        found: np.dtype[Any] = self.value._a.dtype
        return found

    @property
    def ndim(self) -> int:
        """Number of axes of an example."""
        return int(self.value._a.ndim) - 1

    @property
    def size(self) -> int:
        """Number of elements of an example."""
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return int(self.value._a.itemsize)

    @property
    def nbytes(self) -> int:
        """Bytes of an example."""
        return self.size * self.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of an example in bytes."""
        strides = self.value._a.strides
        return tuple(strides[: self.axis] + strides[self.axis + 1 :])

    @property
    def offset(self) -> int:
        """Elements from the start of the memory to the first example."""
        return offset_of(self.value._a)

    @property
    def flags(self) -> Layout:
        """Whether the elements of an example are in row-major order."""
        return Layout(self.shape, tuple(s // self.itemsize for s in self.strides))

    def copy(self) -> BatchedArray:
        """A copy."""
        return BatchedArray(self.value.clone(), self.axis, self.frame)

    def __repr__(self) -> str:
        return f"BatchedTensor(level={self.frame.level}, dim={self.axis}, value={self.value!r})"


class Layout:
    """The part of an array's flags that tensors ask for."""

    def __init__(self, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        wanted = contiguous_strides(shape)
        self.c_contiguous = prod(shape) == 0 or all(n == 1 or s == w for n, s, w in zip(shape, strides, wanted, strict=True))


class BatchedExecutor:
    """Runs primitives on batched arrays, level by level."""

    name = "vmap"
    priority = 10

    def run(self, prim: Any, arrays: list[Any], inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Apply the batch rule for the innermost vmap among the inputs."""
        owner = innermost(arrays)
        if owner is None or not owner.live:
            raise _escaped(prim.name)
        rule = batching.rule_of(prim)
        if rule is None:
            hint = "compute it outside vmap, or with operations whose result has a shape known beforehand (where, masked_fill)"
            expected = "a primitive with a batch rule (the `batch` of its row)"
            raise GradientError(explain(f"vmap of {prim.name}", expected=expected, got=f"{prim.name}, which has none", hint=hint))
        inner = [a.value if type(a) is BatchedArray and a.frame is owner else x for x, a in zip(inputs, arrays, strict=True)]
        dims = [a.axis if type(a) is BatchedArray and a.frame is owner else None for a in arrays]
        out, axis = rule(batching.Batch(prim, owner.size, tuple(inner), tuple(dims), params))
        if type(out) is tuple:
            return tuple([BatchedArray(o, axis, owner) for o in out])
        result = BatchedArray(out, axis, owner)
        if prim.view and out._base is not None:  # the rule gave a view of the memory of its input
            result.base = arrays[0] if arrays[0].base is None else arrays[0].base
        return result

    def device_of(self, array: BatchedArray) -> Any:
        """Where the inner tensor lives."""
        inner = array.value._a
        return executors[type(inner)].device_of(inner)

    def to_numpy(self, array: BatchedArray) -> np.ndarray:
        """An error: inside vmap there is no single value."""
        expected = "operations that do not need the values of one example (no .item(), bool(), .tolist(), .numpy() or `if x > 0`)"
        got = f"a request for the values of a tensor of shape {array.shape} that stands for {array.frame.size} examples"
        raise ArgumentTypeError(explain("vmap", expected=expected, got=got, hint="flambeau.where(condition, a, b) in place of an if"))

    def detach(self, array: BatchedArray) -> BatchedArray:
        """The same memory; the inner tensor without history."""
        out = BatchedArray(array.value.detach(), array.axis, array.frame)
        out.base = array.base
        return out

    def alias(self, array: BatchedArray) -> BatchedArray:
        """The same memory; the inner tensor as it is now, with its node."""
        inner = array.value
        value = state.wrap(executors[type(inner._a)].alias(inner._a))
        value._node, value._st, value._base = inner._node, storage_of(inner), inner._base
        out = BatchedArray(value, array.axis, array.frame)
        out.base = array.base
        return out

    def store(self, array: BatchedArray, value: Any) -> None:
        """Write a tensor into the memory of the inner tensor, as an operation that the inner graph sees."""
        source = value._a
        if type(source) is BatchedArray and source.frame.level > array.frame.level:
            raise batching.unbatched_target()
        if not array.frame.live:
            raise _escaped("in-place write")
        target = array.value
        if type(source) is BatchedArray and source.frame is array.frame:
            shape = array.shape
            written = batching.move(batching.lift(batching.move(source.value, source.axis, 0), len(shape)), 0, array.axis)
        else:
            lead = target._a.ndim - 1 - value._a.ndim
            written = reshape(value, shape=(1,) * lead + value._a.shape) if lead > 0 else value
            written = reshape(written, shape=(*written._a.shape[: array.axis], 1, *written._a.shape[array.axis :]))
        target.copy_(written)

    def adopt(self, array: BatchedArray, x: Any) -> Any:
        """A new tensor x with memory of its own for each example of `array`."""
        inner = array.value._a
        x = executors[type(inner)].adopt(inner, x) if type(inner) is BatchedArray else x
        return batched(expand(x, shape=(array.frame.size, *x._a.shape)).clone(), 0, array.frame)


EXECUTOR = BatchedExecutor()
register_executor(BatchedArray, EXECUTOR)


def innermost(arrays: Any) -> Frame | None:
    """The frame of the highest level among arrays."""
    found: Frame | None = None
    for a in arrays:
        if type(a) is BatchedArray and (found is None or a.frame.level > found.level):
            found = a.frame
    return found


def _escaped(op: str) -> GradientError:
    hint = "return the tensor from the function that vmap was given"
    return GradientError(explain(op, expected="tensors of a vmap that is running", got="one of a vmap that has ended", hint=hint))


def batched(value: Any, axis: int, owner: Frame) -> Any:
    """A tensor that stands for one example of `value` along `axis`."""
    return state.wrap(BatchedArray(value, axis, owner))


def unbatched(x: Any, owner: Frame, axis: int) -> Any:
    """The inner tensor of x with the batch axis at `axis`; x repeated if it is the same for all examples."""
    a = x._a
    if type(a) is BatchedArray and a.frame is owner:
        return batching.move(a.value, a.axis, axis)
    shape = a.shape
    spread = reshape(x, shape=(*shape[:axis], 1, *shape[axis:]))
    return expand(spread, shape=(*shape[:axis], owner.size, *shape[axis:]))


def tracked(x: Any) -> bool:
    """Whether x requires grad, itself or inside its batches."""
    while True:
        if x._node is not None:
            return True
        if type(x._a) is not BatchedArray:
            return False
        x = x._a.value


def is_batched(x: Any) -> bool:
    """Whether x is a tensor of a vmap."""
    return isinstance(x, Value) and type(x._a) is BatchedArray
