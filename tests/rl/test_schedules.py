"""Schedules."""

from __future__ import annotations

import pytest

from flambeau.base.errors import ArgumentError
from flambeau_rl.schedules import Constant, Linear, schedule


@pytest.mark.parametrize(("value", "expected"), [(3e-4, 3e-4), ("3e-4", 3e-4), (2, 2.0)])
def test_a_number_stays(value, expected):
    assert [schedule(value)(remaining) for remaining in (1.0, 0.3, 0.0)] == [expected] * 3


def test_linear():
    assert [schedule("lin_1e-3")(remaining) for remaining in (1.0, 0.25, 0.0)] == [1e-3, 2.5e-4, 0.0]


def test_schedules_are_values():
    assert schedule("lin_0.2") == Linear(0.2) != Constant(0.2)
    assert schedule(schedule("lin_0.2")) == Linear(0.2)


@pytest.mark.parametrize("bad", ["cos_1", "lin_", "lin_x", None, ""])
def test_other_text_is_refused(bad):
    with pytest.raises(ArgumentError, match="lin_1e-3"):
        schedule(bad)
