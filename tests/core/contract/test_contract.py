"""Every operation keeps its contract (flambeau.testing): values, shapes, dtypes, gradients, layouts, shape-only and batched execution."""

from __future__ import annotations

import pytest

from flambeau.testing import check
from tests.core.contract.tables_all import ALL, CASES


@pytest.mark.parametrize("name", CASES)
def test_contract(name):
    check(CASES[name])


def test_names_are_unique():
    assert len(CASES) == len(ALL)


def test_checks_are_left_out_for_a_reason():
    for case in ALL:
        assert all(isinstance(reason, str) and reason for reason in case.skip.values()), case.name
