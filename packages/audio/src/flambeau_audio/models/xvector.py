"""x-vectors (Snyder et al. 2018, "X-Vectors: Robust DNN Embeddings for Speaker Recognition"), with speechbrain's names of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau_audio.models.tdnn import Norm, SameConv1d, length_mask


class StatisticsPooling(nn.Module):
    """Mean and standard deviation (of a sample) over time: (N, C, T) -> (N, 2 C)."""

    def forward(self, x: Any, mask: Any) -> Any:
        if mask is None:
            mask = flambeau.ones_like(x[:1, :1])
        count = mask.sum(2)
        mean = (x * mask).sum(2) / count
        spread = ((x - mean[:, :, None]) ** 2 * mask).sum(2) / (count - 1)
        still = spread == 0  # whose root has no derivative
        return flambeau.cat([mean, spread.masked_fill(still, 1.0).sqrt().masked_fill(still, 0.0) + 1e-5], 1)


class Projection(nn.Module):
    """A Linear that is called `w`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.w = nn.Linear(inputs, outputs)

    def forward(self, x: Any) -> Any:
        return self.w(x)


class Xvector(nn.Module):
    """Features (N, T, in_channels) -> vectors of speakers (N, 1, lin_neurons); speechbrain's arguments and defaults, Kaldi's layers.

    Dilated convolutions with leaky ReLU and batch norm, statistics over time, a linear layer. `forward(x, lens)` takes the share of each
    utterance that is no padding. (speechbrain adds noise of 1e-5 to the means; here is none.)

    >>> import flambeau
    >>> model = Xvector(in_channels=20, tdnn_channels=[8, 8, 8, 8, 24], lin_neurons=6)
    >>> model.eval()(flambeau.randn(2, 50, 20)).shape
    flambeau.Size([2, 1, 6])
    """

    def __init__(
        self,
        tdnn_blocks: int = 5,
        tdnn_channels: Sequence[int] = (512, 512, 512, 512, 1500),
        tdnn_kernel_sizes: Sequence[int] = (5, 3, 3, 1, 1),
        tdnn_dilations: Sequence[int] = (1, 2, 3, 1, 1),
        lin_neurons: int = 512,
        in_channels: int = 40,
    ) -> None:
        super().__init__()
        sizes = (len(tdnn_channels), len(tdnn_kernel_sizes), len(tdnn_dilations))
        if set(sizes) != {tdnn_blocks}:
            raise ArgumentError(explain("Xvector", expected=f"{tdnn_blocks} channels, kernel sizes and dilations", got=str(sizes)))
        layers: list[nn.Module] = []
        for inputs, outputs, kernel, dilation in zip(
            (in_channels, *tdnn_channels), tdnn_channels, tdnn_kernel_sizes, tdnn_dilations, strict=False
        ):
            layers += [SameConv1d(inputs, outputs, kernel, dilation), nn.LeakyReLU(), Norm(outputs)]
        layers += [StatisticsPooling(), Projection(2 * tdnn_channels[-1], lin_neurons)]
        self.blocks = nn.ModuleList(layers)

    def forward(self, x: Any, lens: Any = None) -> Any:
        x = x.transpose(1, 2)
        mask = None if lens is None else length_mask(lens, x.shape[2]).to(x.dtype)
        *frames, pool, project = self.blocks
        for layer in frames:
            x = layer(x)
        return project(pool(x, mask))[:, None]
