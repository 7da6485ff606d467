"""Makers of inputs, and how one program is run on Flambeau and on PyTorch and compared.

A case is `(id, program, inputs)`: `program(F, lib, *tensors)` with the functional module and the library itself, and arrays made by the
makers below. Gradients of a random weighted sum of all floating results are compared for every floating input.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import flambeau as fb
import flambeau.nn.functional as F

Maker = Callable[[np.random.Generator], np.ndarray]


def normal(*shape: int) -> Maker:
    """Standard normal numbers."""
    return lambda rng: rng.standard_normal(shape)


def uniform(*shape: int, low: float = 0.05, high: float = 0.95) -> Maker:
    """Uniform numbers, by default away from 0 and 1."""
    return lambda rng: rng.uniform(low, high, shape)


def ints(high: int, *shape: int, low: int = 0) -> Maker:
    """int64 in [low, high)."""
    return lambda rng: rng.integers(low, high, shape)


def bools(*shape: int) -> Maker:
    """True and False alike."""
    return lambda rng: rng.random(shape) < 0.5


def exactly(values: Any) -> Maker:
    """These values."""
    return lambda rng: np.asarray(values)


class fixed:
    """An input without a gradient."""

    def __init__(self, make: Maker) -> None:
        self.make = make

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        return self.make(rng)


def _flat(result: Any) -> Iterator[Any]:
    if isinstance(result, (tuple, list)):
        for r in result:
            yield from _flat(r)
    elif result is not None:
        yield result


def _inputs(lib: Any, arrays: list[tuple[np.ndarray, bool]], dtype: Any) -> list[Any]:
    made = []
    for a, differentiable in arrays:
        t = lib.tensor(a.astype(dtype) if a.dtype.kind == "f" else a)
        made.append(t.requires_grad_() if differentiable and a.dtype.kind == "f" else t)
    return made


def _run(
    lib: Any, functional: Any, program: Any, arrays: list[tuple[np.ndarray, bool]], dtype: Any, cotangents: list[np.ndarray] | None
) -> Any:
    inputs = _inputs(lib, arrays, dtype)
    outs = list(_flat(program(functional, lib, *inputs)))
    values = [o.detach().numpy() for o in outs]
    if cotangents is None:
        rng = np.random.default_rng(7)
        cotangents = [rng.standard_normal(v.shape).astype(v.dtype) for v in values]
    total = None
    for o, c in zip(outs, cotangents, strict=True):
        if o.requires_grad:
            term = (o * lib.tensor(c)).sum()
            total = term if total is None else total + term
    if total is not None:
        total.backward()
    return values, [None if t.grad is None else t.grad.numpy() for t in inputs], cotangents


def close(got: np.ndarray, want: np.ndarray, rtol: float, what: str) -> None:
    """Equal up to `rtol` of each value, or of the largest one."""
    assert got.shape == want.shape, (what, got.shape, want.shape)
    assert got.dtype == want.dtype, (what, got.dtype, want.dtype)
    if want.dtype.kind in "fc":
        finite = np.abs(want[np.isfinite(want)])
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * finite.max(initial=0.0), err_msg=what)
    else:
        np.testing.assert_array_equal(got, want, err_msg=what)


def check(torch: Any, case: tuple[Any, ...], dtype: Any, rtol: float | None = None) -> None:
    """Compare a case in one dtype; the tolerance is 1e-10 in float64 and 1e-5 in float32."""
    name, program, makers = case
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    arrays = [(make(rng), not isinstance(make, fixed)) for make in makers]
    rtol = rtol or {"float64": 1e-10, "float32": 1e-5}[np.dtype(dtype).name]
    values, grads, cotangents = _run(torch, torch.nn.functional, program, arrays, dtype, None)
    ours, our_grads, _ = _run(fb, F, program, arrays, dtype, cotangents)
    assert len(ours) == len(values)
    for i, (a, b) in enumerate(zip(ours, values, strict=True)):
        close(a, b, rtol, f"result {i}")
    for i, (a, b) in enumerate(zip(our_grads, grads, strict=True)):
        if b is None:
            assert a is None or not a.any(), f"gradient of input {i}"
        else:
            assert a is not None, f"gradient of input {i} is missing"
            close(a, b, rtol, f"gradient of input {i}")
