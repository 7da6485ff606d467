"""Errors of this package."""

from __future__ import annotations

from flambeau.base.errors import FlambeauError


class EnvironmentFault(FlambeauError, RuntimeError):
    """An environment broke its own promises: a number that is not finite, a shape that is not its space's, a missing field."""


class TrainingFault(FlambeauError, RuntimeError):
    """Learning produced numbers that are not finite. The last checkpoint is still good."""
