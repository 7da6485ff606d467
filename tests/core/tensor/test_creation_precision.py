"""Python numbers keep their precision when a dtype is asked for."""

from __future__ import annotations

import flambeau as fb


def test_python_floats_go_to_the_dtype_directly() -> None:
    assert fb.tensor(0.1, dtype=fb.float64).item() == 0.1
    assert fb.tensor([0.1, 0.2], dtype=fb.float64).tolist() == [0.1, 0.2]
    assert fb.tensor(0.1 + 0.2j, dtype=fb.complex128).item() == 0.1 + 0.2j
    assert fb.tensor(0.1).dtype is fb.float32
