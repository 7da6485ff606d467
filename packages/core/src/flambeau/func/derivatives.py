"""Derivatives of functions of trees of tensors. They nest, with each other and with `vmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau.autograd.trace import Pushforward, Trace, flat_tensors, is_differentiable, plain, zeros
from flambeau.base import tree
from flambeau.base.errors import ArgumentError, ArgumentTypeError, DtypeError, IndexingError, ShapeError, explain
from flambeau.primitives.elementwise import fill
from flambeau.primitives.value import Value

ArgNums = int | tuple[int, ...]


def places(op: str, argnums: ArgNums, count: int) -> tuple[int, ...]:
    """The positions of the arguments to differentiate."""
    found = []
    for i in (argnums,) if isinstance(argnums, int) else tuple(argnums):
        if not -count <= i < count:
            raise IndexingError(explain(op, expected=f"argnums within the {count} positional arguments", got=str(i)))
        found.append(i % count)
    if not found or len(set(found)) != len(found):
        raise ArgumentError(explain(op, expected="argnums that name each argument once", got=repr(argnums)))
    return tuple(found)


class Arguments:
    """The arguments of a call, of which some are differentiated: those as one flat list."""

    def __init__(self, op: str, argnums: ArgNums, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._args, self._kwargs, self._argnums = args, kwargs, argnums
        self._at = places(op, argnums, len(args))
        self.leaves, self._spec = tree.flatten([args[i] for i in self._at])

    def call(self, func: Callable[..., Any], leaves: list[Any]) -> Any:
        """The function with other tensors in place of those that are differentiated."""
        args = list(self._args)
        for i, value in zip(self._at, tree.unflatten(self._spec, leaves), strict=True):
            args[i] = value
        return func(*args, **self._kwargs)

    def packed(self, leaves: list[Any]) -> Any:
        """One value per tensor, in the structure of the arguments: a tuple if `argnums` is one."""
        made = tree.unflatten(self._spec, leaves)
        return made[0] if isinstance(self._argnums, int) else tuple(made)


def with_aux(op: str, result: Any, has_aux: bool) -> tuple[Any, Any]:
    """The output of a function, and what it returns besides."""
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        got = type(result).__name__
        raise ArgumentTypeError(explain(op, expected="a function that returns (output, aux) with has_aux=True", got=got))
    return result


def grad_and_value(func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of `func`, whose output is one real number, and that output.

    `argnums` says which positional arguments (trees of tensors) to differentiate: a tuple gives a tuple. With `has_aux`, `func` returns
    (output, aux), and the result is (gradient, (output, aux)).
    """

    @functools.wraps(func, updated=())
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        arguments = Arguments("grad", argnums, args, kwargs)
        trace = Trace("grad", arguments.leaves, lambda leaves: arguments.call(func, leaves))
        out, aux = with_aux("grad", trace.result, has_aux)
        _check_scalar(out)
        found = trace.pull([out], [fill(plain(out), value=1)])
        grads = arguments.packed([zeros(x) if g is None else trace.settled(g) for x, g in zip(arguments.leaves, found, strict=True)])
        value = trace.settled(out)
        return grads, (value, tree.map(trace.settled, aux)) if has_aux else value

    return wrapper


def _check_scalar(out: Any) -> None:
    if not isinstance(out, Value):
        raise ArgumentTypeError(explain("grad", expected="a function that returns a tensor", got=type(out).__name__))
    if out._a.ndim:
        hint = ".sum() or .mean(), or func.jacrev"
        raise ShapeError(
            explain("grad", expected="a function that returns a zero-dimensional tensor", got=str(tuple(out._a.shape)), hint=hint)
        )
    if out._a.dtype.kind not in "fV":
        raise DtypeError(explain("grad", expected="a function that returns a real floating-point tensor", got=str(out._a.dtype)))


def grad(func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that returns the gradient of `func`, whose output is one real number (see `grad_and_value`).

    >>> import flambeau as fb
    >>> fb.func.grad(fb.func.grad(fb.sin))(fb.tensor(1.0))
    tensor(-0.8415)
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func, updated=())
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        grads, value = both(*args, **kwargs)
        return (grads, value[1]) if has_aux else grads

    return wrapper


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """`func(*primals)`, and a function from a cotangent of that output to a tuple of cotangents, one per primal.

    >>> import flambeau as fb
    >>> y, pull = fb.func.vjp(lambda x: x**2, fb.tensor([1.0, 2.0]))
    >>> pull(fb.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    leaves, spec = flat_tensors("vjp", "primals", primals)
    trace = Trace("vjp", leaves, lambda flat: func(*tree.unflatten(spec, flat)))
    result, aux = with_aux("vjp", trace.result, has_aux)
    outputs, out_spec = flat_tensors("vjp", "outputs", result)

    def pull(cotangents: Any) -> Any:
        gs = tree.flatten_up_to(out_spec, cotangents)
        _check_like("vjp", "cotangent", outputs, gs)
        found = trace.pull(outputs, gs)
        return tree.unflatten(spec, [zeros(x) if g is None else trace.settled(g) for x, g in zip(leaves, found, strict=True)])

    settled = tree.map(trace.settled, result)
    return (settled, pull, tree.map(trace.settled, aux)) if has_aux else (settled, pull)


def _check_like(op: str, what: str, xs: list[Any], others: list[Any]) -> None:
    for x, other in zip(xs, others, strict=True):
        if not isinstance(other, Value):
            raise ArgumentTypeError(explain(op, expected=f"a tensor as {what}", got=type(other).__name__))
        if other._a.shape != x._a.shape:
            raise ShapeError(explain(op, expected=f"a {what} of shape {tuple(x._a.shape)}", got=str(tuple(other._a.shape))))


def _linear(op: str, func: Callable[..., Any], primals: tuple[Any, ...], has_aux: bool) -> tuple[Any, Any, Any]:
    """The output, what comes besides, and a function from tangents of the primals to those of the output."""
    leaves, spec = flat_tensors(op, "primals", primals)
    trace = Trace(op, leaves, lambda flat: func(*tree.unflatten(spec, flat)))
    result, aux = with_aux(op, trace.result, has_aux)
    outputs, out_spec = flat_tensors(op, "outputs", result)
    moving = [o for o in outputs if is_differentiable(o)]
    push = Pushforward(trace, moving)

    def linear(*tangents: Any) -> Any:
        ts = tree.flatten_up_to(spec, tangents)
        _check_like(op, "tangent", leaves, ts)
        found = iter([trace.settled(t) for t in push(ts)])
        return tree.unflatten(out_spec, [next(found) if is_differentiable(o) else zeros(o) for o in outputs])

    return tree.map(trace.settled, result), tree.map(trace.settled, aux), linear


def jvp(func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...], *, has_aux: bool = False) -> Any:
    """`func(*primals)`, and its derivative along tangents, one per primal.

    It is computed by differentiating the reverse pass (there is no forward mode): about three times the cost of the function.

    >>> import flambeau as fb
    >>> fb.func.jvp(fb.sin, (fb.tensor(0.0),), (fb.tensor(2.0),))
    (tensor(0.), tensor(2.))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple) or len(primals) != len(tangents) or not primals:
        got = f"{type(primals).__name__} and {type(tangents).__name__}"
        raise ArgumentTypeError(explain("jvp", expected="primals and tangents as tuples of one length", got=got))
    out, aux, linear = _linear("jvp", func, primals, has_aux)
    moved = linear(*tangents)
    return (out, moved, aux) if has_aux else (out, moved)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """`func(*primals)`, and its derivative there as a function of tangents, which does not run `func` again.

    >>> import flambeau as fb
    >>> y, push = fb.func.linearize(lambda x: x**2, fb.tensor([1.0, 2.0]))
    >>> push(fb.tensor([1.0, 10.0]))
    tensor([ 2., 40.])
    """
    out, _, linear = _linear("linearize", func, primals, False)
    return out, linear
