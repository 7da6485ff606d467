"""What a compiled function may see and change: aliasing, views, state, modes, randomness, errors."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.compiler import compile


def agree(fn, make, calls=4):
    """A function does the same compiled: results, arguments afterwards, and what it returns of them."""
    results = []
    for compiled in (False, True):
        f = compile(fn, fullgraph=True) if compiled else fn
        rounds = []
        for i in range(calls):
            fb.manual_seed(i)
            args = make(i)
            out = f(*args)
            outs = out if isinstance(out, tuple) else (out,)
            rounds.append([x.detach().numpy().copy() for x in (*outs, *args) if isinstance(x, fb.Tensor)])
        results.append(rounds)
    for eager, same in zip(*results):
        for a, b in zip(eager, same):
            np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)


def two(i):
    fb.manual_seed(100 + i)
    return fb.randn(3, 4), fb.randn(3, 4)


def swap_rows(x, y):
    first = x[0].clone()
    x[0] = x[1]
    x[1] = first
    return x * y


def write_view(x, y):
    v = x.t()[1:3]
    v.mul_(2)
    x[:, 0] = y[:, 1]
    return v.sum() + x.sum()


def chain_of_views(x, y):
    a = x.view(2, 6)
    b = a[1]
    b[2:4] += 10
    a.add_(1)
    return b.clone(), a.sum()


def view_before_and_after(x, y):
    v = x[1]
    before = v * 1
    x.add_(y)
    return before, v * 1


def in_place_on_result(x, y):
    z = x * y
    w = z[0]
    z.clamp_(-0.1, 0.1)
    return w + 1, z


def masked(x, y):
    x[x > 0] = 0
    return fb.where(x < -1, y, x)


def returns_argument(x, y):
    y.zero_()
    return x, y


def accumulate(x, y):
    total = fb.zeros(4)
    for row in x:
        total += row
    return total


def diagonal(x, y):
    x.diagonal().fill_(1)
    return x @ y.t()


def copy_between(x, y):
    x.copy_(y)
    y.fill_(3)
    return x.sum()


def overlapping(x, y):
    w = x.view(-1).unfold(0, 3, 1)
    s = w.sum()
    x.mul_(0)
    return s, w.sum()


def gather_scatter(x, y):
    order = x.argsort(1)
    z = x.gather(1, order)
    z.scatter_add_(1, order, y)
    return z.cumsum(0)


def random_numbers(x, y):
    return x + fb.randn(3, 4) + nn.functional.dropout(y, 0.5) + fb.rand(4)


def several_dtypes(x, y):
    return (x > y).sum(), (x * 10).int() // 3, x.double() @ y.double().t(), x.half() + 1


def reductions(x, y):
    return x.softmax(1), y.log_softmax(0), x.max(1).values, x.argmax(0), x.var(1), x.logsumexp(1), x.prod(0), x.norm()


CASES = [
    swap_rows, write_view, chain_of_views, view_before_and_after, in_place_on_result, masked, returns_argument, accumulate, diagonal,
    copy_between, overlapping, gather_scatter, random_numbers, several_dtypes, reductions,
]  # fmt: skip


@pytest.mark.parametrize("fn", CASES, ids=lambda f: f.__name__)
def test_same_as_eager(fn):
    agree(fn, two)


def test_the_same_tensor_twice_and_strided_arguments():
    agree(lambda a, b: a + 2 * b, lambda i: (t := fb.randn(3), t)[::-1] if i else (fb.randn(3), fb.randn(3)))
    agree(lambda a, b: a.t() @ b, lambda i: (fb.randn(4, 3).t()[:, ::2], fb.randn(3, 2)))


def test_state_lives_outside():
    counter = fb.zeros(())

    @compile(fullgraph=True)
    def tick(x):
        counter.add_(1)
        return x * counter

    assert [tick(fb.ones(())).item() for _ in range(5)] == [1, 2, 3, 4, 5]
    assert counter.item() == 5
    counter.fill_(10)
    assert tick(fb.ones(())).item() == 11


def test_versions_count_on_so_that_eager_backward_notices():
    buffer = fb.ones(3)
    bump = compile(lambda: buffer.add_(1).sum(), fullgraph=True)
    for _ in range(3):
        bump()
    w = fb.ones(3, requires_grad=True)
    y = (w * buffer).sum()
    bump()
    with pytest.raises(RuntimeError, match="inplace"):
        y.backward()


def test_train_and_eval_are_different_programs():
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3))
    f = compile(lambda x: model(x).detach(), fullgraph=True)
    x = fb.randn(8, 3)
    with fb.no_grad():
        for _ in range(3):
            f(x)
        model.eval()
        for _ in range(3):
            np.testing.assert_allclose(f(x).numpy(), model(x).numpy(), rtol=1e-6)


def test_new_weights_are_seen():
    layer = nn.Linear(2, 2)
    f = compile(lambda x: layer(x).detach(), fullgraph=True)
    x = fb.ones(1, 2)
    for _ in range(3):
        f(x)
    with fb.no_grad():
        layer.weight.fill_(1)
        layer.bias.zero_()
    assert f(x).tolist() == [[2, 2]]
    layer.weight.data = fb.full((2, 2), 2.0)
    layer.load_state_dict({"weight": fb.full((2, 2), 3.0), "bias": fb.zeros(2)})
    assert f(x).tolist() == [[6, 6]]


def test_closures_and_python_arguments():
    scale = 2.0

    def f(x, n, flag=True):
        return x * scale + n if flag else x

    g = compile(f, fullgraph=True)
    for n in (1, 2):
        for flag in (True, False):
            for _ in range(3):
                assert g(fb.ones(1), n, flag=flag).item() == (2.0 + n if flag else 1)
    scale = 5.0
    for _ in range(3):
        assert g(fb.ones(1), 1).item() == 6.0


def test_structures_go_in_and_out():
    f = compile(lambda batch: {"sum": batch["a"] + batch["b"][0], "same": batch["a"], "note": "text"}, fullgraph=True)
    for _ in range(3):
        a = fb.ones(2)
        out = f({"a": a, "b": [fb.full((2,), 2.0)]})
        assert out["sum"].tolist() == [3, 3] and out["same"] is a and out["note"] == "text"


def test_results_are_not_overwritten_by_the_next_run():
    f = compile(lambda x: x * 2, fullgraph=True)
    kept = [f(fb.full((3,), float(i))) for i in range(5)]
    assert [k[0].item() for k in kept] == [0, 2, 4, 6, 8]


def test_shapes_make_programs_of_their_own():
    f = compile(lambda x: x.sum(), fullgraph=True)
    for n in (2, 3, 2, 3, 2, 3):
        assert f(fb.ones(n)).item() == n
    assert len(f.programs) == 2


def test_methods_modules_and_nesting():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = compile(lambda x: x + 1)

        @compile
        def forward(self, x):
            return self.inner(x) * 2

    m = Model()
    for _ in range(3):
        assert m(fb.ones(1)).item() == 4


def test_an_exception_leaves_state_untouched():
    state = fb.zeros(2)

    def f(x, bad):
        y = x + 1
        if bad:
            raise KeyError("mine")
        state.add_(y)
        return y

    g = compile(f, fullgraph=True)
    for _ in range(3):
        g(fb.ones(2), False)
    for _ in range(3):
        with pytest.raises(KeyError, match="mine"):
            g(fb.ones(2), True)
    assert state.tolist() == [6, 6]


@pytest.mark.filterwarnings("ignore:.*was captured 8 times")
def test_gradients_that_were_there_before_count():
    """Steps that add to, read or replace the gradients of the call before, with gradients cleared outside now and then."""

    def accumulate(w, x):
        (w * x).sum().backward()

    def step_then_backward(w, x):
        if w.grad is not None:
            with fb.no_grad():
                w -= 0.1 * w.grad
            w.grad = None
        (w * w * x).sum().backward()

    def clear_in_place(w, x):
        if w.grad is not None:
            w.grad.zero_()
        (w * w * x).sum().backward()

    for fn in (accumulate, step_then_backward, clear_in_place):
        seen = []
        for compiled in (False, True):
            w = fb.tensor([1.0, 2.0], requires_grad=True)
            f = compile(lambda x, w=w, fn=fn: fn(w, x), fullgraph=True) if compiled else (lambda x, w=w, fn=fn: fn(w, x))
            trace = []
            for i in range(8):
                f(fb.full((2,), float(i)))
                trace.append((w.grad.tolist(), w.tolist()))
                if i in (3, 5):
                    w.grad = None
            seen.append(trace)
        np.testing.assert_allclose(np.array(seen[1]), np.array(seen[0]), rtol=1e-5, err_msg=fn.__name__)


def test_gradients_accumulate_over_calls():
    w = fb.ones(3, requires_grad=True)
    f = compile(lambda x: (w * x).sum().backward(), fullgraph=True)
    for i in range(1, 5):
        f(fb.ones(3))
        assert w.grad.tolist() == [i] * 3


def test_host_code_that_decides_by_values_runs_uncompiled():
    """Arguments read directly, draws by probabilities, lengths: what Python made of them must not stay."""

    def by_argument(x, n):
        return x * n.reshape(1).tolist()[0]

    def by_probability(x, n):
        return fb.bernoulli(x.abs().clamp(max=1)) + n

    def by_lengths(x, n):
        logs = x.reshape(3, 1, 4).log_softmax(-1)
        return nn.functional.ctc_loss(logs, fb.tensor([[1]]), n.reshape(1) + 1, fb.tensor([1]), reduction="sum")

    for fn in (by_argument, by_probability, by_lengths):
        compiled = compile(fn)
        for i in range(4):
            x = fb.rand(3, 4, generator=fb.Generator().manual_seed(i)).round() if fn is by_probability else fb.ones(3, 4) * i
            n = fb.tensor(i % 3)
            fb.manual_seed(i)
            expected = fn(x, n)
            fb.manual_seed(i)
            if i == 1:
                with pytest.warns(UserWarning, match="runs uncompiled"):
                    found = compiled(x, n)
            else:
                found = compiled(x, n)
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)


def test_vmap_inside_and_other_devices():
    agree(lambda x, y: fb.vmap(lambda a, b: (a * b).sum() + fb.sort(a)[0])(x, y), two)
    agree(lambda x, y: fb.vmap(lambda a: a.mul_(2).cumsum(0))(x.clone()) + y, two)
    agree(lambda x, y: fb.func.hessian(lambda a: (a**3).sum())(x[0]), two)
    f = compile(lambda x: x * 2)
    f(fb.ones(2, device="meta"))
    with pytest.warns(UserWarning, match="device 'meta'"):
        f(fb.ones(2, device="meta"))
    assert f(fb.ones(2, device="meta")).shape == (2,)


def test_another_stream_of_random_numbers():
    """`use_stream` between calls: the program draws from the new stream."""
    compiled = fb.compile(lambda: fb.rand(5) + 1)
    for _ in range(3):
        compiled()
    before = fb.random.use_stream("torch")
    try:
        for _ in range(3):
            fb.manual_seed(3)
            got = compiled()
            fb.manual_seed(3)
            np.testing.assert_allclose(got, fb.rand(5) + 1)
    finally:
        fb.random.use_stream(before)
