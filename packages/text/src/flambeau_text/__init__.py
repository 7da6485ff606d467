"""Text for Flambeau; also reachable as `flambeau.text`."""

from __future__ import annotations

from flambeau.base.lazy import lazy_attributes as _lazy_attributes
from flambeau_text.__about__ import __version__

__all__ = ["__version__", "chat", "datasets", "embedding", "generation", "metrics", "models", "pipelines", "recipes", "tokenize"]

__getattr__, __dir__ = _lazy_attributes(
    globals(),
    {"chat", "data", "datasets", "embedding", "generation", "metrics", "models", "pipelines", "recipes", "tokenize", "vectors", "vocab"},
    attributes={
        "Embedder": "flambeau_text.embedding:Embedder",
        "GenerationConfig": "flambeau_text.generation:GenerationConfig",
        "Search": "flambeau_text.embedding:Search",
        "TextStreamer": "flambeau_text.generation:TextStreamer",
        "Tokenizer": "flambeau_text.tokenize:Tokenizer",
        "apply_chat_template": "flambeau_text.chat:apply_chat_template",
        "generate": "flambeau_text.generation:generate",
        "load_model": "flambeau_text.models:load_model",
        "load_tokenizer": "flambeau_text.tokenize:load_tokenizer",
        "pipeline": "flambeau_text.pipelines:pipeline",
        "train_tokenizer": "flambeau_text.tokenize:train_tokenizer",
    },
)
