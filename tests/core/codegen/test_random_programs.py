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
        elif kind == 4:
            values.append(_indexed(x, n))
        elif kind == 5:
            values.append(_in_place(x, y, n))
        else:
            z = x.reshape(x.shape[0], -1)
            values.append((z @ z.mT if n % 2 else z.mT @ z) / z.shape[n % 2])
    return values[len(inputs) :][-4:]


def _indexed(x: Any, n: int) -> Any:
    """Reads and writes by integers, of which some repeat and some are negative."""
    a = _axis(x, n // 8)
    size = x.shape[a]
    i = (fb.arange(5) * (n % 7) + n) % size
    low = i - size
    ops: list[Callable[[], Any]] = [
        lambda: x.index_select(a, i),
        lambda: x.movedim(a, 0)[low],
        lambda: x.gather(a, (x.detach() * 0).long() + n % size),
        lambda: x.index_add(a, i, x.index_select(a, i) * 0.5),
        lambda: x.index_copy(a, i[:1], x.index_select(a, i[-1:])),
        lambda: x.scatter_add(a, (x * 0).long() + n % size, x / size),
        lambda: x.cumsum(a) / size,
        lambda: x.tril(n % 3 - 1) if x.ndim > 1 else x.cummax(0)[0],
    ]
    return ops[n % len(ops)]()


def _in_place(x: Any, y: Any, n: int) -> Any:
    """Writes into a copy of x through views of it."""
    a = _axis(x, n // 8)
    z = x.clone()
    view = z.narrow(a, (n // 16) % x.shape[a], 1)
    before = z.transpose(0, a)
    writes: list[Callable[[], Any]] = [
        lambda: view.mul_(2),
        lambda: view.copy_(x.narrow(a, 0, 1)),
        lambda: z.view(-1)[::2].add_(1),
        lambda: before.tanh_(),
        lambda: z.add_(y) if np.broadcast_shapes(z.shape, y.shape) == z.shape else z.neg_(),
        lambda: z.diagonal().fill_(0.5) if z.ndim > 1 else z.zero_(),
        lambda: z.flip(a).mul_(3),
        lambda: before[0].sub_(before[-1]),
    ]
    writes[n % len(writes)]()
    return before * 1 if n % 2 else z


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


more = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 9), st.integers(0, 255)), min_size=1, max_size=9)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=more.filter(lambda steps: any(kind > 3 for kind, *_ in steps)), shape=shapes)
def test_indices_and_writes_in_place(steps: list[Step], shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(steps))
    arrays = [rng.standard_normal(s).astype("f4") for s in (shape, shape[-1:])]
    graph, inputs = captured(lambda *xs: run_program(steps, list(xs)), *arrays)
    compare(graph, inputs, LEVELS[0], 2e-4)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=more, shape=shapes)
def test_compiled_as_eagerly(steps: list[Step], shape: tuple[int, ...]) -> None:
    """The same through `compile`, with an argument that is written to."""

    def fn(x: Any, y: Any) -> list[Any]:
        out = run_program(steps, [x * 1, y])
        x.mul_(0.5)
        return out

    compiled = fb.compile(fn, fullgraph=True)
    for k in range(3):
        rng = np.random.default_rng(k)
        arrays = [rng.standard_normal(s).astype("f4") for s in (shape, shape[-1:])]
        given, own = [fb.tensor(a) for a in arrays], [fb.tensor(a) for a in arrays]
        for got, want in zip([*compiled(*given), *given], [*fn(*own), *own], strict=True):
            scale = float(np.abs(want.numpy()).max(initial=1.0))
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4 * scale)
