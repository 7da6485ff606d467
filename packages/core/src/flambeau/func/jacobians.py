"""Whole Jacobians, by `vmap` over the unit vectors of the outputs (`jacrev`) or of the inputs (`jacfwd`)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau.autograd.trace import Pushforward, Trace, basis, flat_tensors, zeros
from flambeau.autograd.vmap import vmap
from flambeau.base import tree
from flambeau.func.derivatives import ArgNums, Arguments, with_aux
from flambeau.primitives.batching import move
from flambeau.primitives.indexing import zeros_of
from flambeau.primitives.movement import reshape


def jacrev(func: Callable[..., Any], argnums: ArgNums = 0, *, has_aux: bool = False, chunk_size: int | None = None) -> Callable[..., Any]:
    """A function that returns the Jacobian of `func`: for each output the tree of the arguments, with tensors of shape (*output, *input).

    It takes one backward pass for each element of the outputs, `chunk_size` (all) of them at once: right for few outputs.

    >>> import flambeau as fb
    >>> fb.func.jacrev(lambda x: x**2)(fb.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func, updated=())
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        arguments = Arguments("jacrev", argnums, args, kwargs)
        trace = Trace("jacrev", arguments.leaves, lambda leaves: arguments.call(func, leaves))
        result, aux = with_aux("jacrev", trace.result, has_aux)
        outputs, spec = flat_tensors("jacrev", "outputs", result)
        jacobian = tree.unflatten(spec, [arguments.packed(rows(trace, o, arguments.leaves, chunk_size)) for o in outputs])
        return (jacobian, tree.map(trace.settled, aux)) if has_aux else jacobian

    return wrapper


def rows(trace: Trace, output: Any, inputs: list[Any], chunk_size: int | None = None) -> list[Any]:
    """The Jacobians of one output with respect to each input."""

    def pull(v: Any) -> Any:
        return tuple([zeros(x) if g is None else g for x, g in zip(inputs, trace.pull([output], [v]), strict=True)])

    if output._node is None or output._a.size == 0:
        return [_zeros(output, x) for x in inputs]
    shape = output._a.shape
    found = vmap(pull, chunk_size=chunk_size)(basis(output))
    return [trace.settled(reshape(j, shape=(*shape, *x._a.shape))) for j, x in zip(found, inputs, strict=True)]


def _zeros(output: Any, x: Any) -> Any:
    return zeros_of(x, (*output._a.shape, *x._a.shape))


def jacfwd(func: Callable[..., Any], argnums: ArgNums = 0, has_aux: bool = False, *, chunk_size: int | None = None) -> Callable[..., Any]:
    """As `jacrev`, with one tangent for each element of the inputs: right for few inputs.

    >>> import flambeau as fb
    >>> fb.func.jacfwd(lambda x: fb.stack([x, x**2, x**3]))(fb.tensor(2.0))
    tensor([ 1.,  4., 12.])
    """

    @functools.wraps(func, updated=())
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        arguments = Arguments("jacfwd", argnums, args, kwargs)
        trace = Trace("jacfwd", arguments.leaves, lambda leaves: arguments.call(func, leaves))
        result, aux = with_aux("jacfwd", trace.result, has_aux)
        outputs, spec = flat_tensors("jacfwd", "outputs", result)
        by_input = columns(trace, outputs, arguments.leaves, chunk_size)
        jacobian = tree.unflatten(spec, [arguments.packed([column[k] for column in by_input]) for k in range(len(outputs))])
        return (jacobian, tree.map(trace.settled, aux)) if has_aux else jacobian

    return wrapper


def columns(trace: Trace, outputs: list[Any], inputs: list[Any], chunk_size: int | None = None) -> list[list[Any]]:
    """For each input the Jacobians of all outputs with respect to it."""
    live = [k for k, o in enumerate(outputs) if o._node is not None]
    push = Pushforward(trace, [outputs[k] for k in live])
    found = []
    for i, x in enumerate(inputs):
        made = [_zeros(o, x) for o in outputs]
        if x._a.size and live:

            def along(t: Any, i: int = i) -> Any:
                return tuple(push([t if j == i else zeros(other) for j, other in enumerate(inputs)]))

            for k, j in zip(live, vmap(along, chunk_size=chunk_size)(basis(x)), strict=True):
                last = reshape(move(j, 0, j._a.ndim - 1), shape=(*outputs[k]._a.shape, *x._a.shape))
                made[k] = trace.settled(last)
        found.append(made)
    return found


def hessian(func: Callable[..., Any], argnums: ArgNums = 0) -> Callable[..., Any]:
    """A function that returns the matrix of second derivatives of `func`: `jacfwd(jacrev(func))`.

    >>> import flambeau as fb
    >>> fb.func.hessian(lambda x: (x**3).sum())(fb.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
