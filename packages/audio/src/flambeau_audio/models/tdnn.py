"""The small layers that speechbrain's speaker models are made of, with its names of parameters."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ShapeError, explain


class SameConv1d(nn.Module):
    """A convolution along time that keeps the length, the ends mirrored: (N, C, T) -> (N, D, T)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1, groups: int = 1) -> None:
        super().__init__()
        pad = dilation * (kernel - 1) // 2
        mode = "reflect" if pad else "zeros"
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=pad, dilation=dilation, groups=groups, padding_mode=mode)

    def forward(self, x: Any) -> Any:
        pad = self.conv.padding[0]
        if x.shape[-1] <= pad:
            raise ShapeError(explain("SameConv1d", expected=f"more than {pad} frames", got=str(x.shape[-1]), hint="pad the features"))
        return self.conv(x)


class Norm(nn.Module):
    """Batch norm of channels (N, C, T)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Any) -> Any:
        return self.norm(x)


class TDNNBlock(nn.Module):
    """Convolution, ReLU, norm, and dropout of whole channels: (N, C, T) -> (N, D, T)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int, groups: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = SameConv1d(inputs, outputs, kernel, dilation, groups)
        self.norm = Norm(outputs)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Any) -> Any:
        return self.dropout(self.norm(self.conv(x).relu()))


def length_mask(lengths: Any, frames: int) -> Any:
    """Shares of the longest (N,), 1 for all of it -> (N, 1, T) bools, true for frames that count."""
    return (flambeau.arange(frames, device=lengths.device) < (lengths * frames)[:, None])[:, None]
