"""Datasets of images."""

from __future__ import annotations

from flambeau_vision.datasets.optical_digits import OpticalDigits
from flambeau_vision.datasets.shapes import Shapes

__all__ = ["OpticalDigits", "Shapes"]
