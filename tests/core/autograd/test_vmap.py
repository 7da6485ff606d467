"""`vmap`: axes, nesting, gradients through and inside, in-place writes, random numbers, what cannot be done."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau.autograd import Function, gradcheck, gradgradcheck
from flambeau.base.errors import ArgumentError, ArgumentTypeError, GradientError, IndexingError
from flambeau.func import grad, jacfwd, jacrev, jvp, vjp, vmap


def values(*shape):
    return fb.from_numpy(np.random.default_rng(len(shape)).standard_normal(shape))


def same(a, b):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy() if isinstance(b, fb.Tensor) else b, rtol=1e-9, atol=1e-12)


def loop(f, *xs):
    return fb.stack([f(*row) for row in zip(*xs)])


# -- axes
@pytest.mark.parametrize("in_dim", [0, 1, 2, -1])
@pytest.mark.parametrize("out_dim", [0, 1, -1])
def test_axes(in_dim, out_dim):
    x = values(2, 3, 4)
    got = vmap(lambda a: a.T * 2, in_dim, out_dim)(x)
    want = np.stack([a.T * 2 for a in np.moveaxis(x.numpy(), in_dim, 0)], out_dim)
    same(got, want)


def test_nested_arguments_and_results():
    p = {"w": values(3, 2), "b": values(2)}
    x = values(2, 5)

    def f(p, xs):
        return {"y": p["w"] @ xs[0] + p["b"].sum(), "z": (xs[1],)}

    out = vmap(f, ({"w": None, "b": None}, (1, None)), {"y": 0, "z": (1,)})(p, (x, values(4)))
    same(out["y"], (p["w"] @ x + p["b"].sum()).T)
    same(out["z"][0], values(4)[:, None].expand(4, 5))
    x = values(2, 3)
    both = vmap(lambda a, b: (a + b, a), (0, None), (0, -1))(x, values(3))
    assert both[0].shape == (2, 3) and both[1].shape == (3, 2)


def test_results_that_do_not_depend_on_the_batch():
    c = values(2)
    assert vmap(lambda a: c)(values(3)).shape == (3, 2)
    assert vmap(lambda a: c, out_dims=1)(values(3)).shape == (2, 3)
    assert vmap(lambda a: c, out_dims=None)(values(3)) is c
    with pytest.raises(GradientError, match="differs between examples"):
        vmap(lambda a: a, out_dims=None)(values(3))


def test_keyword_arguments_are_shared_and_no_examples_are_fine():
    same(vmap(lambda a, b: a * b)(values(3), b=values(2)), values(3)[:, None] * values(2))
    assert vmap(lambda a: a.sum() * 2)(fb.zeros(0, 3)).shape == (0,)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: vmap(lambda a: a, in_dims=None)(values(2)), ArgumentError, "at least one argument"),
        (lambda: vmap(lambda a, b: a)(values(2), values(3)), ArgumentError, r"sizes \[2, 3\]"),
        (lambda: vmap(lambda a, b: a)(values(2), 3), ArgumentTypeError, "in_dims=None there"),
        (lambda: vmap(lambda a: a, in_dims=2)(values(2)), IndexingError, "in_dims within the 1 axes"),
        (lambda: vmap(lambda a: a, in_dims=(0, 0))(values(2)), ArgumentError, "follow the structure"),
        (lambda: vmap(lambda a: a, in_dims="x")(values(2)), ArgumentTypeError, "ints or None"),
        (lambda: vmap(lambda a: a, out_dims=3)(values(2)), IndexingError, "out_dims"),
        (lambda: vmap(lambda a: 3)(values(2)), ArgumentTypeError, "returns tensors"),
        (lambda: vmap(lambda a: a, randomness="no"), ArgumentError, "randomness"),
        (lambda: vmap(lambda a: a, chunk_size=0), ArgumentError, "chunk_size"),
    ],
)
def test_wrong_arguments(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_chunks(chunk):
    x = values(5, 3)
    seen = []

    def f(a, k):
        seen.append(a.shape)
        return a * 2, (a.sum() + k)

    got = vmap(f, (0, None), (1, 0), chunk_size=chunk)(x, values(1)[0])
    want = vmap(f, (0, None), (1, 0))(x, values(1)[0])
    assert len(seen) == 1 + -(-5 // chunk)
    for g, w in zip(got, want):
        same(g, w)


# -- nesting and gradients
def test_nested():
    x, y = values(3), values(4)
    same(vmap(lambda a: vmap(lambda b: a * b + b)(y))(x), x[:, None] * y + y)
    same(vmap(vmap(fb.dot, (None, 1), 0), (0, None), 0)(values(2, 3), values(3, 4)), values(2, 3) @ values(3, 4))
    same(vmap(vmap(vmap(lambda a: a * 2)))(values(2, 3, 4)), values(2, 3, 4) * 2)
    z = values(2, 3, 4)
    same(vmap(lambda a: vmap(lambda b, c: b + c, (1, None))(a, a[0, 0]), 1)(z), np.stack([(z[:, i] + z[0, i, 0]).T for i in range(3)]))


FUNCTIONS = {
    "elementwise": lambda a, w: (a * w).sin() + a,
    "reduction": lambda a, w: (a * w).sum() * a.exp(),
    "product": lambda a, w: (a[:, None] * w).T @ a,
    "softmax": lambda a, w: fb.softmax(a * w, 0).log(),
    "views": lambda a, w: fb.cat([a[1:], (a * w)[:1]]).flip(0).reshape(-1, 1).expand(3, 2),
    "index": lambda a, w: (a * w)[fb.tensor([0, 2, 0])] * w,
    "cumulative": lambda a, w: (a + 2).cumprod(0) * w.cumsum(0),
    "where": lambda a, w: fb.where(a > 0, a * w, -a),
    "in place": lambda a, w: (a * 1).mul_(w).pow_(2).add_(a),
    "write": lambda a, w: _write(a, w),
}


def _write(a, w):
    b = fb.zeros_like(a)
    b[0] = a[1] * w[0]
    b[1:].add_(a[:2] * w[1:])
    b[:2] *= 3
    return b


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_through_and_inside(name):
    f = FUNCTIONS[name]
    x, w = values(4, 3).requires_grad_(), values(3).requires_grad_()
    same(vmap(f, (0, None))(x, w), loop(lambda a: f(a, w), x))
    assert gradcheck(lambda x, w: vmap(f, (0, None))(x, w), (x, w), check_batched_grad=True)
    assert gradgradcheck(lambda x, w: vmap(f, (0, None))(x, w), (x, w), fast_mode=True)
    total = lambda a, w: f(a, w).sum()
    same(vmap(grad(total), (0, None))(x, w), loop(lambda a: grad(total)(a, w), x))
    assert gradcheck(lambda x, w: vmap(grad(total, (0, 1)), (0, None))(x, w), (x, w), fast_mode=True)
    same(vmap(jacrev(f), (0, None))(x, w), loop(lambda a: jacrev(f)(a, w), x))
    same(vmap(jacfwd(f), (0, None))(x, w), loop(lambda a: jacrev(f)(a, w), x))
    same(
        vmap(grad(lambda a, w: grad(total)(a, w).sum()), (0, None))(x, w),
        loop(lambda a: grad(lambda a, w: grad(total)(a, w).sum())(a, w), x),
    )


def test_detach_and_no_grad_inside():
    w = values(3).requires_grad_()
    vmap(lambda a: (a * w).detach() * w)(values(4, 3)).sum().backward()
    same(w.grad, values(4, 3).sum(0) * w)
    out = vmap(lambda a: (a * w).data)(values(4, 3))
    assert not out.requires_grad

    def f(a):
        with fb.no_grad():
            return a * w

    assert not vmap(f)(values(4, 3)).requires_grad


def test_results_require_grad_only_if_something_outside_does():
    x, y = values(3, 2), values(2)
    for dims in ((0, None), (0, 0)):
        ys = y if dims[1] is None else values(3, 2)
        assert not vmap(grad(lambda a, b: (a * b).sin().sum(), (0, 1)), dims)(x, ys)[1].requires_grad
    w = values(2).requires_grad_()
    assert vmap(grad(lambda a: (a * w).sin().sum()))(x).requires_grad


def test_backward_inside_is_an_error():
    w = values(3).requires_grad_()
    with pytest.raises(GradientError, match="outside vmap"):
        vmap(lambda a: (a * w).sum().backward() or a)(values(2, 3))


def test_autograd_grad_inside():
    w = values(3).requires_grad_()
    per_example = vmap(lambda a: fb.autograd.grad((a * w).sin().sum(), w)[0])(values(4, 3))
    same(per_example, loop(lambda a: fb.autograd.grad((a * w).sin().sum(), w)[0], values(4, 3)))


def test_transforms_of_each_other():
    x = values(3)
    same(jvp(vmap(fb.sin), (x,), (x,))[1], x.cos() * x)
    _, pull = vjp(vmap(lambda a: a**3), x)
    same(vmap(pull)(fb.eye(3, dtype=fb.float64))[0], (3 * x**2).diag())
    same(vmap(lambda v: jvp(fb.sin, (x,), (v,))[1])(fb.eye(3, dtype=fb.float64)), x.cos().diag())


# -- writes
def test_writes_reach_views_and_the_outside():
    x = values(3, 4)
    before = x.clone()

    def f(a):
        view = a[1:]
        a.mul_(2)
        view[0] = 7
        flat = a.view(2, 2)
        flat[1].add_(1)
        return view.clone()

    got = vmap(f)(x)
    want = before * 2
    want[:, 1] = 7
    want[:, 2:] += 1
    same(x, want)
    same(got, want[:, 1:])


def test_writes_with_another_axis():
    x = values(4, 3)
    vmap(lambda a: a.add_(1), 1)(x)
    same(x, values(4, 3) + 1)
    y = values(2, 3, 2)
    vmap(lambda a: a.diagonal().mul_(3), 1)(y)
    want = values(2, 3, 2)
    for i in range(2):
        want[i, :, i] *= 3
    same(y, want)
    z = values(2, 3)
    vmap(lambda a: a.copy_(fb.zeros(3, dtype=fb.float64)))(z)
    assert not z.any()


def test_new_tensors_made_from_batched_ones_have_memory_for_each_example():
    def f(a):
        out = a.new_zeros(2)
        out[0] = a.sum()
        ones = fb.ones_like(a)
        ones[1] = a[0]
        full = fb.full_like(a, 2)
        full.add_(a)
        return out, ones, full

    x = values(3, 4)
    out, ones, full = vmap(f)(x)
    same(out[:, 0], x.sum(1))
    same(ones[:, 1], x[:, 0])
    same(full, x + 2)
    nested = vmap(vmap(lambda a: fb.zeros_like(a).add_(a)))(x)
    same(nested, x)


def test_batched_values_into_shared_memory_are_an_error():
    shared = fb.zeros(3)
    for change in (lambda a: shared.add_(a), lambda a: shared.__setitem__(0, a[0]), lambda a: shared[:2].copy_(a[:2])):
        with pytest.raises(GradientError, match="memory for each example"):
            vmap(lambda a, change=change: change(a) or a)(fb.ones(2, 3))
    assert not shared.any()
    with pytest.raises(GradientError, match="memory for each example"):
        vmap(lambda a: vmap(lambda b: a.add_(b))(fb.ones(4)))(fb.ones(2))


def test_index_writes():
    x, i = values(3, 4), fb.tensor([1, 3, 0])

    def f(a, k):
        out = a * 1
        out[k] = 9
        return out

    want = x.clone()
    want[fb.arange(3), i] = 9
    same(vmap(f)(x, i), want)
    same(vmap(lambda k: x[0].index_fill(0, k.reshape(1), 5.0))(i), fb.stack([x[0].index_fill(0, k.reshape(1), 5.0) for k in i]))


# -- random numbers
DRAWS = {
    "rand": lambda a: fb.rand(3),
    "randn_like": lambda a: fb.randn_like(a),
    "randint": lambda a: fb.randint(0, 1000, (3,)),
    "randperm": lambda a: fb.randperm(20),
    "normal_": lambda a: fb.zeros_like(a).normal_(),
    "dropout": lambda a: fb.nn.functional.dropout(a.exp() + fb.arange(3) * 0, 0.5),
    "bernoulli": lambda a: fb.bernoulli(fb.full((30,), 0.5)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_randomness(name):
    f, x = DRAWS[name], fb.ones(3, 3)
    with pytest.raises(GradientError, match="randomness"):
        vmap(f)(x)
    fb.manual_seed(0)
    same_ = vmap(f, randomness="same", chunk_size=2)(x) if name != "normal_" else vmap(f, randomness="same")(x)
    assert (same_ == same_[:1]).all()
    fb.manual_seed(0)
    first = vmap(f, randomness="different")(x)
    assert not (first[0] == first[1]).all()
    fb.manual_seed(0)
    assert (vmap(f, randomness="different")(x) == first).all()


def test_random_numbers_with_batched_parameters():
    p = fb.tensor([[0.0, 1.0, 0.5], [1.0, 0.0, 0.5]])
    draws = {
        "bernoulli": lambda p: fb.bernoulli(p),
        "bernoulli_": lambda p: fb.zeros_like(p).bernoulli_(p),
        "poisson": lambda p: fb.poisson(p * 100),
        "binomial": lambda p: fb.binomial(fb.full((3,), 50.0), p),
    }
    for f in draws.values():
        out = vmap(f, randomness="different")(p.repeat(20, 1))
        assert (out[p.repeat(20, 1) == 0] == 0).all()
        assert (out[p.repeat(20, 1) == 1] > 0).all()
        assert len({float(v) for v in out[:, 2]}) > 1
        with pytest.raises(GradientError, match="randomness"):
            vmap(f)(p)
        with pytest.raises(GradientError, match="one draw for all"):
            vmap(f, randomness="same")(p)
    w = fb.eye(4)[fb.tensor([2, 0, 3])]
    assert vmap(lambda w: fb.multinomial(w, 1), randomness="different")(w).tolist() == [[2], [0], [3]]
    assert vmap(lambda w: fb.multinomial(w, 1), randomness="different")(w[:, None].expand(3, 5, 4)).shape == (3, 5, 1)
    nested = vmap(vmap(lambda p: fb.bernoulli(p), randomness="different"), randomness="different")(fb.full((8, 8, 4), 0.5))
    assert nested.shape == (8, 8, 4) and 0.2 < float(nested.mean()) < 0.8 and len({tuple(r.flatten().tolist()) for r in nested}) == 8
    fb.manual_seed(3)
    want = fb.bernoulli(p)
    fb.manual_seed(3)
    assert (vmap(fb.bernoulli, randomness="different")(p) == want).all()


def test_nested_randomness():
    f = lambda a, b: fb.rand(4)
    x = fb.zeros(2)

    def nested(outer, inner):
        return vmap(lambda a: vmap(lambda b: f(a, b), randomness=inner)(x), randomness=outer)(x)

    both = nested("different", "different").reshape(4, 4)
    assert len({tuple(r.tolist()) for r in both}) == 4
    rows = nested("different", "same")
    assert (rows[:, 0] == rows[:, 1]).all() and not (rows[0] == rows[1]).all()
    columns = nested("same", "different")
    assert (columns[0] == columns[1]).all() and not (columns[:, 0] == columns[:, 1]).all()


# -- what cannot be done
@pytest.mark.parametrize(
    "f",
    [
        lambda a: a.item(),
        lambda a: a.tolist(),
        lambda a: a.numpy(),
        lambda a: float(a),
        lambda a: a if a > 0 else -a,
        lambda a: range(int(a)),
    ],
)
def test_values_of_one_example(f):
    with pytest.raises(ArgumentTypeError, match="flambeau.where"):
        vmap(f)(fb.arange(3.0))


def test_tensors_that_escape():
    kept = []
    vmap(lambda a: kept.append(a) or a)(values(3))
    with pytest.raises(GradientError, match="has ended"):
        kept[0] + 1
    with pytest.raises(GradientError, match="has ended"):
        kept[0].add_(1)
    assert "size=()" in repr(kept[0])


def test_a_failing_function_ends_its_vmap():
    with pytest.raises(ZeroDivisionError):
        vmap(lambda a: 1 / 0)(values(3))
    w = values(3).requires_grad_()
    (w * 2).sum().backward()  # would be refused inside


# -- Functions
class Scaled(Function):
    """x**2 * w, with a saved output and an attribute."""

    @staticmethod
    def forward(ctx, x, w, k):
        y = x * x * w
        ctx.save_for_backward(x, w, y)
        ctx.k = k
        return y * k, y

    @staticmethod
    def backward(ctx, g, h):
        x, w, y = ctx.saved_tensors
        return (g * ctx.k + h) * 2 * x * w, ((g * ctx.k + h) * x * x).reshape(w.shape), None


class ByRule(Function):
    """As `Scaled` for one output, with a vmap of its own."""

    calls = 0

    @staticmethod
    def forward(x, w):
        return x * x * w

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g * 2 * x * w, g * x * x

    @staticmethod
    def vmap(info, in_dims, x, w):
        ByRule.calls += 1
        assert info.batch_size == 4
        x = x if in_dims[0] is None else x.movedim(in_dims[0], 0)
        w = w if in_dims[1] is None else w.movedim(in_dims[1], 0)
        return ByRule.apply(x, w), 0


@pytest.mark.parametrize("f", [lambda a, w: sum(Scaled.apply(a, w, 3)), lambda a, w: ByRule.apply(a, w)])
def test_functions(f):
    x, w = values(4, 3).requires_grad_(), values(3).requires_grad_()
    mapped = lambda x, w: vmap(lambda a: f(a, w))(x)
    same(mapped(x, w), loop(lambda a: f(a, w), x))
    assert gradcheck(mapped, (x, w), check_batched_grad=True)
    assert gradgradcheck(mapped, (x, w), check_batched_grad=True)
    total = lambda a, w: f(a, w).sum()
    same(vmap(grad(total), (0, None))(x, w), loop(lambda a: grad(total)(a, w), x))
    assert gradcheck(lambda x, w: vmap(grad(total), (0, None))(x, w), (x, w))
    same(vmap(grad(lambda a: grad(total)(a, w).sum()))(x), loop(lambda a: grad(lambda a: grad(total)(a, w).sum())(a), x))


def test_nested_functions():
    x, w = values(4, 2, 3).requires_grad_(), values(3).requires_grad_()
    mapped = lambda x, w: vmap(vmap(lambda a: sum(Scaled.apply(a, w, 3))), 1)(x.transpose(0, 1))
    assert gradcheck(mapped, (x, w), check_batched_grad=True)
    assert gradgradcheck(mapped, (x, w))
    same(jacrev(mapped)(x.detach(), w.detach()), jacfwd(mapped)(x.detach(), w.detach()))


def test_two_ways_at_once_are_refused():
    class Both(ByRule):
        generate_vmap_rule = True

    with pytest.raises(GradientError, match="one of the two ways"):
        vmap(Both.apply)(values(4), values(4))
