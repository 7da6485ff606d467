"""Text for Flambeau; also reachable as `flambeau.text`."""

from __future__ import annotations

from flambeau.base.lazy import lazy_attributes as _lazy_attributes
from flambeau_text.__about__ import __version__

__all__ = ["__version__", "tokenize"]

__getattr__, __dir__ = _lazy_attributes(
    globals(),
    {"tokenize"},
    attributes={
        "Tokenizer": "flambeau_text.tokenize:Tokenizer",
        "load_tokenizer": "flambeau_text.tokenize:load_tokenizer",
        "train_tokenizer": "flambeau_text.tokenize:train_tokenizer",
    },
)
