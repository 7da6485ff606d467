"""Images for Flambeau; also reachable as `flambeau.vision`."""

from __future__ import annotations

from flambeau.base.lazy import lazy_attributes as _lazy_attributes
from flambeau_vision.__about__ import __version__

__all__ = [
    "Classifier",
    "__version__",
    "classifier",
    "datasets",
    "functional",
    "io",
    "metrics",
    "models",
    "ops",
    "recipes",
    "train",
    "transforms",
    "types",
    "utils",
]

__getattr__, __dir__ = _lazy_attributes(
    globals(),
    {"datasets", "functional", "io", "metrics", "models", "ops", "recipes", "train", "transforms", "types", "utils"},
    attributes={"classifier": "flambeau_vision.classify:classifier", "Classifier": "flambeau_vision.classify:Classifier"},
)
