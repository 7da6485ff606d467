"""BART (Lewis et al. 2019): encoder and decoder with learnt positions, norms last."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.pretrained.activations import activation
from flambeau.pretrained.attention import attend, decoder_mask, merge_heads, padding_mask, split_heads
from flambeau.pretrained.cache import Cache
from flambeau.pretrained.config import Config
from flambeau.pretrained.losses import classification_loss, token_loss
from flambeau.pretrained.outputs import ModelOutput
from flambeau.pretrained.seq2seq import seq2seq_output, shift_right
from flambeau_text.models.gpt2 import check_length
from flambeau_text.models.pretrained import PretrainedModel


class BartConfig(Config):
    """Options of BART, with the defaults of its large model (406 million parameters)."""

    model_type = "bart"
    defaults: ClassVar[dict[str, Any]] = {
        "vocab_size": 50265, "max_position_embeddings": 1024, "encoder_layers": 12, "encoder_ffn_dim": 4096,
        "encoder_attention_heads": 16, "decoder_layers": 12, "decoder_ffn_dim": 4096, "decoder_attention_heads": 16,
        "activation_function": "gelu", "d_model": 1024, "dropout": 0.1, "attention_dropout": 0.0, "activation_dropout": 0.0,
        "init_std": 0.02, "classifier_dropout": 0.0, "scale_embedding": False, "is_encoder_decoder": True, "pad_token_id": 1,
        "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2,
    }  # fmt: skip
    aliases = {"hidden_size": "d_model", "num_attention_heads": "encoder_attention_heads", "num_hidden_layers": "encoder_layers"}
    divisible = (("d_model", "encoder_attention_heads"), ("d_model", "decoder_attention_heads"))


class LearnedPositions(nn.Embedding):
    """A table of positions that begins at row 2."""

    OFFSET = 2

    def __init__(self, positions: int, width: int) -> None:
        super().__init__(positions + self.OFFSET, width)

    def forward(self, positions: Any) -> Any:
        return super().forward(positions + self.OFFSET)


class BartAttention(nn.Module):
    """Attention to the same sequence, or to a memory: (N, L, E) -> (N, L, E)."""

    def __init__(self, config: BartConfig, heads: int, layer: int) -> None:
        super().__init__()
        width = config.d_model
        self.layer, self.size, self.dropout = layer, width // heads, config.attention_dropout
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Any, memory: Any, mask: Any, cache: Cache | None, weights: bool) -> tuple[Any, Any]:
        query = split_heads(self.q_proj(x), self.size)
        if memory is not None and cache is not None and self.layer in cache.cross:
            key, value = cache.cross[self.layer]
        else:
            source = x if memory is None else memory
            key, value = split_heads(self.k_proj(source), self.size), split_heads(self.v_proj(source), self.size)
            if cache is not None and memory is None:
                key, value = cache.update(key, value, self.layer)
            elif cache is not None:
                cache.cross[self.layer] = (key, value)
        out, shares = attend(query, key, value, mask, dropout=self.dropout if self.training else 0.0, weights=weights)
        return self.out_proj(merge_heads(out)), shares


class BartLayer(nn.Module):
    """Self-attention, in decoders attention to the encoder, and an MLP, each with a residual and a norm after it."""

    def __init__(self, config: BartConfig, layer: int, decoder: bool) -> None:
        super().__init__()
        width, heads = config.d_model, config.decoder_attention_heads if decoder else config.encoder_attention_heads
        inner = config.decoder_ffn_dim if decoder else config.encoder_ffn_dim
        self.decoder = decoder
        self.self_attn = BartAttention(config, heads, layer)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        if decoder:
            self.encoder_attn = BartAttention(config, heads, layer)
            self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.act = activation(config.activation_function)
        self.dropout, self.act_dropout = nn.Dropout(config.dropout), nn.Dropout(config.activation_dropout)

    def forward(self, x: Any, memory: Any, masks: tuple[Any, Any], cache: Cache | None, weights: bool) -> tuple[Any, Any, Any]:
        out, shares = self.self_attn(x, None, masks[0], cache, weights)
        x = self.self_attn_layer_norm(x + self.dropout(out))
        crossed = None
        if self.decoder:
            out, crossed = self.encoder_attn(x, memory, masks[1], cache, weights)
            x = self.encoder_attn_layer_norm(x + self.dropout(out))
        out = self.fc2(self.act_dropout(self.act(self.fc1(x))))
        return self.final_layer_norm(x + self.dropout(out)), shares, crossed


class BartStack(nn.Module):
    """The encoder or the decoder."""

    positions_class: ClassVar[Any] = LearnedPositions
    normalised: ClassVar[bool] = True  # embeddings are

    def __init__(self, config: BartConfig, embed_tokens: nn.Embedding, decoder: bool) -> None:
        super().__init__()
        self.config, self.decoder = config, decoder
        self.scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
        self.embed_tokens = embed_tokens
        self.embed_positions = self.positions_class(config.max_position_embeddings, config.d_model)
        depth = config.decoder_layers if decoder else config.encoder_layers
        self.layers = nn.ModuleList(BartLayer(config, layer, decoder) for layer in range(depth))
        if self.normalised:
            self.layernorm_embedding = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        memory: Any = None,
        memory_mask: Any = None,
        cache: Cache | None = None,
        inputs_embeds: Any = None,
        output_attentions: bool = False,
    ) -> ModelOutput:
        x = (self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds) * self.scale
        length = x.shape[1]
        check_length(self, length, cache, self.config.max_position_embeddings)
        places = flambeau.arange(length, device=x.device) if cache is None else cache.positions(length, x.device)
        x = x + self.embed_positions(places)
        x = self.dropout(self.layernorm_embedding(x) if self.normalised else x)
        mask = decoder_mask(length, cache, attention_mask, x.device) if self.decoder else padding_mask(attention_mask)
        masks = (mask, padding_mask(memory_mask))
        states, attentions, crossed = [x], [], []
        for layer in self.layers:
            x, shares, cross = layer(x, memory, masks, cache, output_attentions)
            states.append(x)
            attentions.append(shares)
            crossed.append(cross)
        if cache is not None:
            cache.advance(length)
        return ModelOutput(
            last_hidden_state=x,
            past_key_values=cache,
            hidden_states=tuple(states),
            attentions=tuple(attentions) if output_attentions else None,
            cross_attentions=tuple(crossed) if output_attentions and self.decoder else None,
        )


class BartModel(PretrainedModel):
    """Encoder and decoder: ids (N, S) and decoder ids (N, L) -> `last_hidden_state` (N, L, E)."""

    config_class: ClassVar[type[Config]] = BartConfig
    base_model_prefix = "model"
    bounded = True
    stack_class: ClassVar[type[BartStack]] = BartStack
    tied = {"encoder.embed_tokens.weight": "shared.weight", "decoder.embed_tokens.weight": "shared.weight"}

    def __init__(self, config: BartConfig) -> None:
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model, padding_idx=config.pad_token_id)
        self.encoder = self.stack_class(config, self.shared, decoder=False)
        self.decoder = self.stack_class(config, self.shared, decoder=True)
        self.post_init()

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        decoder_attention_mask: Any = None,
        encoder_outputs: Any = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Any = None,
        use_cache: bool | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids, attention_mask, inputs_embeds=inputs_embeds, output_attentions=output_attentions)
        cache = past_key_values
        if cache is None and (use_cache if use_cache is not None else self.config.use_cache and not self.training):
            cache = Cache()
        if decoder_input_ids is None:
            decoder_input_ids = shift_right(input_ids, self.config)
        decoded = self.decoder(
            decoder_input_ids,
            decoder_attention_mask,
            encoder_outputs[0],
            attention_mask,
            cache,
            output_attentions=output_attentions,
        )
        return seq2seq_output(encoder_outputs, decoded, output_hidden_states)


class BartForConditionalGeneration(PretrainedModel):
    """BART with scores for the next token of the decoder: `logits` (N, L, vocabulary); `labels` make the decoder's input and the loss."""

    config_class: ClassVar[type[Config]] = BartConfig
    base_model_prefix = "model"
    bounded = True
    base_class: ClassVar[type[BartModel]] = BartModel
    tied = {
        "lm_head.weight": "model.shared.weight",
        "model.encoder.embed_tokens.weight": "model.shared.weight",
        "model.decoder.embed_tokens.weight": "model.shared.weight",
    }

    def __init__(self, config: BartConfig) -> None:
        super().__init__(config)
        self.model = self.base_class(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.register_buffer("final_logits_bias", flambeau.zeros(1, config.vocab_size))
        nn.init.normal_(self.lm_head.weight, 0.0, config.init_std)
        self.tie_weights()

    def forward(self, input_ids: Any = None, attention_mask: Any = None, *, labels: Any = None, **inputs: Any) -> ModelOutput:
        if labels is not None and inputs.get("decoder_input_ids") is None:
            inputs["decoder_input_ids"] = shift_right(labels, self.config)
        out = self.model(input_ids, attention_mask, **inputs)
        logits = self.lm_head(out.last_hidden_state) + self.final_logits_bias
        loss = None if labels is None else token_loss(logits, labels)
        rest = {name: value for name, value in out.items() if name != "last_hidden_state"}
        return ModelOutput(loss=loss, logits=logits, **rest)


class ClassificationHead(nn.Module):
    """out(tanh(dense(x)))"""

    def __init__(self, config: BartConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.d_model, config.d_model)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.out_proj = nn.Linear(config.d_model, config.num_labels)

    def forward(self, x: Any) -> Any:
        return self.out_proj(self.dropout(self.dense(self.dropout(x)).tanh()))


class BartForSequenceClassification(PretrainedModel):
    """BART with scores for a whole text, from the decoder's state at the last end token: `logits` (N, K)."""

    config_class = BartConfig
    base_model_prefix = "model"
    bounded = True
    tied = {"model.encoder.embed_tokens.weight": "model.shared.weight", "model.decoder.embed_tokens.weight": "model.shared.weight"}

    def __init__(self, config: BartConfig) -> None:
        super().__init__(config)
        self.model = BartModel(config)
        self.classification_head = ClassificationHead(config)
        self.post_init()

    def forward(self, input_ids: Any, *, labels: Any = None, **inputs: Any) -> ModelOutput:
        ends = (input_ids == self.config.eos_token_id).long()
        if not bool(ends.any(1).all()):
            raise ArgumentError(explain(type(self).__name__, expected="an end token in each text", got="a text without one"))
        out = self.model(input_ids, use_cache=False, **inputs)
        places = flambeau.arange(input_ids.shape[1], device=input_ids.device)
        rows = flambeau.arange(input_ids.shape[0], device=input_ids.device)
        logits = self.classification_head(out.last_hidden_state[rows, (places * ends).argmax(1)])
        loss = None if labels is None else classification_loss(logits, labels, self.config)
        rest = {name: value for name, value in out.items() if name != "last_hidden_state"}
        return ModelOutput(loss=loss, logits=logits, **rest)
