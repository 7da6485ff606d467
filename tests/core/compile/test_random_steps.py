"""Random functions with writes, views, state, draws, gradients and ways by values do the same compiled as eagerly, call by call."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import flambeau as fb
from flambeau.compiler import compile


def view(env, i):
    env["v"] = env["x"][i % 3] if i % 2 else env["x"].t()[i % 4]
    env["v"].mul_(0.5)


def write(env, i):
    env["x"][:, i % 4] = env["state"][i % 3, 0] + i


def state(env, i):
    env["state"].mul_(0.5).add_(env["x"], alpha=0.1 * i)


def fresh(env, i):
    env["x"] = (env["x"] * (i + 1) * 0.3).tanh() + env["state"]


def branch(env, i):
    if env["x"].sum() > i - 2:
        env["x"] = env["x"] - 1
    else:
        env["state"].sub_(1)


def number(env, i):
    n = env["x"].mean().item()
    env["x"] = env["x"] * (n * 0.1 + i)
    if n > 0.5:
        env["out"].append(n)


def integer(env, i):
    for _ in range(int((env["x"] > 0).sum().item()) % 3):
        env["x"] = env["x"] + i


def draw(env, i):
    env["x"] = env["x"] + fb.rand(3, 4) * i


def gradient(env, i):
    w = env["w"]
    w.grad = None
    ((w * env["x"].detach()) ** 2).mean().backward()
    with fb.no_grad():
        w.sub_(w.grad, alpha=0.1)
    env["x"] = env["x"] + w.detach()


def reduce(env, i):
    env["out"].append(env["x"].sum(i % 2))


STEPS = [view, write, state, fresh, branch, number, integer, draw, gradient, reduce]


def run(program, how):
    fb.manual_seed(0)
    held = fb.full((3, 4), 0.25)
    w = fb.full((3, 4), 0.5).requires_grad_()

    def fn(x):
        env = {"x": x, "state": held, "w": w, "out": []}
        for kind, i in program:
            STEPS[kind](env, i)
        return env["x"] * 1, env["out"]

    f = how(fn)
    rounds = []
    data = fb.Generator().manual_seed(3)
    for i in range(7):
        x = fb.randn(3, 4, generator=data) + (i % 3 - 1)
        out, more = f(x)
        found = [out, x, held, w, *more]
        rounds.append([t.detach().numpy().copy() if isinstance(t, fb.Tensor) else t for t in found])
    return rounds


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(st.lists(st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 4)), min_size=1, max_size=6))
def test_random_steps(program):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(was captured|runs uncompiled)")
        eager, found = run(program, lambda f: f), run(program, compile)
    for i, (a, b) in enumerate(zip(eager, found, strict=True)):
        assert len(a) == len(b), f"call {i}"
        for x, y in zip(a, b):
            np.testing.assert_allclose(y, x, rtol=1e-3, atol=1e-4, err_msg=f"call {i} of {program}")
