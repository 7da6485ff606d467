"""What is given in double precision stays so."""

from __future__ import annotations

import flambeau as fb


def test_python_floats_keep_their_precision_when_a_dtype_is_given():
    assert fb.tensor([0.7], dtype=fb.float64).item() == 0.7
    assert fb.tensor(0.7, dtype=fb.float64).item() == 0.7
    assert fb.as_tensor([0.1 + 0.7j], dtype=fb.complex128).item() == 0.1 + 0.7j
    assert fb.tensor([0.7]).dtype is fb.float32 and fb.tensor([0.7j]).dtype is fb.complex64
