"""Images for Flambeau; also reachable as `flambeau.vision`."""

from __future__ import annotations

from flambeau.base.lazy import lazy_attributes as _lazy_attributes
from flambeau_vision.__about__ import __version__

__all__ = ["__version__", "datasets", "functional", "metrics", "models", "ops", "recipes", "train", "transforms", "types", "utils"]

__getattr__, __dir__ = _lazy_attributes(
    globals(), {"datasets", "functional", "metrics", "models", "ops", "recipes", "train", "transforms", "types", "utils"}
)
