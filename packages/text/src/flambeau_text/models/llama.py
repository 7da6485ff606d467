"""Llama (Touvron et al. 2023; Grattafiori et al. 2024): rotary positions, RMS norms first, gated MLP, grouped keys and values."""

from __future__ import annotations

from typing import Any, ClassVar

from flambeau import nn
from flambeau.pretrained.activations import activation
from flambeau.pretrained.attention import attend, decoder_mask, merge_heads, split_heads
from flambeau.pretrained.cache import Cache
from flambeau.pretrained.config import Config
from flambeau.pretrained.losses import causal_loss, classification_loss, last_tokens
from flambeau.pretrained.outputs import ModelOutput
from flambeau_text.models.pretrained import PretrainedModel
from flambeau_text.models.rotary import RotaryEmbedding, rotary_options, rotate


class LlamaConfig(Config):
    """Options of Llama and its relatives, with the defaults of Llama 1 (7 billion parameters).

    `rope_parameters` has `rope_theta` and `rope_type` ("default", "linear", "llama3"); the older `rope_theta` and `rope_scaling` are
    read too.
    """

    model_type = "llama"
    defaults: ClassVar[dict[str, Any]] = {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": None, "head_dim": None, "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
        "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0, "tie_word_embeddings": False, "bos_token_id": 1,
        "eos_token_id": 2, "rope_parameters": None, "sliding_window": None,
    }  # fmt: skip
    qkv_bias: ClassVar[bool] = False  # of queries, keys and values alone, as in Qwen2

    num_key_value_heads: Any
    head_dim: Any

    def check(self) -> None:
        self.num_key_value_heads = self.num_key_value_heads or self.num_attention_heads
        self.head_dim = self.head_dim or self.hidden_size // self.num_attention_heads
        self.rope_parameters = rotary_options(self)
        super().check()

    divisible = (("num_attention_heads", "num_key_value_heads"),)

    def window(self, layer: int) -> int | None:
        """How many tokens back the attention of a layer sees; None for all."""
        return self.sliding_window if self.model_type == "mistral" else None


class LlamaAttention(nn.Module):
    """Self-attention with rotary positions: (N, L, E) -> (N, L, E)."""

    def __init__(self, config: LlamaConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.size, self.dropout = layer, config.head_dim, config.attention_dropout
        width, kv_width = config.num_attention_heads * self.size, config.num_key_value_heads * self.size
        bias = config.attention_bias or config.qkv_bias
        self.q_proj = nn.Linear(config.hidden_size, width, bias=bias)
        self.k_proj = nn.Linear(config.hidden_size, kv_width, bias=bias)
        self.v_proj = nn.Linear(config.hidden_size, kv_width, bias=bias)
        self.o_proj = nn.Linear(width, config.hidden_size, bias=config.attention_bias)

    def forward(self, x: Any, angles: Any, mask: Any, cache: Cache | None, weights: bool) -> tuple[Any, Any]:
        query, key, value = (split_heads(layer(x), self.size) for layer in (self.q_proj, self.k_proj, self.v_proj))
        query, key = rotate(query, angles), rotate(key, angles)
        if cache is not None:
            key, value = cache.update(key, value, self.layer)
        out, shares = attend(query, key, value, mask, dropout=self.dropout if self.training else 0.0, weights=weights)
        return self.o_proj(merge_heads(out)), shares


class LlamaMLP(nn.Module):
    """down(act(gate(x)) * up(x)) (Shazeer 2020)."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        outer, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(outer, inner, bias=config.mlp_bias)
        self.up_proj = nn.Linear(outer, inner, bias=config.mlp_bias)
        self.down_proj = nn.Linear(inner, outer, bias=config.mlp_bias)
        self.act = activation(config.hidden_act)

    def forward(self, x: Any) -> Any:
        return self.down_proj(self.act(self.gate_proj(x)) * self.up_proj(x))


class LlamaDecoderLayer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: LlamaConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = LlamaAttention(config, layer)
        self.mlp = LlamaMLP(config)
        self.input_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Any, angles: Any, mask: Any, cache: Cache | None, weights: bool) -> tuple[Any, Any]:
        out, shares = self.self_attn(self.input_layernorm(x), angles, mask, cache, weights)
        x = x + out
        return x + self.mlp(self.post_attention_layernorm(x)), shares


class LlamaModel(PretrainedModel):
    """Token ids (N, L) -> `last_hidden_state` (N, L, E).

    >>> import flambeau
    >>> config = LlamaConfig(
    ...     vocab_size=11, hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    ... )
    >>> LlamaModel(config)(flambeau.tensor([[1, 2, 3]])).last_hidden_state.shape
    flambeau.Size([1, 3, 8])
    """

    config_class = LlamaConfig
    base_model_prefix = "model"

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(LlamaDecoderLayer(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary_emb = RotaryEmbedding(config)
        self.post_init()

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Any = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> ModelOutput:
        config = self.config
        weights = config.output_attentions if output_attentions is None else output_attentions
        keep = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        cache = past_key_values
        if cache is None and (use_cache if use_cache is not None else config.use_cache and not self.training):
            cache = Cache()
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        length = x.shape[1]
        if position_ids is None:
            position_ids = (cache or Cache()).positions(length, x.device)[None]
        angles = self.rotary_emb(position_ids)
        masks = {w: decoder_mask(length, cache, attention_mask, x.device, w) for w in {config.window(i) for i in range(len(self.layers))}}
        states, attentions = [x], []
        for i, layer in enumerate(self.layers):
            x, shares = layer(x, angles, masks[config.window(i)], cache, weights)
            states.append(x)
            attentions.append(shares)
        x = states[-1] = self.norm(x)
        if cache is not None:
            cache.advance(length)
        return ModelOutput(
            last_hidden_state=x,
            past_key_values=cache,
            hidden_states=tuple(states) if keep else None,
            attentions=tuple(attentions) if weights else None,
        )


class LlamaForCausalLM(PretrainedModel):
    """Llama with scores for the next token: `logits` (N, L, vocabulary), and `loss` where `labels` (N, L) are given, not shifted."""

    config_class = LlamaConfig
    base_model_prefix = "model"
    base_class: ClassVar[type[LlamaModel]] = LlamaModel
    tied = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.model = self.base_class(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        nn.init.normal_(self.lm_head.weight, 0.0, config.initializer_range)
        self.tie_weights()

    def forward(self, input_ids: Any = None, attention_mask: Any = None, *, labels: Any = None, **inputs: Any) -> ModelOutput:
        out = self.model(input_ids, attention_mask, **inputs)
        logits = self.lm_head(out.last_hidden_state)
        loss = None if labels is None else causal_loss(logits, labels)
        return ModelOutput(
            loss=loss,
            logits=logits,
            past_key_values=out.past_key_values,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
        )


class LlamaForSequenceClassification(PretrainedModel):
    """Llama with scores for a whole text, from its last token: `logits` (N, K)."""

    config_class = LlamaConfig
    base_model_prefix = "model"
    base_class: ClassVar[type[LlamaModel]] = LlamaModel

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.model = self.base_class(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)
        nn.init.normal_(self.score.weight, 0.0, config.initializer_range)

    def forward(self, input_ids: Any = None, attention_mask: Any = None, *, labels: Any = None, **inputs: Any) -> ModelOutput:
        out = self.model(input_ids, attention_mask, **inputs)
        logits = self.score(last_tokens(input_ids, out.last_hidden_state, self.config.pad_token_id))
        loss = None if labels is None else classification_loss(logits, labels, self.config)
        return ModelOutput(loss=loss, logits=logits, hidden_states=out.hidden_states, attentions=out.attentions)
