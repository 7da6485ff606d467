"""Vision Transformer (Dosovitskiy et al. 2020, https://arxiv.org/abs/2010.11929)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.nn import functional as F
from flambeau_vision.models.weights import build, weights_enum
from flambeau_vision.ops.layers import MLP, Conv2dNormActivation

ViT_B_16_Weights = weights_enum("ViT_B_16_Weights")
ViT_B_32_Weights = weights_enum("ViT_B_32_Weights")
ViT_L_16_Weights = weights_enum("ViT_L_16_Weights")
ViT_L_32_Weights = weights_enum("ViT_L_32_Weights")
ViT_H_14_Weights = weights_enum("ViT_H_14_Weights")

_norm = partial(nn.LayerNorm, eps=1e-6)


class ConvStemConfig(NamedTuple):
    """A convolution of a stem that replaces the patches (Xiao et al. 2021, https://arxiv.org/abs/2106.14881)."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: Callable[..., Any] = nn.BatchNorm2d
    activation_layer: Callable[..., Any] = nn.ReLU


class MLPBlock(MLP):
    """The two linear layers of an encoder block. Reads old checkpoints, which call them `linear_1` and `linear_2`."""

    _version = 2

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, dropout=dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.normal_(module.bias, std=1e-6)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for old, new in (("linear_1", "0"), ("linear_2", "3")):
            for kind in ("weight", "bias"):
                if f"{prefix}{old}.{kind}" in state_dict:
                    state_dict[f"{prefix}{new}.{kind}"] = state_dict.pop(f"{prefix}{old}.{kind}")
        super()._load_from_state_dict(state_dict, prefix, *args)


class EncoderBlock(nn.Module):
    """Attention and a two-layer net at each place, each behind a normalisation and beside a shortcut: (N, L, E) -> (N, L, E)."""

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Callable[..., Any] = _norm,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(hidden_dim, num_heads, dropout=attention_dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, x: Any) -> Any:
        normal = self.ln_1(x)
        attended, _ = self.self_attention(normal, normal, normal, need_weights=False)
        x = x + self.dropout(attended)
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions, blocks, and a last normalisation: (N, L, E) -> (N, L, E)."""

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Callable[..., Any] = _norm,
    ) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(flambeau.empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        make = partial(EncoderBlock, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer)
        self.layers = nn.Sequential(OrderedDict((f"encoder_layer_{i}", make()) for i in range(num_layers)))
        self.ln = norm_layer(hidden_dim)

    def forward(self, x: Any) -> Any:
        return self.ln(self.layers(self.dropout(x + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """(N, 3, image_size, image_size) -> (N, num_classes) logits.

    Args:
        image_size, patch_size: in pixels; the first a multiple of the second.
        num_layers, num_heads, hidden_dim, mlp_dim: of the encoder; E is hidden_dim.
        dropout, attention_dropout: of the encoder.
        num_classes: K.
        representation_size: features of a layer before the last one; None leaves it out.
        norm_layer: what normalises; LayerNorm with eps 1e-6 by default.
        conv_stem_configs: convolutions that replace the patches' linear map.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: Callable[..., Any] = _norm,
        conv_stem_configs: Sequence[ConvStemConfig] | None = None,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            got = f"{image_size} and {patch_size}"
            raise ArgumentError(explain("VisionTransformer", expected="image_size to be a multiple of patch_size", got=got))
        self.image_size, self.patch_size, self.hidden_dim = image_size, patch_size, hidden_dim
        self.num_classes, self.representation_size = num_classes, representation_size
        if conv_stem_configs is None:
            self.conv_proj: Any = nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
        else:
            self.conv_proj = _conv_stem(conv_stem_configs, hidden_dim)
        self.class_token = nn.Parameter(flambeau.zeros(1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer)
        heads: OrderedDict[str, nn.Module] = OrderedDict()
        if representation_size is not None:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
        heads["head"] = nn.Linear(hidden_dim if representation_size is None else representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        self._initialise()

    def _initialise(self) -> None:
        last = self.conv_proj if isinstance(self.conv_proj, nn.Conv2d) else self.conv_proj.conv_last
        if last is self.conv_proj:
            fan_in = last.in_channels * last.kernel_size[0] * last.kernel_size[1]
            nn.init.trunc_normal_(last.weight, std=math.sqrt(1 / fan_in))
        else:
            nn.init.normal_(last.weight, std=math.sqrt(2.0 / last.out_channels))
        nn.init.zeros_(last.bias)
        if self.representation_size is not None:
            nn.init.trunc_normal_(self.heads.pre_logits.weight, std=math.sqrt(1 / self.hidden_dim))
            nn.init.zeros_(self.heads.pre_logits.bias)
        nn.init.zeros_(self.heads.head.weight)
        nn.init.zeros_(self.heads.head.bias)

    def forward(self, x: Any) -> Any:
        if tuple(x.shape[2:]) != (self.image_size, self.image_size):
            hint = "resize the images, or build the model with another image_size and interpolate_embeddings"
            expected = f"images of {self.image_size} x {self.image_size}"
            raise ShapeError(explain("VisionTransformer", expected=expected, got=f"shape {tuple(x.shape)}", hint=hint))
        x = flambeau.flatten(self.conv_proj(x), 2).permute(0, 2, 1)  # N L E
        x = flambeau.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1)
        return self.heads(self.encoder(x)[:, 0])


def _conv_stem(configs: Sequence[ConvStemConfig], hidden_dim: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for i, (outputs, kernel, stride, norm, activation) in enumerate(configs):
        layers[f"conv_bn_relu_{i}"] = Conv2dNormActivation(channels, outputs, kernel, stride, norm_layer=norm, activation_layer=activation)
        channels = outputs
    layers["conv_last"] = nn.Conv2d(channels, hidden_dim, kernel_size=1)
    return nn.Sequential(layers)


def _vit(sizes: tuple[int, int, int, int, int], enum: Any, weights: Any, progress: bool, options: dict[str, Any]) -> VisionTransformer:
    def make(image_size: int = 224, **kwargs: Any) -> VisionTransformer:
        return VisionTransformer(image_size, *sizes, **kwargs)

    model: VisionTransformer = build(make, enum, weights, progress, options, image_size="min_size")
    return model


def vit_b_16(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VisionTransformer:
    """ViT-Base, patches of 16 pixels: 86.6 million parameters."""
    return _vit((16, 12, 12, 768, 3072), ViT_B_16_Weights, weights, progress, kwargs)


def vit_b_32(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VisionTransformer:
    """ViT-Base, patches of 32 pixels: 88.2 million parameters."""
    return _vit((32, 12, 12, 768, 3072), ViT_B_32_Weights, weights, progress, kwargs)


def vit_l_16(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VisionTransformer:
    """ViT-Large, patches of 16 pixels: 304.3 million parameters."""
    return _vit((16, 24, 16, 1024, 4096), ViT_L_16_Weights, weights, progress, kwargs)


def vit_l_32(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VisionTransformer:
    """ViT-Large, patches of 32 pixels: 306.5 million parameters."""
    return _vit((32, 24, 16, 1024, 4096), ViT_L_32_Weights, weights, progress, kwargs)


def vit_h_14(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> VisionTransformer:
    """ViT-Huge, patches of 14 pixels: 632.0 million parameters."""
    return _vit((14, 32, 16, 1280, 5120), ViT_H_14_Weights, weights, progress, kwargs)


def interpolate_embeddings(
    image_size: int, patch_size: int, model_state: dict[str, Any], interpolation_mode: str = "bicubic", reset_heads: bool = False
) -> dict[str, Any]:
    """A copy of a ViT's state dict whose positions fit images of another size.

    `reset_heads` leaves out the last layers, for a model with other classes (load it with `strict=False`).
    """
    state = {key: value for key, value in model_state.items() if not (reset_heads and key.startswith("heads"))}
    positions = state["encoder.pos_embedding"]  # 1 L E
    old, new = math.isqrt(positions.shape[1] - 1), image_size // patch_size
    if positions.ndim != 3 or positions.shape[0] != 1 or old * old != positions.shape[1] - 1:
        got = f"shape {tuple(positions.shape)}"
        raise ShapeError(explain("interpolate_embeddings", expected="positions of a square image, (1, n * n + 1, E)", got=got))
    if new != old:
        grid = positions[:, 1:].permute(0, 2, 1).reshape(1, -1, old, old)
        grid = F.interpolate(grid, size=new, mode=interpolation_mode, align_corners=True)
        state["encoder.pos_embedding"] = flambeau.cat([positions[:, :1], flambeau.flatten(grid, 2).permute(0, 2, 1)], 1)
    return state
