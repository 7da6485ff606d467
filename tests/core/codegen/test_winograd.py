"""Convolutions by tiles: the algorithm itself, outputs and gradients against float64, what decides, and that threads change nothing."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.codegen import winograd
from flambeau.codegen.bilinear import toom_cook
from flambeau.codegen.convolve import Shape
from tests.core.codegen.programs import LEVELS, build, captured, compare, llvm

F = fb.nn.functional
CASES: list[tuple[tuple[int, ...], tuple[int, ...], Any]] = [
    ((2, 16, 18, 18), (32, 16, 3, 3), 0),  # no zeros around, whole tiles
    ((1, 20, 23, 17), (37, 20, 3, 3), 1),  # nothing is a multiple of anything
    ((3, 17, 9, 13), (5, 17, 3, 3), 2),
    ((2, 33, 8, 8), (1, 33, 3, 3), (2, 0)),
    ((2, 1, 12, 12), (16, 1, 3, 3), 1),
    ((2, 5, 3, 30), (6, 5, 3, 3), 0),  # one row of results
    ((1, 4, 6, 5), (7, 4, 3, 3), 5),  # windows of nothing but zeros
    ((40, 24, 8, 8), (50, 24, 3, 3), "same"),
]


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small convolutions by tiles too."""
    monkeypatch.setattr(winograd, "_pays", lambda *_: True)


def arrays(*shapes: tuple[int, ...], d: str = "f4") -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype(d) for s in shapes]


def with_gradients(options: dict[str, Any]) -> Any:
    def run(x: Any, w: Any) -> Any:
        x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
        y = F.conv2d(x, w, **options)
        return y, *fb.autograd.grad((y * y).sum(), [x, w])

    return run


@pytest.mark.parametrize(("outputs", "taps"), [(4, 3), (2, 3), (3, 2), (1, 5)])
def test_the_matrices_give_a_correlation_exactly(outputs: int, taps: int) -> None:
    algorithm = toom_cook(outputs, taps)
    rng = np.random.default_rng(0)
    data, filters = rng.standard_normal(outputs + taps - 1), rng.standard_normal(taps)
    products = (np.array(algorithm.filter) @ filters) * (np.array(algorithm.data) @ data)
    np.testing.assert_allclose(np.array(algorithm.result) @ products, np.correlate(data, filters), rtol=1e-12, atol=1e-12)
    assert algorithm.points == outputs + taps - 1


def test_other_points_give_it_too() -> None:
    algorithm = toom_cook(2, 3, (Fraction(0), Fraction(1), Fraction(-1)))
    data, filters = np.array([3.0, 1.0, -2.0, 5.0]), np.array([2.0, 7.0, 1.0])
    found = np.array(algorithm.result) @ ((np.array(algorithm.filter) @ filters) * (np.array(algorithm.data) @ data))
    np.testing.assert_allclose(found, np.correlate(data, filters), rtol=1e-14)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("x", "w", "padding"), CASES)
def test_output_and_gradients(x: Any, w: Any, padding: Any, level: str) -> None:
    graph, inputs = captured(with_gradients({"padding": padding}), *arrays(x, w))
    program = compare(graph, inputs, level)
    assert program.native


@pytest.mark.parametrize("shape", [(2, 64, 14, 14), (1, 128, 7, 7)])
@pytest.mark.parametrize("positive", [False, True])
def test_the_error_is_a_small_multiple_of_the_plain_sums(shape: Any, positive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = shape[1]
    x, w = arrays(shape, (channels, channels, 3, 3))
    x, w = np.maximum(x, 0) if positive else x, w / np.float32(np.sqrt(9 * channels))
    run = with_gradients({"padding": 1})
    graph, inputs = captured(run, x, w)
    tiles = build(graph).run(inputs)
    monkeypatch.setattr(winograd, "_pays", lambda *_: False)
    plain = build(graph).run(inputs)
    exact_graph, exact_inputs = captured(run, x.astype("f8"), w.astype("f8"))
    for got, beside, want in zip(tiles, plain, build(exact_graph).run(exact_inputs), strict=True):
        scale = np.sqrt(np.mean(want**2))
        error, usual = (np.sqrt(np.mean((a - want) ** 2)) / scale for a in (got, beside))
        assert not np.array_equal(got, beside)
        assert error < 4 * usual and error < 4e-6
        assert np.max(np.abs(got - want)) < 3e-5 * scale


@pytest.mark.parametrize("level", LEVELS)
def test_what_follows_is_done_before_storing(level: str) -> None:
    x, w, scale, shift, other = arrays((2, 20, 9, 11), (40, 20, 3, 3), (40,), (40,), (2, 40, 9, 11))

    def block(x: Any, w: Any, scale: Any, shift: Any, other: Any) -> Any:
        y = F.conv2d(x, w, padding=1) * scale[:, None, None] + shift[:, None, None]
        return F.relu(y + F.conv2d(other, w.transpose(0, 1)[:, :20].repeat(2, 2, 1, 1), padding=1)), F.gelu(y), y > 0

    graph, inputs = captured(block, x, w, scale, shift, other)
    compare(graph, inputs, level)
    plain, _ = captured(lambda x, w: F.conv2d(x, w, padding=1), x, w)
    fused, _ = captured(lambda x, w, b: F.relu(F.conv2d(x, w, padding=1) + b[:, None, None]), x, w, shift)
    steps = [sum(len(s.steps) for s in build(g, target=llvm.host(level)).segments) for g in (plain, fused)]
    assert steps[0] == steps[1]


def test_operands_in_any_layout() -> None:
    x, w = arrays((10, 18, 18, 6), (3, 9, 7, 3))
    for run in (
        lambda x, w: F.conv2d(x.permute(0, 3, 1, 2), w[:, ::2, ::3].permute(1, 0, 2, 3).repeat(1, 2, 1, 1)),
        lambda x, w: F.conv2d(
            x.permute(3, 0, 1, 2)[:, :3, ::2], w.transpose(2, 3)[:, :3, :, :3].transpose(1, 0).transpose(0, 1), padding=1
        ),
        lambda x, w: F.conv2d(x[:1, :, :, :1].permute(0, 3, 1, 2).expand(4, 7, 18, 18), w[:, :3].transpose(1, 2)),
    ):
        compare(*captured(run, x, w))


def test_bits_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "_NEAR", 1 << 16)  # several parts of the image
    x, w = arrays((3, 20, 31, 30), (40, 20, 3, 3))
    graph, inputs = captured(with_gradients({"padding": 1}), x, w)
    before, results = fb.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            fb.set_num_threads(threads)
            results.append(build(graph).run(inputs))
    finally:
        fb.set_num_threads(before)
    assert all(np.array_equal(a, b) and np.array_equal(a, c) for a, b, c in zip(*results, strict=True))
    compare(graph, inputs)


@pytest.mark.parametrize("level", LEVELS)
def test_many_filters_go_through_in_groups(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, w, b = arrays((2, 20, 19, 17), (150, 20, 3, 3), (150,))

    def run(x: Any, w: Any, b: Any) -> Any:
        return F.relu(F.conv2d(x, w, b, padding=1)), F.conv_transpose2d(F.conv2d(x, w), w)

    graph, inputs = captured(run, x, w, b)
    together = build(graph, target=llvm.host(level)).run(inputs)
    for near, limit in ((1 << 14, 1), (2 << 20, 500_000)):  # parts of the image, a panel each time; then some panels and what is left
        monkeypatch.setattr(winograd, "_NEAR", near)
        monkeypatch.setattr(winograd, "_FILTERS", limit)
        found = compare(graph, inputs, level).run(inputs)
        assert all(np.array_equal(a, b) for a, b in zip(found, together, strict=True))


def test_memory_is_that_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "_NEAR", 1 << 18)
    x, w = arrays((8, 16, 64, 64), (16, 16, 3, 3))
    graph, _ = captured(with_gradients({"padding": 1}), x, w)
    parts = build(graph).working
    monkeypatch.setattr(winograd, "_NEAR", 1 << 40)
    assert parts < build(graph).working - 2 * x.nbytes


def shape_of(x: Any, w: Any, **more: Any) -> Shape:
    params = {"groups": 1, "stride": (1, 1), "dilation": (1, 1), "padding": ((1, 1), (1, 1)), **more}
    y = (x[0], w[0], *((n + 2 - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x[2:], w[2:], params["stride"], params["dilation"])))
    return Shape.of(x, w, y, params)


def test_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    def chosen(x: Any, w: Any, dtype: str = "f4", **more: Any) -> bool:
        s = shape_of(x, w, **more)
        return winograd.is_for_tiles(s, s.filters, s.out, np.dtype(dtype))

    x, w = (8, 64, 28, 28), (64, 64, 3, 3)
    assert chosen(x, w)
    assert not chosen(x, w, dtype="f8")
    assert not chosen(x, w, stride=(2, 2))
    assert not chosen(x, w, dilation=(2, 2))
    assert not chosen(x, (64, 32, 3, 3), groups=2)
    assert not chosen(x, (64, 64, 5, 5)) and not chosen(x, (64, 64, 3, 1))
    assert not chosen((8, 3, 56, 56), (64, 3, 3, 3))  # too few channels
    assert not chosen((1, 512, 7, 7), (512, 512, 3, 3))  # more filters than tiles to use them
    assert not chosen((2, 16, 8, 8), (16, 16, 3, 3))  # too small to be worth its code


def test_eager_and_compiled_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    x, w = arrays((4, 32, 28, 28), (32, 32, 3, 3))

    def run(x: Any, w: Any) -> Any:
        return F.conv2d(x, w, padding=1)

    a, b = fb.tensor(x), fb.tensor(w)
    compiled = fb.compile(run)
    found = [compiled(a, b).numpy() for _ in range(3)]
    assert all(np.array_equal(y, run(a, b).numpy()) for y in found)
