"""transformers, imported without torchvision: a torchvision that does not fit the installed PyTorch would break the import."""

from __future__ import annotations

import importlib.util
from typing import Any

_find_spec = importlib.util.find_spec


def _without_torchvision(name, *rest):
    return None if name.partition(".")[0] in ("torchvision", "torchaudio") else _find_spec(name, *rest)


have_transformers = _find_spec("transformers") is not None
transformers: Any = None
importlib.util.find_spec = _without_torchvision
try:
    if have_transformers:
        import transformers
        from transformers.utils import is_torchvision_available

        is_torchvision_available()  # the answer is kept
finally:
    importlib.util.find_spec = _find_spec

__all__ = ["have_transformers", "transformers"]
