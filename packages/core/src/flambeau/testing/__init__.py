"""Public contract tests: the author of an operation, layer, model, dataset or optimizer supplies data, the contract supplies the checks.

>>> import numpy as np
>>> import flambeau as fb
>>> from flambeau.testing import OpCase, check, floats, sample
>>> check(OpCase("hypot", fb.hypot, [sample(floats(2, 3), floats(3))], reference=np.hypot))

`run(cases)` makes a pytest test of them. pytest and hypothesis are imported when they are used (`pip install "flambeau[testing]"`).
"""

from __future__ import annotations

from flambeau.testing.compare import assert_close
from flambeau.testing.dataset_case import DatasetCase
from flambeau.testing.layer_case import LayerCase
from flambeau.testing.make import make_tensor
from flambeau.testing.model_case import ModelCase
from flambeau.testing.op_case import OpCase
from flambeau.testing.optimizer_case import OptimizerCase
from flambeau.testing.runner import check, checks_of, run
from flambeau.testing.sample import Sample, Spec, bools, complexes, floats, ints, sample

__all__ = [
    "DatasetCase",
    "LayerCase",
    "ModelCase",
    "OpCase",
    "OptimizerCase",
    "Sample",
    "Spec",
    "assert_close",
    "bools",
    "check",
    "checks_of",
    "complexes",
    "floats",
    "ints",
    "make_tensor",
    "run",
    "sample",
]
