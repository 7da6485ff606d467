"""All tables of contract cases together."""

from __future__ import annotations

from tests.core.contract import (
    algebra_cases,
    creation_cases,
    functional_cases,
    indexing_cases,
    layer_cases,
    movement_cases,
    pointwise_cases,
    reduction_cases,
    row_cases,
)

TABLES = (
    pointwise_cases,
    reduction_cases,
    movement_cases,
    indexing_cases,
    algebra_cases,
    functional_cases,
    layer_cases,
    creation_cases,
    row_cases,
)
ALL = [case for table in TABLES for case in table.CASES]
CASES = {case.name: case for case in ALL}
