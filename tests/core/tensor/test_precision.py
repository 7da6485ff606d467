"""What is given in double precision stays so."""

from __future__ import annotations

import math

import pytest

import flambeau as fb


def test_python_floats_keep_their_precision_when_a_dtype_is_given():
    assert fb.tensor([0.7], dtype=fb.float64).item() == 0.7
    assert fb.tensor(0.7, dtype=fb.float64).item() == 0.7
    assert fb.as_tensor([0.1 + 0.7j], dtype=fb.complex128).item() == 0.1 + 0.7j
    assert fb.tensor([0.7]).dtype is fb.float32 and fb.tensor([0.7j]).dtype is fb.complex64


@pytest.mark.parametrize("dtype", [fb.float16, fb.bfloat16])
def test_half_precision_is_computed_in_float32_and_rounded_once(dtype):
    x = fb.full((400,), 300.0).to(dtype)
    assert x.norm().item() == fb.tensor(6000.0).to(dtype).item()  # 300**2 overflows float16
    y = x.clone()
    y.addcmul_(x, x, value=0.001)
    assert y[0].item() == fb.tensor(300 + 90.0).to(dtype).item()
    a, b = fb.tensor([1.0]).to(dtype), fb.tensor([1.0]).to(dtype)
    third = fb.tensor(1 + 1 / 3).to(dtype).item()
    assert fb.add(a, b, alpha=1 / 3).item() == fb.addcdiv(a, b, b * 3).item() == fb.lerp(a, a * 2, 1 / 3).item() == third
    m = fb.full((2, 2), 1.0).to(dtype)
    assert fb.addmm(m, m, m, beta=0.001, alpha=math.pi)[0, 0].item() == fb.tensor(0.001 + 2 * math.pi).to(dtype).item()


def test_lanes_are_the_general_operations():
    fb.manual_seed(0)
    x, y, z = (fb.randn(3, 4) + 2 for _ in range(3))
    for name, args, kwargs in [
        ("add", (y,), {"alpha": 0.3}),
        ("sub", (y,), {"alpha": 2}),
        ("addcmul", (y, z), {"value": -0.7}),
        ("addcdiv", (y, z), {}),
        ("lerp", (y, 0.2), {}),
        ("lerp", (y, 0.8), {}),
        ("sqrt", (), {}),
        ("square", (), {}),
        ("neg", (), {}),
        ("abs", (), {}),
    ]:
        for start in (x, x.T.contiguous().T, x[:, :1].expand(3, 4).clone()):
            made = start.clone()
            version = made._version
            assert getattr(made, f"{name}_")(*args, **kwargs) is made
            assert made._version == version + 1
            assert made.tolist() == getattr(start, name)(*args, **kwargs).tolist(), name
    recorded = x.clone().requires_grad_()
    with fb.enable_grad():
        made = recorded * 1
        made.addcmul_(recorded, y, value=2.0)
        made.sum().backward()
    assert recorded.grad.tolist() == (1 + 2 * y).tolist()
    integers = fb.arange(3)
    assert integers.add_(integers, alpha=2).tolist() == [0, 3, 6]
