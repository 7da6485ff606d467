"""Maps over transposed arrays, by squares; products of many matrices, shared between threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as fb
from flambeau.codegen import llvm
from flambeau.codegen.crosswise import Crosswise
from tests.core.codegen.programs import LEVELS, build, captured, check

RNG = np.random.default_rng(0)


@pytest.fixture
def squares(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often squares are written."""
    seen: list[int] = []
    before = Crosswise._strip

    def counted(self: Any, at: str) -> None:
        seen.append(self.lanes)
        before(self, at)

    monkeypatch.setattr(Crosswise, "_strip", counted)
    return seen


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("shape", [(32, 48), (33, 47), (16, 16), (70, 19), (18, 5, 21), (20, 2, 3, 18)])
def test_transposed_operands_and_results(shape: Any, level: str, squares: list[int]) -> None:
    x, y = RNG.standard_normal(shape).astype("f4"), RNG.standard_normal(shape[::-1]).astype("f4")
    check(lambda x, y: (x.permute(*reversed(range(x.dim()))) * 2 + y, fb.relu(y)), x, y, level=level)
    assert squares


@pytest.mark.parametrize("d", ["f8", "i4", "i1", "?", "i8"])
def test_other_dtypes(d: str, squares: list[int]) -> None:
    x = RNG.integers(0, 2, (70, 66)).astype(d)
    check(lambda x: (x.T.contiguous(), x.T == x[:66, :66].sum().to(x.dtype)), x)
    assert squares


def test_large_ones_are_shared_out() -> None:
    x, y = RNG.standard_normal((515, 530)).astype("f4"), RNG.standard_normal((530, 515)).astype("f4")
    check(lambda x: x.T.contiguous(), x)
    check(lambda x, y: ((x.T + y).exp(), x * 2), x, y)
    z = RNG.standard_normal((4, 40, 8, 64)).astype("f4")
    check(lambda z: (z.permute(0, 2, 3, 1).contiguous(), z.permute(0, 2, 1, 3).contiguous(), z.permute(3, 2, 1, 0).contiguous()), z)


def test_pieces_of_a_larger_array() -> None:
    x = RNG.standard_normal((40, 33)).astype("f4")
    check(lambda x: (fb.cat([x.T, x.T[:, :7] * 2], 1), fb.nn.functional.pad(x.T, (1, 2, 3, 4))), x)


@pytest.mark.parametrize("level", LEVELS)
def test_many_matrices(level: str) -> None:
    a, b = RNG.standard_normal((3, 7, 20, 33)).astype("f4"), RNG.standard_normal((3, 7, 33, 18)).astype("f4")
    check(lambda a, b: a @ b, a, b, level=level)
    check(lambda a, b: a.transpose(0, 1) @ b[:, :, :, ::2].transpose(0, 1), a, b, level=level)
    check(lambda a, b: b.mT @ a.mT, a, b, level=level)
    check(lambda a, b: a @ b[:, :1], a, b, level=level)


def test_a_large_batch_is_shared_out_and_threads_do_not_matter() -> None:
    a, b = RNG.standard_normal((40, 50, 60)).astype("f4"), RNG.standard_normal((40, 60, 30)).astype("f4")
    found = []
    before = fb.get_num_threads()
    try:
        for threads in (1, 3):
            fb.set_num_threads(threads)
            graph, inputs = captured(lambda a, b: a @ b, a, b)
            program = build(graph, target=llvm.host())
            assert len(program.segments[0].steps[0]) > 1
            found.append(program.run(inputs)[0])
    finally:
        fb.set_num_threads(before)
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0], a @ b, rtol=1e-4, atol=1e-4)
