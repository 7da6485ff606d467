"""Graph nodes of calls of a Function, and what they keep."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, NamedTuple

from flambeau.autograd.batched import BatchedArray, Frame, batched, frame, unbatched
from flambeau.autograd.modes import mode
from flambeau.autograd.node import Node, Pick, changed, merge_parts, released
from flambeau.autograd.saved import Packed, called_from, pack
from flambeau.base.errors import ArgumentTypeError, GradientError, ShapeError, explain
from flambeau.primitives.bind import state
from flambeau.primitives.elementwise import cast
from flambeau.primitives.indexing import zeros_of
from flambeau.primitives.movement import sum_to
from flambeau.primitives.reduce import sum_
from flambeau.primitives.value import Value, storage_of


class Layer(NamedTuple):
    """A vmap among the inputs of a call: its frame, and the batch axes of the inputs and outputs (None where there is none)."""

    owner: Frame
    inputs: tuple[int | None, ...]
    outputs: tuple[int | None, ...]


class Entry(NamedTuple):
    """A saved tensor: its value without history, its node, or which output it is."""

    value: Any
    node: Node | None
    output: int | None
    version: int


class Saved:
    """The tensors that a call saved, as `forward` saw them. Outputs are kept without their node, which keeps this."""

    __slots__ = ("entries", "live")

    def __init__(self, tensors: tuple[Any, ...], outputs: tuple[Any, ...], live: tuple[bool, ...]) -> None:
        places = {id(o): i for i, o in enumerate(outputs)}
        self.entries = [None if x is None else _entry(x, places.get(id(x))) for x in tensors]
        self.live = live


def _entry(x: Any, place: int | None) -> Entry:
    plain = state.wrap(x._a)
    plain._st = st = storage_of(x)
    packed = pack(plain if place is not None else x)
    return Entry(plain if packed is x else packed, None if place is not None else x._node, place, st.version)


class FunctionNode(Node):
    """The node of one layer of a call. `layers` are the vmaps outside of that layer, the outermost tensors' first."""

    __slots__ = ("_cls", "_ctx", "_fresh", "_layers", "_outer", "_saved", "_shapes", "outputs")

    def __init__(self, cls: Any, ctx: Any, parents: Any, values: tuple[Any, ...], saved: Saved, layers: tuple[Layer, ...]) -> None:
        super().__init__(parents)
        outer_inputs, _, outer_outputs, outputs = values
        self._cls, self._ctx, self._layers = cls, ctx, layers
        self._shapes = [_kind(x) for x in outer_inputs]
        self._outer = [_kind(o) for o in outer_outputs]
        self.outputs = [_kind(o) or ((), None) for o in outputs]
        self._saved: Saved | None = saved
        if mode.anomaly:
            self.trace = called_from()
        self._fresh: dict[int, Frame] = {}  # while running: frames that stand for those of the layers

    def apply(self, g: Any, needed: Any) -> Any:
        parts = tuple(g) if type(g) is list else (g,)
        with ExitStack() as stack:
            self._fresh = {}
            for layer in reversed(self._layers):
                owner = stack.enter_context(frame(layer.owner.size, layer.owner.randomness))
                self._fresh[layer.owner.level] = owner
                parts = tuple([None if p is None else batched(p, axis or 0, owner) for p, axis in zip(parts, layer.outputs, strict=True)])
            grads = self._checked(self._call(self._filled(parts)))
            for layer in self._layers:
                owner = self._fresh[layer.owner.level]
                grads = [_peeled(g, owner, axis) for g, axis in zip(grads, layer.inputs, strict=True)]
        return grads

    def _call(self, parts: tuple[Any, ...]) -> Any:
        ctx = self._ctx
        before, ctx._node = ctx._node, self
        try:
            return self._cls.backward(ctx, *parts)
        finally:
            ctx._node = before

    def _filled(self, parts: tuple[Any, ...]) -> tuple[Any, ...]:
        """Zeros for outputs that no gradient reached."""
        if not self._ctx._materialize or None not in parts:
            return parts
        like = next(p for p in parts if p is not None)
        return tuple([_zeros(like, kind) if p is None and kind is not None else p for p, kind in zip(parts, self._outer, strict=True)])

    def _checked(self, grads: Any) -> list[Any]:
        """What `backward` returned: one gradient per input, of the input's shape and dtype."""
        given = list(grads) if isinstance(grads, (tuple, list)) else [grads]
        count = len(self.parents)
        while len(given) > count and given[-1] is None:
            given.pop()
        if len(given) != count:
            expected = f"{count} gradients, one per argument of forward"
            raise GradientError(explain(f"{self._cls.__name__}.backward", expected=expected, got=str(len(given))))
        return [None if g is None else self._fitting(i, g) for i, g in enumerate(given)]

    def _fitting(self, i: int, g: Any) -> Any:
        op, kind = f"{self._cls.__name__}.backward", self._shapes[i]
        if not isinstance(g, Value):
            raise ArgumentTypeError(explain(op, expected=f"a tensor or None for argument {i}", got=type(g).__name__))
        if kind is None:
            raise GradientError(explain(op, expected=f"None for argument {i}, which is not a tensor", got=f"shape {tuple(g._a.shape)}"))
        if self.parents[i] is None:
            return None
        shape, dtype = kind
        if g._a.shape != shape:
            if not _expands(shape, g._a.shape):
                expected = f"a gradient of shape {tuple(shape)} for argument {i}"
                raise ShapeError(explain(op, expected=expected, got=str(tuple(g._a.shape))))
            g = sum_to(g, shape)
        return g if g._a.dtype == dtype else cast(g, dtype=dtype)

    def unpack(self) -> tuple[Any, ...]:
        """The saved tensors with their history."""
        if self._saved is None:
            raise released(self)
        return tuple([None if entry is None else self._restored(entry, self._saved.live) for entry in self._saved.entries])

    def _restored(self, entry: Entry, live: tuple[bool, ...]) -> Any:
        node = entry.node
        if entry.output is not None and live[entry.output] and not self._layers:
            node = self if len(self.outputs) == 1 else Pick(self, entry.output)
        if type(entry.value) is Packed:
            return entry.value.restore(node)
        x = entry.value
        if x._st is not None and x._st.version != entry.version:
            raise changed(self, x, entry.version)
        out = state.wrap(self._reframed(x._a) if self._layers else x._a)
        out._st, out._node = x._st, node
        return out

    def _reframed(self, a: Any) -> Any:
        """A saved array batched by the frames that stand for those of the layers, which may have ended."""
        if type(a) is not BatchedArray:
            return a
        inner = a.value
        array = self._reframed(inner._a)
        if array is not inner._a:
            value = state.wrap(array)
            value._node, value._st = inner._node, inner._st
            inner = value
        return BatchedArray(inner, a.axis, self._fresh.get(a.frame.level, a.frame))

    def merge(self, old: Any, new: Any) -> Any:
        return merge_parts(old, new) if type(old) is list else old + new

    def release(self) -> None:
        self._saved = None

    def name(self) -> str:
        return f"{self._cls.__name__}Backward"

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors given to `save_for_backward`."""
        return self.unpack()


def _kind(x: Any) -> Any:
    return (x._a.shape, x._a.dtype) if isinstance(x, Value) else None


def _zeros(like: Any, kind: Any) -> Any:
    shape, dtype = kind
    zeros = zeros_of(like, shape)
    return zeros if zeros._a.dtype == dtype else cast(zeros, dtype=dtype)


def _expands(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether a tensor of the first shape expands to the second."""
    lead = len(large) - len(small)
    return lead >= 0 and all(n in (1, m) for n, m in zip(small, large[lead:], strict=True))


def _peeled(g: Any, owner: Frame, axis: int | None) -> Any:
    """A gradient one layer further in: for an input that the examples share, their sum."""
    if g is None:
        return None
    return unbatched(g, owner, axis) if axis is not None else sum_(unbatched(g, owner, 0), axis=(0,), keepdim=False)
