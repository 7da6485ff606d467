"""Audio and speech for Flambeau; also reachable as `flambeau.audio`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.base.lazy import lazy_attributes as _lazy_attributes
from flambeau_audio.__about__ import __version__

if TYPE_CHECKING:
    from flambeau_audio.io import AudioInfo, blocks, info, load, save
    from flambeau_audio.models import load_model

__all__ = ["AudioInfo", "__version__", "blocks", "functional", "info", "load", "load_model", "models", "save", "transforms"]

__getattr__, __dir__ = _lazy_attributes(
    globals(),
    {"functional", "models", "transforms"},
    attributes={
        "load_model": "flambeau_audio.models:load_model",
        **{name: f"flambeau_audio.io:{name}" for name in ("AudioInfo", "blocks", "info", "load", "save")},
    },
)
