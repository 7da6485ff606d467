"""L-BFGS and its line search: against SciPy, the conditions it promises, and hard functions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, rosen, rosen_der

import flambeau as fb
from flambeau.base.errors import ArgumentError, ArgumentTypeError
from flambeau.optim.line_search import Point, cubic_minimum, strong_wolfe


def minimise(function, start, **options):
    x = fb.tensor(start, dtype=fb.float64, requires_grad=True)
    optimizer = fb.optim.LBFGS([x], **options)
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = function(x)
        loss.backward()
        calls.append(loss.item())
        return loss

    optimizer.step(closure)
    return x, calls, optimizer


def test_rosenbrock_as_quickly_as_scipy():
    start = [0.3, 1.4, 0.7, 2.0]
    x, calls, _ = minimise(
        lambda x: ((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2).sum(), start, max_iter=200, line_search_fn="strong_wolfe"
    )
    reference = minimize(rosen, start, jac=rosen_der, method="L-BFGS-B", options={"maxcor": 100})
    assert x.tolist() == pytest.approx([1.0] * 4, abs=1e-3)
    assert reference.x.tolist() == pytest.approx([1.0] * 4, abs=1e-3)
    assert len(calls) < 2 * reference.nfev


def test_steps_go_on_where_the_last_one_stopped():
    x = fb.tensor([-1.2, 1.0], dtype=fb.float64, requires_grad=True)
    optimizer = fb.optim.LBFGS([x], max_iter=4, tolerance_change=1e-15, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss.backward()
        return loss

    for _ in range(15):
        optimizer.step(closure)
    assert x.tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    assert optimizer.state[x]["n_iter"] <= 60


def test_it_stops_at_once_where_the_gradient_vanishes():
    x, calls, _ = minimise(lambda x: (x**2).sum(), [0.0, 0.0])
    assert calls == [0.0] and x.tolist() == [0.0, 0.0]


def test_max_eval_bounds_the_evaluations():
    for budget in (1, 2, 3, 7):
        _, calls, _ = minimise(lambda x: (x**4).sum() + x.sin().sum(), [3.0, -2.0], max_eval=budget, line_search_fn="strong_wolfe")
        assert len(calls) <= budget + 1


def test_errors():
    x = fb.ones(2, requires_grad=True)
    with pytest.raises(ArgumentTypeError, match=r"expected a closure, got none. Try: optimizer.step\(closure\)"):
        fb.optim.LBFGS([x]).step()
    with pytest.raises(ArgumentError, match="one parameter group"):
        fb.optim.LBFGS([{"params": [x]}, {"params": [fb.ones(1, requires_grad=True)]}])
    with pytest.raises(ArgumentError, match="line_search_fn None or 'strong_wolfe', got 'armijo'"):
        fb.optim.LBFGS([x], line_search_fn="armijo")
    with pytest.raises(ArgumentError, match="max_iter >= 1"):
        fb.optim.LBFGS([x], max_iter=0)


numbers = st.floats(-5, 5).map(lambda v: round(v, 3))


@given(numbers, numbers, numbers, st.floats(0.1, 4))
def test_the_cubic_is_exact_for_cubics(a, b, c, width):
    """f(t) = t**3 + a t**2 + b t + c has its minimum at the larger root of its derivative."""

    def point(t):
        return Point(t, ((t + a) * t + b) * t + c, None, (3 * t + 2 * a) * t + b)

    ends = point(-1.0), point(-1.0 + width)
    found = cubic_minimum(*ends)
    assert found == cubic_minimum(*reversed(ends))
    square = a * a - 3 * b
    if square > 1e-6:
        root = (-a + math.sqrt(square)) / 3
        assert found == pytest.approx(min(max(root, -1.0), -1.0 + width), abs=1e-4)
    assert -1.0 <= found <= -1.0 + width


@given(st.floats(0.01, 30), st.floats(0.2, 3), st.floats(-1, 1), st.floats(0, 2))
def test_the_search_ends_where_the_wolfe_conditions_hold(t, stiffness, shift, ripple):
    def evaluate(x):
        f = stiffness * (x - 1 - shift / 2) ** 2 + 0.1 * ripple * math.cos(3 * x)
        return Point(x, f, None, 2 * stiffness * (x - 1 - shift / 2) - 0.3 * ripple * math.sin(3 * x))

    start = evaluate(0.0)
    if start.slope >= -1e-3:
        return
    seen = []
    found, used = strong_wolfe(lambda x: seen.append(x) or evaluate(x), start, t, 1.0)
    assert used == len(seen) <= 26
    assert found.t in seen
    assert found.f <= start.f + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)
