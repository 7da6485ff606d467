"""Saving and loading: safetensors, nested state, checkpoints of a run. No pickle anywhere."""

from flambeau.serialization.checkpoint import Checkpoint, Checkpointer
from flambeau.serialization.formats import FileFormat, LoadOptions, load, register_format, save
from flambeau.serialization.pth.machine import Opaque
from flambeau.serialization.safetensors import load_file, load_model, safe_open, save_file, save_model
from flambeau.serialization.sharded import load_sharded, save_sharded

__all__ = [
    "Checkpoint",
    "Checkpointer",
    "FileFormat",
    "LoadOptions",
    "Opaque",
    "load",
    "load_file",
    "load_model",
    "load_sharded",
    "register_format",
    "safe_open",
    "save",
    "save_file",
    "save_model",
    "save_sharded",
]
