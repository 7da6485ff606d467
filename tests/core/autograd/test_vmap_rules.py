"""The batch rule of every primitive, against a loop over the examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as fb
import flambeau.linalg
import flambeau.nn
from flambeau.base.errors import GradientError
from flambeau.func import vjp, vmap
from flambeau.primitives import attention, bind, conv, ctc, embedding, fft, linalg, normalize, recurrent, resample, sort, window  # noqa: F401  all rows
from flambeau.primitives.prim import table
from tests.core.autograd.primitive_cases import CASES, Draw

WITHOUT = {"nonzero", "unique", "unique_consecutive", "bincount"}  # the shape of the result depends on values
SOURCES = {name for name, prim in table.items() if prim.inputs == ()}
CONTROL = {"cond", "scan", "while_loop"}  # loaded at first use; in a batch their bodies' operations are mapped one by one
ONCE = {"ctc_grad", "gamma_slope"}  # without a derivative


def test_every_primitive_has_a_rule_and_a_case():
    named = {name for name, prim in table.items() if prim.batch is None}
    assert named - CONTROL == WITHOUT | SOURCES
    assert {"as_strided"} == set(table) - set(CASES) - WITHOUT - SOURCES - CONTROL  # its memory is not an array: test_vmap.py
    assert set(CASES) <= set(table) | OPTIONAL, set(CASES) - set(table)


OPTIONAL = {name for name in CASES if name not in table}


def batched_call(d, name):
    """Inputs of which some have a batch axis somewhere, their in_dims, and the list of single calls."""
    arrays, params = CASES[name](d)
    size = d.int(1, 3)
    which = [d.one_of(True, False) for _ in arrays]
    if not any(which):
        which[d.int(0, len(arrays) - 1)] = True
    stacks, dims = [], []
    for a, b in zip(arrays, which):
        axis = d.int(0, a.ndim) if b else None
        stacks.append(np.stack([a, *[another(d, a, name) for _ in range(size - 1)]], axis) if b else a)
        dims.append(axis)
    singles = [[np.take(s, k, axis) if axis is not None else s for s, axis in zip(stacks, dims)] for k in range(size)]
    return stacks, tuple(dims), singles, params


def another(d, a, name):
    """Other values of the same kind."""
    if a.dtype.kind in "fc":
        return a * d.rng.uniform(0.9, 1.1)
    if a.dtype.kind == "b":
        return a ^ (d.rng.random(a.shape) < 0.5)
    return d.rng.permuted(a) if name not in FIXED and a.ndim else a.copy()


FIXED = {"scatter", "permutation", "ctc", "ctc_grad"}  # integer inputs that would no longer fit together


def tensors(arrays, grad=False):
    return [fb.from_numpy(np.array(a)) for a in arrays]


def outputs(out):
    return list(out) if isinstance(out, tuple) else [out]


def close(got, want, name):
    assert got.shape == want.shape, name
    assert got.dtype == want.dtype, name
    np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", sorted(set(CASES) - OPTIONAL))
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_values(name, seed):
    d = Draw(seed)
    stacks, dims, singles, params = batched_call(d, name)
    prim = table[name]
    out_dim = 0
    got = outputs(vmap(lambda *xs: prim(*xs, **params), dims, out_dim)(*tensors(stacks)))
    want = [outputs(prim(*tensors(s), **params)) for s in singles]
    for k, g in enumerate(got):
        close(g.numpy(), np.stack([w[k].numpy() for w in want]), name)


@pytest.mark.parametrize("name", sorted(n for n in set(CASES) - OPTIONAL - ONCE if table[n].rules is not None))
@settings(max_examples=6)
@given(seed=st.integers(0, 2**32 - 1))
def test_gradients(name, seed):
    """vmap of a gradient (the derivative runs on batches) and the gradient of vmap (the rule is differentiated) equal a loop's."""
    d = Draw(seed)
    stacks, dims, singles, params = batched_call(d, name)
    prim = table[name]
    places = [i for i, a in enumerate(stacks) if a.dtype.kind in "fc" and (prim.variadic or prim.rules[i] is not None)]
    if not places:
        return

    def on(xs):
        def call(*moving):
            full = list(xs)
            for i, m in zip(places, moving):
                full[i] = m
            return tuple(o for o in outputs(prim(*full, **params)) if o.numel() and o._a.dtype.kind in "fc")

        return call

    def cotangents(outs):
        return tuple(o * 0 + fb.linspace(0.5, 1.5, o.numel(), dtype=fb.float64).reshape(o.shape) for o in outs)

    def one(*xs):
        out, pull = vjp(on(xs), *[xs[i] for i in places])
        return pull(cotangents(out)) if out else ()

    alone = [one(*tensors(s)) for s in singles]
    if not alone[0]:
        return
    together = vmap(one, dims)(*tensors(stacks))
    for k in range(len(places)):
        close(together[k].numpy(), np.stack([a[k].numpy() for a in alone]), f"vmap of grad of {name}")

    def mapped(*moving):
        full = tensors(stacks)
        for i, m in zip(places, moving):
            full[i] = m
        return vmap(lambda *xs: on(xs)(*[xs[i] for i in places]), dims)(*full)

    starts = [tensors(stacks)[i] for i in places]
    outs, pull = vjp(mapped, *starts)
    like = vmap(lambda *xs: cotangents(on(xs)(*[xs[i] for i in places])), dims)(*tensors(stacks))
    whole = pull(tuple(c.detach() for c in like))
    for k, i in enumerate(places):
        parts = [a[k].numpy() for a in alone]
        want = np.stack(parts, dims[i]) if dims[i] is not None else np.sum(parts, axis=0)
        close(whole[k].numpy(), want, f"grad of vmap of {name}")


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_a_primitive_without_a_rule_is_named(name):
    x = fb.ones(2, 3, dtype=fb.int64)
    with pytest.raises(GradientError, match=f"{name}, which has none"):
        vmap(lambda v: table[name](v, **({"minlength": 0} if name == "bincount" else {})))(x)
