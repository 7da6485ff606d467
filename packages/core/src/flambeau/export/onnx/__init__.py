"""Exported programs as ONNX models: `model.py` writes the model, the other files say how each primitive is written."""

from flambeau.export.onnx.model import write

__all__ = ["write"]
