"""`torch.onnx`: export of modules, through `flambeau.export`."""

from __future__ import annotations

import os
from typing import IO, Any


def export(model: Any, args: Any = (), f: str | os.PathLike[str] | IO[bytes] | None = None, kwargs: Any = None, **options: Any) -> None:
    """Write a module as an ONNX model; see `flambeau.export.save`. PyTorch's other options choose among exporters that are not here."""
    from flambeau.export import save

    inputs = args if isinstance(args, tuple) else (args,)
    save(model, f or "model.onnx", inputs, kwargs, format="onnx")


def is_in_onnx_export() -> bool:
    """False: export is not seen by the program."""
    return False
