"""`autograd.functional` and `flambeau.func` against analytic results. (tests/parity compares them with PyTorch.)"""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau import func
from flambeau.autograd import functional, gradcheck
from flambeau.base.errors import ArgumentError, ArgumentTypeError, DtypeError, GradientError, IndexingError, ShapeError

X = np.array([0.5, -1.0, 2.0])
A = np.random.default_rng(0).standard_normal((3, 3))


def tensor(a, **options):
    return fb.tensor(a, dtype=fb.float64, **options)


def close(t, want):
    np.testing.assert_allclose(t.detach().numpy(), want, rtol=1e-10, atol=1e-12)


def quadratic(x):
    """x A x / 2: gradient (A + A^T) x / 2, Hessian (A + A^T) / 2."""
    return x @ tensor(A) @ x / 2


H = (A + A.T) / 2


# -- autograd.functional
@pytest.mark.parametrize("options", [{}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}])
def test_jacobian(options):
    x, y = tensor(X), tensor([2.0, 3.0])
    close(functional.jacobian(lambda x: x.sin(), x, **options), np.diag(np.cos(X)))
    f = lambda x, y: (x[:2] * y, x.sum(), fb.ones(2, dtype=fb.float64))
    (ax, ay), (bx, by), (cx, cy) = functional.jacobian(f, (x, y), **options)
    close(ax, np.diag([2.0, 3.0]) @ np.eye(2, 3))
    close(ay, np.diag(X[:2]))
    close(bx, np.ones(3))
    close(by, np.zeros(2))
    close(cx, np.zeros((2, 3)))
    close(cy, np.zeros((2, 2)))
    assert functional.jacobian(lambda x: x[:0], x, **options).shape == (0, 3)
    assert functional.jacobian(lambda x: x[None].expand(2, 3), x, **options).shape == (2, 3, 3)


@pytest.mark.parametrize("options", [{}, {"vectorize": True}, {"vectorize": True, "outer_jacobian_strategy": "forward-mode"}])
def test_hessian(options):
    close(functional.hessian(quadratic, tensor(X), **options), H)
    blocks = functional.hessian(lambda x, y: (x**2).sum() * y, (tensor(X), tensor(3.0)), **options)
    close(blocks[0][0], 6 * np.eye(3))
    close(blocks[0][1], 2 * X)
    close(blocks[1][0], 2 * X)
    close(blocks[1][1], 0)


def test_products():
    v = np.array([1.0, 2.0, 3.0])
    out, product = functional.vjp(lambda x: x**2, tensor(X), tensor(v))
    close(out, X**2)
    close(product, 2 * X * v)
    close(functional.jvp(lambda x: tensor(A) @ x, tensor(X), tensor(v))[1], A @ v)
    close(functional.vhp(quadratic, tensor(X), tensor(v))[1], H @ v)
    close(functional.hvp(quadratic, tensor(X), tensor(v))[1], H @ v)
    close(functional.vjp(lambda x: x.sum(), tensor(X))[1], np.ones(3))
    close(functional.jvp(lambda x: x * tensor(X), tensor(2.0))[1], X)


def test_create_graph_decides_about_history():
    x = tensor(X, requires_grad=True)
    w = tensor(2.0, requires_grad=True)
    for name in ("vjp", "jvp", "jacobian", "hessian", "vhp", "hvp"):
        f = lambda x: (w * x**3).sum()
        call = getattr(functional, name)
        extra = {} if name in ("jacobian", "hessian") else {"v": tensor(1.0) if name == "vjp" else tensor(X)}
        for create_graph in (False, True):
            result = call(f, x, create_graph=create_graph, **extra)
            for part in result if isinstance(result, tuple) else (result,):
                assert part.requires_grad == create_graph
    j = functional.jacobian(lambda x: w * x**2, x, create_graph=True)
    close(fb.autograd.grad(j.sum(), w)[0], (2 * X).sum())
    assert x.grad is None and w.grad is None


def test_strict():
    for call in (functional.jacobian, functional.vjp):
        with pytest.raises(GradientError, match="strict"):
            call(lambda x: fb.ones((), dtype=fb.float64), tensor(X), strict=True)
    with pytest.raises(GradientError, match="independent of input 1"):
        functional.jacobian(lambda x, y: x.sum(), (tensor(X), tensor(X)), strict=True)
    with pytest.raises(GradientError, match="strict"):
        functional.hessian(lambda x: x.sum(), tensor(X), strict=True)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: functional.jacobian(lambda x: x, 3), ArgumentTypeError, "inputs as a tensor"),
        (lambda: functional.jacobian(lambda x: 3, tensor(X)), ArgumentTypeError, "outputs as a tensor"),
        (lambda: functional.jacobian(lambda x: x, tensor(X), strategy="no"), ArgumentError, "strategy"),
        (lambda: functional.jacobian(lambda x: x, tensor(X), strategy="forward-mode"), ArgumentError, "vectorize"),
        (lambda: functional.jacobian(lambda x: x, tensor(X), strict=True, vectorize=True), ArgumentError, "strict or vectorize"),
        (lambda: functional.hessian(lambda x: x, tensor(X)), ShapeError, "one number"),
        (lambda: functional.vjp(lambda x: x, tensor(X)), ArgumentError, "v "),
        (lambda: functional.vjp(lambda x: x, tensor(X), tensor(1.0)), ShapeError, r"v of shape \(3,\)"),
        (lambda: functional.jvp(lambda x, y: x, (tensor(X), tensor(X)), tensor(X)), ShapeError, "2 tensors"),
        (lambda: functional.jacobian(lambda x: x, fb.ones(2, dtype=fb.int64)), DtypeError, "floating"),
    ],
)
def test_functional_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()


# -- flambeau.func
def test_grad_of_trees_and_argnums():
    p = {"w": tensor(X), "b": [tensor(1.0)]}
    g = func.grad(lambda p, x: (p["w"] * x).sum() * p["b"][0])(p, tensor([1.0, 2.0, 3.0]))
    close(g["w"], [1, 2, 3])
    close(g["b"][0], (X * [1, 2, 3]).sum())
    f = lambda x, y: (x * y).sum()
    close(func.grad(f, 1)(tensor(X), tensor(X)), X)
    close(func.grad(f, -1)(tensor(X), tensor(X)), X)
    a, b = func.grad(f, (1, 0))(tensor(X), tensor(2 * X))
    close(a, X)
    close(b, 2 * X)
    x = tensor(X)
    close(func.grad(f)(x, x), X)  # one tensor in two places: only the first is differentiated
    (g, value), aux = func.grad_and_value(lambda x: x.sum())(x), func.grad(lambda x: (x.sum(), {"double": x * 2}), has_aux=True)(x)[1]
    close(value, X.sum())
    close(aux["double"], 2 * X)
    assert not any(t.requires_grad for t in (g, value, aux["double"]))
    close(func.grad(lambda x, *, k: (x * k).sum())(x, k=3), [3, 3, 3])
    assert x.grad is None and not x.requires_grad


def test_nested_derivatives_do_not_mix():
    close(func.grad(lambda x: x * func.grad(lambda y: x + y)(tensor(1.0)))(tensor(3.0)), 1.0)
    close(func.grad(lambda x: func.grad(lambda y: x * y * y)(x) * x)(tensor(3.0)), 6 * 9.0)
    f = fb.sin
    for k in range(6):
        close(f(tensor(1.0)), [np.sin(1), np.cos(1), -np.sin(1), -np.cos(1)][k % 4])
        f = func.grad(f)


def test_modes_inside_and_outside():
    x = tensor(X, requires_grad=True)
    square = lambda x: (x**2).sum()
    with fb.no_grad():
        g = func.grad(square)(x)
    close(g, 2 * X)
    assert not g.requires_grad

    def stops(x):
        with fb.no_grad():
            return (x**2).sum()

    close(func.grad(stops)(x), np.zeros(3))
    g = func.grad(square)(x)
    assert g.requires_grad
    close(fb.autograd.grad(g.sum(), x)[0], [2, 2, 2])
    assert not func.grad(square)(x.detach()).requires_grad


def test_derivatives_of_writes_in_place():
    def f(x):
        y = x * 1
        y[0] = 0
        y[1:].mul_(x[1:])
        return y.sum()

    close(func.grad(f)(tensor(X)), [0, -2, 4])
    close(func.hessian(f)(tensor(X)), np.diag([0, 2, 2]))


def test_jacobians():
    f = lambda x: {"square": x**2, "sum": (x.sum(), x[:0])}
    for jacobian in (func.jacrev, func.jacfwd):
        j = jacobian(f)(tensor(X))
        close(j["square"], np.diag(2 * X))
        close(j["sum"][0], np.ones(3))
        assert j["sum"][1].shape == (0, 3)
        j, aux = jacobian(lambda x: (x**2, x), has_aux=True)(tensor(X))
        close(j, np.diag(2 * X))
        close(aux, X)
        for chunk in (1, 2, 7):
            close(jacobian(lambda x: x**3, chunk_size=chunk)(tensor(X)), np.diag(3 * X**2))
        close(jacobian(lambda x: fb.ones(2, dtype=fb.float64))(tensor(X)), np.zeros((2, 3)))
        inner = jacobian(lambda x: x**3)
        close(jacobian(lambda x, inner=inner: inner(x).sum(0))(tensor(X)), np.diag(6 * X))
    close(func.hessian(quadratic)(tensor(X)), H)
    blocks = func.hessian(lambda x, y: (x * y).sum(), (0, 1))(tensor(X), tensor(X))
    close(blocks[0][1], np.eye(3))
    close(blocks[1][1], np.zeros((3, 3)))
    for inner, outer in ((func.jacrev, func.jacrev), (func.jacfwd, func.jacrev), (func.jacfwd, func.jacfwd)):
        close(outer(inner(quadratic))(tensor(X)), H)


def test_vjp_jvp_linearize():
    y, pull = func.vjp(lambda a, b: {"p": a * b, "q": a.sum()}, tensor(X), tensor(2 * X))
    close(y["p"], 2 * X * X)
    a, b = pull({"p": tensor([1.0, 0.0, 0.0]), "q": tensor(1.0)})
    close(a, 1 + np.array([2 * X[0], 0, 0]))
    close(b, [X[0], 0, 0])
    assert not y["p"].requires_grad
    y, moved, aux = func.jvp(lambda x: (x.exp(), x.argmax()), (tensor(X),), (tensor(2 * X),), has_aux=True)
    close(moved, np.exp(X) * 2 * X)
    assert int(aux) == 2
    calls = []

    def f(x):
        calls.append(1)
        return x.sin(), x.argmax(), fb.ones(2, dtype=fb.float64)

    y, push = func.linearize(f, tensor(X))
    for v in (X, 2 * X):
        moved = push(tensor(v))
        close(moved[0], np.cos(X) * v)
        assert int(moved[1]) == 0 and not moved[2].any()
    close(func.vmap(lambda v: push(v)[0])(fb.eye(3, dtype=fb.float64)), np.diag(np.cos(X)))
    assert len(calls) == 1


def test_derivatives_through_the_transforms():
    x, w = tensor(X, requires_grad=True), tensor(2 * X, requires_grad=True)
    f = lambda x: (x * w).sin().sum()
    for g in (
        lambda x, w: func.grad(lambda x: (x * w).sin().sum())(x),
        lambda x, w: func.jacrev(lambda x: (x * w).sin())(x),
        lambda x, w: func.jacfwd(lambda x: (x * w).sin())(x),
        lambda x, w: func.jvp(lambda x: (x * w).sin(), (x,), (w,))[1],
        lambda x, w: func.vjp(lambda x: (x * w).sin(), x)[1](w)[0],
        lambda x, w: func.hessian(lambda x: (x * w).sin().sum())(x),
    ):
        assert gradcheck(g, (x, w))
    assert func.grad(f)(x.detach()).requires_grad  # through w


def test_complex():
    z = fb.tensor([1 + 2j, 0.5 - 1j], dtype=fb.complex128)
    close(func.grad(lambda z: (z.abs() ** 2).sum())(z), 2 * z.numpy())
    t = fb.tensor([1j, 2.0 + 0j], dtype=fb.complex128)
    close(func.jvp(lambda z: z**2, (z,), (t,))[1], 2 * z.numpy() * t.numpy())


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda x: func.grad(lambda x: x)(x), ShapeError, "zero-dimensional"),
        (lambda x: func.grad(lambda x: 3)(x), ArgumentTypeError, "returns a tensor"),
        (lambda x: func.grad(lambda x: x.sum() * 1j)(x), DtypeError, "real"),
        (lambda x: func.grad(lambda x: x.argmax())(x), DtypeError, "real"),
        (lambda x: func.grad(lambda x: x.sum())(x.long()), DtypeError, "float"),
        (lambda x: func.grad(lambda x: x.sum())(3), ArgumentTypeError, "tensors in the arguments"),
        (lambda x: func.grad(lambda x: x.sum(), 1)(x), IndexingError, "argnums"),
        (lambda x: func.grad(lambda x: x.sum(), (0, 0))(x), ArgumentError, "argnums"),
        (lambda x: func.grad(lambda x: x.sum(), has_aux=True)(x), ArgumentTypeError, "aux"),
        (lambda x: func.vjp(lambda x: x, x)[1](x[:1]), ShapeError, r"cotangent of shape \(3,\)"),
        (lambda x: func.vjp(lambda x: (x, x), x)[1](x), ArgumentError, "tree"),
        (lambda x: func.jvp(lambda x: x, x, x), ArgumentTypeError, "tuples"),
        (lambda x: func.jvp(lambda x: x, (x,), (x[:1],)), ShapeError, r"tangent of shape \(3,\)"),
        (lambda x: func.jacrev(lambda x: 3)(x), ArgumentTypeError, "outputs"),
    ],
)
def test_func_errors(call, error, words):
    with pytest.raises(error, match=words):
        call(tensor(X))


# -- modules
def test_per_example_gradients_of_a_module():
    fb.manual_seed(0)
    model = fb.nn.Sequential(fb.nn.Linear(3, 4), fb.nn.Tanh(), fb.nn.Linear(4, 1))
    x, y = fb.randn(5, 3), fb.randn(5, 1)
    params = {k: v.detach() for k, v in model.named_parameters()}

    def loss(p, x, y):
        return ((func.functional_call(model, p, (x,)) - y) ** 2).mean()

    per_example = func.vmap(func.grad(loss), (None, 0, 0))(params, x, y)
    for i in range(5):
        model.zero_grad()
        ((model(x[i]) - y[i]) ** 2).mean().backward()
        for name, p in model.named_parameters():
            np.testing.assert_allclose(per_example[name][i].numpy(), p.grad.numpy(), rtol=2e-4, atol=1e-6)


def test_ensembles():
    fb.manual_seed(0)
    models = [fb.nn.Sequential(fb.nn.Linear(3, 4), fb.nn.BatchNorm1d(4)).eval() for _ in range(3)]
    params, buffers = func.stack_module_state(models)
    assert params["0.weight"].shape == (3, 4, 3) and params["0.weight"].requires_grad and params["0.weight"].is_leaf
    assert buffers["1.running_mean"].shape == (3, 4) and not buffers["1.running_mean"].requires_grad
    x = fb.randn(5, 3)
    out = func.vmap(lambda p, b, x: func.functional_call(models[0], (p, b), (x,)), (0, 0, None))(params, buffers, x)
    for model, o in zip(models, out):
        np.testing.assert_allclose(o.detach().numpy(), model(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    out.sum().backward()
    assert params["0.weight"].grad is not None
    for wrong, words in [
        ([], "at least one"),
        ([models[0], fb.nn.Linear(2, 2)], "one class"),
        ([models[0], fb.nn.Sequential(fb.nn.Linear(3, 4), fb.nn.BatchNorm1d(4))], "one mode"),
    ]:
        with pytest.raises(ArgumentError, match=words):
            func.stack_module_state(wrong)


@pytest.mark.parametrize(
    "layer, shape",
    [
        (lambda: fb.nn.Conv2d(2, 4, 3, padding=1, groups=2), (2, 5, 5)),
        (lambda: fb.nn.ConvTranspose1d(2, 3, 2, stride=2), (2, 4)),
        (lambda: fb.nn.Sequential(fb.nn.Conv1d(2, 4, 3), fb.nn.MaxPool1d(2), fb.nn.GroupNorm(2, 4), fb.nn.GELU()), (1, 2, 8)),
        (lambda: fb.nn.Sequential(fb.nn.LayerNorm(4), fb.nn.Linear(4, 3), fb.nn.Softmax(-1)), (3, 4)),
        (lambda: fb.nn.AdaptiveAvgPool2d(2), (2, 5, 5)),
    ],
)
def test_layers_in_batches(layer, shape):
    """vmap over inputs and over parameters equals a loop, gradients too."""
    fb.manual_seed(0)
    models = [layer().double() for _ in range(3)]
    x = fb.randn(3, *shape, dtype=fb.float64)
    params, buffers = func.stack_module_state(models)
    run = lambda p, x: func.functional_call(models[0], p, (x,))
    together = func.vmap(run)(params, x)
    alone = fb.stack([m(v) for m, v in zip(models, x)])
    np.testing.assert_allclose(together.detach().numpy(), alone.detach().numpy(), atol=1e-12)
    if params:
        loss = lambda p, x: (run(p, x) ** 2).sum()
        grads = func.vmap(func.grad(loss))(params, x)
        for i, m in enumerate(models):
            (m(x[i]) ** 2).sum().backward()
            for name, p in m.named_parameters():
                np.testing.assert_allclose(grads[name][i].detach().numpy(), p.grad.numpy(), atol=1e-10)
