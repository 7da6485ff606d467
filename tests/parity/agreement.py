"""Run one expression on Flambeau and on PyTorch, and compare results and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import flambeau as fb


def arrays(*shapes: Any, seed: int = 0, kind: str = "f8", low: float | None = None) -> list[np.ndarray]:
    """Standard normal numbers (or uniform from `low` up to low + 2) of each shape; `kind` "c16" gives complex ones."""
    rng = np.random.default_rng(seed)
    out = []
    for shape in shapes:
        x = rng.standard_normal(shape) if low is None else rng.uniform(low, low + 2, shape)
        if np.dtype(kind).kind == "c":
            x = x + 1j * rng.standard_normal(shape)
        out.append(np.asarray(x).astype(kind))
    return out


def leaves(value: Any) -> list[Any]:
    """Tensors (and plain values) in a nest of tuples and lists."""
    if isinstance(value, (tuple, list)):
        return [leaf for v in value for leaf in leaves(v)]
    return [value]


def as_array(x: Any) -> np.ndarray:
    return np.asarray(
        x.detach().resolve_conj().numpy() if hasattr(x, "resolve_conj") else x.detach().numpy() if hasattr(x, "detach") else x
    )


def _run(
    lib: Any, make: Callable[[Any], Any], expression: Callable[..., Any], inputs: list[np.ndarray], grad: bool
) -> tuple[list[Any], list[Any]]:
    tensors = [make(x.copy()) for x in inputs]
    floating = [t for t in tensors if t.is_floating_point() or t.is_complex()] if grad else []
    for t in floating:
        t.requires_grad_()
    out = leaves(expression(lib, *tensors))
    rng = np.random.default_rng(7)
    total: Any = None
    for o in out:
        if not hasattr(o, "detach") or not (o.is_floating_point() or o.is_complex()):
            continue
        weights = make(np.asarray(rng.standard_normal(tuple(o.shape))).astype(as_array(o).dtype))
        if o.is_complex():
            weights = weights * (1 + 0.5j)
        if o.requires_grad:
            term = (o * weights).sum()
            term = term.real if o.is_complex() else term
            total = term if total is None else total + term
    if total is None:
        return out, []
    total.backward()
    return out, [t.grad for t in floating]


def agree(
    torch: Any, expression: Callable[..., Any], *inputs: np.ndarray, grad: bool = True, rtol: float = 1e-9, atol: float = 1e-10
) -> None:
    """Values, dtypes and shapes of results agree; so do the gradients of a weighted sum of them."""
    theirs, their_grads = _run(torch, torch.from_numpy, expression, list(inputs), grad)
    ours, our_grads = _run(fb, fb.from_numpy, expression, list(inputs), grad)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        x, y = as_array(a), as_array(b)
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)
    assert len(our_grads) == len(their_grads)
    for a, b in zip(our_grads, their_grads, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(as_array(a), as_array(b), rtol=max(rtol, 1e-7), atol=max(atol, 1e-8))
