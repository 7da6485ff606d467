"""The backward pass: nodes in reverse order of creation, gradients summed where paths meet."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from flambeau.autograd.modes import mode
from flambeau.autograd.node import AccumulateGrad, Node, Pick
from flambeau.base.errors import ArgumentError, DtypeError, GradientError, ShapeError, explain
from flambeau.primitives.bind import detached, state
from flambeau.primitives.elementwise import cast, copy, fill, isnan
from flambeau.primitives.value import Value

_seq = attrgetter("seq")
_numbers = itertools.count()
_adding = threading.Lock()


class GradientEdge(NamedTuple):
    """A place in the graph: what `autograd.grad` and `register_multi_grad_hook` take in place of a tensor (see
    `graph.get_gradient_edge`)."""

    node: Node
    output_nr: int
    target: Node


class Task:
    """A running backward pass: its nodes, and which of them are on the way to the gradients that were asked for."""

    __slots__ = ("needed", "nodes", "number", "order")

    def __init__(self, roots: Iterable[Node], targets: dict[Node, Any] | None) -> None:
        self.number = next(_numbers)
        self.nodes = reachable(roots)
        self.order = sorted(self.nodes, key=_seq, reverse=True)
        self.needed = None if targets is None else leading_to(self.order, targets)

    def will_run(self, node: Node) -> bool:
        """Whether a gradient may reach the node in this pass."""
        return node in (self.nodes if self.needed is None else self.needed)


def reachable(roots: Iterable[Node]) -> set[Node]:
    """The roots and all nodes behind them."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for p in stack.pop().parents:
            if p is not None and p not in seen:
                seen.add(p)
                stack.append(p)
    return seen


def leading_to(order: list[Node], targets: dict[Node, Any]) -> set[Node]:
    """The nodes from which a target can be reached."""
    needed: set[Node] = set(targets)
    for node in reversed(order):
        if node not in needed and not needed.isdisjoint(node.parents):
            needed.add(node)
    return needed


def run(roots: list[tuple[Node, Any]], *, retain_graph: bool, create_graph: bool, targets: dict[Node, Any] | None) -> None:
    """Send gradients from the roots. Without targets, leaves accumulate into `.grad`; with targets, only their gradients are
    computed and stored as the values of that dict."""
    buffers: dict[Node, Any] = {}
    owned: set[Node] = set()  # nodes whose gradient nobody else can see, so that it may be kept without a copy
    for node, g in roots:
        buffers[node] = g if node not in buffers else node.merge(buffers[node], g)
    task = Task([node for node, _ in roots], targets)
    needed = task.needed
    before, outer = mode.grad, mode.task
    mode.grad, mode.task = create_graph, task
    try:
        for node in task.order:
            g = buffers.pop(node, None)
            if g is None or (needed is not None and node not in needed):
                continue
            hooks = node.hooks
            if hooks is not None:
                g = hooks.on_gradient(g)
                owned.discard(node)  # a hook may have kept it
            if targets is not None and node in targets:
                targets[node] = g
                if needed.isdisjoint(node.parents):  # type: ignore[union-attr]
                    continue
            if hooks is not None:
                g = hooks.before(g)
                if g is None:
                    continue
            if type(node) is AccumulateGrad:
                accumulate(node, g, node in owned, create_graph)
                grads: Any = ()
            else:
                grads = node.apply(g, needed) if not mode.anomaly else _watched(node, g, needed)
                if not retain_graph:
                    node.release()
            fresh = node.fresh
            if hooks is not None and hooks.post:
                grads, fresh = hooks.after(grads, g), False
            for p, gi in zip(node.parents, grads, strict=True):
                if p is None or gi is None:
                    continue
                old = buffers.get(p)
                if old is None:
                    buffers[p] = gi
                    if fresh and gi is not g and type(gi) is not list and gi._st is None:
                        owned.add(p)
                else:
                    buffers[p] = p.merge(old, gi)
                    owned.add(p)
    finally:
        mode.grad, mode.task = before, outer


def accumulate(node: AccumulateGrad, g: Any, own: bool, create_graph: bool) -> None:
    """Add to the leaf's `.grad`; passes of several threads may meet here."""
    with _adding:
        old = node.grad
        if old is None:
            if not create_graph:
                g = g if own and g._node is None else copy(g)
            node.grad = g
        elif create_graph:
            node.grad = old + g
        else:
            old.add_(g)
    if state.interceptor is not None:
        state.interceptor.touch_grad(node, old)
    if node.after:
        leaf = node.variable()
        for hook in list(node.after.values()):
            hook(leaf)


def _watched(node: Node, g: Any, needed: Any) -> Any:
    """Run a node under anomaly detection."""
    try:
        grads = node.apply(g, needed)
    except Exception as error:
        if node.trace:
            error.add_note(f"The forward operation of {node.name()} was called here:\n{node.trace}")
        raise
    for i, gi in enumerate(grads):
        if mode.check_nan and isinstance(gi, Value) and gi._a.dtype.kind in "fcV" and bool(isnan(gi).any()):
            where = f"\nThe forward operation was called here:\n{node.trace}" if node.trace else ""
            raise GradientError(explain("backward", expected="finite gradients", got=f"NaN from {node.name()} for its input {i}") + where)
    return grads


def root_gradients(tensors: Sequence[Any], grads: Sequence[Any] | None, op: str) -> list[tuple[Node, Any]]:
    """Pair each output with its gradient; a scalar's defaults to 1."""
    grads = [None] * len(tensors) if grads is None else list(grads)
    if len(grads) != len(tensors):
        raise ArgumentError(explain(op, expected=f"{len(tensors)} gradients", got=str(len(grads))))
    return [_root(t, g, op) for t, g in zip(tensors, grads, strict=True)]


def _root(t: Any, g: Any, op: str) -> tuple[Node, Any]:
    shape = tuple(t._a.shape)
    if t._node is None:
        hint = "requires_grad=True on an input, and no no_grad() around the computation"
        raise GradientError(explain(op, expected="a tensor that requires grad", got=f"one of shape {shape} that does not", hint=hint))
    if g is None:
        if t._a.size != 1:
            hint = f".sum() or .mean() first, or pass a gradient of shape {shape}"
            expected = "a tensor with one element (gradients start from a scalar)"
            raise GradientError(explain(op, expected=expected, got=f"shape {shape}", hint=hint))
        if t._a.dtype.kind == "c":
            hint = "pass a gradient, or .real or .abs() first"
            raise GradientError(explain(op, expected="a real scalar to start from", got="a complex one", hint=hint))
        return t._node, fill(detached(t), value=1)
    if tuple(g._a.shape) != shape:
        raise ShapeError(explain(op, expected=f"a gradient of shape {shape}", got=str(tuple(g._a.shape))))
    if g._a.dtype != t._a.dtype:
        if g._a.dtype.kind == "c":
            raise DtypeError(explain(op, expected=f"a gradient of dtype {t._a.dtype}", got=str(g._a.dtype), hint=".real"))
        g = cast(g, dtype=t._a.dtype)
    return t._node, g


def _as_tuple(x: Any) -> tuple[Any, ...]:
    return (x,) if isinstance(x, (Value, GradientEdge)) else tuple(x)


def target_of(x: Any) -> Any:
    """The node whose gradient is that of a tensor or an edge; None for a tensor that does not require grad."""
    return x.target if isinstance(x, GradientEdge) else x._node


def backward(
    tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
) -> None:
    """Sum gradients of `tensors` into the `.grad` of the leaves they come from (only of `inputs`, where given).

    `grad_tensors` are the gradients of the tensors; for a scalar it may be left out. `retain_graph` keeps what the graph has saved, so that
    backward can run again; `create_graph` makes the gradients differentiable.
    """
    if mode.vmap:
        hint = "flambeau.func.grad, or autograd.grad"
        raise GradientError(explain("backward", expected="a call outside vmap (it writes into .grad)", got="a call inside", hint=hint))
    tensors = _as_tuple(tensors)
    grads = None if grad_tensors is None else list(_as_tuple(grad_tensors))
    roots = root_gradients(tensors, grads, "backward")
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run(roots, retain_graph=retain, create_graph=create_graph, targets=None)
        return
    leaves = _as_tuple(inputs)
    if not leaves:
        raise GradientError(explain("backward", expected="at least one tensor in inputs", got="none"))
    for leaf, g in zip(leaves, grad(tensors, leaves, grads, retain, create_graph, allow_unused=True), strict=True):
        if g is not None:
            if leaf.retains_grad:
                continue  # its hook has added the gradient already
            if not isinstance(leaf._node, AccumulateGrad):
                leaf.grad = g if leaf.grad is None else leaf.grad + g
            else:
                accumulate(leaf._node, g, False, create_graph)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Gradients of `outputs` with respect to `inputs`, without touching `.grad`.

    `grad_outputs` are the gradients of the outputs (for a scalar, 1); with `is_grads_batched` their first axis is a batch, and so is the
    first axis of the results. An input that the outputs do not depend on is an error, unless `allow_unused` (None comes for it) or
    `materialize_grads` (zeros). `only_inputs` has no effect: gradients go to the inputs alone, as PyTorch's do since 0.2.

    >>> import flambeau as fb
    >>> x = fb.tensor(3.0, requires_grad=True)
    >>> fb.autograd.grad(x**3, x)
    (tensor(27.),)
    """
    if materialize_grads and allow_unused is False:
        raise ArgumentError(explain("grad", expected="allow_unused left out or True with materialize_grads", got="allow_unused=False"))
    if is_grads_batched:
        return _batched_grad(outputs, inputs, grad_outputs, create_graph, allow_unused, materialize_grads)
    outs, ins = _as_tuple(outputs), _as_tuple(inputs)
    grads = None if grad_outputs is None else list(_as_tuple(grad_outputs))
    roots = root_gradients(outs, grads, "grad")
    for i, x in enumerate(ins):
        if target_of(x) is None:
            got = f"input {i} of shape {tuple(x._a.shape)}, which does not"
            raise GradientError(explain("grad", expected="inputs that require grad", got=got))
    targets: dict[Node, Any] = {target_of(x): None for x in ins}
    retain = create_graph if retain_graph is None else retain_graph
    run(roots, retain_graph=retain, create_graph=create_graph, targets=targets)
    return tuple([_result(x, i, targets[target_of(x)], allow_unused, materialize_grads) for i, x in enumerate(ins)])


def _batched_grad(outputs: Any, inputs: Any, grad_outputs: Any, *options: Any) -> tuple[Any, ...]:
    """`grad` for every example of a batch of output gradients."""
    from flambeau.autograd.vmap import vmap

    create_graph, allow_unused, materialize = options
    unused: list[bool] = []

    def one(*gs: Any) -> Any:
        found = grad(outputs, inputs, gs, True, create_graph, allow_unused=allow_unused, materialize_grads=materialize)
        unused[:] = [g is None for g in found]
        return tuple([g for g in found if g is not None])

    used = iter(vmap(one)(*_as_tuple(grad_outputs)))
    return tuple([None if missing else next(used) for missing in unused])


def _result(x: Any, i: int, g: Any, allow_unused: bool | None, materialize: bool) -> Any:
    """The gradient for input i, or what stands for it where the outputs do not depend on it."""
    if g is not None:
        return g
    if materialize and isinstance(x, Value):
        return fill(detached(x), value=0)
    if not allow_unused and not materialize:
        what = f"input {i}" + (f" of shape {tuple(x._a.shape)}" if isinstance(x, Value) else "")
        expected, got = "inputs that the outputs depend on", f"{what}, which was not used in the graph"
        raise GradientError(explain("grad", expected=expected, got=got, hint="allow_unused=True"))
    return None


def edge_of(x: Any) -> GradientEdge:
    """The place of a tensor in the graph."""
    node: Any = x._node
    if node is None:
        raise GradientError(explain("get_gradient_edge", expected="a tensor that requires grad", got="one that does not"))
    if type(node) is Pick:
        owner = node.parents[0]
        assert owner is not None
        return GradientEdge(owner, node.index, node)
    return GradientEdge(node, 0, node)
