"""`autograd.functional` and `func` against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
import flambeau.func as ours

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # PyTorch, of itself

X, Y = np.linspace(-1.0, 2.0, 6).reshape(2, 3), np.linspace(0.5, 1.5, 3)


def pair(array, **kwargs):
    return fb.tensor(array, **kwargs), torch.tensor(array, **kwargs)


def same(a, b):
    if isinstance(b, dict):
        assert a.keys() == b.keys()
        for k in b:
            same(a[k], b[k])
    elif isinstance(b, (tuple, list)):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            same(x, y)
    elif b is None:
        assert a is None
    else:
        assert tuple(a.shape) == tuple(b.shape)
        assert a.requires_grad == b.requires_grad
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)


FUNCTIONS = {
    "one": lambda x, y: (x * y).sin().sum(),
    "vector": lambda x, y: (x.exp() * y).sum(0),
    "two": lambda x, y: (x.sum(1) ** 2, x * y.tanh()),
    "apart": lambda x, y: (x.sin(), y.cos()),
    "linear": lambda x, y: x @ y,
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobian(name, create_graph):
    (x, tx), (y, ty) = pair(X, requires_grad=True), pair(Y)
    f = FUNCTIONS[name]
    want = torch.autograd.functional.jacobian(f, (tx, ty), create_graph=create_graph)
    same(fb.autograd.functional.jacobian(f, (x, y), create_graph=create_graph), want)
    for strategy in ("reverse-mode", "forward-mode"):
        got = fb.autograd.functional.jacobian(f, (x, y), create_graph, vectorize=True, strategy=strategy)
        for a, b in zip(flat(got), flat(want)):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)
    same(fb.autograd.functional.jacobian(lambda x: f(x, y), x), torch.autograd.functional.jacobian(lambda x: f(x, ty), tx))


def flat(t):
    return [leaf for part in t for leaf in flat(part)] if isinstance(t, (tuple, list)) else [t]


@pytest.mark.parametrize("create_graph", [False, True])
def test_products(create_graph):
    (x, tx), (y, ty) = pair(X, requires_grad=True), pair(Y)
    mine, theirs = fb.autograd.functional, torch.autograd.functional
    one, two = FUNCTIONS["one"], FUNCTIONS["two"]
    same(mine.vjp(one, (x, y), create_graph=create_graph), theirs.vjp(one, (tx, ty), create_graph=create_graph))
    v, tv = zip(*(pair(a) for a in (np.ones(2), np.full((2, 3), 2.0))))
    same(mine.vjp(two, (x, y), v, create_graph), theirs.vjp(two, (tx, ty), tv, create_graph))
    v, tv = zip(*(pair(a) for a in (np.ones((2, 3)), Y)))
    same(mine.jvp(two, (x, y), v, create_graph), theirs.jvp(two, (tx, ty), tv, create_graph))
    same(mine.vhp(one, (x, y), v, create_graph), theirs.vhp(one, (tx, ty), tv, create_graph))
    same(mine.hvp(one, (x, y), v, create_graph), theirs.hvp(one, (tx, ty), tv, create_graph))
    same(mine.hessian(one, (x, y), create_graph), theirs.hessian(one, (tx, ty), create_graph))
    same(mine.hessian(lambda x: one(x, y), x), theirs.hessian(lambda x: one(x, ty), tx))


def strict_fails(functional, f, x, **kwargs):
    try:
        functional(f, x, strict=True, **kwargs)
    except RuntimeError:
        return True
    return False


@pytest.mark.parametrize("name", ["jacobian", "vjp", "jvp", "hessian", "vhp", "hvp"])
@pytest.mark.parametrize("create_graph", [False, True])
def test_strict(name, create_graph):
    cases = [
        lambda x: (x * x).sum(),
        lambda x: x.sum(),
        lambda x: x.detach().sum(),
        lambda x: x.sum() * 0,
        lambda x: (x**3).sum(),
    ]
    x, tx = pair(Y)
    v, tv = pair(np.ones(3))
    for i, f in enumerate(cases):
        extra, textra = ({"v": v}, {"v": tv}) if name in ("jvp", "vhp", "hvp") else ({}, {})
        mine = strict_fails(getattr(fb.autograd.functional, name), f, x, create_graph=create_graph, **extra)
        theirs = strict_fails(getattr(torch.autograd.functional, name), f, tx, create_graph=create_graph, **textra)
        assert mine == theirs, (i, mine, theirs)


def test_func_transforms():
    (x, tx), (y, ty) = pair(X), pair(Y)
    theirs = torch.func
    f, g = FUNCTIONS["one"], FUNCTIONS["two"]
    same(ours.grad(f)(x, y), theirs.grad(f)(tx, ty))
    same(ours.grad(f, argnums=(0, 1))(x, y), theirs.grad(f, argnums=(0, 1))(tx, ty))
    same(ours.grad_and_value(f)(x, y), theirs.grad_and_value(f)(tx, ty))
    aux = lambda x, y: (f(x, y), {"k": x * 2})
    same(ours.grad(aux, has_aux=True)(x, y), theirs.grad(aux, has_aux=True)(tx, ty))
    same(ours.grad_and_value(aux, has_aux=True)(x, y), theirs.grad_and_value(aux, has_aux=True)(tx, ty))
    for argnums in (0, 1, (0, 1)):
        same(ours.jacrev(g, argnums)(x, y), theirs.jacrev(g, argnums)(tx, ty))
        same(ours.jacfwd(g, argnums)(x, y), theirs.jacfwd(g, argnums)(tx, ty))
        same(ours.hessian(f, argnums)(x, y), theirs.hessian(f, argnums)(tx, ty))
    tree = lambda p: {"a": p["w"] ** 2, "b": (p["w"].sum() * p["v"],)}
    same(ours.jacrev(tree)({"w": x, "v": y}), theirs.jacrev(tree)({"w": tx, "v": ty}))
    same(ours.jacfwd(tree)({"w": x, "v": y}), theirs.jacfwd(tree)({"w": tx, "v": ty}))
    out, pull = ours.vjp(g, x, y)
    tout, tpull = theirs.vjp(g, tx, ty)
    same(out, tout)
    v, tv = zip(*(pair(a) for a in (np.ones(2), np.full((2, 3), 2.0))))
    same(pull(v), tpull(tv))
    same(ours.jvp(g, (x, y), (x, y)), theirs.jvp(g, (tx, ty), (tx, ty)))
    same(ours.linearize(g, x, y)[1](x, y), theirs.jvp(g, (tx, ty), (tx, ty))[1])
    same(ours.vmap(ours.grad(f))(x, fb.stack([y, y])), theirs.vmap(theirs.grad(f))(tx, torch.stack([ty, ty])))


def test_what_the_result_of_grad_depends_on():
    x, tx = pair(Y, requires_grad=True)
    square = lambda x: (x**3).sum()
    got, want = ours.grad(square)(x), torch.func.grad(square)(tx)
    same(got, want)
    same(fb.autograd.grad(got.sum(), x), torch.autograd.grad(want.sum(), tx))
    with fb.no_grad(), torch.no_grad():
        same(ours.grad(square)(x), torch.func.grad(square)(tx))
