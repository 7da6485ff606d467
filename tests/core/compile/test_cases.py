"""Every piece of tensor code that the other suites share runs compiled as it runs eagerly, with the gradients of its inputs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import flambeau as fb
from tests.cases import COMPLEX, INDEXING, INPLACE, POINTWISE, REDUCTIONS, cases, with_or

ROUNDS = 3  # as it is, captured, replayed


def outputs(code, tensors):
    scope = {"m": fb, "F": fb.nn.functional, "np": np, **tensors}
    if "\n" in code:
        exec(code, scope)
        out = scope["out"]
    else:
        out = eval(code, scope)
    return [p for p in (out if isinstance(out, (tuple, list)) else [out]) if isinstance(p, fb.Tensor)]


def differentiate(code, names):
    def run(*arrays):
        tensors = {k: a.detach().requires_grad_() for k, a in zip(names, arrays)}
        parts = outputs(code, tensors)
        total = sum((p.abs() * 0.5).sum() for p in parts if p.requires_grad)
        grads = fb.autograd.grad(total, list(tensors.values()), allow_unused=True) if isinstance(total, fb.Tensor) else ()
        return [p.detach() for p in parts] + [g for g in grads if g is not None]

    return run


def check(code, kind=float, **shapes):
    fn = differentiate(code, list(shapes))
    compiled = fb.compile(fn)
    for i in range(ROUNDS):
        rng = np.random.default_rng(i)
        arrays = [rng.standard_normal(s) + (1j * rng.standard_normal(s) if kind is complex else 0) for s in shapes.values()]
        expected = fn(*map(fb.tensor, arrays))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*runs uncompiled.*")  # values that decide shapes
            found = compiled(*map(fb.tensor, arrays))
        assert len(found) == len(expected)
        for a, b in zip(found, expected):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-11, err_msg=code)


@pytest.mark.parametrize("code", cases(INDEXING) + cases(REDUCTIONS))
def test_shapes_and_reductions(code):
    check(code, x=(2, 3, 4))


@pytest.mark.parametrize("code", with_or(POINTWISE))
def test_pointwise(code):
    check(code, x=(3, 4), y=(4,))


@pytest.mark.parametrize("code", INPLACE)
def test_in_place(code):
    check(code, x=(3, 4))


@pytest.mark.parametrize("code", cases(COMPLEX))
def test_complex(code):
    check(code, complex, x=(3, 3), y=(3, 3))
