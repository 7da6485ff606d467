"""`cond`: one of two functions, chosen by a value of a tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from flambeau.autograd.batched import is_batched
from flambeau.autograd.function import Function
from flambeau.autograd.modes import enable_grad, mode
from flambeau.autograd.trace import begin, is_differentiable
from flambeau.base import tree
from flambeau.base.errors import ArgumentTypeError, ShapeError, explain
from flambeau.graph.control import rows
from flambeau.graph.control.body import CannotTrace, capturing, check_same, flatten, trace
from flambeau.graph.control.scan import vjp
from flambeau.graph.ir import Graph, Value
from flambeau.primitives.elementwise import where
from flambeau.tensor.tensor import Tensor


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Sequence[Any] = ()) -> Any:
    """`true_fn(*operands)` if `pred` holds, else `false_fn(*operands)`.

    Eagerly one of the two is called; a compiled program holds both and runs one. Differentiable, also in what the functions use from
    outside. Inside vmap, where examples differ, both are called and their results chosen from.

    Args:
        pred: a truth value: a Python one, or a tensor with one element.
        true_fn, false_fn: functions whose results have the same containers, shapes and dtypes.
        operands: their arguments: tensors and numbers, in containers.

    >>> import flambeau as fb
    >>> x = fb.tensor([1.0, -3.0])
    >>> fb.cond(x.sum() > 0, lambda x: x * 2, lambda x: -x, (x,))
    tensor([-1.,  3.])
    """
    if not isinstance(operands, (tuple, list)):
        raise ArgumentTypeError(explain("cond", expected="a tuple of operands", got=f"a {type(operands).__name__}", hint="(x,)"))
    leaves, structure = flatten("cond", "operands", tuple(operands))
    results: dict[bool, tuple[list[Any], Any]] = {}

    def branch(which: bool, given: list[Any]) -> list[Any]:
        """One of the functions on flat lists; its results are kept with their containers."""
        fn = true_fn if which else false_fn
        results[which] = flatten("cond", "results", fn(*tree.unflatten(structure, given)))
        return results[which][0]

    if isinstance(pred, Tensor):
        if pred._a.size != 1:
            raise ShapeError(explain("cond", expected="a predicate of one element", got=f"shape {tuple(pred._a.shape)}"))
        pred = pred.reshape(()).bool()
        if is_batched(pred):
            both = [branch(which, leaves) for which in (True, False)]
            check_same("cond", "results of both functions", results[False], results[True])
            return tree.unflatten(results[True][1], [where(pred, a, b) for a, b in zip(*both)])
        if capturing([pred, *leaves]):
            try:
                found = _captured(pred, branch, leaves, results)
                return tree.unflatten(results[True][1], found)
            except CannotTrace:
                pass  # then as Python's own `if`
    which = bool(pred)
    branch(which, leaves)
    return tree.unflatten(results[which][1], results[which][0])


Branch = Callable[[bool, list[Any]], list[Any]]


def _captured(pred: Any, branch: Branch, leaves: list[Any], results: dict[bool, Any]) -> list[Any]:
    """One operation with two graphs that take the operands and what either uses from outside."""
    true, outside = trace(partial(branch, True), leaves)
    false, others = trace(partial(branch, False), leaves)
    check_same("cond", "results of both functions", results[False], results[True])
    inputs = joined([true, false], [outside, others], len(leaves))
    call = Call(branch, (true, false), inputs)
    if mode.grad and any(x._node is not None for x in (*leaves, *inputs)):
        return list(Cond.apply(call, pred, *leaves, *inputs))
    return list(rows.cond(pred, *leaves, *inputs, true=true, false=false))


def joined(graphs: list[Graph], outside: list[list[Any]], given: int) -> list[Any]:
    """All tensors from outside that graphs use; each graph gets an input for each of them, behind those that are given."""
    every: dict[int, Any] = {id(x._a): x for xs in outside for x in xs}
    for graph, xs in zip(graphs, outside, strict=True):
        own = {id(x._a): v for x, v in zip(xs, graph.inputs[given:], strict=True)}
        graph.inputs = [*graph.inputs[:given], *[own[key] if key in own else _unused(graph, x) for key, x in every.items()]]
    return list(every.values())


def _unused(graph: Graph, x: Any) -> Value:
    return graph.value(x._a.shape, x._a.dtype)


class Call:
    """What a recorded branch is: the functions, their graphs, and the tensors from outside."""

    def __init__(self, branch: Branch, graphs: tuple[Graph, Graph], outside: list[Any]) -> None:
        self.branch, self.graphs, self.outside = branch, graphs, outside


class Cond(Function):
    """The operation with its derivative: a branch too, which runs the function again."""

    @staticmethod
    def forward(ctx: Any, call: Call, pred: Any, *tensors: Any) -> Any:
        """The results."""
        ctx.call = call
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(pred, *tensors[: len(tensors) - len(call.outside)])
        return tuple(rows.cond(pred, *tensors, true=call.graphs[0], false=call.graphs[1]))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Gradients of the operands and of what the functions use from outside."""
        call: Call = ctx.call
        pred, *leaves = ctx.saved_tensors
        moving = [i for i, x in enumerate(leaves) if is_differentiable(x)]
        fixed = [x for x in call.outside if is_differentiable(x) and x._node is not None]
        reached = [i for i, g in enumerate(grads) if g is not None]

        def back(which: bool, *given: Any) -> tuple[Any, ...]:
            gs, values = given[: len(reached)], given[len(reached) :]
            with enable_grad():
                operands = [begin(x, connected=True) if is_differentiable(x) else x for x in values]
                out = call.branch(which, operands)
            return tuple(vjp([out[i] for i in reached], [*[operands[i] for i in moving], *fixed], list(gs)))

        found = cond(pred, partial(back, True), partial(back, False), (*[grads[i] for i in reached], *leaves))
        by_leaf = dict(zip(moving, found))
        by_fixed = dict(zip(map(id, fixed), found[len(moving) :]))
        return (None, None, *[by_leaf.get(i) for i in range(len(leaves))], *[by_fixed.get(id(x)) for x in call.outside])
