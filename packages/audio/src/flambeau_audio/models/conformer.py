"""Conformer (Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech Recognition"), with torchaudio's names."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain


class ConvolutionModule(nn.Module):
    """Gate, depthwise convolution, norm, Swish, between convolutions of size 1: (N, T, E) -> (N, T, E)."""

    def __init__(self, input_dim: int, num_channels: int, kernel: int, dropout: float, bias: bool, use_group_norm: bool) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(input_dim)
        self.sequential = nn.Sequential(
            nn.Conv1d(input_dim, 2 * num_channels, 1, bias=bias),
            nn.GLU(dim=1),
            nn.Conv1d(num_channels, num_channels, kernel, padding=(kernel - 1) // 2, groups=num_channels, bias=bias),
            nn.GroupNorm(1, num_channels) if use_group_norm else nn.BatchNorm1d(num_channels),
            nn.SiLU(),
            nn.Conv1d(num_channels, input_dim, 1, bias=bias),
            nn.Dropout(dropout),
        )

    def forward(self, x: Any) -> Any:
        return self.sequential(self.layer_norm(x).transpose(1, 2)).transpose(1, 2)


class FeedForwardModule(nn.Module):
    """An MLP for each frame."""

    def __init__(self, input_dim: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.sequential = nn.Sequential(
            nn.LayerNorm(input_dim),
            nn.Linear(input_dim, hidden_dim),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, input_dim),
            nn.Dropout(dropout),
        )

    def forward(self, x: Any) -> Any:
        return self.sequential(x)


class ConformerLayer(nn.Module):
    """Half an MLP, attention, convolution, half an MLP, each with a residual, and a norm: (T, N, E) -> (T, N, E)."""

    def __init__(
        self,
        input_dim: int,
        ffn_dim: int,
        num_attention_heads: int,
        depthwise_conv_kernel_size: int,
        dropout: float = 0.0,
        use_group_norm: bool = False,
        convolution_first: bool = False,
    ) -> None:
        super().__init__()
        self.convolution_first = convolution_first
        self.ffn1 = FeedForwardModule(input_dim, ffn_dim, dropout)
        self.self_attn_layer_norm = nn.LayerNorm(input_dim)
        self.self_attn = nn.MultiheadAttention(input_dim, num_attention_heads, dropout=dropout)
        self.self_attn_dropout = nn.Dropout(dropout)
        self.conv_module = ConvolutionModule(input_dim, input_dim, depthwise_conv_kernel_size, dropout, True, use_group_norm)
        self.ffn2 = FeedForwardModule(input_dim, ffn_dim, dropout)
        self.final_layer_norm = nn.LayerNorm(input_dim)

    def forward(self, x: Any, key_padding_mask: Any = None) -> Any:
        x = self.ffn1(x) * 0.5 + x
        if self.convolution_first:
            x = self._convolve(x)
        normed = self.self_attn_layer_norm(x)
        out, _ = self.self_attn(normed, normed, normed, key_padding_mask=key_padding_mask, need_weights=False)
        x = x + self.self_attn_dropout(out)
        if not self.convolution_first:
            x = self._convolve(x)
        return self.final_layer_norm(self.ffn2(x) * 0.5 + x)

    def _convolve(self, x: Any) -> Any:
        return x + self.conv_module(x.transpose(0, 1)).transpose(0, 1)


class Conformer(nn.Module):
    """Features (N, T, input_dim) and lengths (N,) -> (N, T, input_dim), lengths; torchaudio's arguments.

    Args:
        input_dim: channels of the features.
        num_heads: of attention.
        ffn_dim: width of the MLPs.
        num_layers: how many.
        depthwise_conv_kernel_size: an odd number of frames.
        dropout: share of states that are dropped in training.
        use_group_norm: instead of batch norm.
        convolution_first: before attention instead of after it.

    >>> import flambeau
    >>> model = Conformer(input_dim=8, num_heads=2, ffn_dim=16, num_layers=1, depthwise_conv_kernel_size=3).eval()
    >>> frames, lengths = model(flambeau.randn(2, 10, 8), flambeau.tensor([10, 7]))
    >>> frames.shape
    flambeau.Size([2, 10, 8])
    """

    def __init__(
        self,
        input_dim: int,
        num_heads: int,
        ffn_dim: int,
        num_layers: int,
        depthwise_conv_kernel_size: int,
        dropout: float = 0.0,
        use_group_norm: bool = False,
        convolution_first: bool = False,
    ) -> None:
        super().__init__()
        if depthwise_conv_kernel_size % 2 == 0:
            raise ArgumentError(explain("Conformer", expected="an odd depthwise_conv_kernel_size", got=str(depthwise_conv_kernel_size)))
        self.conformer_layers = nn.ModuleList(
            ConformerLayer(input_dim, ffn_dim, num_heads, depthwise_conv_kernel_size, dropout, use_group_norm, convolution_first)
            for _ in range(num_layers)
        )

    def forward(self, input: Any, lengths: Any) -> tuple[Any, Any]:
        padding = flambeau.arange(input.shape[1], device=input.device) >= lengths[:, None]
        x = input.transpose(0, 1)
        for layer in self.conformer_layers:
            x = layer(x, padding)
        return x.transpose(0, 1), lengths
