"""Python numbers are weak beside bfloat16 as beside every dtype, in derivatives too."""

from __future__ import annotations

import pytest

import flambeau as fb


@pytest.mark.parametrize("name", ["erf", "rsqrt", "log2", "sqrt", "tan", "sigmoid", "square"])
def test_gradients_stay_bfloat16(name):
    x = fb.tensor([0.5, 1.5]).to(fb.bfloat16).requires_grad_()
    y = getattr(x, name)()
    y.sum().backward()
    assert y.dtype == x.grad.dtype == fb.bfloat16
