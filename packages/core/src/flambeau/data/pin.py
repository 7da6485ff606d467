"""Page-locked copies of a batch, from which copies to the GPU are faster and can overlap with work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flambeau.base.errors import FlambeauError
from flambeau.data.collate import like_mapping
from flambeau.device.base import backend, device


def gpu_is_usable() -> bool:
    """Whether a CUDA device can be used here."""
    try:
        backend(device("cuda"))
    except FlambeauError:
        return False
    return True


def pin_memory(batch: Any) -> Any:
    """A batch with every tensor (and every object with a `pin_memory()` method) replaced by its pinned copy."""
    method = getattr(batch, "pin_memory", None)
    if callable(method):
        return method()
    if isinstance(batch, Mapping):
        return like_mapping(batch, {key: pin_memory(value) for key, value in batch.items()})
    if isinstance(batch, tuple):
        items = [pin_memory(item) for item in batch]
        return type(batch)(*items) if hasattr(batch, "_fields") else tuple(items)
    if isinstance(batch, Sequence) and not isinstance(batch, (str, bytes)):
        return [pin_memory(item) for item in batch]
    return batch
