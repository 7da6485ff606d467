"""Convolutions and their gradients as machine code, against the kernels of the rows and a plain sum over windows."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import flambeau as fb
from tests.core.codegen.programs import BEST, LEVELS, build, captured, check, llvm

F = fb.nn.functional
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 9, 8), (5, 3, 3, 3), {"padding": 1}),
    ((2, 16, 7, 7), (40, 16, 3, 3), {"padding": 1, "stride": 2}),
    ((1, 4, 31), (6, 4, 5), {"stride": 3, "padding": 2}),
    ((2, 3, 40), (70, 3, 15), {"dilation": 2}),
    ((2, 4, 11, 10), (6, 2, 3, 2), {"groups": 2, "dilation": 2}),
    ((2, 2, 5, 6, 4), (3, 2, 2, 3, 2), {"padding": (1, 0, 1), "stride": (1, 2, 2)}),
    ((2, 20, 6, 6), (20, 1, 3, 3), {"groups": 20, "padding": 1, "stride": 2}),
    ((2, 35, 5, 9), (35, 1, 3, 3), {"groups": 35, "padding": 2, "dilation": 2}),
    ((2, 6, 6, 6), (12, 1, 3, 3), {"groups": 6, "padding": 1}),
    ((3, 8, 5, 5), (33, 8, 1, 1), {"stride": 2}),
    ((1, 512, 3, 3), (8, 512, 1, 1), {}),  # pixels whose distance is bad for caches
    ((3, 8, 5, 5), (1, 8, 1, 1), {}),
    ((1, 1, 5, 5), (1, 1, 3, 3), {}),
    ((4, 6, 4, 4), (5, 6, 4, 4), {}),
    ((1, 2, 3), (2, 2, 3), {"padding": "same"}),
    ((2, 3, 4, 5), (2, 3, 2, 2), {"padding": "same", "dilation": 3}),
    ((3, 2, 50, 54), (60, 2, 2, 2), {}),  # a sum over pixels in blocks
]


def arrays(*shapes: tuple[int, ...], d: str = "f4") -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype(d) for s in shapes]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("d", ["f4", "f8"])
@pytest.mark.parametrize(("x", "w", "options"), CASES)
def test_output_and_gradients(x: Any, w: Any, options: dict[str, Any], d: str, level: str) -> None:
    conv = CONV[len(x) - 2]

    def run(x: Any, w: Any) -> Any:
        x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
        y = conv(x, w, **options)
        return y, *fb.autograd.grad((y * y).sum(), [x, w])

    assert check(run, *arrays(x, w, d=d), level=level).native


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("x", "w", "options"),
    [
        ((2, 6, 4, 4), (6, 5, 4, 4), {"stride": 2, "padding": 1}),
        ((2, 5, 1, 1), (5, 9, 4, 4), {}),
        ((2, 4, 7), (4, 3, 3), {"stride": 3, "output_padding": 2, "dilation": 2}),
        ((2, 4, 3, 5), (4, 2, 1, 1), {"stride": 2, "output_padding": 1}),  # positions that no window meets
        ((2, 4, 3, 3), (4, 1, 3, 3), {"stride": 2, "groups": 4, "padding": 1}),
        ((1, 2, 2, 3, 2), (2, 3, 2, 2, 3), {"stride": (2, 1, 2)}),
    ],
)
def test_transposed(x: Any, w: Any, options: dict[str, Any], level: str) -> None:
    conv = TRANSPOSED[len(x) - 2]

    def run(x: Any, w: Any) -> Any:
        x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
        y = conv(x, w, **options)
        return y, *fb.autograd.grad((y * y).sum(), [x, w])

    assert check(run, *arrays(x, w), level=level).native


def test_against_a_plain_sum() -> None:
    x, w = arrays((2, 4, 6, 7), (6, 2, 3, 2), d="f8")
    graph, inputs = captured(lambda x, w: F.conv2d(x, w, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2), x, w)
    (got,) = build(graph).run(inputs)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)))
    want = np.zeros(got.shape)
    for n, o, i, j in product(*map(range, got.shape)):
        group = o // 3
        window = padded[n, 2 * group : 2 * group + 2, 2 * i : 2 * i + 3, j : j + 3 : 2]
        want[n, o, i, j] = (window * w[o]).sum()
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def kernels(program: Any) -> int:
    """How many steps a program has."""
    return sum(len(s.steps) for s in program.segments)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("channels", [1, 5, 40])
def test_what_follows_is_done_in_registers(channels: int, level: str) -> None:
    x, w, b, other = arrays((2, 3, 6, 6), (channels, 3, 3, 3), (channels,), (2, channels, 6, 6))
    plain = check(lambda x, w: F.conv2d(x, w, padding=1), x, w, level=level)
    for follow in (
        lambda y, b, z: F.relu(y + b[:, None, None]),
        lambda y, b, z: F.gelu(y) * 2,
        lambda y, b, z: F.silu(y * b[:, None, None] + 1).double().float(),
        lambda y, b, z: (y > 0) & (y < b[:, None, None]),
        lambda y, b, z: F.sigmoid(F.tanh(y)).clamp(0.1, 0.6),
    ):
        program = check(lambda x, w, b, z, f=follow: f(F.conv2d(x, w, padding=1), b, z), x, w, b, other, level=level)
        assert kernels(program) == kernels(plain)
    check(lambda x, w, b, z: F.relu(F.conv2d(x, w, padding=1) + z), x, w, b, other, level=level)


def test_residual_block_stays_channels_last() -> None:
    x, v, w, scale = arrays((2, 24, 6, 5), (24, 24, 3, 3), (24, 24, 3, 3), (24,))

    def block(x: Any, v: Any, w: Any, scale: Any) -> Any:
        x = F.relu(F.conv2d(x, v, padding=1))
        y = F.conv2d(x, w, padding=1) * scale[:, None, None] + x
        return F.relu(y).mean((2, 3))

    assert check(block, x, v, w, scale).native


def test_operands_in_any_layout() -> None:
    x, w = arrays((6, 5, 4, 7), (3, 5, 4, 2))

    def conv(x: Any, w: Any) -> Any:
        return F.conv2d(x, w, padding=1)

    check(lambda x, w: conv(x.transpose(0, 2), w.permute(2, 1, 0, 3)[:, :, ::2]), x, w)
    check(lambda x, w: conv(x[:, :, ::2, ::3], w.transpose(2, 3)[:, :, :, :2]), x, w)
    check(lambda x, w: conv(x[:1].expand(4, 5, 4, 7), w.flip(2)), x, w)
    check(lambda x, w: conv(fb.ones(2, 5, 4, 4), w), x, w)
    check(lambda x, w: conv(conv(x, w)[:, :, 1:, ::2], w[:, :3]), x, w)


@pytest.mark.parametrize("shapes", [((9, 4, 4, 4), (1, 4, 4, 4)), ((300, 4, 4, 4), (1, 4, 4, 4)), ((2, 3, 6, 6), (5, 3, 3, 3))])
def test_a_gradient_that_is_one_number_everywhere(shapes: Any) -> None:
    def run(x: Any, w: Any, g: Any) -> Any:
        x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
        y = F.conv2d(x, w)
        return fb.autograd.grad(y, (x, w), g.expand(y.shape))

    check(run, *arrays(*shapes, (1, 1, 1, 1)), tolerance=2e-5)


def test_bits_do_not_depend_on_threads() -> None:
    x, w = arrays((3, 20, 15, 15), (40, 20, 3, 3))

    def run(x: Any, w: Any) -> Any:
        x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
        y = F.relu(F.conv2d(x, w, padding=1, stride=2))
        return y, *fb.autograd.grad((y * y).sum(), [x, w])

    graph, inputs = captured(run, x, w)
    before, results = fb.get_num_threads(), []
    try:
        for threads in (1, 3):
            fb.set_num_threads(threads)
            results.append(build(graph).run(inputs))
    finally:
        fb.set_num_threads(before)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


def test_memory_is_not_that_of_windows() -> None:
    x, w = arrays((1, 16, 64, 64), (16, 16, 5, 5))
    graph, _ = captured(lambda x, w: F.conv2d(x, w, padding=2), x, w)
    assert build(graph, target=llvm.host(BEST)).working < 4 * x.nbytes


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("d", ["f4", "f8", "i4", "i8"])
def test_transposed_copies(d: str, level: str) -> None:
    for shape in ((70, 90), (3, 50, 40), (5, 3, 17, 19)):
        x = np.arange(np.prod(shape)).reshape(shape).astype(d)
        check(lambda x: (x.transpose(-1, -2), x[1:].transpose(-1, -2), (x + 1).movedim(-1, 0), (x + 1).movedim(1, -1)), x, level=level)
