"""Datasets of images."""

from __future__ import annotations

from flambeau_vision.datasets.optical_digits import OpticalDigits

__all__ = ["OpticalDigits"]
