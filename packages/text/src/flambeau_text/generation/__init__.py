"""Generation of texts."""

from __future__ import annotations

from flambeau_text.generation.api import generate
from flambeau_text.generation.settings import GenerationConfig
from flambeau_text.generation.streaming import StopStrings, TextStreamer

__all__ = ["GenerationConfig", "StopStrings", "TextStreamer", "generate"]
