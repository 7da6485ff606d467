"""T5 (Raffel et al. 2019): encoder and decoder with relative positions as biases of attention, RMS norms first."""

from __future__ import annotations

import math
from typing import Any

import flambeau
from flambeau import nn
from flambeau.pretrained.activations import activation
from flambeau.pretrained.attention import attend, causal_mask, decoder_mask, merge_heads, padding_mask, split_heads
from flambeau.pretrained.cache import Cache
from flambeau.pretrained.config import Config
from flambeau.pretrained.losses import token_loss
from flambeau.pretrained.outputs import ModelOutput
from flambeau.pretrained.seq2seq import seq2seq_output, shift_right
from flambeau_text.models.pretrained import PretrainedModel


class T5Config(Config):
    """Options of T5, with the defaults of its small model (60 million parameters)."""

    model_type = "t5"
    defaults = {
        "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_decoder_layers": None, "num_heads": 8,
        "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "dropout_rate": 0.1, "layer_norm_epsilon": 1e-6,
        "feed_forward_proj": "relu", "initializer_factor": 1.0, "is_encoder_decoder": True, "pad_token_id": 0, "eos_token_id": 1,
        "decoder_start_token_id": 0, "scale_decoder_outputs": None,
    }  # fmt: skip
    aliases = {"hidden_size": "d_model", "num_attention_heads": "num_heads", "num_hidden_layers": "num_layers", "head_dim": "d_kv"}

    num_decoder_layers: Any
    scale_decoder_outputs: Any

    def check(self) -> None:
        self.num_decoder_layers = self.num_decoder_layers or self.num_layers
        if self.scale_decoder_outputs is None:
            self.scale_decoder_outputs = bool(self.tie_word_embeddings)  # T5 1.1 does neither
        super().check()


def buckets(distance: Any, bidirectional: bool, count: int, farthest: int) -> Any:
    """Numbers of buckets for distances (key position - query position): exact ones near, logarithmic ones far away."""
    side = flambeau.zeros_like(distance)
    if bidirectional:
        count //= 2
        side, distance = (distance > 0).long() * count, distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = count // 2
    far = exact + (distance.clamp(min=1).float() / exact).log() / math.log(farthest / exact) * (count - exact)
    return side + flambeau.where(distance < exact, distance, far.long().clamp(max=count - 1))


class T5Attention(nn.Module):
    """Attention without scaling; the first layer of each stack holds the biases of positions for all."""

    def __init__(self, config: T5Config, layer: int, biased: bool, bidirectional: bool) -> None:
        super().__init__()
        width = config.num_heads * config.d_kv
        self.layer, self.size, self.dropout, self.bidirectional = layer, config.d_kv, config.dropout_rate, bidirectional
        self.count, self.farthest = config.relative_attention_num_buckets, config.relative_attention_max_distance
        self.q, self.k, self.v = (nn.Linear(config.d_model, width, bias=False) for _ in range(3))
        self.o = nn.Linear(width, config.d_model, bias=False)
        if biased:
            self.relative_attention_bias = nn.Embedding(self.count, config.num_heads)

    def bias(self, queries: Any, keys: Any) -> Any:
        """(1, heads, L, S) for the positions of queries (L) and keys (S)."""
        found = buckets(keys[None, :] - queries[:, None], self.bidirectional, self.count, self.farthest)
        return self.relative_attention_bias(found).permute(2, 0, 1)[None]

    def forward(self, x: Any, memory: Any, mask: Any, cache: Cache | None, weights: bool) -> tuple[Any, Any]:
        query = split_heads(self.q(x), self.size)
        if memory is not None and cache is not None and self.layer in cache.cross:
            key, value = cache.cross[self.layer]
        else:
            source = x if memory is None else memory
            key, value = split_heads(self.k(source), self.size), split_heads(self.v(source), self.size)
            if cache is not None and memory is None:
                key, value = cache.update(key, value, self.layer)
            elif cache is not None:
                cache.cross[self.layer] = (key, value)
        dropout = self.dropout if self.training else 0.0
        out, shares = attend(query, key, value, mask, scale=1.0, dropout=dropout, weights=weights)
        return self.o(merge_heads(out)), shares


class SelfAttentionLayer(nn.Module):
    """x + attention(norm(x))"""

    def __init__(self, config: T5Config, layer: int, decoder: bool) -> None:
        super().__init__()
        self.SelfAttention = T5Attention(config, layer, biased=layer == 0, bidirectional=not decoder)
        self.layer_norm = nn.RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, x: Any, mask: Any, cache: Cache | None, weights: bool) -> tuple[Any, Any]:
        out, shares = self.SelfAttention(self.layer_norm(x), None, mask, cache, weights)
        return x + self.dropout(out), shares


class CrossAttentionLayer(nn.Module):
    """x + attention(norm(x), memory)"""

    def __init__(self, config: T5Config, layer: int) -> None:
        super().__init__()
        self.EncDecAttention = T5Attention(config, layer, biased=False, bidirectional=True)
        self.layer_norm = nn.RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, x: Any, memory: Any, mask: Any, cache: Cache | None, weights: bool) -> tuple[Any, Any]:
        out, shares = self.EncDecAttention(self.layer_norm(x), memory, mask, cache, weights)
        return x + self.dropout(out), shares


class DenseReluDense(nn.Module):
    """The MLP, plain ("relu") or gated ("gated-gelu")."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        gate, _, name = config.feed_forward_proj.rpartition("-")
        self.gated, self.act = gate == "gated", activation("gelu_new" if (gate, name) == ("gated", "gelu") else name)
        for part in ("wi_0", "wi_1") if self.gated else ("wi",):
            setattr(self, part, nn.Linear(config.d_model, config.d_ff, bias=False))
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, x: Any) -> Any:
        inner = self.act(self.wi_0(x)) * self.wi_1(x) if self.gated else self.act(self.wi(x))
        return self.wo(self.dropout(inner))


class FeedForwardLayer(nn.Module):
    """x + mlp(norm(x))"""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.DenseReluDense = DenseReluDense(config)
        self.layer_norm = nn.RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, x: Any) -> Any:
        return x + self.dropout(self.DenseReluDense(self.layer_norm(x)))


class Block(nn.Module):
    """Self-attention, in decoders attention to the encoder, and an MLP."""

    def __init__(self, config: T5Config, layer: int, decoder: bool) -> None:
        super().__init__()
        cross = [CrossAttentionLayer(config, layer)] if decoder else []
        self.layer = nn.ModuleList([SelfAttentionLayer(config, layer, decoder), *cross, FeedForwardLayer(config)])


class T5Stack(nn.Module):
    """The encoder or the decoder."""

    def __init__(self, config: T5Config, embed_tokens: nn.Embedding, decoder: bool) -> None:
        super().__init__()
        self.config, self.decoder = config, decoder
        self.embed_tokens = embed_tokens
        depth = config.num_decoder_layers if decoder else config.num_layers
        self.block = nn.ModuleList(Block(config, layer, decoder) for layer in range(depth))
        self.final_layer_norm = nn.RMSNorm(config.d_model, config.layer_norm_epsilon)
        self.dropout = nn.Dropout(config.dropout_rate)

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
        x = self.dropout(self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds)
        mask = self._mask(x, attention_mask, cache)
        seen = padding_mask(memory_mask)
        states, attentions, crossed = [x], [], []
        for block in self.block:
            x, shares = block.layer[0](x, mask, cache, output_attentions)
            attentions.append(shares)
            if self.decoder:
                x, shares = block.layer[1](x, memory, seen, cache, output_attentions)
                crossed.append(shares)
            x = block.layer[-1](x)
            states.append(x)
        x = states[-1] = self.dropout(self.final_layer_norm(x))
        if cache is not None:
            cache.advance(x.shape[1])
        return ModelOutput(
            last_hidden_state=x,
            past_key_values=cache,
            hidden_states=tuple(states),
            attentions=tuple(attentions) if output_attentions else None,
            cross_attentions=tuple(crossed) if output_attentions and self.decoder else None,
        )

    def _mask(self, x: Any, attention_mask: Any, cache: Cache | None) -> Any:
        """The biases of positions, with the lowest number where attention is not allowed: (N, heads, L, S)."""
        length = x.shape[1]
        width = length if cache is None else cache.width(length)
        keys = flambeau.arange(width, device=x.device)
        queries = keys if cache is None else cache.positions(length, x.device)
        bias = self.block[0].layer[0].SelfAttention.bias(queries, keys)
        allowed: Any = padding_mask(attention_mask)
        if self.decoder:
            allowed = decoder_mask(length, cache, attention_mask, x.device)
            allowed = causal_mask(length, width, x.device) if isinstance(allowed, str) else allowed
        return bias if allowed is None else bias.masked_fill(~allowed, flambeau.finfo(bias.dtype).min)


class T5Base(PretrainedModel):
    """What all T5 models share: initial weights."""

    config_class = T5Config
    base_model_prefix = ""

    def init_weights(self) -> None:
        config, factor = self.config, self.config.initializer_factor
        stds = {
            "shared": 1.0, "lm_head": 1.0,
            "q": (config.d_model * config.d_kv) ** -0.5, "k": config.d_model**-0.5, "v": config.d_model**-0.5,
            "o": (config.num_heads * config.d_kv) ** -0.5, "wo": config.d_ff**-0.5,
        }  # fmt: skip
        for name, module in self.named_modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                leaf = name.rpartition(".")[2]
                nn.init.normal_(module.weight, 0.0, factor * stds.get(leaf, config.d_model**-0.5))


class T5Model(T5Base):
    """Encoder and decoder: ids (N, S) and decoder ids (N, L) -> `last_hidden_state` (N, L, E)."""

    tied = {"encoder.embed_tokens.weight": "shared.weight", "decoder.embed_tokens.weight": "shared.weight"}

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(config, self.shared, decoder=False)
        self.decoder = T5Stack(config, self.shared, decoder=True)
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
        decoded = self.decoder(
            decoder_input_ids,
            decoder_attention_mask,
            encoder_outputs[0],
            attention_mask,
            cache,
            output_attentions=output_attentions,
        )
        return seq2seq_output(encoder_outputs, decoded, output_hidden_states)


class T5EncoderModel(T5Base):
    """The encoder alone: ids (N, L) -> `last_hidden_state` (N, L, E)."""

    tied = {"encoder.embed_tokens.weight": "shared.weight"}

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = T5Stack(config, self.shared, decoder=False)
        self.post_init()

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        inputs_embeds: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        out = self.encoder(input_ids, attention_mask, inputs_embeds=inputs_embeds, output_attentions=output_attentions)
        states = out.hidden_states if output_hidden_states else None
        return ModelOutput(last_hidden_state=out.last_hidden_state, hidden_states=states, attentions=out.attentions)


class T5ForConditionalGeneration(T5Model):
    """T5 with scores for the next token of the decoder: `logits` (N, L, vocabulary); `labels` make the decoder's input and the loss."""

    tied = {**T5Model.tied, "lm_head.weight": "shared.weight"}

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        nn.init.normal_(self.lm_head.weight, 0.0, config.initializer_factor)
        self.tie_weights()

    def tie_weights(self) -> None:
        if "lm_head" in self._modules:
            super().tie_weights()

    def forward(self, input_ids: Any = None, attention_mask: Any = None, *, labels: Any = None, **inputs: Any) -> ModelOutput:  # type: ignore[override]
        if labels is not None and inputs.get("decoder_input_ids") is None:
            inputs["decoder_input_ids"] = shift_right(labels, self.config)
        out = super().forward(input_ids, attention_mask, **inputs)
        hidden = out.last_hidden_state
        if self.config.scale_decoder_outputs:
            hidden = hidden * self.config.d_model**-0.5
        logits = self.lm_head(hidden)
        loss = None if labels is None else token_loss(logits, labels)
        rest = {name: value for name, value in out.items() if name != "last_hidden_state"}
        return ModelOutput(loss=loss, logits=logits, **rest)
