"""Contract cases of primitives that no public function reaches with plain arguments."""

from __future__ import annotations

import numpy as np

import flambeau as fb
from flambeau.primitives import elementwise, movement, recurrent
from flambeau.primitives.generator import Generator
from flambeau.primitives.kernels.special import gamma_slope
from flambeau.testing import OpCase, floats, sample

A, Y = floats(2, 3, low=0.5, high=3, grad=False), floats(2, 3, low=0.2, high=4, grad=False)


def lstm_in_steps(x, h, c, w):
    """Hochreiter & Schmidhuber's formulas."""
    hs = []
    for part in x:
        i, f, n, o = np.split(part + h @ w.T, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(n)
        h = o * np.tanh(c)
        hs.append(h)
    return np.stack(hs), c


CASES = [
    OpCase(
        "row pack",
        lambda x: movement.pack(movement.permute(x, axes=(1, 0))),
        [sample(floats(2, 3)), sample(floats(0, 2))],
        reference=np.transpose,
    ),
    OpCase(
        "row split",
        lambda x, sizes, axis: movement.split(x, sizes=sizes, axis=axis),
        [sample(floats(2, 5), (2, 3), 1), sample(floats(3, 2), (0, 3), 0)],
        reference=lambda x, sizes, axis: np.split(x, np.cumsum(sizes)[:-1], axis),
    ),
    OpCase("row gamma_sample", elementwise.gamma_sample, [sample(A, Y)], reference=lambda a, y: y),
    # the reference is tested against differences of SciPy's quantiles in tests/core/kernels/test_gamma_slope.py
    OpCase("row gamma_slope", elementwise.gamma_slope, [sample(A, Y)], reference=lambda a, y: gamma_slope(np, a, y), half=4),
    OpCase(
        "row lstm",
        lambda x, h, c, w: recurrent.lstm(x, h, c, w)[:2],
        [
            sample(floats(3, 2, 8), floats(2, 2), floats(2, 2), floats(8, 2)),
            sample(floats(1, 1, 4), floats(1, 1), floats(1, 1), floats(4, 1)),
        ],
        reference=lstm_in_steps,
        half=4,
    ),
    OpCase(
        "row random",
        lambda seed: fb.rand(3, generator=fb.Generator().manual_seed(seed)),
        [sample(5)],
        reference=lambda seed: Generator(seed).uniform((3,)),
        differentiable=False,
    ),
]
