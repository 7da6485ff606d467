"""From a waveform to states of frames: the convolutions and the Transformer of wav2vec 2.0 (Baevski et al. 2020) and its relatives."""

from __future__ import annotations

from typing import Any, ClassVar

import flambeau
from flambeau import nn
from flambeau.base.errors import ShapeError, explain
from flambeau.nn.utils.parametrizations import weight_norm
from flambeau.pretrained import ModelOutput, activation, attend, merge_heads, padding_mask, split_heads
from flambeau_audio.models.speech_config import SpeechConfig


class ConvLayer(nn.Module):
    """A convolution along time, perhaps a norm, and an activation: (N, C, T) -> (N, D, T')."""

    def __init__(self, config: SpeechConfig, index: int) -> None:
        super().__init__()
        inputs, outputs = config.conv_dim[index - 1] if index else 1, config.conv_dim[index]
        self.conv = nn.Conv1d(inputs, outputs, config.conv_kernel[index], config.conv_stride[index], bias=config.conv_bias)
        self.kind = config.feat_extract_norm if index == 0 or config.feat_extract_norm == "layer" else ""
        if self.kind == "group":
            self.layer_norm: Any = nn.GroupNorm(outputs, outputs)
        elif self.kind == "layer":
            self.layer_norm = nn.LayerNorm(outputs)
        self.act = activation(config.feat_extract_activation)

    def forward(self, x: Any) -> Any:
        x = self.conv(x)
        if self.kind == "group":
            x = self.layer_norm(x)
        elif self.kind == "layer":
            x = self.layer_norm(x.transpose(1, 2)).transpose(1, 2)
        return self.act(x)


class FeatureEncoder(nn.Module):
    """Waveforms (N, T) -> features (N, C, frames)."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.conv_layers = nn.ModuleList(ConvLayer(config, i) for i in range(len(config.conv_dim)))

    def forward(self, input_values: Any) -> Any:
        x = input_values[:, None]
        for layer in self.conv_layers:
            x = layer(x)
        return x


class FeatureProjection(nn.Module):
    """Features (N, frames, C) -> the Transformer's input (N, frames, E), and the features after their norm."""

    def __init__(self, config: SpeechConfig, normalised: bool = True) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(config.conv_dim[-1], config.layer_norm_eps) if normalised else None
        self.projection = nn.Linear(config.conv_dim[-1], config.hidden_size)
        self.dropout = nn.Dropout(config.feat_proj_dropout)

    def forward(self, x: Any) -> tuple[Any, Any]:
        normed = x if self.layer_norm is None else self.layer_norm(x)
        return self.dropout(self.projection(normed)), normed


class PositionalConv(nn.Module):
    """Positions from neighbours: a wide grouped convolution of (N, frames, E); no position has a number of its own."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        size, width = config.num_conv_pos_embeddings, config.hidden_size
        conv = nn.Conv1d(width, width, size, padding=size // 2, groups=config.num_conv_pos_embedding_groups)
        self.batch_norm = nn.BatchNorm1d(width) if getattr(config, "conv_pos_batch_norm", False) else None
        self.conv = conv if self.batch_norm is not None else weight_norm(conv, dim=2)
        self.act = activation(config.feat_extract_activation)

    def forward(self, x: Any) -> Any:
        frames = x.shape[1]
        x = x.transpose(1, 2)
        x = self.conv(x if self.batch_norm is None else self.batch_norm(x))
        return self.act(x[:, :, :frames]).transpose(1, 2)  # an even kernel gives one frame too many


class Attention(nn.Module):
    """Attention of all frames to all frames."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.size, self.dropout = width // config.num_attention_heads, config.attention_dropout
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Any, mask: Any, weights: bool) -> tuple[Any, Any]:
        parts = (split_heads(project(x), self.size) for project in (self.q_proj, self.k_proj, self.v_proj))
        out, shares = attend(*parts, mask, dropout=self.dropout if self.training else 0.0, weights=weights)
        return self.out_proj(merge_heads(out)), shares


class FeedForward(nn.Module):
    """An MLP for each frame."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output_dense = nn.Linear(config.intermediate_size, config.hidden_size)
        self.act = activation(config.hidden_act)
        self.intermediate_dropout, self.output_dropout = nn.Dropout(config.activation_dropout), nn.Dropout(config.hidden_dropout)

    def forward(self, x: Any) -> Any:
        return self.output_dropout(self.output_dense(self.intermediate_dropout(self.act(self.intermediate_dense(x)))))


class EncoderLayer(nn.Module):
    """Attention and an MLP, each with a residual; norms come after them, or before them where the config says `do_stable_layer_norm`."""

    def __init__(self, config: SpeechConfig, attention: Any) -> None:
        super().__init__()
        self.stable = config.do_stable_layer_norm
        self.attention = attention
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, x: Any, mask: Any, weights: bool) -> tuple[Any, Any]:
        if self.stable:
            out, shares = self.attention(self.layer_norm(x), mask, weights)
            x = x + self.dropout(out)
            return x + self.feed_forward(self.final_layer_norm(x)), shares
        out, shares = self.attention(x, mask, weights)
        x = self.layer_norm(x + self.dropout(out))
        return self.final_layer_norm(x + self.feed_forward(x)), shares


class Encoder(nn.Module):
    """The Transformer: (N, frames, E) -> (N, frames, E). In training, whole layers are left out at random (`layerdrop`)."""

    attention_class: ClassVar[Any] = Attention

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.stable, self.layerdrop = config.do_stable_layer_norm, config.layerdrop
        self.pos_conv_embed = PositionalConv(config)
        self.layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layers = nn.ModuleList(EncoderLayer(config, self.attention(config, i)) for i in range(config.num_hidden_layers))

    def attention(self, config: SpeechConfig, layer: int) -> Any:
        """The attention of a layer."""
        return self.attention_class(config)

    def forward(self, x: Any, attention_mask: Any = None, output_attentions: bool = False) -> ModelOutput:
        if attention_mask is not None:
            x = x * attention_mask[:, :, None].to(x.dtype)
        mask = padding_mask(attention_mask)
        x = x + self.pos_conv_embed(x)
        x = self.dropout(x if self.stable else self.layer_norm(x))
        states, attentions = [x], []
        for layer in self.layers:
            out, shares = layer(x, mask, output_attentions)
            if self.training and self.layerdrop:
                out = flambeau.where(flambeau.rand(1, device=x.device) < self.layerdrop, x, out)
            x = out
            states.append(x)
            attentions.append(shares)
        if self.stable:
            x = self.layer_norm(x)
        return ModelOutput(last_hidden_state=x, hidden_states=tuple(states), attentions=tuple(attentions) if output_attentions else None)


def frame_lengths(lengths: Any, config: SpeechConfig) -> Any:
    """How many frames waveforms of these lengths (an int, or whole numbers) have."""
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        lengths = (lengths - kernel) // stride + 1
    return lengths


def frame_mask(attention_mask: Any, frames: int, config: SpeechConfig) -> Any:
    """(N, T) ones for samples and zeros for padding -> (N, frames) bools; None stays None."""
    if attention_mask is None:
        return None
    lengths = frame_lengths(attention_mask.long().sum(-1), config)
    return flambeau.arange(frames, device=attention_mask.device) < lengths[:, None]


def check_waveforms(owner: Any, input_values: Any, config: SpeechConfig) -> None:
    """Raise ShapeError for anything but (N, T) with enough samples for one frame."""
    name = type(owner).__name__
    if input_values.dim() != 2:
        hint = "x[None] for one waveform, x[:, 0] for (N, 1, T)"
        raise ShapeError(explain(name, expected="waveforms (N, T)", got=f"shape {tuple(input_values.shape)}", hint=hint))
    if frame_lengths(input_values.shape[1], config) < 1:
        least = 1
        for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
            least = (least - 1) * stride + kernel
        raise ShapeError(explain(name, expected=f"{least} samples at least", got=str(input_values.shape[1]), hint="pad with zeros"))
