"""U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597), with padding and batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau_vision.ops.layers import Conv2dNormActivation


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(Conv2dNormActivation(inputs, outputs), Conv2dNormActivation(outputs, outputs))


class UNet(nn.Module):
    """(N, in_channels, H, W) -> (N, num_classes, H, W) logits; H and W are multiples of 2 ** (len(widths) - 1).

    Args:
        num_classes: K.
        in_channels: of the images.
        widths: channels at each resolution, finest first; each resolution is half of the one before.
    """

    def __init__(self, num_classes: int, in_channels: int = 3, widths: Sequence[int] = (64, 128, 256, 512, 1024)) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ArgumentError(explain("UNet", expected="widths of two or more resolutions", got=repr(widths)))
        self.down = nn.ModuleList([_double(a, b) for a, b in zip((in_channels, *widths), widths, strict=False)])
        self.pool = nn.MaxPool2d(2)
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList([nn.ConvTranspose2d(a, b, kernel_size=2, stride=2) for a, b in pairs])
        self.merge = nn.ModuleList([_double(2 * b, b) for _, b in pairs])
        self.head = nn.Conv2d(widths[0], num_classes, kernel_size=1)

    def forward(self, x: Any) -> Any:
        divisor = 2 ** len(self.up)
        if x.shape[-2] % divisor or x.shape[-1] % divisor:
            raise ShapeError(explain("UNet", expected=f"sides that are multiples of {divisor}", got=f"shape {tuple(x.shape)}"))
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else self.pool(x))
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = merge(flambeau.cat([skip, up(x)], 1))
        return self.head(x)


def unet(*, num_classes: int = 2, **kwargs: Any) -> UNet:
    """U-Net: 31.0 million parameters at the paper's widths.

    >>> unet(num_classes=3, widths=(4, 8))(flambeau.zeros(1, 3, 16, 12)).shape
    flambeau.Size([1, 3, 16, 12])
    """
    return UNet(num_classes, **kwargs)
