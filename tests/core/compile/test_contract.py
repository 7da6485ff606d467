"""Every operation of the contract suite gives compiled what it gives eagerly, on both engines."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import flambeau as fb
from flambeau.testing import OpCase
from flambeau.testing.op_checks import results, tensors
from tests.core.contract.tables_all import CASES

OWN = {"row random"}  # draws from a generator of its own, which no seed sets back
NAMES = [name for name, case in CASES.items() if isinstance(case, OpCase) and name not in OWN]
ROUNDS = 3  # as it is, captured, replayed


def outputs(case, sample, inputs):
    fb.manual_seed(0)
    return [x.detach() if isinstance(x, fb.Tensor) else x for x in results(case.call(sample, list(inputs)))]


@pytest.mark.parametrize("name", NAMES)
def test_compiled_as_eagerly(name):
    case = CASES[name]
    sample = max(case.samples[:4], key=lambda s: sum(a.size for a in s.arrays("size")), default=None)
    if sample is None:
        return
    compiled = fb.compile(lambda *inputs: outputs(case, sample, inputs))
    for i in range(ROUNDS):
        arrays = sample.arrays(f"{name} {i}")
        expected = outputs(case, sample, tensors(sample, arrays))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = compiled(*tensors(sample, arrays))
        assert len(found) == len(expected)
        for got, want in zip(found, expected):
            if not isinstance(want, fb.Tensor):
                assert got == want or want != want
                continue
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            if want.dtype.is_floating_point or want.dtype.is_complex:
                want = want.to(fb.complex128) if want.dtype.is_complex else want.double()
                np.testing.assert_allclose(got.to(want.dtype).numpy(), want.numpy(), rtol=1e-6, atol=1e-7)
            else:
                np.testing.assert_array_equal(got.numpy(), want.numpy())
