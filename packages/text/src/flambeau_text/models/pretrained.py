"""The base of all models here: `flambeau.pretrained.PretrainedModel` that continues texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flambeau import pretrained


class PretrainedModel(pretrained.PretrainedModel):
    """A model with a configuration, whose weights come from a folder, and its settings for generation with them."""

    def generate(self, input_ids: Any, attention_mask: Any = None, **settings: Any) -> Any:
        """Continue texts with a language head: `flambeau_text.generation.generate(self, ...)`."""
        from flambeau_text.generation import generate  # which imports models

        return generate(self, input_ids, attention_mask, **settings)

    def loaded_from(self, folder: Path) -> None:
        from flambeau_text.generation.settings import GenerationConfig

        self.generation_config = GenerationConfig.from_pretrained(folder)
