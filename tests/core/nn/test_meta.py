"""Every layer on the device without data: the shapes and dtypes it gives there are those it gives on the CPU."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest

import flambeau as fb

CASES = runpy.run_path(str(Path(__file__).parents[2] / "parity" / "modules_table.py"))["CASES"]
READS_VALUES = {"AdaptiveLogSoftmaxWithLoss", "CTCLoss"}  # what they do depends on the values of targets and lengths


def leaves(out):
    if isinstance(out, (tuple, list)):
        return [leaf for part in out for leaf in leaves(part)]
    return [] if out is None else [out]


def convert(value, device):
    if isinstance(value, np.ndarray):
        return fb.tensor(value).to(device)
    if isinstance(value, dict):
        return {k: convert(v, device) for k, v in value.items()}
    return value


def run(case, device):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = getattr(fb.nn, case.name)(*case.args, **convert(case.kwargs, "cpu")).double().to(device)
    module.train(case.modes[0] == "train")
    inputs = [np.zeros(spec) if isinstance(spec, tuple) else spec for spec in case.inputs]
    tensors = [convert(np.asarray(x), device) for x in inputs]
    for tensor in tensors[:1]:
        if tensor.is_floating_point():
            tensor.requires_grad_()
    out = leaves(module(*tensors, **convert(case.call, device)))
    learnt = [p for p in [*tensors, *module.parameters()] if p.requires_grad]
    if out[0].requires_grad:
        out[0].sum().backward()
    return [(tuple(o.shape), o.dtype, o.requires_grad) for o in out], [p.grad is not None and tuple(p.grad.shape) for p in learnt]


@pytest.mark.parametrize("case", [c for c in CASES if c.name not in READS_VALUES and c.kwargs.get("momentum", 0) is not None], ids=str)
def test_shapes_without_data(case):
    assert run(case, "meta") == run(case, "cpu")
