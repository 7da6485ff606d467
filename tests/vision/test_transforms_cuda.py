"""Transforms on the stand-in GPU: batches stay there, and the pixels are those of the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as fb
from tests.core.device.test_cuda import pretended_gpu
from tests.vision.test_transforms import BYTES, EVERY, NAMES

__all__ = ["pretended_gpu"]  # a fixture of every test here


@pytest.mark.parametrize("transform", EVERY, ids=NAMES)
def test_a_batch_on_a_device(transform):
    fb.manual_seed(3)
    expected = transform(fb.from_numpy(BYTES.copy())).numpy()
    fb.manual_seed(3)
    out = transform(fb.from_numpy(BYTES.copy()).to("cuda"))
    assert out.device.type == "cuda"
    np.testing.assert_array_equal(out.cpu().numpy(), expected)
