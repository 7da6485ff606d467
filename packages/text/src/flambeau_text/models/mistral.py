"""Mistral (Jiang et al. 2023): Llama whose attention sees a window of tokens."""

from __future__ import annotations

from flambeau_text.models.llama import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, LlamaModel


class MistralConfig(LlamaConfig):
    """Options of Mistral, with the defaults of its first model (7 billion parameters)."""

    model_type = "mistral"
    defaults = {
        **LlamaConfig.defaults, "intermediate_size": 14336, "num_key_value_heads": 8, "max_position_embeddings": 131072,
        "sliding_window": 4096,
    }  # fmt: skip
    may_be_none = ("sliding_window",)


class MistralModel(LlamaModel):
    """Token ids (N, L) -> `last_hidden_state` (N, L, E)."""

    config_class = MistralConfig


class MistralForCausalLM(LlamaForCausalLM):
    """Mistral with scores for the next token; see `LlamaForCausalLM`."""

    config_class, base_class = MistralConfig, MistralModel


class MistralForSequenceClassification(LlamaForSequenceClassification):
    """Mistral with scores for a whole text; see `LlamaForSequenceClassification`."""

    config_class, base_class = MistralConfig, MistralModel
