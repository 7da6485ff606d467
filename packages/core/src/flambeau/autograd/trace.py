"""A function run once for its derivatives: what the transforms of `flambeau.func` and `autograd.functional` share.

Each input gets an alias that begins with a node of its own (`Start`), so that equal inputs are told apart and nested derivatives never
mix. Behind
that node lies the history of the input itself, if it has one: derivatives are differentiable where something outside can use that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flambeau.autograd import engine
from flambeau.autograd.batched import BatchedArray, tracked
from flambeau.autograd.modes import enable_grad, mode
from flambeau.autograd.node import Node
from flambeau.base import tree
from flambeau.base.errors import ArgumentTypeError, DtypeError, explain
from flambeau.device.base import executors
from flambeau.primitives.bind import state
from flambeau.primitives.elementwise import fill
from flambeau.primitives.movement import reshape
from flambeau.primitives.source import eye, source
from flambeau.primitives.value import Value, storage_of


class Start(Node):
    """Where differentiation begins: hands the gradient on to the history of the input."""

    __slots__ = ()

    def apply(self, g: Any, needed: Any) -> Any:
        return (g,)


def begin(x: Any, connected: bool) -> Any:
    """An alias of x with a node of its own, in front of x's history if `connected`."""
    out = state.wrap(x._a)
    out._st = storage_of(x)
    out._node = Start((x._node if connected else None,))
    return out


def differentiable(op: str, x: Any) -> Any:
    """x, if it is a tensor that has derivatives."""
    if not isinstance(x, Value):
        raise ArgumentTypeError(explain(op, expected="tensors in the arguments to differentiate", got=type(x).__name__))
    if x._a.dtype.kind not in "fcV":
        raise DtypeError(explain(op, expected="a floating-point or complex tensor", got=str(x._a.dtype), hint=".float()"))
    return x


def is_differentiable(x: Any) -> bool:
    """Whether x is a tensor of a dtype that has derivatives."""
    return isinstance(x, Value) and x._a.dtype.kind in "fcV"


class Trace:
    """A call of a function on aliases of its inputs. `inputs` and `outputs` are flat lists of tensors."""

    def __init__(self, op: str, values: Sequence[Any], call: Callable[[list[Any]], Any]) -> None:
        self._outer = mode.grad
        self._depth = mode.vmap
        self.inputs = [begin(differentiable(op, x), self._outer) for x in values]
        self._own = {x._node for x in self.inputs}
        self.starts = list(self.inputs)
        with enable_grad():
            self.result = call(self.inputs)

    def pull(self, outputs: Sequence[Any], cotangents: Sequence[Any], graph: bool | None = None) -> list[Any]:
        """Gradients of the inputs (None where an output does not depend on one), given those of outputs.

        They are differentiable if `graph`; left out, if anything outside can use it.
        """
        pairs = [(o, g) for o, g in zip(outputs, cotangents, strict=True) if is_differentiable(o) and o._node is not None and g is not None]
        if not pairs:
            return [None] * len(self.starts)
        if graph is None:
            graph = self.connected([o for o, _ in pairs], [g for _, g in pairs])
        roots = engine.root_gradients([o for o, _ in pairs], [g for _, g in pairs], "grad")
        targets: dict[Node, Any] = {x._node: None for x in self.starts}
        engine.run(roots, retain_graph=True, create_graph=graph, targets=targets)
        return [targets[x._node] for x in self.starts]

    def connected(self, outputs: Iterable[Any], others: Iterable[Any] = ()) -> bool:
        """Whether anything but the inputs themselves is behind the outputs, so that their derivatives need a graph."""
        if not self._outer:
            return False
        return self._depth > 0 or any(tracked(g) for g in others) or self._outside([o._node for o in outputs])

    def _outside(self, nodes: Iterable[Node]) -> bool:
        return any(node not in self._own and not any(node.parents) for node in engine.reachable(nodes))

    def settled(self, x: Any) -> Any:
        """A result as the caller gets it: cut off from the inputs of this trace unless more lies behind them."""
        if not isinstance(x, Value):
            return x
        if not self._outer:
            return x.detach()  # type: ignore[attr-defined]
        array = x._a
        if type(array) is BatchedArray:  # an input that is not batched is in the graph of the tensors within, too
            inner = self.settled(array.value)
            if inner is not array.value:
                array = BatchedArray(inner, array.axis, array.frame)
        keep = x._node is not None and self._outside([x._node])
        if array is x._a and (keep or x._node is None):
            return x
        out = state.wrap(array)
        out._st, out._node = storage_of(x), x._node if keep else None
        return out

    def depends(self, x: Any) -> bool:
        """Whether an input of this trace is behind x."""
        return x._node is not None and not self._own.isdisjoint(engine.reachable([x._node]))


class Pushforward:
    """The derivative of a trace as a linear function of tangents: the derivative of `pull` with respect to the cotangents.

    `pull` is linear in them, so its derivative does not depend on them; they are 1 here.
    """

    def __init__(self, trace: Trace, outputs: Sequence[Any]) -> None:
        self._trace = trace
        self.outputs = list(outputs)
        with enable_grad():
            self._cotangents = [begin(fill(plain(o), value=1), False) for o in outputs]
            self._pulled = trace.pull(self.outputs, self._cotangents, graph=True)

    def __call__(self, tangents: Sequence[Any], graph: bool | None = None) -> list[Any]:
        """The tangents of the outputs; zeros where one does not depend on the inputs."""
        pairs = [(p, t) for p, t in zip(self._pulled, tangents, strict=True) if p is not None and p._node is not None]
        targets: dict[Node, Any] = {u._node: None for u in self._cotangents}
        if pairs:
            if graph is None:
                graph = self._trace.connected(self.outputs_with_history(), tangents)
            roots = engine.root_gradients([p for p, _ in pairs], [t for _, t in pairs], "jvp")
            engine.run(roots, retain_graph=True, create_graph=graph, targets=targets)
        found = [targets[u._node] for u in self._cotangents]
        return [fill(plain(o), value=0) if t is None else t for o, t in zip(self.outputs, found, strict=True)]

    def outputs_with_history(self) -> list[Any]:
        """The outputs that a graph is behind."""
        return [o for o in self.outputs if o._node is not None]


def plain(x: Any) -> Any:
    """The value of x without its node."""
    out = state.wrap(x._a)
    out._st = x._st
    return out


def zeros(x: Any) -> Any:
    """Zeros of the shape and dtype of x."""
    return fill(plain(x), value=0)


def basis(x: Any) -> Any:
    """The unit vectors of x's shape along a new first axis."""
    n = x._a.size
    made = source(eye, executors[type(x._a)].device_of(x._a), n=n, m=n, dtype=x._a.dtype)
    return reshape(made, shape=(n, *x._a.shape))


def flat_tensors(op: str, what: str, value: Any) -> tuple[list[Any], Any]:
    """The leaves of a tree, all of which must be tensors, and its structure."""
    leaves, spec = tree.flatten(value)
    for leaf in leaves:
        if not isinstance(leaf, Value):
            raise ArgumentTypeError(explain(op, expected=f"tensors as {what}", got=type(leaf).__name__))
    return leaves, spec
