"""`while_loop` and `fori_loop`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from flambeau.autograd.function import Function
from flambeau.base import tree
from flambeau.base.errors import ArgumentError, ArgumentTypeError, GradientError, ShapeError, explain
from flambeau.graph.control import rows
from flambeau.graph.control.body import CannotTrace, capturing, check_same, flatten, trace
from flambeau.graph.control.branch import cond, joined
from flambeau.graph.control.scan import scan
from flambeau.tensor.creation import arange
from flambeau.tensor.tensor import Tensor


def while_loop(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Sequence[Any], *, max_iters: int | None = None
) -> tuple[Any, ...]:
    """Repeat `carried = body_fn(*carried)` as long as `cond_fn(*carried)` holds; the last carried values.

    Eagerly a Python loop; in a compiled program one loop. With `max_iters` it is differentiable, and ends after that many steps; without,
    a backward pass through it is an error.

    Args:
        cond_fn: gives a tensor with one element.
        body_fn: gives a tuple of the same containers, shapes and dtypes as `carried_inputs`.
        carried_inputs: a tuple of tensors and numbers, in containers.
        max_iters: the largest number of steps.

    >>> import flambeau as fb
    >>> fb.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (fb.tensor(0), fb.tensor(1.0)))
    (tensor(3), tensor(8.))
    """
    if not isinstance(carried_inputs, (tuple, list)):
        got = f"a {type(carried_inputs).__name__}"
        raise ArgumentTypeError(explain("while_loop", expected="a tuple of carried inputs", got=got, hint="(x,)"))
    carry, structure = flatten("while_loop", "carried inputs", tuple(carried_inputs))

    def test(leaves: list[Any]) -> list[Any]:
        return [_truth(cond_fn(*tree.unflatten(structure, leaves)))]

    def step(leaves: list[Any]) -> list[Any]:
        out = body_fn(*tree.unflatten(structure, leaves))
        found = flatten("while_loop", "carried values", tuple(out) if isinstance(out, list) else out)
        check_same("while_loop", "carried values", found, (carry, structure))
        return found[0]

    if max_iters is not None:
        return tuple(tree.unflatten(structure, _bounded(test, step, carry, max_iters)))
    if capturing(carry):
        try:
            return tuple(tree.unflatten(structure, _captured(test, step, carry)))
        except CannotTrace:
            pass  # step by step then
    while bool(test(carry)[0]):
        carry = step(carry)
    return tuple(tree.unflatten(structure, [_Pass.apply(x) if x._node is not None else x for x in carry]))


def _truth(x: Any) -> Any:
    """A tensor without axes."""
    if not isinstance(x, Tensor) or x._a.size != 1:
        got = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ShapeError(explain("while_loop", expected="cond_fn to give a tensor with one truth value", got=got))
    return x.reshape(()).bool()


def _captured(test: Any, step: Any, carry: list[Any]) -> list[Any]:
    """One operation with two graphs."""
    asks, outside = trace(test, carry)
    body, others = trace(step, carry)
    inputs = joined([asks, body], [outside, others], len(carry))
    params = {"test": asks, "body": body, "carries": len(carry)}
    results = Once.apply(params, *carry, *inputs)
    return list(results)


def _bounded(test: Any, step: Any, carry: list[Any], limit: int) -> list[Any]:
    """A scan whose steps stand still when the test has failed."""
    if type(limit) is not int or limit < 0:
        raise ArgumentError(explain("while_loop", expected="max_iters of 0 or more", got=repr(limit)))
    if not capturing(carry):
        for _ in range(limit):
            if not bool(test(carry)[0]):
                break
            carry = step(carry)
        return carry

    def body(leaves: list[Any], x: Any) -> Any:
        return cond(test(leaves)[0], lambda *given: step(list(given)), lambda *given: list(given), tuple(leaves)), None

    return list(scan(body, carry, length=limit)[0])


class Once(Function):
    """A loop without a known number of steps, through which no gradient goes."""

    @staticmethod
    def forward(ctx: Any, params: dict[str, Any], *tensors: Any) -> Any:
        """The last carry."""
        return tuple(rows.while_loop(*tensors, **params))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Not without a bound."""
        raise GradientError(
            explain("while_loop", expected="a bound on the steps, to go back through them", got="a backward pass", hint="max_iters=")
        )


class _Pass(Function):
    """A result of a loop that ran step by step."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        """The same."""
        return x.detach()

    backward = Once.backward


def fori_loop(lower: int, upper: int, body_fn: Callable[[Any, Any], Any], init: Any) -> Any:
    """Repeat `carry = body_fn(i, carry)` for i in [lower, upper); the last carry. Differentiable, as `scan` is, which it runs on.

    >>> import flambeau as fb
    >>> fb.fori_loop(1, 5, lambda i, x: x * i, fb.tensor(1))
    tensor(24)
    """
    if type(lower) is not int or type(upper) is not int:
        got = f"{type(lower).__name__} and {type(upper).__name__}"
        raise ArgumentTypeError(explain("fori_loop", expected="bounds as ints", got=got, hint="while_loop"))
    return scan(partial(_numbered, body_fn), init, arange(lower, max(upper, lower)))[0]


def _numbered(body_fn: Any, carry: Any, i: Any) -> Any:
    return body_fn(i, carry), None
