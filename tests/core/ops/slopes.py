"""Gradients by central differences, to compare those of backward with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import flambeau as fb
from flambeau.autograd import engine


def loss(f: Callable[..., Any], xs: list[Any]) -> Any:
    """A real number made from everything that f returns, with fixed weights."""
    rng = np.random.default_rng(11)
    out = f(*xs)
    total: Any = None
    for o in out if isinstance(out, (tuple, list)) else [out]:
        if not (o.is_floating_point() or o.is_complex()):
            continue
        w = rng.standard_normal(o.shape)
        if o.is_complex():
            w = w + 1j * rng.standard_normal(o.shape)
        term = (o * fb.tensor(w, dtype=o.dtype)).sum()
        term = term.real if o.is_complex() else term
        total = term if total is None else total + term
    return total


def check(
    f: Callable[..., Any], *arrays: np.ndarray, second: bool = True, step: float = 1e-6, rtol: float = 1e-5, atol: float = 1e-6
) -> None:
    """First derivatives, and second ones. The gradient of a complex input is that of its real and imaginary part."""
    _compare(lambda *xs: loss(f, list(xs)), arrays, step, rtol, atol)
    if second:

        def slope(*xs: Any) -> Any:
            if not all(x.requires_grad for x in xs):
                xs = tuple(x.detach().requires_grad_() for x in xs)
            grads = engine.grad(loss(f, list(xs)).sin(), xs, create_graph=True)  # the sine, so that linear functions count too
            return sum((g * g.conj()).real.sum() if g.is_complex() else (g * g).sum() for g in grads)

        _compare(slope, arrays, step * 10, rtol * 20, atol * 20)


def _compare(f: Callable[..., Any], arrays: tuple[np.ndarray, ...], step: float, rtol: float, atol: float) -> None:
    xs = [fb.tensor(a).requires_grad_() for a in arrays]
    f(*xs).backward()
    for i, a in enumerate(arrays):
        numeric = np.zeros(a.shape, a.dtype)
        for at in np.ndindex(a.shape):
            for unit in (1.0, 1j) if a.dtype.kind == "c" else (1.0,):
                values = []
                for side in (step, -step):
                    moved = [b.copy() for b in arrays]
                    moved[i][at] += side * unit
                    values.append(float(f(*[fb.tensor(b) for b in moved]).item()))
                numeric[at] += (values[0] - values[1]) / (2 * step) * unit
        np.testing.assert_allclose(xs[i].grad.numpy(), numeric, rtol=rtol, atol=atol)
