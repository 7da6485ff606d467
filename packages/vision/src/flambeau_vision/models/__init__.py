"""Models for images."""

from __future__ import annotations

from flambeau_vision.models.digits_cnn import DigitsCNN, digits_cnn

__all__ = ["DigitsCNN", "digits_cnn"]
