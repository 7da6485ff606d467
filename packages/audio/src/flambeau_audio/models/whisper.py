"""Whisper (Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision"): log-mel frames in, tokens out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.pretrained import (
    Cache,
    Config,
    ModelOutput,
    PretrainedModel,
    activation,
    attend,
    decoder_mask,
    merge_heads,
    seq2seq_output,
    shift_right,
    split_heads,
    token_loss,
)
from flambeau_audio.models.masking import mask_spans


class WhisperConfig(Config):
    """Options of Whisper, with the defaults of its tiny model (38 million parameters)."""

    model_type = "whisper"
    defaults = {
        "vocab_size": 51865, "num_mel_bins": 80, "encoder_layers": 4, "encoder_attention_heads": 6, "decoder_layers": 4,
        "decoder_attention_heads": 6, "decoder_ffn_dim": 1536, "encoder_ffn_dim": 1536, "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0,
        "decoder_start_token_id": 50257, "is_encoder_decoder": True, "activation_function": "gelu", "d_model": 384, "dropout": 0.0,
        "attention_dropout": 0.0, "activation_dropout": 0.0, "init_std": 0.02, "scale_embedding": False, "max_source_positions": 1500,
        "max_target_positions": 448, "pad_token_id": 50256, "bos_token_id": 50256, "eos_token_id": 50256, "suppress_tokens": None,
        "begin_suppress_tokens": (220, 50256), "apply_spec_augment": False, "mask_time_prob": 0.05, "mask_time_length": 10,
        "mask_time_min_masks": 2, "mask_feature_prob": 0.0, "mask_feature_length": 10, "mask_feature_min_masks": 0,
    }  # fmt: skip
    aliases = {"hidden_size": "d_model", "num_attention_heads": "encoder_attention_heads", "num_hidden_layers": "encoder_layers"}
    divisible = (("d_model", "encoder_attention_heads"), ("d_model", "decoder_attention_heads"))
    may_be_zero = ("mask_time_min_masks", "mask_feature_min_masks")


def sinusoids(length: int, width: int) -> np.ndarray[Any, Any]:
    """(length, width): sines of positions in the first half of a row, cosines in the second, with rates from 1 to 1/10000."""
    rates = np.exp(-math.log(10000) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(length)[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


class WhisperAttention(nn.Module):
    """Attention to the same sequence, or to a memory: (N, L, E) -> (N, L, E)."""

    def __init__(self, config: WhisperConfig, heads: int, layer: int) -> None:
        super().__init__()
        width = config.d_model
        self.layer, self.size, self.dropout = layer, width // heads, config.attention_dropout
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(3))

    def keys(self, source: Any) -> tuple[Any, Any]:
        """The keys and values of a source (N, S, E): (N, heads, S, size) each."""
        return split_heads(self.k_proj(source), self.size), split_heads(self.v_proj(source), self.size)

    def forward(self, x: Any, memory: Any, mask: Any, cache: Cache | None, weights: bool, cross: bool = False) -> tuple[Any, Any]:
        query = split_heads(self.q_proj(x) * self.size**-0.5, self.size)
        if cross and cache is not None and self.layer in cache.cross:
            key, value = cache.cross[self.layer]
        else:
            key, value = self.keys(memory if cross else x)
            if cache is not None and cross:
                cache.cross[self.layer] = (key, value)
            elif cache is not None:
                key, value = cache.update(key, value, self.layer)
        out, shares = attend(query, key, value, mask, scale=1.0, dropout=self.dropout if self.training else 0.0, weights=weights)
        return self.out_proj(merge_heads(out)), shares


class WhisperLayer(nn.Module):
    """Self-attention, in decoders attention to the encoder, and an MLP, each after a norm and with a residual."""

    def __init__(self, config: WhisperConfig, layer: int, decoder: bool) -> None:
        super().__init__()
        width, heads = config.d_model, config.decoder_attention_heads if decoder else config.encoder_attention_heads
        inner = config.decoder_ffn_dim if decoder else config.encoder_ffn_dim
        self.decoder = decoder
        self.self_attn = WhisperAttention(config, heads, layer)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        if decoder:
            self.encoder_attn = WhisperAttention(config, heads, layer)
            self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, inner), nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.act = activation(config.activation_function)
        self.dropout, self.act_dropout = nn.Dropout(config.dropout), nn.Dropout(config.activation_dropout)

    def forward(self, x: Any, memory: Any, mask: Any, cache: Cache | None, weights: bool) -> tuple[Any, Any, Any]:
        out, shares = self.self_attn(self.self_attn_layer_norm(x), None, mask, cache, weights)
        x = x + self.dropout(out)
        crossed = None
        if self.decoder:
            out, crossed = self.encoder_attn(self.encoder_attn_layer_norm(x), memory, None, cache, weights, cross=True)
            x = x + self.dropout(out)
        out = self.fc2(self.act_dropout(self.act(self.fc1(self.final_layer_norm(x)))))
        return x + self.dropout(out), shares, crossed


class _Stack(nn.Module):
    """What encoder and decoder share: layers that may be left out in training, and a last norm."""

    def __init__(self, config: WhisperConfig, depth: int, layerdrop: float, decoder: bool) -> None:
        super().__init__()
        self.config, self.layerdrop = config, layerdrop
        self.layers = nn.ModuleList(WhisperLayer(config, i, decoder) for i in range(depth))
        self.layer_norm = nn.LayerNorm(config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def run(self, x: Any, memory: Any, mask: Any, cache: Cache | None, weights: bool) -> ModelOutput:
        """All layers, and what each gives."""
        x = self.dropout(x)
        states, attentions, crossed = [x], [], []
        for layer in self.layers:
            out, shares, cross = layer(x, memory, mask, cache, weights)
            if self.training and self.layerdrop:
                out = flambeau.where(flambeau.rand(1, device=x.device) < self.layerdrop, x, out)
            x = out
            states.append(x)
            attentions.append(shares)
            crossed.append(cross)
        x = states[-1] = self.layer_norm(x)
        kept = {"attentions": tuple(attentions), "cross_attentions": tuple(crossed) if crossed[0] is not None else None} if weights else {}
        return ModelOutput(last_hidden_state=x, past_key_values=cache, hidden_states=tuple(states), **{**_NOTHING, **kept})


_NOTHING = {"attentions": None, "cross_attentions": None}


class WhisperEncoder(_Stack):
    """Log-mel frames (N, bands, 2 * max_source_positions) -> states (N, max_source_positions, E)."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config, config.encoder_layers, config.encoder_layerdrop, decoder=False)
        width = config.d_model
        self.conv1 = nn.Conv1d(config.num_mel_bins, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, 2, padding=1)
        table = flambeau.from_numpy(sinusoids(config.max_source_positions, width))
        self.embed_positions = nn.Embedding(config.max_source_positions, width, _weight=table, _freeze=True)

    def forward(self, input_features: Any, output_attentions: bool = False) -> ModelOutput:
        wanted = (self.config.num_mel_bins, 2 * self.config.max_source_positions)
        if input_features.dim() != 3 or tuple(input_features.shape[1:]) != wanted:
            got, hint = f"shape {tuple(input_features.shape)}", "WhisperFeatureExtractor makes them"
            raise ShapeError(explain("Whisper", expected=f"log-mel frames (N, {wanted[0]}, {wanted[1]})", got=got, hint=hint))
        x = nn.functional.gelu(self.conv2(nn.functional.gelu(self.conv1(input_features))))
        return self.run(x.transpose(1, 2) + self.embed_positions.weight, None, None, None, output_attentions)


class WhisperDecoder(_Stack):
    """Tokens (N, L) and a memory (N, S, E) -> states (N, L, E)."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config, config.decoder_layers, config.decoder_layerdrop, decoder=True)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.d_model, config.pad_token_id)
        self.embed_positions = nn.Embedding(config.max_target_positions, config.d_model)

    def forward(
        self, input_ids: Any, attention_mask: Any, memory: Any, cache: Cache | None, output_attentions: bool = False
    ) -> ModelOutput:
        length, most = input_ids.shape[1], self.config.max_target_positions
        before = 0 if cache is None or cache.static else cache.get_seq_length()
        if before + length > most:
            raise ArgumentError(explain("Whisper", expected=f"at most {most} tokens", got=str(before + length)))
        places = flambeau.arange(length, device=input_ids.device) if cache is None else cache.positions(length, input_ids.device)
        mask = decoder_mask(length, cache, attention_mask, input_ids.device)
        out = self.run(self.embed_tokens(input_ids) + self.embed_positions(places), memory, mask, cache, output_attentions)
        if cache is not None:
            cache.advance(length)
        return out


class WhisperPretrained(PretrainedModel):
    """What all Whisper models share: initial weights."""

    config_class = WhisperConfig
    base_model_prefix = "model"
    computed = ("encoder.embed_positions.weight",)

    def init_weights(self) -> None:
        super().init_weights()
        for module in self.modules():
            if isinstance(module, WhisperEncoder):
                table = module.embed_positions.weight
                with flambeau.no_grad():
                    table.copy_(flambeau.from_numpy(sinusoids(*table.shape)))
                for conv in (module.conv1, module.conv2):
                    nn.init.normal_(conv.weight, 0.0, self.config.init_std)
                    nn.init.zeros_(conv.bias)


class WhisperModel(WhisperPretrained):
    """Log-mel frames (N, bands, frames) and decoder ids (N, L) -> `last_hidden_state` (N, L, E)."""

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.encoder = WhisperEncoder(config)
        self.decoder = WhisperDecoder(config)
        self.post_init()

    def forward(
        self,
        input_features: Any = None,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        decoder_attention_mask: Any = None,
        encoder_outputs: Any = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        """`attention_mask` (N, frames) counts for random masks in training only: Whisper reads padding as silence."""
        if encoder_outputs is None:
            encoder_outputs = self.encoder(self._hide(input_features, attention_mask), output_attentions)
        cache = past_key_values
        if cache is None and (use_cache if use_cache is not None else self.config.use_cache and not self.training):
            cache = Cache()
        decoded = self.decoder(decoder_input_ids, decoder_attention_mask, encoder_outputs[0], cache, output_attentions)
        return seq2seq_output(encoder_outputs, decoded, output_hidden_states)

    def _hide(self, x: Any, mask: Any) -> Any:
        """SpecAugment in training: spans of frames and of bands become 0."""
        config = self.config
        if not (config.apply_spec_augment and self.training):
            return x
        if config.mask_time_prob > 0:
            lengths = None if mask is None else mask.long().sum(-1)
            spans = (config.mask_time_prob, config.mask_time_length, config.mask_time_min_masks)
            x = x.masked_fill(mask_spans((x.shape[0], x.shape[2]), *spans, lengths, device=x.device)[:, None], 0.0)
        if config.mask_feature_prob > 0:
            spans = (config.mask_feature_prob, config.mask_feature_length, config.mask_feature_min_masks)
            x = x.masked_fill(mask_spans((x.shape[0], x.shape[1]), *spans, device=x.device)[:, :, None], 0.0)
        return x


class WhisperForConditionalGeneration(WhisperPretrained):
    """Whisper with scores for the next token: `logits` (N, L, vocabulary); `labels` (N, L) make the decoder's input and the loss.

    >>> import flambeau
    >>> config = WhisperConfig(
    ...     vocab_size=20, num_mel_bins=4, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
    ...     encoder_ffn_dim=8, decoder_ffn_dim=8, d_model=8, max_source_positions=10, max_target_positions=9, pad_token_id=0,
    ...     bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, begin_suppress_tokens=None
    ... )
    >>> model = WhisperForConditionalGeneration(config).eval()
    >>> model(flambeau.randn(2, 4, 20), labels=flambeau.tensor([[5, 6, 2], [7, 2, -100]])).logits.shape
    flambeau.Size([2, 3, 20])
    """  # fmt: skip

    tied = {"proj_out.weight": "model.decoder.embed_tokens.weight"}

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config)
        self.model = WhisperModel(config)
        self.proj_out = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_features: Any = None, attention_mask: Any = None, *, labels: Any = None, **inputs: Any) -> ModelOutput:
        if labels is not None and inputs.get("decoder_input_ids") is None:
            inputs["decoder_input_ids"] = shift_right(labels, self.config)
        out = self.model(input_features, attention_mask, **inputs)
        logits = self.proj_out(out.last_hidden_state)
        loss = None if labels is None else token_loss(logits, labels)
        rest = {name: value for name, value in out.items() if name != "last_hidden_state"}
        return ModelOutput(loss=loss, logits=logits, **rest)

    def generate(self, input_features: Any, attention_mask: Any = None, **settings: Any) -> Any:
        """Write down what is said, token by token: see `whisper_generation.generate`."""
        from flambeau_audio.models.whisper_generation import generate

        return generate(self, input_features, attention_mask, **settings)

    def loaded_from(self, folder: Path) -> None:
        from flambeau_audio.models.whisper_settings import WhisperSettings

        self.generation_config = WhisperSettings.from_pretrained(folder)
