"""Loops and branches: the same results and derivatives as plain Python code, eagerly and compiled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as fb
from flambeau import nn
from flambeau.base.errors import ArgumentError, ArgumentTypeError, GradientError, IndexingError, ShapeError
from flambeau.graph.capture import traced
from flambeau.graph.show import show
from flambeau.graph.verify import GraphError, verify
from flambeau.testing import assert_close

CALLS = 4  # as it is, captured, replayed twice


def compiled_like(fn, *makers, fullgraph=True, rtol=1e-6, atol=1e-7):
    """The compiled function gives what the plain one gives, for new values at each call."""
    compiled = fb.compile(fn, fullgraph=fullgraph)
    for i in range(CALLS):
        args = [make(np.random.default_rng(i)) for make in makers]
        fb.manual_seed(i)
        expected = fn(*args)
        fb.manual_seed(i)
        found = compiled(*args)
        for a, b in zip(found, expected, strict=True):
            assert_close(a, b, rtol=rtol, atol=atol)


def normal(*shape, grad=False):
    return lambda rng: fb.tensor(rng.standard_normal(shape), requires_grad=grad)


W = fb.tensor(np.random.default_rng(9).standard_normal((3, 3)), requires_grad=True)


def with_grads(fn, *also):
    """The results of `fn`, and the gradients of their sum of squares for its arguments and what else is named."""

    def run(*args):
        out = fn(*args)
        parts = out if isinstance(out, tuple) else (out,)
        total = sum((p * p * (i + 1)).sum() for i, p in enumerate(parts) if p.requires_grad)
        wanted = [a for a in (*args, *also) if a.requires_grad]
        return [p.detach() for p in parts] + list(fb.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True))

    return run


# -- scan -----------------------------------------------------------------------------------------------------------------------------
def recurrent(xs, h):
    return fb.scan(lambda h, x: ((h @ W + x).tanh(), (h * x).sum()), h, xs)


def recurrent_in_python(xs, h):
    ys = []
    for x in xs:
        h, y = (h @ W + x).tanh(), (h * x).sum()
        ys.append(y)
    return h, fb.stack(ys)


def test_scan_is_a_loop():
    args = normal(5, 2, 3, grad=True)(np.random.default_rng(0)), normal(2, 3, grad=True)(np.random.default_rng(1))
    for a, b in zip(with_grads(recurrent, W)(*args), with_grads(recurrent_in_python, W)(*args), strict=True):
        assert_close(a, b)


def test_scan_compiled():
    compiled_like(with_grads(recurrent, W), normal(5, 2, 3, grad=True), normal(2, 3, grad=True))
    compiled_like(lambda *args: [x.detach() for x in recurrent(*args)], normal(6, 2, 3), normal(2, 3))


def test_scan_is_one_operation():
    with fb.no_grad():
        _, capture = traced(lambda: recurrent(fb.randn(50, 2, 3).double(), fb.zeros(2, 3).double()))
    graph = verify(capture.graph)
    names = [op.prim.name for op in graph.ops]
    assert names.count("scan") == 1
    assert len(names) < 8
    assert "    body:" in show(graph)
    (op,) = [op for op in graph.ops if op.prim.name == "scan"]
    op.params["length"] = 49
    with pytest.raises(ShapeError):
        verify(graph)
    op.params["length"] = 50
    op.params["body"].ops.pop()
    with pytest.raises(GraphError, match="inside operation"):
        verify(graph)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_with_containers_axes_and_integers(reverse):
    def fn(x, k):
        def body(carry, inp):
            i, (total, last) = carry
            out = {"out": total * inp["x"] + i, "i": i, "none": None}
            return (i + inp["k"], (total + inp["x"], inp["x"])), out

        (i, (total, last)), ys = fb.scan(body, (0, (fb.zeros(2).double(), x[:, 0])), {"x": x, "k": k}, dim=-1, reverse=reverse)
        assert ys["none"] is None
        return i, total, last, ys["out"], ys["i"]

    def plain(x, k):
        i, total, last, outs, numbers = fb.tensor(0), fb.zeros(2).double(), x[:, 0], [], []
        for t in range(x.shape[1])[::-1] if reverse else range(x.shape[1]):
            outs.append(total * x[:, t] + i)
            numbers.append(i)
            i, total, last = i + k[t], total + x[:, t], x[:, t]
        order = slice(None, None, -1) if reverse else slice(None)
        return i, total, last, fb.stack(outs[order]), fb.stack(numbers[order])

    x, k = normal(2, 4, grad=True)(np.random.default_rng(0)), fb.arange(4)
    for a, b in zip(with_grads(fn)(x, k), with_grads(plain)(x, k), strict=True):
        assert_close(a, b)
    compiled_like(with_grads(fn), normal(2, 4, grad=True), lambda rng: fb.tensor(rng.integers(0, 5, 4)))


def test_scan_second_derivatives():
    def hessian_product(x, v):
        def f(x):
            return fb.scan(lambda c, t: (c * t.sin() + c**2 * 0.1, c * t), fb.ones(3).double() * x.mean(), x)

        carry, ys = f(x)
        (g,) = fb.autograd.grad((carry.sum() + (ys**2).sum()), x, create_graph=True)
        return [*fb.autograd.grad((g * v).sum(), x), g.detach()]

    compiled_like(hessian_product, normal(4, 3, grad=True), normal(4, 3), rtol=1e-7, atol=1e-9)

    def summed(x):
        return fb.scan(lambda c, t: (c * t.sin(), c * t), x[0], x)[1].sum()

    x = normal(3, 2, grad=True)(np.random.default_rng(0))
    assert fb.autograd.gradcheck(summed, (x,))
    assert fb.autograd.gradgradcheck(summed, (x,))


def test_scan_of_no_steps_and_without_xs():
    def fn(x):
        carry, ys = fb.scan(lambda c, t: (c + t, (c, t.sum())), x.sum(0), x[:0])
        return carry, *ys, fb.scan(lambda c, _: (c * 2, None), x, length=3)[0]

    out = fn(fb.ones(2, 3))
    assert [tuple(o.shape) for o in out] == [(3,), (0, 3), (0,), (2, 3)]
    assert out[3][0, 0] == 8
    compiled_like(lambda x: list(fn(x)), normal(2, 3))


def test_random_numbers_in_a_body():
    def fn(x):
        before = fb.rand(2)
        noisy = fb.scan(lambda c, t: (nn.functional.dropout(c + t, 0.5), fb.randn(2)), x[0], x)
        return [before, noisy[0], noisy[1], fb.rand(2)]

    compiled_like(fn, normal(4, 8))


def test_writes_in_a_body_are_seen():
    """Memory from outside that a body changes: the loop is unrolled."""

    def fn(x):
        count = fb.zeros(2).double()

        def body(c, t):
            count.add_(t)
            return c * 1.5, count.sum()

        c, ys = fb.scan(body, x[0], x)
        return [c, ys, count]

    compiled_like(fn, normal(3, 2))


def test_a_recurrent_network_learns_the_same():
    def train(compiled):
        fb.manual_seed(0)
        cell, head = nn.GRUCell(2, 5), nn.Linear(5, 1)
        optimizer = fb.optim.Adam([*cell.parameters(), *head.parameters()], lr=0.05)

        def step(xs, y):
            h, _ = fb.scan(lambda h, x: (cell(x, h), None), fb.zeros(3, 5), xs)
            loss = nn.functional.mse_loss(head(h), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        step = fb.compile(step, fullgraph=True) if compiled else step
        xs, y = fb.randn(6, 3, 2), fb.randn(3, 1)
        return [step(xs, y).item() for _ in range(10)]

    eager = train(False)
    assert eager[-1] < eager[0]
    np.testing.assert_allclose(train(True), eager, rtol=1e-4)


def test_an_index_out_of_range_in_a_body():
    table = fb.randn(4, 2)

    def fn(i):
        return fb.scan(lambda c, k: (c + nn.functional.embedding(k, table), None), fb.zeros(2), i)[0]

    compiled = fb.compile(fn, fullgraph=True)
    for _ in range(3):
        assert_close(compiled(fb.tensor([0, 3, 1])), fn(fb.tensor([0, 3, 1])))
    with pytest.raises(IndexingError):
        compiled(fb.tensor([0, 9, 1]))
    assert_close(compiled(fb.tensor([2, 3, 1])), fn(fb.tensor([2, 3, 1])))


def test_nested_loops():
    def fn(x):
        def outer(c, row):
            inner, ys = fb.scan(lambda d, v: (d * 0.5 + v, d), c, row)
            return inner, ys.sum()

        return fb.scan(outer, x.sum() * 0, x)

    compiled_like(with_grads(fn), normal(3, 4, grad=True))


def test_fori_loop():
    def fn(x):
        return fb.fori_loop(2, 6, lambda i, c: c * W.sum().sin() + i * x, x)

    def plain(x):
        c = x
        for i in range(2, 6):
            c = c * W.sum().sin() + i * x
        return c

    x = normal(3, grad=True)(np.random.default_rng(0))
    for a, b in zip(with_grads(fn, W)(x), with_grads(plain, W)(x), strict=True):
        assert_close(a, b)
    compiled_like(with_grads(fn, W), normal(3, grad=True))
    assert fb.fori_loop(3, 3, lambda i, c: c + 1, x) is x


def test_bad_scans():
    x = fb.ones(3)
    with pytest.raises(ShapeError, match=r"same shapes and dtypes: float32\[\], got float32\[1\]"):
        fb.scan(lambda c, t: (c[None], None), x[0], x)
    with pytest.raises(ArgumentTypeError, match=r"combine_fn to give \(carry, y\)"):
        fb.scan(lambda c, t: c, x[0], x)
    with pytest.raises(ArgumentError, match="or a length"):
        fb.scan(lambda c, t: (c, t), x[0])
    with pytest.raises(ArgumentError, match=r"one size along dim.*sizes \[2, 3\]"):
        fb.scan(lambda c, t: (c, None), x[0], (x, x[:2]))
    with pytest.raises(ArgumentTypeError, match="fori_loop"):
        fb.fori_loop(0, fb.tensor(3), lambda i, c: c, x)


# -- cond -----------------------------------------------------------------------------------------------------------------------------
def test_cond_takes_one_branch():
    calls = []
    out = fb.cond(fb.tensor([True]), lambda x: (calls.append(1), x + 1)[1], lambda x: (calls.append(2), x - 1)[1], (fb.ones(2),))
    assert (out.tolist(), calls) == ([2.0, 2.0], [1])
    assert fb.cond(False, lambda: fb.ones(1), lambda: fb.zeros(1)).item() == 0.0


def test_cond_compiled():
    bias = fb.tensor(np.ones(3), requires_grad=True)

    def fn(x, y):
        def positive(x, pair):
            return {"a": (x @ W).sin(), "b": pair[0]}

        def negative(x, pair):
            return {"a": x * bias, "b": pair[0] * pair[1]}

        out = fb.cond(x.sum() > 0, positive, negative, (x, [y, 2.0]))
        return out["a"], out["b"]

    signs = set()

    def make(rng):
        x = fb.tensor(rng.standard_normal((2, 3)), requires_grad=True)
        signs.add(bool(x.sum() > 0))
        return x

    compiled_like(with_grads(fn, W, bias), make, normal(2, grad=True))
    assert signs == {True, False}
    with fb.no_grad():
        _, capture = traced(lambda: fn(fb.ones(2, 3).double(), fb.ones(2).double()))
    assert [op.prim.name for op in verify(capture.graph).ops].count("cond") == 1


def test_cond_second_derivatives_and_nesting():
    def fn(x):
        inner = lambda x: fb.cond(x.max() > 1, lambda x: x**3, lambda x: x.exp(), (x,))
        y = fb.cond(x.sum() > 0, inner, lambda x: x**2 * x.sum(), (x,)).sum()
        (g,) = fb.autograd.grad(y, x, create_graph=True)
        return [y.detach(), g.detach(), *fb.autograd.grad((g * g).sum(), x)]

    compiled_like(fn, normal(3, grad=True), rtol=1e-8)
    x = fb.tensor([0.3, -0.2, 0.4], dtype=fb.float64, requires_grad=True)
    assert fb.autograd.gradcheck(lambda x: fb.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (x,)), (x,))


def test_the_branch_not_taken_draws_nothing():
    def fn(x):
        a = fb.cond(x.sum() > 0, lambda: fb.rand(3), lambda: fb.randn(5)[:3] + fb.rand(3))
        return [a, fb.rand(2)]

    compiled_like(fn, normal(3))


def test_branches_that_differ_run_as_python():
    def fn(x):
        return [fb.cond(x.sum() > 0, lambda x: x, lambda x: x.add_(1), (x * 2,))]

    compiled = fb.compile(fn)
    for i in (2, 2, 0, 1, 0, 2):
        assert_close(compiled(fb.ones(2) * (i - 1))[0], fn(fb.ones(2) * (i - 1))[0])


def test_cond_in_vmap():
    x = fb.tensor([[1.0, 2.0], [-3.0, 1.0]])
    out = fb.vmap(lambda x: fb.cond(x.sum() > 0, lambda x: x * 2, lambda x: -x, (x,)))(x)
    assert out.tolist() == [[2.0, 4.0], [3.0, -1.0]]


def test_bad_conds():
    with pytest.raises(ShapeError, match="one element"):
        fb.cond(fb.tensor([True, False]), lambda: 1, lambda: 2)
    with pytest.raises(ArgumentTypeError, match="a tuple of operands"):
        fb.cond(True, lambda x: x, lambda x: x, fb.ones(2))
    with pytest.raises(ArgumentTypeError, match="results as tensors"):
        fb.cond(True, lambda: "text", lambda: "text")
    compiled = fb.compile(lambda x: fb.cond(x.sum() > 0, lambda x: x, lambda x: x[:1], (x,)))
    compiled(fb.ones(2))
    with pytest.raises(ShapeError, match="results of both functions"):
        compiled(fb.ones(2))


# -- while_loop -----------------------------------------------------------------------------------------------------------------------
def collatz(n):
    def step(n, count):
        return fb.cond(n % 2 == 0, lambda n: n // 2, lambda n: 3 * n + 1, (n,)), count + 1

    return fb.while_loop(lambda n, count: n != 1, step, (n, 0))


def test_while_loop():
    assert [x.item() for x in collatz(fb.tensor(27))] == [1, 111]
    compiled_like(lambda n: list(collatz(n)), lambda rng: fb.tensor(int(rng.integers(1, 99))))


def test_while_loop_uses_tensors_from_outside():
    limit = fb.tensor(50.0)

    def fn(x):
        return list(fb.while_loop(lambda x, i: (x.sum() < limit) & (i < 99), lambda x, i: (x * 1.5 + W.detach().float()[0], i + 1), (x, 0)))

    compiled_like(fn, lambda rng: fb.tensor(rng.standard_normal(3), dtype=fb.float32), rtol=1e-4)
    limit.fill_(500.0)
    compiled_like(fn, lambda rng: fb.tensor(rng.standard_normal(3), dtype=fb.float32), rtol=1e-4)


def test_while_loop_is_forward_only():
    def fn(x):
        (y,) = fb.while_loop(lambda x: x.sum() < 100, lambda x: (x * (1.5 + (W * W).sum().float()),), (x,))
        return y

    y = fn(fb.ones(2))
    assert y.requires_grad
    with pytest.raises(GradientError, match="max_iters="):
        y.sum().backward()

    def step(x):
        fn(x).sum().backward()
        return x

    compiled = fb.compile(step)
    for _ in range(2):
        with pytest.raises(GradientError, match="max_iters="):
            compiled(fb.ones(2))


def test_while_loop_with_a_bound():
    def fn(x):
        y, n = fb.while_loop(lambda x, n: x.norm() < 50, lambda x, n: (x @ W + x.exp(), n + 1), (x, 0), max_iters=6)
        return y, n

    def plain(x):
        n = fb.tensor(0)
        while x.norm() < 50 and n < 6:
            x, n = x @ W + x.exp(), n + 1
        return x, n

    x = normal(3, grad=True)(np.random.default_rng(1))
    for a, b in zip(with_grads(fn, W)(x), with_grads(plain, W)(x), strict=True):
        assert_close(a, b)
    compiled_like(with_grads(fn, W), normal(3, grad=True), rtol=1e-6)


def test_bad_while_loops():
    with pytest.raises(ShapeError, match="one truth value"):
        fb.while_loop(lambda x: x > 0, lambda x: (x,), (fb.ones(2),))
    with pytest.raises(ArgumentTypeError, match="the same containers"):
        fb.while_loop(lambda x: x > 0, lambda x: x, (fb.ones(1),))
    with pytest.raises(ArgumentError, match="max_iters"):
        fb.while_loop(lambda x: x > 0, lambda x: (x,), (fb.ones(1),), max_iters=-1)


# -- random programs ------------------------------------------------------------------------------------------------------------------
UNARY = [fb.sin, fb.tanh, fb.neg, lambda x: x * 0.5, lambda x: x + 1, lambda x: x.sum() * 0.1 + x]
LEAF = st.sampled_from(range(len(UNARY)))


def programs(depth):
    if not depth:
        return LEAF
    inner = programs(depth - 1)
    return st.one_of(
        LEAF,
        st.tuples(st.just("chain"), inner, inner),
        st.tuples(st.just("cond"), st.floats(-1, 1), inner, inner),
        st.tuples(st.just("scan"), st.integers(1, 3), st.booleans(), inner),
        st.tuples(st.just("while"), st.integers(0, 3), inner),
    )


def perform(program, x):
    if isinstance(program, int):
        return UNARY[program](x)
    kind, *rest = program
    if kind == "chain":
        return perform(rest[1], perform(rest[0], x))
    if kind == "cond":
        return fb.cond(x.sum() > rest[0], lambda x: perform(rest[1], x), lambda x: perform(rest[2], x), (x,))
    if kind == "scan":
        n, reverse, body = rest
        weights = fb.linspace(0.5, 1.0, n).double()
        carry, ys = fb.scan(lambda c, w: (perform(body, c) * w, c * w), x, weights, reverse=reverse)
        return carry + ys.mean(0)
    limit, body = rest
    return fb.while_loop(lambda c, i: i < limit, lambda c, i: (perform(body, c), i + 1), (x, 0), max_iters=4)[0]


@settings(max_examples=12, deadline=None)
@given(programs(3))
def test_random_programs(program):
    compiled_like(with_grads(lambda x: perform(program, x)), normal(2, 2, grad=True), rtol=1e-6, atol=1e-8)
