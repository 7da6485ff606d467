"""Functions that read values while they run: every way by the values is a path of one program; effects happen once."""

from __future__ import annotations

import math
import re
import warnings

import numpy as np
import pytest

import flambeau as fb
from flambeau import nn
from flambeau.compiler import compile
from flambeau.graph.capture import CannotCapture


def same(fn, inputs, state=()):
    """A function gives the same compiled, call by call, and leaves tensors outside the same; returns the compiled function."""
    saved = [t.detach().clone() for t in state]
    eager = []
    fb.manual_seed(0)
    for args in inputs:
        out = fn(*args)
        eager.append(plain(out) + [t.tolist() for t in state])
    with fb.no_grad():
        for t, old in zip(state, saved):
            t.copy_(old)
    fb.manual_seed(0)
    f = compile(fn)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i, args in enumerate(inputs):
            found = plain(f(*args)) + [t.tolist() for t in state]
            for a, b in zip(found, eager[i], strict=True):
                assert type(a) is type(b)
                np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6, err_msg=f"call {i}")
    return f


def plain(out):
    outs = out if isinstance(out, tuple) else (out,)
    return [o.tolist() if isinstance(o, fb.Tensor) else o for o in outs]


def vectors(*numbers):
    return [(fb.full((3,), float(n)),) for n in numbers]


def captures(f):
    return sum(f.captures.values())


def test_bool_takes_either_way_and_captures_each_once():
    def f(x):
        y = x * 2
        return y + 1 if (y.sum() > 0).item() else y - 1

    g = same(f, vectors(1, 1, -1, 1, -1, 2, -3))
    assert captures(g) == 2


def test_comparison_of_a_float_is_a_branch_and_arithmetic_is_not():
    def f(x):
        n = x.sum().item()
        return x * (n / 2 + 1) if n > 0 else x * n

    g = same(f, vectors(1, 2, 3, -1, -2, 4, 5))
    assert captures(g) == 2


def test_a_float_that_is_only_returned_or_used_as_a_number_needs_one_capture():
    g = same(lambda x: (x * x, (x * x).mean().item()), vectors(1, 2, 3, 4))
    assert captures(g) == 1
    compile(lambda x: x.sum().item(), fullgraph=True)
    g = same(lambda x: x / abs(x.sum().item() - 0.5), vectors(1, 2, 3, 4))
    assert captures(g) == 1


def test_ints_choose_by_value():
    def f(x):
        n = int(x.abs().sum())
        for _ in range(n % 4):
            x = x * 2
        return x, n

    g = same(f, vectors(1, 1, 2, 1, 2, 3, 2, 1))
    assert captures(g) == 3


def test_reads_in_a_row_and_nested_ways():
    def f(x):
        if x[0] > 0:
            y = x + 1
            if (y.sum() > 10).item():
                return y * 3
            return y
        z = x - 1
        return z * float(2) if bool(z.sum() < -10) else -z

    g = same(f, vectors(1, 1, 5, -1, -5, 1, 5, -1, -5, 0.5))
    assert captures(g) == 4


def test_effects_happen_once_whatever_way_is_taken():
    counter, log = fb.zeros(()), fb.zeros(3)

    def f(x):
        counter.add_(1)
        log.copy_(x)
        if x.sum() > 0:
            log.mul_(2)
            return x + counter
        counter.sub_(10)
        return x - counter

    same(f, vectors(1, 1, -1, 2, -2, 3, -1, 1), state=(counter, log))


def test_random_numbers_are_drawn_once():
    def f(x):
        noise = fb.rand(3)
        if x.sum() > 0:
            return noise + fb.rand(3)
        return noise * 2

    same(f, vectors(1, 1, -1, 2, -2, 3, -1, 1))


def test_training_that_looks_at_its_gradients():
    """Skips steps with large gradients: the optimizer counts only steps that happen."""

    def train(compiled):
        fb.manual_seed(0)
        net = nn.Linear(3, 1)
        optimizer = fb.optim.Adam(net.parameters(), lr=0.1)

        def step(x):
            optimizer.zero_grad()
            loss = (net(x) ** 2).mean()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), 100.0)
            if norm < 20:
                optimizer.step()
            return loss.item(), norm.item()

        run = compile(step) if compiled else step
        data = fb.Generator().manual_seed(5)
        seen = [run(fb.randn(4, 3, generator=data) * (30 if i % 3 == 2 else 1)) for i in range(20)]
        steps = {s["step"].item() for s in optimizer.state.values()}
        return seen, [p.tolist() for p in net.parameters()], steps, run

    eager, weights, steps, _ = train(False)
    found, same_weights, same_steps, run = train(True)
    np.testing.assert_allclose(found, eager, rtol=1e-4)
    for a, b in zip(same_weights, weights):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    assert steps == same_steps and 0 < min(steps) < 20
    assert captures(run) == 2


def test_python_functions_on_a_number():
    """What needs the exact value as a Python float branches on it."""

    def f(x):
        n = x.sum().item()
        return x * math.sqrt(n), round(n), n // 2, -n, n**2, len(f"{n:.1f}"), n == 3.0, not n

    same(f, vectors(1, 1, 2, 1, 2))


def test_numbers_work_as_arguments_of_functions():
    def f(x):
        n = x.max().item()
        return fb.add(x, x, alpha=n), x.clamp(max=n), fb.where(x > 0, x, n), n - x, n * x, x + (1 + n)

    same(f, vectors(1, 1, 2, 1, 2))


def test_without_end_it_runs_uncompiled_and_says_so():
    f = compile(lambda x: x * float(x.sum()))
    f(fb.ones(2))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for i in range(40):
            assert f(fb.full((2,), float(i))).tolist() == [2.0 * i * i] * 2
    texts = [str(w.message) for w in seen]
    assert len(texts) == 2 and "was captured 8 times" in texts[0]
    assert re.search(r"captured 32 times and runs uncompiled now: the value read at .*test_tree.py:\d+", texts[1])
    assert None in f.programs.values()


def test_fullgraph_refuses_branches_with_the_line():
    def f(x):
        return x * 2 if x.sum().item() > 0 else x

    g = compile(f, fullgraph=True)
    g(fb.ones(2))
    with pytest.raises(CannotCapture, match=r"fullgraph.*test_tree.py:\d+"):
        g(fb.ones(2))


def test_values_that_leave_as_arrays_run_uncompiled():
    f = compile(lambda x: x * x.tolist()[0])
    f(fb.ones(2))
    with pytest.warns(UserWarning, match=r"tolist of a tensor .*test_tree.py:\d+"):
        f(fb.ones(2))
    assert f(fb.full((2,), 3.0)).tolist() == [9, 9]


def test_gradients_flow_through_both_ways():
    w = fb.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def f(x):
        y = w * x
        return (y * y).sum() if y.sum() > 0 else y.sum()

    f_compiled = compile(f)
    for n in (1, 1, -1, 2, -1, -3, 2):
        x = fb.full((3,), float(n))
        w.grad = None
        f(x).backward()
        expected, w.grad = w.grad, None
        f_compiled(x).backward()
        np.testing.assert_allclose(w.grad.numpy(), expected.numpy())
    assert captures(f_compiled) == 2


def test_an_error_on_the_way_leaves_everything_as_it_was():
    counter = fb.zeros(())
    table = fb.arange(3.0)

    def f(x, i):
        counter.add_(1)
        return table[i] + x if x.sum() > 0 else x

    g = compile(f)
    for n in (0, 1, 2):
        g(fb.ones(1), fb.tensor([n]))
    with pytest.raises(IndexError):
        g(fb.ones(1), fb.tensor([7]))
    assert counter.item() in (3, 4)  # as it was, or as eagerly; never in between for what follows
    before = counter.item()
    assert g(fb.ones(1), fb.tensor([1])).tolist() == [2.0]
    assert counter.item() == before + 1
