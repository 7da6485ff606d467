"""Gradients checked against finite differences: `gradcheck`, `gradgradcheck`.

A complex number counts as two real ones. For an output y and a cotangent v, L = Re(sum(conj(v) * y)) is real, and the gradient of an input
x is dL/dRe(x) + i dL/dIm(x). Central differences of step eps give the same, to about eps**2.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from flambeau.autograd import engine
from flambeau.autograd.modes import enable_grad, no_grad
from flambeau.base.errors import FlambeauError, GradientError, explain
from flambeau.device.base import backend, executors
from flambeau.primitives.bind import state
from flambeau.primitives.value import Value

Array = np.ndarray


class GradcheckError(FlambeauError, RuntimeError):
    """Analytic and numeric gradients differ."""


class _Problem:
    """A function, its inputs, and the tolerances."""

    def __init__(self, func: Callable[..., Any], inputs: Any, eps: float, atol: float, rtol: float, nondet_tol: float) -> None:
        self.func = func
        self.inputs = (inputs,) if isinstance(inputs, Value) else tuple(inputs)
        self.eps, self.atol, self.rtol, self.nondet_tol = eps, atol, rtol, nondet_tol
        self.checked = [i for i, x in enumerate(self.inputs) if isinstance(x, Value) and x._node is not None]
        if not self.checked:
            got = "none"
            raise GradientError(explain("gradcheck", expected="at least one input that requires grad", got=got, hint="requires_grad=True"))
        for i in self.checked:
            d = self.inputs[i]._a.dtype
            if d.kind not in "fc" or np.finfo(d).eps > 1e-10:
                message = explain("gradcheck", expected="float64 or complex128 inputs", got=f"input {i} of dtype {d}", hint=".double()")
                warnings.warn(message, stacklevel=4)
        self.base = {i: _host(self.inputs[i]) for i in self.checked}

    def call(self, changed: dict[int, Array], grad: bool) -> tuple[list[Any], list[Any]]:
        """The differentiable outputs and the checked inputs of a call on fresh copies, some of them replaced by other values."""
        args = list(self.inputs)
        leaves = []
        for i in self.checked:
            leaf = _like(self.inputs[i], changed.get(i, self.base[i]))
            leaves.append(leaf.requires_grad_() if grad else leaf)
            args[i] = leaf
        with enable_grad() if grad else no_grad():
            # a function may change its inputs in place, which a leaf would refuse
            out = self.func(*[a.clone() if grad and i in self.base else a for i, a in enumerate(args)])
        outs = out if isinstance(out, (tuple, list)) else (out,)
        return [o for o in outs if isinstance(o, Value) and o._a.dtype.kind in "fcV"], leaves

    def values(self, changed: dict[int, Array]) -> list[Array]:
        """The outputs as arrays in double precision."""
        return [_wide(_host(o)) for o in self.call(changed, False)[0]]

    def slope(self, i: int, direction: Array) -> list[Array]:
        """The derivative of every output along a direction in input i."""
        step = direction * self.eps
        d = self.base[i].dtype
        plus = self.values({i: (self.base[i] + step).astype(d)})
        minus = self.values({i: (self.base[i] - step).astype(d)})
        return [(p - m) / (2 * self.eps) for p, m in zip(plus, minus, strict=True)]

    def analytic(self, k: int, cotangents: Iterator[Array]) -> Iterator[list[Array]]:
        """For each cotangent of output k the gradients of the checked inputs."""
        outs, leaves = self.call({}, True)
        if outs[k]._node is None:
            for _ in cotangents:
                yield [np.zeros_like(_wide(self.base[i])) for i in self.checked]
            return
        for v in cotangents:
            grads = engine.grad(outs[k], leaves, _like(outs[k], v.astype(outs[k]._a.dtype)), True, allow_unused=True)
            yield [np.zeros_like(_wide(self.base[i])) if g is None else _wide(_host(g)) for i, g in zip(self.checked, grads, strict=True)]


def _host(x: Any) -> Array:
    a = x._a
    host: Array = executors[type(a)].to_numpy(a)
    return host.copy()


def _wide(a: Array) -> Array:
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)


def _like(x: Any, values: Array) -> Any:
    """A tensor of these values where x lives."""
    where = executors[type(x._a)].device_of(x._a)
    return state.wrap(backend(where).from_numpy(np.array(values, dtype=x._a.dtype, order="C"), where))


def _units(shape: tuple[int, ...], complex_: bool) -> Iterator[Array]:
    """One array per real coordinate: 1 there (and i there), else 0."""
    for at in np.ndindex(shape):
        for unit in (1.0, 1j) if complex_ else (1.0,):
            e = np.zeros(shape, np.complex128 if complex_ else np.float64)
            e[at] = unit
            yield e


def _coordinates(a: Array) -> Array:
    """The real coordinates of an array, in the order of `_units`."""
    flat = np.ascontiguousarray(a).reshape(-1)
    return flat.view(np.float64) if flat.dtype.kind == "c" else flat


def _compare(p: _Problem, k: int, i: int, analytic: Array, numeric: Array, what: str) -> None:
    if not np.allclose(analytic, numeric, p.rtol, p.atol, equal_nan=True):
        far = float(np.nanmax(np.abs(analytic - numeric))) if analytic.size else 0.0
        raise GradcheckError(
            f"{what} mismatch for output {k} with respect to input {i} (largest difference {far:.3g}, atol={p.atol}, rtol={p.rtol}),\n"
            f"numerical:{numeric}\nanalytical:{analytic}\n"
        )


def _check_all(p: _Problem) -> None:
    """Every element of every Jacobian."""
    shapes = [(o.shape, o.dtype.kind == "c") for o in p.values({})]
    numeric = {
        i: [[_coordinates(s) for s in p.slope(i, e)] for e in _units(p.base[i].shape, p.base[i].dtype.kind == "c")] for i in p.checked
    }
    for k, (shape, complex_) in enumerate(shapes):
        rows = list(p.analytic(k, _units(shape, complex_)))
        again = list(p.analytic(k, _units(shape, complex_)))
        for column, i in enumerate(p.checked):
            a = np.array([_coordinates(row[column]) for row in rows])
            n = np.array([s[k] for s in numeric[i]]).T
            _compare(p, k, i, a.reshape(n.shape), n, "Jacobian")
            _repeatable(p, k, i, a, np.array([_coordinates(row[column]) for row in again]))


def _repeatable(p: _Problem, k: int, i: int, first: Array, second: Array) -> None:
    if first.size and np.nanmax(np.abs(first - second)) > p.nondet_tol:
        raise GradcheckError(
            f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different values, "
            f"although analytical gradient matches numerical gradient (output {k}, input {i}, nondet_tol={p.nondet_tol})"
        )


def _check_fast(p: _Problem) -> None:
    """One random projection of each Jacobian: as cheap as two calls and a backward."""
    rng = np.random.default_rng(0)
    outs = p.values({})
    cotangents = [_random(rng, o) for o in outs]
    directions = {i: _random(rng, _wide(p.base[i])) for i in p.checked}
    for i in p.checked:
        slopes = p.slope(i, directions[i])
        for k, v in enumerate(cotangents):
            column = p.checked.index(i)
            first, second = (next(p.analytic(k, iter([v])))[column] for _ in range(2))
            a = np.array(float(_coordinates(first) @ _coordinates(directions[i])))
            n = np.array(float(_coordinates(v) @ _coordinates(slopes[k])))
            _compare(p, k, i, a, n, "Projected Jacobian")
            _repeatable(p, k, i, first, second)


def _random(rng: np.random.Generator, like: Array) -> Array:
    """A random direction of length 1."""
    made: Array = rng.standard_normal(like.shape)
    if like.dtype.kind == "c":
        made = made + 1j * rng.standard_normal(like.shape)
    return made / max(float(np.linalg.norm(made)), 1e-300)


def _check_undefined(p: _Problem) -> None:
    """A zero gradient for one output, and none for the others, gives zero gradients."""
    outs, leaves = p.call({}, True)
    live = [o for o in outs if o._node is not None]
    for o in live:
        zero = _like(o, np.zeros(o._a.shape))
        grads = engine.grad(o, leaves, zero, True, allow_unused=True)
        if any(g is not None and np.any(_host(g)) for g in grads):
            raise GradcheckError("Expected backward function to handle undefined output grads: zero output gradients gave other gradients")


def _check_dtypes(p: _Problem) -> None:
    outs, leaves = p.call({}, True)
    for o in outs:
        if o._node is not None:
            grads = engine.grad(o, leaves, _like(o, np.ones(o._a.shape)), True, allow_unused=True)
            for i, leaf, g in zip(p.checked, leaves, grads, strict=True):
                if g is not None and g._a.dtype != leaf._a.dtype:
                    raise GradcheckError(f"Gradient of input {i} has dtype {g._a.dtype}, the input {leaf._a.dtype}")


def _check_batched(p: _Problem) -> None:
    """`is_grads_batched` gives what single calls give."""
    outs, leaves = p.call({}, True)
    rng = np.random.default_rng(1)
    for k, o in enumerate(outs):
        if o._node is None:
            continue
        vs = [_random(rng, _wide(_host(o))) for _ in range(2)]
        together = engine.grad(o, leaves, _stacked(o, vs), True, allow_unused=True, is_grads_batched=True)
        alone = [engine.grad(o, leaves, _like(o, v), True, allow_unused=True) for v in vs]
        for i, column, g in zip(p.checked, range(len(leaves)), together, strict=True):
            if g is not None:
                want = np.array([_wide(_host(a[column])) for a in alone])
                if not np.allclose(_wide(_host(g)), want, p.rtol, p.atol, equal_nan=True):
                    raise GradcheckError(f"Batched gradient of output {k} for input {i} differs from single ones:\n{_host(g)}\n{want}")


def _stacked(o: Any, vs: list[Array]) -> Any:
    return _like(o, np.stack(vs))


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    fast_mode: bool = False,
) -> bool:
    """Whether the gradients of `func` agree with central differences of step `eps`, within `atol` + `rtol` * size.

    `inputs` is a tensor or a tuple; those that require grad are checked and should be float64 or complex128. All outputs of float or
    complex dtype are checked. `fast_mode` compares a random projection of each Jacobian in place of all its elements; `nondet_tol` is how
    far two backward passes may differ. A difference raises GradcheckError, or returns False without `raise_exception`.

    >>> import flambeau as fb
    >>> x = fb.tensor([0.5, 2.0], dtype=fb.float64, requires_grad=True)
    >>> fb.autograd.gradcheck(lambda x: x.sin() * x, (x,))
    True
    """
    p = _Problem(func, inputs, eps, atol, rtol, nondet_tol)
    try:
        (_check_fast if fast_mode else _check_all)(p)
        if check_undefined_grad:
            _check_undefined(p)
        if check_grad_dtypes:
            _check_dtypes(p)
        if check_batched_grad:
            _check_batched(p)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    fast_mode: bool = False,
) -> bool:
    """Whether the second derivatives of `func` agree with central differences: `gradcheck` of its gradients, as functions of the inputs and
    of the gradients of its outputs (`grad_outputs`; random ones by default).

    >>> import flambeau as fb
    >>> x = fb.tensor([0.5, 2.0], dtype=fb.float64, requires_grad=True)
    >>> fb.autograd.gradgradcheck(lambda x: x.sin() * x, (x,))
    True
    """
    p = _Problem(func, inputs, eps, atol, rtol, nondet_tol)
    outs, _ = p.call({}, True)
    live = [k for k, o in enumerate(outs) if o._node is not None]
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        cotangents = [_cotangent(rng, outs[k], gen_non_contig_grad_outputs) for k in live]
    else:
        cotangents = [grad_outputs] if isinstance(grad_outputs, Value) else list(grad_outputs)
    cotangents = [g if g._node is not None else g.detach().requires_grad_() for g in cotangents]
    count = len(p.inputs)
    wanted = {*p.checked, *range(count, count + len(cotangents))}

    def gradients(*args: Any) -> Any:
        with enable_grad():  # numeric differences call without gradients, which are needed here all the same
            args = tuple([a.requires_grad_() if i in wanted and a._node is None else a for i, a in enumerate(args)])
            ins, gs = [args[i] for i in p.checked], args[count:]
            made = func(*[a.clone() if i in p.base else a for i, a in enumerate(args[:count])])
            made = [o for o in (made if isinstance(made, (tuple, list)) else (made,)) if isinstance(o, Value) and o._a.dtype.kind in "fcV"]
            grads = engine.grad([made[k] for k in live], ins, gs, create_graph=True, allow_unused=True)
        return tuple([g for g in grads if g is not None])

    return gradcheck(
        gradients,
        (*p.inputs, *cotangents),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
    )


def _cotangent(rng: np.random.Generator, o: Any, strided: bool) -> Any:
    values = _random(rng, _wide(_host(o)))
    if not strided or o._a.ndim == 0:
        return _like(o, values)
    wide = _like(o, np.stack([values, values], axis=-1))
    return wide[..., 0]
