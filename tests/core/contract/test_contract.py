"""Every operation keeps its contract (flambeau.testing): values, shapes, dtypes, gradients, layouts, shape-only and batched execution."""

from __future__ import annotations

import pytest

from flambeau.testing import check
from tests.core.contract import indexing_cases, movement_cases, pointwise_cases, reduction_cases

TABLES = [pointwise_cases, reduction_cases, movement_cases, indexing_cases]
CASES = {case.name: case for table in TABLES for case in table.CASES}


@pytest.mark.parametrize("name", CASES)
def test_contract(name):
    check(CASES[name])
