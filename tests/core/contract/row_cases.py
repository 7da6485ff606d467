"""Contract cases of primitives that no public function reaches with plain arguments."""

from __future__ import annotations

import numpy as np

import flambeau as fb
from flambeau.primitives import elementwise, movement
from flambeau.primitives.generator import Generator
from flambeau.primitives.kernels.special import gamma_slope
from flambeau.testing import OpCase, floats, sample

A, Y = floats(2, 3, low=0.5, high=3, grad=False), floats(2, 3, low=0.2, high=4, grad=False)
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
        "row random",
        lambda seed: fb.rand(3, generator=fb.Generator().manual_seed(seed)),
        [sample(5)],
        reference=lambda seed: Generator(seed).uniform((3,)),
        differentiable=False,
    ),
]
