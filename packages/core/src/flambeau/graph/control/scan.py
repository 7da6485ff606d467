"""`scan`: a loop over the first axis of tensors that carries values from step to step.

Under capture it is one operation with the body as a graph. Its derivative is a scan backwards: each step runs the body again on the carry
that it had, which was kept, and adds up the gradients of what the body uses from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd import engine
from flambeau.autograd.function import Function
from flambeau.autograd.modes import enable_grad, mode, no_grad
from flambeau.autograd.trace import begin, is_differentiable
from flambeau.base import tree
from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.graph.control import rows
from flambeau.graph.control.body import CannotTrace, Flat, capturing, check_same, flatten, trace
from flambeau.ops.joining import stack
from flambeau.primitives.bind import state
from flambeau.primitives.elementwise import fill
from flambeau.primitives.movement import permute, slice_
from flambeau.primitives.source import zeros_like_shape


def scan(
    combine_fn: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    *,
    dim: int = 0,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Carry values along an axis: `carry, y = combine_fn(carry, x)` for each x of `xs`; the last carry and the stacked y.

    Eagerly a Python loop; in a compiled program one loop of its body. Differentiable either way, also in what the body uses from outside.

    Args:
        combine_fn: gives a carry of the same containers, shapes and dtypes, and an output (None for no output).
        init: the first carry: tensors and numbers in dicts, lists and tuples.
        xs: tensors of one size along `dim`, in containers; None, with `length`, for a loop over nothing.
        length: the number of steps, where there are no xs.
        dim: the axis of xs; outputs are stacked along a new first axis.
        reverse: from the last step to the first (outputs keep their places).

    >>> import flambeau as fb
    >>> fb.scan(lambda total, x: (total + x, total * x), fb.tensor(0.0), fb.tensor([1.0, 2.0, 3.0]))
    (tensor(6.), tensor([0., 2., 9.]))
    """
    carry, structure = flatten("scan", "the carry", init)
    sequences, layout = flatten("scan", "xs", xs)
    sequences = [_first(x, dim) for x in sequences]
    n = _length(sequences, length)
    ys_structure: list[Any] = []

    def step(leaves: list[Any]) -> list[Any]:
        """The body on flat lists: carry and x; carry and y."""
        given = tree.unflatten(structure, leaves[: len(carry)]), tree.unflatten(layout, leaves[len(carry) :])
        out = combine_fn(*given)
        if not (isinstance(out, tuple) and len(out) == 2):
            raise ArgumentTypeError(explain("scan", expected="combine_fn to give (carry, y)", got=f"a {type(out).__name__}"))
        new = flatten("scan", "the carry", out[0])
        check_same("scan", "a carry", new, (carry, structure))
        y, y_structure = flatten("scan", "outputs", out[1])
        ys_structure[:] = [y_structure]
        return [*new[0], *y]

    results = run(step, carry, sequences, n, reverse)
    return tree.unflatten(structure, results[: len(carry)]), tree.unflatten(ys_structure[0], results[len(carry) :])


def _first(x: Any, dim: int) -> Any:
    """With the axis in front."""
    rank = len(x._a.shape)
    if not -rank <= dim < rank:
        raise ArgumentError(explain("scan", expected=f"xs with an axis {dim}", got=f"shape {tuple(x._a.shape)}"))
    dim %= rank
    return x if dim == 0 else permute(x, axes=(dim, *(i for i in range(rank) if i != dim)))


def _length(sequences: list[Any], length: int | None) -> int:
    sizes = {x._a.shape[0] for x in sequences} | ({length} if length is not None else set())
    if len(sizes) != 1:
        got = "neither" if not sizes else f"sizes {sorted(sizes)}"
        raise ArgumentError(explain("scan", expected="xs of one size along dim, or a length", got=got))
    (n,) = sizes
    if type(n) is not int or n < 0:
        raise ArgumentError(explain("scan", expected="a length of 0 or more", got=repr(n)))
    return n


def _at(x: Any, t: int) -> Any:
    return slice_(x, key=(t,))


def run(step: Flat, carry: list[Any], xs: list[Any], n: int, reverse: bool) -> list[Any]:
    """The last carry and the stacked outputs of `step` on flat lists."""
    if n and capturing([*carry, *xs]):
        try:
            return _captured(step, carry, xs, n, reverse)
        except CannotTrace:
            pass  # step by step then, each of which is captured
    outputs: list[list[Any]] = []
    count = len(carry)
    for t in range(n)[::-1] if reverse else range(n):
        results = step([*carry, *[_at(x, t) for x in xs]])
        carry = results[:count]
        outputs.append(results[count:])
    if not n:
        with no_grad():  # for the shapes of what would be stacked
            like = step([*carry, *[zeros_like_shape(x, x._a.shape[1:]) for x in xs]])[count:]
        return [*carry, *[zeros_like_shape(y, (0, *y._a.shape)) for y in like]]
    return [*carry, *[stack(list(ys)) for ys in zip(*(outputs[::-1] if reverse else outputs))]]


def _captured(step: Flat, carry: list[Any], xs: list[Any], n: int, reverse: bool) -> list[Any]:
    """One operation, with the carry before each step among its outputs where a derivative will need it."""
    like = [*carry, *[state.wrap(np.asarray(x._a[0])) for x in xs]]
    body, outside = trace(step, like)
    recorded = mode.grad and any(x._node is not None for x in (*carry, *xs, *outside))
    params = {"carries": len(carry), "sequences": len(xs), "length": n, "reverse": reverse}
    if not recorded:
        return list(rows.scan(*carry, *xs, *outside, body=body, **params))

    def keeping(leaves: list[Any]) -> list[Any]:
        return [*step(leaves), *leaves[: len(carry)]]

    body, outside = trace(keeping, like)
    call = Call(keeping, body, params, outside)
    results: tuple[Any, ...] = Scan.apply(call, *carry, *xs, *outside)
    return list(results[: len(results) - len(carry)])


class Call:
    """What a recorded scan is: the step, its graph, the row's parameters, and the tensors from outside."""

    def __init__(self, step: Flat, body: Any, params: dict[str, Any], outside: list[Any]) -> None:
        self.step, self.body, self.params, self.outside = step, body, params, outside


class Scan(Function):
    """The operation with its derivative."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Any) -> Any:
        """The carry, the outputs, and the carry before each step."""
        results = tuple(rows.scan(*tensors, body=call.body, **call.params))
        carries, sequences = call.params["carries"], call.params["sequences"]
        ctx.call = call
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*results[len(results) - carries :], *tensors[carries : carries + sequences])
        return results

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """A scan in the other direction."""
        call: Call = ctx.call
        carries, sequences = call.params["carries"], call.params["sequences"]
        kept, xs = list(ctx.saved_tensors[:carries]), list(ctx.saved_tensors[carries:])
        moving = [i for i, x in enumerate(kept) if is_differentiable(x)]
        along = [i for i, x in enumerate(xs) if is_differentiable(x)]
        fixed = [x for x in call.outside if is_differentiable(x) and x._node is not None]
        g_carry = [grads[i] if grads[i] is not None else zeros_like_shape(kept[i], kept[i]._a.shape[1:]) for i in moving]
        reached = [i for i, g in enumerate(grads[carries:]) if g is not None]
        g_ys = [grads[carries + i] for i in reached]
        sums = [fill(x, value=0) for x in fixed]

        def back(leaves: list[Any]) -> list[Any]:
            """Gradients of carry and sums, those of outputs, x and carry: new gradients of the carry, sums, gradients of x."""
            parts = _split(leaves, (len(moving), len(fixed), len(reached), sequences, carries))
            with enable_grad():
                c = [begin(x, connected=True) if is_differentiable(x) else x for x in parts[4]]
                x_in = [begin(x, connected=True) if is_differentiable(x) else x for x in parts[3]]
                out = call.step([*c, *x_in])
            targets = [*[c[i] for i in moving], *fixed, *[x_in[i] for i in along]]
            wanted = [*[out[i] for i in moving], *[out[carries + i] for i in reached]]
            found = vjp(wanted, targets, [*parts[0], *parts[2]])
            k = len(moving)
            added = [s + g for s, g in zip(parts[1], found[k : k + len(fixed)])]
            return [*found[:k], *added, *found[k + len(fixed) :]]

        results = run(back, [*g_carry, *sums], [*g_ys, *xs, *kept], call.params["length"], not call.params["reverse"])
        by_carry = dict(zip(moving, results))
        by_fixed = dict(zip(map(id, fixed), results[len(moving) :]))
        by_x = dict(zip(along, results[len(moving) + len(fixed) :]))
        return (
            None,
            *[by_carry.get(i) for i in range(carries)],
            *[by_x.get(i) for i in range(sequences)],
            *[by_fixed.get(id(x)) for x in call.outside],
        )


def _split(items: list[Any], sizes: tuple[int, ...]) -> list[list[Any]]:
    parts, start = [], 0
    for n in sizes:
        parts.append(items[start : start + n])
        start += n
    return parts


def vjp(outputs: list[Any], inputs: list[Any], grads: list[Any]) -> list[Any]:
    """Gradients of inputs, zeros where nothing depends on one. Differentiable where gradients are recorded."""
    pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if o._node is not None]
    if not pairs or not inputs:
        return [fill(x.detach(), value=0) for x in inputs]
    outs, gs = zip(*pairs)
    found = engine.grad(outs, inputs, gs, create_graph=mode.grad, allow_unused=True)
    return [fill(x.detach(), value=0) if g is None else g for x, g in zip(inputs, found, strict=True)]
