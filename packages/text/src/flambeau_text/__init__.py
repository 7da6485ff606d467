"""Text for Flambeau; also reachable as `flambeau.text`."""

from __future__ import annotations

from flambeau.base.lazy import lazy_attributes as _lazy_attributes
from flambeau_text.__about__ import __version__

__all__ = ["__version__", "models", "tokenize"]

__getattr__, __dir__ = _lazy_attributes(
    globals(),
    {"models", "tokenize"},
    attributes={
        "load_model": "flambeau_text.models:load_model",
        "Tokenizer": "flambeau_text.tokenize:Tokenizer",
        "load_tokenizer": "flambeau_text.tokenize:load_tokenizer",
        "train_tokenizer": "flambeau_text.tokenize:train_tokenizer",
    },
)
