"""Derivatives of functions of tensors, with the names and arguments of `torch.autograd.functional`.

`func` takes tensors and returns a tensor or a tuple of them; `inputs` is a tensor or a tuple. A result has the nesting of the outputs, then
that of the inputs. Without `create_graph` the results have no history. `strict` makes an output that does not depend on an input an error
in place of zeros. (`flambeau.func` has the newer interface.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd.modes import enable_grad
from flambeau.autograd.trace import Pushforward, Trace, basis, is_differentiable, plain, zeros
from flambeau.autograd.vmap import vmap
from flambeau.base.errors import ArgumentError, ArgumentTypeError, GradientError, ShapeError, explain
from flambeau.primitives.batching import move
from flambeau.primitives.elementwise import fill
from flambeau.primitives.indexing import zeros_of
from flambeau.primitives.movement import cat, reshape
from flambeau.primitives.value import Value

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
Func = Callable[..., Any]


class _Call:
    """A function run on its inputs, and how its results go back to the user."""

    def __init__(self, op: str, func: Func, inputs: Any, create_graph: bool, strict: bool) -> None:
        self.op, self.create_graph, self.strict = op, create_graph, strict
        self.inputs, self.single_input = _tensors(op, "inputs", inputs)
        values = self.inputs if create_graph else [x.detach() for x in self.inputs]
        with enable_grad():  # as in PyTorch, the derivative does not ask for the mode outside
            self.trace = Trace(op, values, lambda xs: func(*xs))
        self.outputs, self.single_output = _tensors(op, "outputs", self.trace.result)
        if strict:
            for i, o in enumerate(self.outputs):
                if not self.trace.depends(o):
                    raise GradientError(
                        explain(op, expected="outputs that depend on the inputs (strict)", got=f"output {i}, which does not")
                    )

    def final(self, x: Any) -> Any:
        """A result without history, unless one was asked for."""
        return x if self.create_graph else x.detach()

    def out(self) -> Any:
        """The outputs of the function."""
        return _pack([self.final(o) for o in self.outputs], self.single_output)

    def filled(self, i: int, j: int, g: Any, like: Any) -> Any:
        """A gradient of output i for input j, zeros (or with `strict` an error) where it does not depend on it."""
        if g is not None:
            return g
        if self.strict:
            got = f"output {i}, which is independent of input {j}"
            raise GradientError(explain(self.op, expected="outputs that depend on every input (strict)", got=got))
        return zeros(like)

    def checked(self, j: int, derivative: Any) -> Any:
        """With `strict` and `create_graph`, a derivative that depends on the inputs."""
        if self.strict and self.create_graph and not self.trace.depends(derivative):
            got = f"that for input {j}, which does not"
            raise GradientError(explain(self.op, expected="a derivative that depends on the inputs (strict, create_graph)", got=got))
        return derivative


def _tensors(op: str, what: str, value: Any) -> tuple[list[Any], bool]:
    single = isinstance(value, Value)
    found = [value] if single else list(value) if isinstance(value, (tuple, list)) else None
    if found is None or not all(isinstance(x, Value) for x in found):
        raise ArgumentTypeError(explain(op, expected=f"{what} as a tensor or a tuple of tensors", got=type(value).__name__))
    return found, single


def _pack(values: Sequence[Any], single: bool) -> Any:
    return values[0] if single else tuple(values)


def _direction(op: str, v: Any, like: list[Any], what: str) -> list[Any]:
    """The given vectors, checked; for a single number, 1 where none are given."""
    if v is None:
        if len(like) != 1 or like[0]._a.size != 1:
            raise ArgumentError(explain(op, expected=f"v (only for a single one-element {what} it may be left out)", got="none"))
        return [fill(plain(like[0]), value=1)]
    vs, _ = _tensors(op, "v", v)
    if len(vs) != len(like):
        raise ShapeError(explain(op, expected=f"v as {len(like)} tensors", got=str(len(vs))))
    for x, d in zip(like, vs, strict=True):
        if x._a.shape != d._a.shape:
            raise ShapeError(explain(op, expected=f"v of shape {tuple(x._a.shape)}", got=str(tuple(d._a.shape))))
    return vs


def vjp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """The outputs, and the product of a vector v (shaped like the outputs) with the Jacobian."""
    call = _Call("vjp", func, inputs, create_graph, strict)
    vs = _direction("vjp", v, call.outputs, "output")
    grads = call.trace.pull(call.outputs, vs, graph=create_graph)
    filled = [call.checked(j, call.filled(0, j, g, x)) for j, (g, x) in enumerate(zip(grads, call.inputs, strict=True))]
    return call.out(), _pack([call.final(g) for g in filled], call.single_input)


def jvp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """The outputs, and the product of the Jacobian with a vector v (shaped like the inputs)."""
    call = _Call("jvp", func, inputs, create_graph, strict)
    vs = _direction("jvp", v, call.inputs, "input")
    moving = [o for o in call.outputs if is_differentiable(o)]
    found = iter(Pushforward(call.trace, moving)(vs, graph=create_graph))
    moved = [next(found) if is_differentiable(o) else zeros(o) for o in call.outputs]
    moved = [call.checked(0, t) for t in moved]
    return call.out(), _pack([call.final(t) for t in moved], call.single_output)


def jacobian(
    func: Func,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian: for output i and input j a tensor of shape (*output, *input).

    `vectorize` computes all rows at once (with `strategy="forward-mode"` all columns) through vmap.

    >>> import flambeau as fb
    >>> fb.autograd.functional.jacobian(lambda x: x**2, fb.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ArgumentError(explain("jacobian", expected="strategy 'reverse-mode' or 'forward-mode'", got=repr(strategy)))
    if strategy == "forward-mode" and not vectorize:
        raise ArgumentError(explain("jacobian", expected="vectorize=True with forward-mode", got="vectorize=False"))
    if vectorize and strict:
        raise ArgumentError(explain("jacobian", expected="strict or vectorize", got="both"))
    call = _Call("jacobian", func, inputs, create_graph, strict)
    made = _forward(call) if strategy == "forward-mode" else [_reverse(call, i, vectorize) for i in range(len(call.outputs))]
    nested = [_pack([call.final(call.checked(j, t)) for j, t in enumerate(row)], call.single_input) for row in made]
    return _pack(nested, call.single_output)


def _empty(output: Any, x: Any) -> Any:
    return zeros_of(x, (*output._a.shape, *x._a.shape))


def _reverse(call: _Call, i: int, vectorize: bool) -> list[Any]:
    """The Jacobians of output i, one per input, row by row or all rows at once."""
    output = call.outputs[i]
    if output._node is None or output._a.size == 0:
        return [call.filled(i, j, None if call.strict and output._a.size else _empty(output, x), x) for j, x in enumerate(call.inputs)]

    def row(v: Any) -> tuple[Any, ...]:
        grads = call.trace.pull([output], [v], graph=call.create_graph)
        return tuple([call.filled(i, j, g, x) for j, (g, x) in enumerate(zip(grads, call.inputs, strict=True))])

    units = basis(output)
    if vectorize:
        columns = vmap(row)(units)
    else:
        rows = [row(units[k]) for k in range(output._a.size)]
        columns = [cat(*[reshape(g, shape=(1, *g._a.shape)) for g in column], axis=0) for column in zip(*rows, strict=True)]
    return [reshape(c, shape=(*output._a.shape, *x._a.shape)) for c, x in zip(columns, call.inputs, strict=True)]


def _forward(call: _Call) -> list[list[Any]]:
    """All Jacobians, by one tangent for each element of an input."""
    live = [i for i, o in enumerate(call.outputs) if o._node is not None]
    made = [[_empty(o, x) for x in call.inputs] for o in call.outputs]
    push = Pushforward(call.trace, [call.outputs[i] for i in live])
    for j, x in enumerate(call.inputs):
        if not x._a.size or not live:
            continue

        def along(t: Any, j: int = j) -> tuple[Any, ...]:
            tangents = [t if k == j else zeros(other) for k, other in enumerate(call.inputs)]
            return tuple(push(tangents, graph=call.create_graph))

        for i, columns in zip(live, vmap(along)(basis(x)), strict=True):
            last = move(columns, 0, columns._a.ndim - 1)
            made[i][j] = reshape(last, shape=(*call.outputs[i]._a.shape, *x._a.shape))
    return made


def _scalar(op: str, func: Func) -> Func:
    """func, checked to return one number."""

    def checked(*xs: Any) -> Any:
        out = func(*xs)
        if not isinstance(out, Value) or out._a.size != 1:
            got = f"shape {tuple(out._a.shape)}" if isinstance(out, Value) else type(out).__name__
            raise ShapeError(explain(op, expected="a function that returns one number", got=got, hint=".sum()"))
        return out

    return checked


def hessian(
    func: Func,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function that returns one number: for inputs i and j a tensor of shape (*input_i, *input_j).

    >>> import flambeau as fb
    >>> fb.autograd.functional.hessian(lambda x: (x**3).sum(), fb.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    xs, single = _tensors("hessian", "inputs", inputs)

    def gradient(*args: Any) -> Any:
        call = _Call("hessian", _scalar("hessian", func), args, True, strict)
        output = call.outputs[0]
        grads = call.trace.pull([output], [fill(plain(output), value=1)], graph=True)
        filled = [call.filled(0, j, g, x) for j, (g, x) in enumerate(zip(grads, call.inputs, strict=True))]
        return tuple([call.checked(j, g) for j, g in enumerate(filled)])

    rows = jacobian(gradient, tuple(xs), create_graph, strict, vectorize, outer_jacobian_strategy)
    return rows[0][0] if single else rows


def vhp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """The output of a function that returns one number, and the product of a vector v (shaped like the inputs) with its Hessian."""
    xs, single = _tensors("vhp", "inputs", inputs)
    vs = _direction("vhp", v, xs, "input")
    out, products = _hessian_product("vhp", func, xs, vs, create_graph, strict)
    return out, _pack(products, single)


def hvp(func: Func, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """The output of a function that returns one number, and the product of its Hessian with a vector v (shaped like the inputs).

    The Hessian of a twice continuously differentiable function is symmetric, so this is `vhp`, which is cheaper than PyTorch's way.
    """
    xs, single = _tensors("hvp", "inputs", inputs)
    vs = _direction("hvp", v, xs, "input")
    out, products = _hessian_product("hvp", func, xs, vs, create_graph, strict)
    return out, _pack(products, single)


def _hessian_product(op: str, func: Func, xs: list[Any], vs: list[Any], create_graph: bool, strict: bool) -> tuple[Any, list[Any]]:
    call = _Call(op, _scalar(op, func), tuple(xs), create_graph, strict)
    output = call.outputs[0]
    grads = call.trace.pull([output], [fill(plain(output), value=1)], graph=True)
    filled = [call.filled(0, j, g, x) for j, (g, x) in enumerate(zip(grads, xs, strict=True))]
    if strict and not any(call.trace.depends(g) for g in filled):
        raise GradientError(explain(op, expected="a gradient that depends on the inputs (strict)", got="one that does not"))
    products = call.trace.pull(filled, vs, graph=create_graph)
    made = [call.checked(j, call.filled(0, j, p, x)) for j, (p, x) in enumerate(zip(products, xs, strict=True))]
    return call.final(output), [call.final(p) for p in made]
