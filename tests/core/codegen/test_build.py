"""Whole programs: a training step, memory that results take over from inputs, numbers given at each run, operations without code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ShapeError
from flambeau.graph.capture import traced
from flambeau.graph.interpret import interpret
from flambeau.graph.ir import Graph, Scalar
from flambeau.primitives.elementwise import add, exp, mul
from flambeau.primitives.prim import lookup
from tests.core.codegen.programs import BEST, LEVELS, build, captured, check, compare, llvm

F = fb.nn.functional


def adam_step(batch: int, sizes: tuple[int, ...]) -> tuple[Graph, list[np.ndarray], dict[int, int]]:
    """A step of Adam on a tanh network: forward, backward, update of parameters and state in place (by hand: m, v and p are written)."""
    rng = np.random.default_rng(0)
    x, y = (fb.tensor(rng.standard_normal((batch, n)).astype("f4")) for n in (sizes[0], sizes[-1]))
    shapes = [s for a, b in zip(sizes, sizes[1:], strict=False) for s in ((b, a), (b,))]
    params = [fb.tensor(rng.standard_normal(s).astype("f4") / 4, requires_grad=True) for s in shapes]
    m, v = ([fb.tensor(np.abs(rng.standard_normal(s)).astype("f4") / 9) for s in shapes] for _ in range(2))

    def step() -> list[Any]:
        h = x
        for i in range(0, len(params), 2):
            h = F.linear(h, params[i], params[i + 1])
            h = h.tanh() if i < len(params) - 2 else h
        grads = fb.autograd.grad(F.mse_loss(h, y), params)
        outputs = []
        with fb.no_grad():
            for p, g, a, b in zip(params, grads, m, v, strict=True):
                a2 = a + (g - a) * 0.1
                b2 = b * 0.999 + g * g * 0.001
                outputs += [p - a2 / (b2.sqrt() / 0.05 + 1e-8) * 0.003, a2, b2]
        return outputs

    outputs, capture = traced(step)
    capture.graph.results = [capture.read(o) for o in outputs]
    position = {id(a): i for i, a in enumerate(capture.outside)}
    owners = [t for triple in zip(params, m, v, strict=True) for t in triple]
    return capture.graph, [np.array(a) for a in capture.outside], {j: position[id(t._a)] for j, t in enumerate(owners)}


@pytest.mark.parametrize("level", LEVELS)
def test_training_step(level: str) -> None:
    graph, arrays, donated = adam_step(64, (4, 64, 64, 2))
    program = compare(graph, arrays, level, 2e-5)
    assert program.native
    program = build(graph, donated, llvm.host(level))
    assert program.native
    mine = [a.copy() for a in arrays]
    call = program.bind(mine, [mine[donated[j]] if j in donated else None for j in range(len(graph.results))])
    theirs = [a.copy() for a in arrays]
    for _ in range(5):
        call()
        for j, value in enumerate(interpret(graph, theirs)):
            theirs[donated[j]] = value
    for got, want in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_same_bits_every_time() -> None:
    graph, arrays, _ = adam_step(33, (5, 31, 3))
    first, second = build(graph).run(arrays), build(graph).run(arrays)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def donated_run(graph: Graph, arrays: list[np.ndarray], donated: dict[int, int], level: str = BEST) -> None:
    """Results in the memory of inputs equal the interpreter's."""
    expected = interpret(graph, [a.copy() for a in arrays])
    mine = [a.copy() for a in arrays]
    call = build(graph, donated, llvm.host(level)).bind(mine, [mine[donated[j]] if j in donated else None for j in range(len(expected))])
    for got, want in zip(call(), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


X = np.arange(12, dtype="f4").reshape(3, 4) / 7
SQUARE = np.arange(16, dtype="f4").reshape(4, 4) / 7


@pytest.mark.parametrize(
    ("fn", "arrays", "donated"),
    [
        (lambda x, y: (y, x), (X, X + 1), {0: 0, 1: 1}),  # exchanged
        (lambda x, y: (x + y, x - y), (X, X + 1), {0: 0, 1: 1}),
        (lambda x, y: (x + y, x - y), (X, X + 1), {0: 1, 1: 0}),
        (lambda x: (x.T + 1, x.sum(0)), (SQUARE,), {0: 0}),  # transposed into itself
        (lambda x: (x.flip(0) * 2,), (X,), {0: 0}),
        (lambda x: (x - x.mean(0), x @ x.T), (X,), {0: 0}),
        (lambda x: (F.softmax(x, 1), x * 2), (X,), {0: 0}),
        (lambda x: (F.softmax(x, 0), x.amax(1)), (X,), {0: 0}),
        (lambda x, y: (x @ y, y @ x), (SQUARE, SQUARE + 1), {0: 0, 1: 1}),
        (lambda x, y: (fb.cat([y[2:], x[:2]]), x + 1), (X, X * 3), {0: 0, 1: 1}),
        (lambda x, y: (x + y.sum(1), y * 2), (X[:, 0].copy(), X), {0: 0, 1: 1}),
        (lambda x: (x.i0(), x + x.i0()), (X,), {1: 0}),
        (lambda x: (x, x), (X,), {0: 0}),
    ],
)
@pytest.mark.parametrize("level", LEVELS)
def test_donated_inputs(fn: Any, arrays: Any, donated: dict[int, int], level: str) -> None:
    graph, inputs = captured(fn, *arrays)
    positions = [next(i for i, a in enumerate(inputs) if a.shape == b.shape and np.array_equal(a, b)) for b in arrays]
    donated_run(graph, inputs, {j: positions[i] for j, i in donated.items()}, level)


def test_numbers_given_at_each_run() -> None:
    graph = Graph(scalars=[Scalar("lr"), Scalar("other")])
    v = graph.input(X.shape, X.dtype)
    like = [(X.shape, X.dtype)]
    (scaled,) = graph.add(mul, (v, graph.scalars[0]), {}, like).outputs
    (moved,) = graph.add(add, (scaled, graph.scalars[1]), {}, like).outputs
    graph.results = list(graph.add(exp, (moved,), {}, like).outputs)
    graph.results += graph.add(lookup("i0"), (scaled,), {}, like).outputs  # and one without code
    program = build(graph)
    for a, b in ((0.5, 2.0), (-1.5, 0.25)):
        got = program.run([X], [a, b])
        np.testing.assert_allclose(got[0], np.exp(X * np.float32(a) + np.float32(b)), rtol=1e-6)
        np.testing.assert_allclose(got[1], np.i0(X * np.float32(a)), rtol=1e-6)


def test_operations_without_code_run_between_native_segments() -> None:
    program = check(lambda x: (x * 2).i0().tanh().i0() + 1, X)
    assert not program.native
    assert len(program.segments) >= 4


def test_results_of_every_origin() -> None:
    check(lambda x, y: (x, x.T, x[1:], fb.zeros(3, 2), fb.ones(2).expand(4, 2), y, x + 1, x + 1, (x + 1).T), X, X * 2)
    check(lambda x: (x.to(fb.complex64).mT, x.sum(), x.to(fb.float16) * 2, x.to(fb.bfloat16)), X)
    check(lambda x: (x[:0], x[:0].sum(0), x[:0] @ x.T), X)
    check(lambda x: (x > 0).any() & (x < 1).all(), X)


def test_strided_inputs_are_copied() -> None:
    graph, _ = captured(lambda x: x + 1, X)
    (got,) = build(graph).run([np.asfortranarray(X)])
    np.testing.assert_array_equal(got, X + 1)


def test_arguments_are_checked() -> None:
    graph, _ = captured(lambda x: x + 1, X)
    program = build(graph)
    with pytest.raises(ShapeError, match=r"float32\[3, 4\]"):
        program.run([X[:2]])
    with pytest.raises(ArgumentError, match="1 inputs"):
        program.run([X, X])
    with pytest.raises(ShapeError, match="result of"):
        program.bind([X], [np.empty((4, 3), "f4")])
    with pytest.raises(ArgumentError, match="contiguous"):
        program.bind([X], [np.empty((4, 3), "f4").T])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("d", ["f4", "f8"])
@pytest.mark.parametrize(("m", "k", "n"), [(64, 4, 64), (64, 64, 2), (1, 7, 1), (13, 17, 19), (100, 300, 70), (90, 450, 130)])
def test_products(m: int, k: int, n: int, d: str, level: str) -> None:
    rng = np.random.default_rng(0)
    for ta, tb in ((False, False), (False, True), (True, False), (True, True)):
        a, b = rng.standard_normal((k, m) if ta else (m, k)).astype(d), rng.standard_normal((n, k) if tb else (k, n)).astype(d)
        graph, inputs = captured(lambda x, y, s=ta, t=tb: (x.T if s else x) @ (y.T if t else y), a, b)
        compare(graph, inputs, level, 1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_products_of_batches_and_slices(level: str) -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(s).astype("f4") for s in ((3, 5, 8), (3, 8, 9), (4, 1, 5, 8)))
    check(lambda x, y: x @ y, a, b, level=level)
    check(lambda x, y: x @ y[0], a, b, level=level)
    check(lambda x, y: x @ y, c, b, level=level)
    check(lambda x, y: x[..., ::2] @ y[:, ::2, ::3], a, b, level=level)
    check(lambda x, y: x.mT @ x + (y @ y.mT), a, b, level=level)
    check(lambda x: (x.transpose(0, 1) @ x.transpose(0, 1).mT).transpose(0, 1), a, level=level)
