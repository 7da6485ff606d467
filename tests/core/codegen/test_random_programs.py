"""Random programs give the same results from machine code and from the interpreter, for every kind of processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import flambeau as fb
from tests.core.codegen.programs import LEVELS, captured, compare

F = fb.nn.functional
Step = tuple[int, int, int, int]


def _axis(x: Any, n: int) -> int:
    return n % x.ndim


def _elementwise(x: Any, y: Any, n: int) -> Any:
    ops: list[Callable[[], Any]] = [
        lambda: x + y,
        lambda: x * y,
        lambda: x - 2,
        lambda: x.tanh(),
        lambda: fb.maximum(x, y),
        lambda: fb.where(x > y, x, 2 * y - x),  # all continuous: a rounding error must not choose a branch
        lambda: (x / 4).exp().clamp(0.1, 3.0),
        lambda: (x > y).to(x.dtype) * (x - y),
        lambda: x.sigmoid(),
        lambda: (x.abs() + 0.5).log(),
        lambda: (x.abs() + 0.5).sqrt() / 2,
        lambda: x.relu(),
        lambda: fb.minimum(-x, y * 0.5),
        lambda: x.sin() * y.cos(),
        lambda: x**2 - x.erf(),
    ]
    return ops[n % len(ops)]()


def _reduced(x: Any, n: int) -> Any:
    a = _axis(x, n // 8)
    ops: list[Callable[[], Any]] = [
        lambda: x.mean(a, keepdim=True),
        lambda: x - x.mean(a, keepdim=True),
        lambda: x.amax(a),
        lambda: F.softmax(x, a),
        lambda: F.log_softmax(x, a),
        lambda: x.mean(),
        lambda: x / (1 + (x * x).mean(a, keepdim=True)),
        lambda: F.layer_norm(x, (x.shape[-1],)),
    ]
    return ops[n % len(ops)]()


def _moved(x: Any, y: Any, n: int) -> Any:
    a = _axis(x, n // 16)
    start = (n // 64) % x.shape[a]
    ops: list[Callable[[], Any]] = [
        lambda: x.transpose(0, a),
        lambda: x.reshape(-1),
        lambda: x.flip(a),
        lambda: x.narrow(a, start, x.shape[a] - start),
        lambda: fb.cat([x, x * 2], a),
        lambda: F.pad(x, (1, 2), value=0.5),
        lambda: x.unsqueeze(a).expand(*x.shape[:a], 3, *x.shape[a:]),
        lambda: x.reshape(x.shape[0], -1),
        lambda: x[::2],
        lambda: x.movedim(a, 0).contiguous(),
        lambda: F.pad(x, (-1, 1)) if x.shape[-1] > 1 else x,
        lambda: x.reshape(x.shape[-1], -1).T,
    ]
    return ops[n % len(ops)]()


def _fits(x: Any, y: Any) -> bool:
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return True


def run_program(steps: list[Step], inputs: list[Any]) -> list[Any]:
    """Interpret the steps: each makes a value from earlier ones; what does not fit together is passed over."""
    values = list(inputs)
    for kind, i, j, n in steps:
        x, y = values[i % len(values)], values[j % len(values)]
        if x.ndim == 0 or x.numel() > 3000:
            x = inputs[i % len(inputs)]
        y = y if _fits(x, y) and y.numel() <= 3000 and y.dtype == x.dtype else x
        if kind == 0:
            values.append(_elementwise(x, y, n))
        elif kind == 1:
            values.append(_reduced(x, n))
        elif kind == 2:
            values.append(_moved(x, y, n))
        else:
            z = x.reshape(x.shape[0], -1)
            values.append((z @ z.mT if n % 2 else z.mT @ z) / z.shape[n % 2])
    return values[len(inputs) :][-4:]


steps = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 9), st.integers(0, 255)), min_size=1, max_size=9)
shapes = st.lists(st.integers(1, 19), min_size=1, max_size=3).map(tuple)


@pytest.mark.parametrize("level", LEVELS)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=steps, shape=shapes, wide=st.booleans())
@example(steps=[(1, 0, 0, 3), (0, 2, 0, 1), (2, 3, 0, 9)], shape=(5, 18), wide=False)
def test_same_as_the_interpreter(level: str, steps: list[Step], shape: tuple[int, ...], wide: bool) -> None:
    rng = np.random.default_rng(len(steps))
    arrays = [rng.standard_normal(s).astype("f8" if wide else "f4") for s in (shape, shape[-1:])]
    graph, inputs = captured(lambda *xs: run_program(steps, list(xs)), *arrays)
    compare(graph, inputs, level, 2e-4)
