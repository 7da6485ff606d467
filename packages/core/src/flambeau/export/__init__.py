"""Programs as files: `save` writes a module or function with its tensors, `load` runs it without its Python code, `onnx` writes ONNX."""

from flambeau.export.capture import CannotExport
from flambeau.export.loaded import Function, Loaded, load
from flambeau.export.save import Entry, save

__all__ = ["CannotExport", "Entry", "Function", "Loaded", "load", "save"]
