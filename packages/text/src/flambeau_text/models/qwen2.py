"""Qwen2 (Yang et al. 2024): Llama with biases on queries, keys and values, and windows in its upper layers where that is switched on."""

from __future__ import annotations

from flambeau_text.models.llama import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, LlamaModel


class Qwen2Config(LlamaConfig):
    """Options of Qwen2."""

    model_type = "qwen2"
    defaults = {
        **LlamaConfig.defaults, "vocab_size": 151936, "intermediate_size": 22016, "num_key_value_heads": 32,
        "max_position_embeddings": 32768, "use_sliding_window": False, "max_window_layers": 28, "bos_token_id": None, "eos_token_id": None,
    }  # fmt: skip
    qkv_bias = True

    def window(self, layer: int) -> int | None:
        kinds = getattr(self, "layer_types", None)
        sliding = kinds[layer] == "sliding_attention" if kinds else self.use_sliding_window and layer >= self.max_window_layers
        return self.sliding_window if sliding else None


class Qwen2Model(LlamaModel):
    """Token ids (N, L) -> `last_hidden_state` (N, L, E)."""

    config_class = Qwen2Config


class Qwen2ForCausalLM(LlamaForCausalLM):
    """Qwen2 with scores for the next token; see `LlamaForCausalLM`."""

    config_class, base_class = Qwen2Config, Qwen2Model


class Qwen2ForSequenceClassification(LlamaForSequenceClassification):
    """Qwen2 with scores for a whole text; see `LlamaForSequenceClassification`."""

    config_class, base_class = Qwen2Config, Qwen2Model
