"""Swin Transformer (Liu et al. 2021, https://arxiv.org/abs/2103.14030) and V2 (https://arxiv.org/abs/2111.09883)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau_vision.models.weights import build, weights_enum
from flambeau_vision.ops.layers import MLP, Permute, StochasticDepth

Swin_T_Weights = weights_enum("Swin_T_Weights")
Swin_S_Weights = weights_enum("Swin_S_Weights")
Swin_B_Weights = weights_enum("Swin_B_Weights")
Swin_V2_T_Weights = weights_enum("Swin_V2_T_Weights")
Swin_V2_S_Weights = weights_enum("Swin_V2_S_Weights")
Swin_V2_B_Weights = weights_enum("Swin_V2_B_Weights")

Norm = Callable[..., Any]
MASKED = -100.0  # added to the attention between places that are neighbours only because the image was rolled


def _quarters(x: Any) -> Any:
    """The four pixels of each 2x2 square side by side: (N, H, W, C) -> (N, H/2, W/2, 4 C); odd sizes are padded with zeros."""
    height, width = x.shape[-3:-1]
    x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
    corners = [x[..., i::2, j::2, :] for j in (0, 1) for i in (0, 1)]
    return flambeau.cat(corners, -1)


class PatchMerging(nn.Module):
    """Half the resolution, twice the channels: (N, H, W, C) -> (N, H/2, W/2, 2 C)."""

    def __init__(self, dim: int, norm_layer: Norm = nn.LayerNorm) -> None:
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(4 * dim)

    def forward(self, x: Any) -> Any:
        return self.reduction(self.norm(_quarters(x)))


class PatchMergingV2(nn.Module):
    """PatchMerging that normalises last."""

    def __init__(self, dim: int, norm_layer: Norm = nn.LayerNorm) -> None:
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(2 * dim)

    def forward(self, x: Any) -> Any:
        return self.norm(self.reduction(_quarters(x)))


def _windows(x: Any, height: int, width: int) -> Any:
    """(N, H, W, C) -> (N * windows, places, C)."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // height, height, w // width, width, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, height * width, c)


def _image(windows: Any, n: int, size: tuple[int, int], height: int, width: int) -> Any:
    """The inverse of `_windows`."""
    x = windows.reshape(n, size[0] // height, size[1] // width, height, width, -1)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(n, *size, -1)


def _shift_mask(size: tuple[int, int], window: tuple[int, int], shift: tuple[int, int]) -> np.ndarray:
    """What is added to the attention in a rolled image: (windows, places, places), 0 or MASKED."""
    region = np.zeros(size)
    cuts = [(slice(0, -w), slice(-w, -s), slice(-s, None)) for w, s in zip(window, shift, strict=True)]
    for i, rows in enumerate(cuts[0]):
        for j, columns in enumerate(cuts[1]):
            region[rows, columns] = 3 * i + j
    h, w = window
    places = region.reshape(size[0] // h, h, size[1] // w, w).transpose(0, 2, 1, 3).reshape(-1, h * w)
    return np.where(places[:, None] != places[:, :, None], np.float32(MASKED), np.float32(0.0))


class ShiftedWindowAttention(nn.Module):
    """Attention inside windows, which lie shifted in every other block: (N, H, W, C) -> (N, H, W, C).

    Sizes that are no multiples of the window are padded; a window that covers the image is not shifted.
    """

    def __init__(
        self,
        dim: int,
        window_size: Sequence[int],
        shift_size: Sequence[int],
        num_heads: int,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(window_size) != 2 or len(shift_size) != 2:
            got = f"{window_size!r} and {shift_size!r}"
            raise ArgumentError(explain(type(self).__name__, expected="window_size and shift_size of two numbers", got=got))
        self.window_size, self.shift_size, self.num_heads = tuple(window_size), tuple(shift_size), num_heads
        self.attention_dropout, self.dropout = attention_dropout, dropout
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        self._define_bias_table()
        self.register_buffer("relative_position_index", flambeau.from_numpy(self._relative_index()).to(self.proj.weight.device))

    def _define_bias_table(self) -> None:
        h, w = self.window_size
        self.relative_position_bias_table = nn.Parameter(flambeau.zeros((2 * h - 1) * (2 * w - 1), self.num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def _relative_index(self) -> np.ndarray:
        """For each pair of places, the row of the table that belongs to their distance."""
        h, w = self.window_size
        rows, columns = (axis.reshape(-1) for axis in np.meshgrid(np.arange(h), np.arange(w), indexing="ij"))
        down = rows[:, None] - rows[None] + h - 1
        right = columns[:, None] - columns[None] + w - 1
        return (down * (2 * w - 1) + right).reshape(-1)

    def _table(self) -> Any:
        return self.relative_position_bias_table

    def _bias(self) -> Any:
        """(1, heads, places, places)."""
        places = self.window_size[0] * self.window_size[1]
        return self._table()[self.relative_position_index].reshape(places, places, -1).permute(2, 0, 1)[None]

    def _scores(self, x: Any) -> tuple[Any, Any]:
        """Attention before the softmax, (N', heads, places, places), and values; N' counts windows."""
        q, k, v = self._heads(F.linear(x, self.qkv.weight, self.qkv.bias))
        return (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1), v

    def _heads(self, qkv: Any) -> Any:
        n, places, width = qkv.shape
        return qkv.reshape(n, places, 3, self.num_heads, width // (3 * self.num_heads)).permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x: Any) -> Any:
        n, height, width, channels = x.shape
        h, w = self.window_size
        x = F.pad(x, (0, 0, 0, -width % w, 0, -height % h))
        size = (x.shape[1], x.shape[2])
        down, right = (0 if window >= whole else by for window, whole, by in zip((h, w), size, self.shift_size, strict=True))
        shift = (down, right)
        if any(shift):
            x = flambeau.roll(x, (-shift[0], -shift[1]), (1, 2))
        scores, values = self._scores(_windows(x, h, w))
        scores = scores + self._bias()
        if any(shift):
            mask = flambeau.from_numpy(_shift_mask(size, (h, w), shift)).to(x)
            scores = (scores.reshape(n, -1, *scores.shape[1:]) + mask[None, :, None]).reshape(scores.shape)
        weights = F.dropout(F.softmax(scores, -1), self.attention_dropout, self.training)
        out = (weights @ values).transpose(1, 2).reshape(-1, h * w, channels)
        out = F.dropout(self.proj(out), self.dropout, self.training)
        out = _image(out, n, size, h, w)
        if any(shift):
            out = flambeau.roll(out, shift, (1, 2))
        return out[:, :height, :width]


class ShiftedWindowAttentionV2(ShiftedWindowAttention):
    """Cosine attention with a learned scale, and positions from a small net on logarithmic distances."""

    def __init__(
        self,
        dim: int,
        window_size: Sequence[int],
        shift_size: Sequence[int],
        num_heads: int,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dim, window_size, shift_size, num_heads, qkv_bias, proj_bias, attention_dropout, dropout)
        self.logit_scale = nn.Parameter(flambeau.full((num_heads, 1, 1), math.log(10.0)))
        self.cpb_mlp = nn.Sequential(nn.Linear(2, 512), nn.ReLU(), nn.Linear(512, num_heads, bias=False))

    def _define_bias_table(self) -> None:
        axes = [np.arange(1 - n, n, dtype=np.float32) / max(n - 1, 1) for n in self.window_size]
        table = np.stack(np.meshgrid(*axes, indexing="ij"), -1)[None] * 8
        table = np.sign(table) * np.log2(np.abs(table) + 1.0) / 3.0
        self.register_buffer("relative_coords_table", flambeau.from_numpy(table.astype(np.float32)).to(self.proj.weight.device))

    def _table(self) -> Any:
        return 16 * flambeau.sigmoid(self.cpb_mlp(self.relative_coords_table).reshape(-1, self.num_heads))

    def _scores(self, x: Any) -> tuple[Any, Any]:
        bias = self.qkv.bias
        if bias is not None:  # keys have no bias
            q, _, v = bias.reshape(3, -1).unbind(0)
            bias = flambeau.cat([q, flambeau.zeros_like(q), v])
        q, k, v = self._heads(F.linear(x, self.qkv.weight, bias))
        scale = flambeau.clamp(self.logit_scale, max=math.log(100.0)).exp()
        return F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1) * scale, v


class SwinTransformerBlock(nn.Module):
    """Attention in windows and a two-layer net at each place, each behind a normalisation and beside a shortcut."""

    attention: Callable[..., Any] = ShiftedWindowAttention

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: Sequence[int],
        shift_size: Sequence[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.0,
        norm_layer: Norm = nn.LayerNorm,
    ) -> None:
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = type(self).attention(dim, window_size, shift_size, num_heads, attention_dropout=attention_dropout, dropout=dropout)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.norm2 = norm_layer(dim)
        self.mlp = MLP(dim, [int(dim * mlp_ratio), dim], activation_layer=nn.GELU, dropout=dropout)
        for module in self.mlp.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.normal_(module.bias, std=1e-6)

    def forward(self, x: Any) -> Any:
        x = x + self.stochastic_depth(self.attn(self.norm1(x)))
        return x + self.stochastic_depth(self.mlp(self.norm2(x)))


class SwinTransformerBlockV2(SwinTransformerBlock):
    """A block that normalises after attention and net."""

    attention = ShiftedWindowAttentionV2

    def forward(self, x: Any) -> Any:
        x = x + self.stochastic_depth(self.norm1(self.attn(x)))
        return x + self.stochastic_depth(self.norm2(self.mlp(x)))


class SwinTransformer(nn.Module):
    """(N, 3, H, W) -> (N, num_classes) logits.

    Args:
        patch_size: two sides of a patch, in pixels.
        embed_dim: channels of the first stage; each further stage has twice as many.
        depths, num_heads: blocks and heads of each stage.
        window_size: two sides of a window, in places.
        mlp_ratio, dropout, attention_dropout: of the blocks.
        stochastic_depth_prob: the chance that the last block is skipped in training; earlier ones in proportion.
        num_classes: K.
        norm_layer, block, downsample_layer: what normalises (LayerNorm), blocks (SwinTransformerBlock), and shrinks (PatchMerging).
    """

    def __init__(
        self,
        patch_size: Sequence[int],
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_size: Sequence[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.1,
        num_classes: int = 1000,
        norm_layer: Norm | None = None,
        block: Callable[..., Any] = SwinTransformerBlock,
        downsample_layer: Callable[..., Any] = PatchMerging,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        norm = norm_layer or partial(nn.LayerNorm, eps=1e-5)
        patch = tuple(patch_size)
        layers: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(3, embed_dim, kernel_size=patch, stride=patch), Permute((0, 2, 3, 1)), norm(embed_dim))
        ]
        options = {"mlp_ratio": mlp_ratio, "dropout": dropout, "attention_dropout": attention_dropout, "norm_layer": norm}
        last_block, index = max(sum(depths) - 1, 1), 0
        for i, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
            dim, blocks = embed_dim * 2**i, []
            for j in range(depth):
                shift = [0 if j % 2 == 0 else side // 2 for side in window_size]
                blocks.append(
                    block(dim, heads, window_size, shift, stochastic_depth_prob=stochastic_depth_prob * index / last_block, **options)
                )
                index += 1
            layers.append(nn.Sequential(*blocks))
            if i < len(depths) - 1:
                layers.append(downsample_layer(dim, norm))
        self.features = nn.Sequential(*layers)
        channels = embed_dim * 2 ** (len(depths) - 1)
        self.norm = norm(channels)
        self.permute = Permute((0, 3, 1, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)
        self.head = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        x = self.permute(self.norm(self.features(x)))
        return self.head(self.flatten(self.avgpool(x)))


_Options = dict[str, Any]


def _swin(
    dim: int, depth: int, heads: int, depth_prob: float, enum: Any, weights: Any, progress: bool, options: _Options
) -> SwinTransformer:
    """The four stages have 2, 2, `depth` and 2 blocks, and `heads` times 1, 2, 4 and 8 heads."""
    every: _Options = {
        "patch_size": (4, 4),
        "embed_dim": dim,
        "depths": (2, 2, depth, 2),
        "num_heads": tuple(heads * 2**i for i in range(4)),
        "window_size": (7, 7),
        "stochastic_depth_prob": depth_prob,
    }
    model: SwinTransformer = build(SwinTransformer, enum, weights, progress, {**every, **options})
    return model


_V2: _Options = {"window_size": (8, 8), "block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2}


def swin_t(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> SwinTransformer:
    """Swin-T: 28.3 million parameters."""
    return _swin(96, 6, 3, 0.2, Swin_T_Weights, weights, progress, kwargs)


def swin_s(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> SwinTransformer:
    """Swin-S: 49.6 million parameters."""
    return _swin(96, 18, 3, 0.3, Swin_S_Weights, weights, progress, kwargs)


def swin_b(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> SwinTransformer:
    """Swin-B: 87.8 million parameters."""
    return _swin(128, 18, 4, 0.5, Swin_B_Weights, weights, progress, kwargs)


def swin_v2_t(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> SwinTransformer:
    """Swin V2-T: 28.4 million parameters."""
    return _swin(96, 6, 3, 0.2, Swin_V2_T_Weights, weights, progress, {**_V2, **kwargs})


def swin_v2_s(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> SwinTransformer:
    """Swin V2-S: 49.7 million parameters."""
    return _swin(96, 18, 3, 0.3, Swin_V2_S_Weights, weights, progress, {**_V2, **kwargs})


def swin_v2_b(*, weights: Any = None, progress: bool = True, **kwargs: Any) -> SwinTransformer:
    """Swin V2-B: 87.9 million parameters."""
    return _swin(128, 18, 4, 0.5, Swin_V2_B_Weights, weights, progress, {**_V2, **kwargs})
