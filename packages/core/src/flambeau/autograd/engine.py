"""The backward pass: nodes in reverse order of creation, gradients summed where paths meet."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from flambeau.autograd.modes import mode
from flambeau.autograd.node import AccumulateGrad, Node
from flambeau.base.errors import ArgumentError, GradientError, ShapeError, explain
from flambeau.primitives.bind import state
from flambeau.primitives.elementwise import copy, fill, isnan
from flambeau.primitives.value import Value

_seq = attrgetter("seq")


def reachable(roots: Sequence[Node]) -> list[Node]:
    """All nodes behind the roots, newest first."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for p in stack.pop().parents:
            if p is not None and p not in seen:
                seen.add(p)
                stack.append(p)
    return sorted(seen, key=_seq, reverse=True)


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
    order = reachable([node for node, _ in roots])
    needed = None if targets is None else leading_to(order, targets)
    before = mode.grad
    mode.grad = create_graph
    try:
        for node in order:
            g = buffers.pop(node, None)
            if g is None or (needed is not None and node not in needed):
                continue
            if node.hooks is not None:
                g = _run_hooks(node, g, owned)
            if targets is not None and node in targets:
                targets[node] = g
            if type(node) is AccumulateGrad:
                if targets is None:
                    accumulate(node, g, node in owned, create_graph)
                continue
            grads = node.apply(g, needed) if not mode.anomaly else _watched(node, g, needed)
            if not retain_graph:
                node.release()
            for p, gi in zip(node.parents, grads, strict=True):
                if p is None or gi is None:
                    continue
                old = buffers.get(p)
                if old is None:
                    buffers[p] = gi
                    if gi is not g and type(gi) is not list and gi._st is None:
                        owned.add(p)
                else:
                    buffers[p] = p.merge(old, gi)
                    owned.add(p)
    finally:
        mode.grad = before


def accumulate(node: AccumulateGrad, g: Any, own: bool, create_graph: bool) -> None:
    """Add to the leaf's `.grad`."""
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
        state.interceptor.touch_grad(node)
    if node.after:
        leaf = node.variable()
        for hook in list(node.after.values()):
            hook(leaf)


def _run_hooks(node: Node, g: Any, owned: set[Node]) -> Any:
    for hook in list(node.hooks.values()):
        new = hook(g)
        owned.discard(node)  # the hook may have kept it
        if new is not None:
            g = new
    return g


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
    roots = []
    for t, g in zip(tensors, grads, strict=True):
        if t._node is None:
            hint = "requires_grad=True on an input, and no no_grad() around the computation"
            raise GradientError(
                explain(op, expected="a tensor that requires grad", got=f"one of shape {tuple(t.shape)} that does not", hint=hint)
            )
        if g is None:
            if t._a.size != 1:
                hint = f".sum() or .mean() first, or pass a gradient of shape {tuple(t.shape)}"
                raise GradientError(
                    explain(
                        op, expected="a tensor with one element (gradients start from a scalar)", got=f"shape {tuple(t.shape)}", hint=hint
                    )
                )
            g = fill(_plain(t), value=1)
        elif tuple(g.shape) != tuple(t.shape):
            raise ShapeError(explain(op, expected=f"a gradient of shape {tuple(t.shape)}", got=str(tuple(g.shape))))
        roots.append((t._node, g))
    return roots


def _plain(t: Any) -> Any:
    """The value without its graph."""
    plain = state.wrap(t._a)
    plain._st = t._st
    return plain


def _as_tuple(x: Any) -> tuple[Any, ...]:
    return (x,) if isinstance(x, Value) else tuple(x)


def backward(
    tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
) -> None:
    """Sum gradients of `tensors` into the `.grad` of the leaves they come from (only of `inputs`, where given).

    `grad_tensors` are the gradients of the tensors; for a scalar it may be left out. `retain_graph` keeps what the graph has saved, so that
    backward can run again; `create_graph` makes the gradients differentiable.
    """
    tensors = _as_tuple(tensors)
    grads = None if grad_tensors is None else [grad_tensors] if isinstance(grad_tensors, Value) else list(grad_tensors)
    roots = root_gradients(tensors, grads, "backward")
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run(roots, retain_graph=retain, create_graph=create_graph, targets=None)
        return
    leaves = _as_tuple(inputs)
    for leaf, g in zip(leaves, grad(tensors, leaves, grads, retain, create_graph, allow_unused=True), strict=True):
        if g is not None:
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
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Gradients of `outputs` with respect to `inputs`, without touching `.grad`.

    >>> import flambeau as fb
    >>> x = fb.tensor(3.0, requires_grad=True)
    >>> fb.autograd.grad(x**3, x)
    (tensor(27.),)
    """
    if is_grads_batched:
        from flambeau.autograd.vmap import vmap

        def one(*gs: Any) -> Any:
            return grad(outputs, inputs, gs, True, create_graph, allow_unused, False, materialize_grads)

        return vmap(one)(*_as_tuple(grad_outputs))
    outs, ins = _as_tuple(outputs), _as_tuple(inputs)
    grads = None if grad_outputs is None else [grad_outputs] if isinstance(grad_outputs, Value) else list(grad_outputs)
    roots = root_gradients(outs, grads, "grad")
    for i, x in enumerate(ins):
        if x._node is None:
            raise GradientError(
                explain("grad", expected="inputs that require grad", got=f"input {i} of shape {tuple(x.shape)}, which does not")
            )
    targets: dict[Node, Any] = {x._node: None for x in ins}
    retain = create_graph if retain_graph is None else retain_graph
    run(roots, retain_graph=retain, create_graph=create_graph, targets=targets)
    result = []
    for i, x in enumerate(ins):
        g = targets[x._node]
        if g is None and materialize_grads:
            g = fill(_plain(x), value=0)
        elif g is None and not allow_unused:
            got = f"input {i} of shape {tuple(x.shape)}, which was not used in the graph"
            raise GradientError(explain("grad", expected="inputs that the outputs depend on", got=got, hint="allow_unused=True"))
        result.append(g)
    return tuple(result)
