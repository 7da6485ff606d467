"""ECAPA-TDNN (Desplanques et al. 2020): vectors of speakers, and the loss with an angular margin (ArcFace, Deng et al. 2018).

Names of parameters are speechbrain's, so its files load.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F
from flambeau_audio.models.tdnn import Norm, SameConv1d, TDNNBlock, length_mask


class Res2NetBlock(nn.Module):
    """Groups of channels that are convolved one after the other, each with the result of the one before it added."""

    def __init__(self, channels: int, scale: int, kernel: int, dilation: int) -> None:
        super().__init__()
        width = channels // scale
        self.scale = scale
        self.blocks = nn.ModuleList(TDNNBlock(width, width, kernel, dilation) for _ in range(scale - 1))

    def forward(self, x: Any) -> Any:
        first, *rest = x.chunk(self.scale, 1)
        done = [first]
        for i, (block, part) in enumerate(zip(self.blocks, rest, strict=True)):
            done.append(block(part + done[-1] if i else part))
        return flambeau.cat(done, 1)


class SEBlock(nn.Module):
    """Channels weighted by what their means over time say (squeeze and excitation)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = SameConv1d(channels, inner, 1), SameConv1d(inner, channels, 1)

    def forward(self, x: Any, mask: Any) -> Any:
        mean = x.mean(2, keepdim=True) if mask is None else (x * mask).sum(2, keepdim=True) / mask.sum(2, keepdim=True)
        return self.conv2(self.conv1(mean).relu()).sigmoid() * x


class SERes2NetBlock(nn.Module):
    """1x1 convolution, Res2Net, 1x1 convolution, squeeze and excitation, and a residual."""

    def __init__(self, inputs: int, outputs: int, scale: int, se: int, kernel: int, dilation: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.tdnn1 = TDNNBlock(inputs, outputs, 1, 1, groups, dropout)
        self.res2net_block = Res2NetBlock(outputs, scale, kernel, dilation)
        self.tdnn2 = TDNNBlock(outputs, outputs, 1, 1, groups, dropout)
        self.se_block = SEBlock(outputs, se)
        self.shortcut = SameConv1d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Any, mask: Any) -> Any:
        residual = x if self.shortcut is None else self.shortcut(x)
        return self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(x))), mask) + residual


class AttentiveStatisticsPooling(nn.Module):
    """Mean and standard deviation over time, each channel with its own attention: (N, C, T) -> (N, 2 C, 1)."""

    def __init__(self, channels: int, inner: int, global_context: bool) -> None:
        super().__init__()
        self.global_context = global_context
        self.tdnn = TDNNBlock(channels * 3 if global_context else channels, inner, 1, 1)
        self.conv = SameConv1d(inner, channels, 1)

    def forward(self, x: Any, mask: Any) -> Any:
        seen = x
        if self.global_context:
            even = flambeau.full_like(x[:1, :1], 1 / x.shape[2]) if mask is None else mask / mask.sum(2, keepdim=True)
            seen = flambeau.cat([x, *(part[:, :, None].expand(x.shape) for part in _statistics(x, even))], 1)
        scores = self.conv(self.tdnn(seen).tanh())
        if mask is not None:
            scores = scores.masked_fill(mask == 0, float("-inf"))
        return flambeau.cat(_statistics(x, scores.softmax(2)), 1)[:, :, None]


def _statistics(x: Any, weights: Any) -> tuple[Any, Any]:
    """The weighted mean and standard deviation over time: (N, C) each."""
    mean = (weights * x).sum(2)
    return mean, (weights * (x - mean[:, :, None]) ** 2).sum(2).clamp(min=1e-12).sqrt()


class ECAPA_TDNN(nn.Module):
    """Features (N, T, input_size) -> vectors of speakers (N, 1, lin_neurons); speechbrain's arguments and defaults.

    Args:
        input_size: channels of the features, such as 80 mel bands, each utterance with mean 0.
        lin_neurons: the size of a vector.
        channels, kernel_sizes, dilations, groups: of the layers; the last is the one that joins them.
        attention_channels, res2net_scale, se_channels, global_context: of pooling, Res2Net and squeeze-and-excitation.
        dropout: of whole channels.

    `forward(x, lengths)` takes the share of each utterance that is no padding, 1 for all of it.

    >>> import flambeau
    >>> model = ECAPA_TDNN(20, lin_neurons=8, channels=[16, 16, 16, 16, 48], attention_channels=4, res2net_scale=4, se_channels=4)
    >>> model.eval()(flambeau.randn(2, 50, 20)).shape
    flambeau.Size([2, 1, 8])
    """

    def __init__(
        self,
        input_size: int,
        lin_neurons: int = 192,
        channels: Sequence[int] = (512, 512, 512, 512, 1536),
        kernel_sizes: Sequence[int] = (5, 3, 3, 3, 1),
        dilations: Sequence[int] = (1, 2, 3, 4, 1),
        attention_channels: int = 128,
        res2net_scale: int = 8,
        se_channels: int = 128,
        global_context: bool = True,
        groups: Sequence[int] = (1, 1, 1, 1, 1),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        count = len(channels)
        if count < 3 or not count == len(kernel_sizes) == len(dilations) == len(groups):
            got = f"{count}, {len(kernel_sizes)}, {len(dilations)} and {len(groups)}"
            raise ArgumentError(explain("ECAPA_TDNN", expected="channels, kernel_sizes, dilations and groups of one length >= 3", got=got))
        if any(width % res2net_scale for width in channels[1:-1]):
            raise ArgumentError(explain("ECAPA_TDNN", expected=f"channels that are multiples of {res2net_scale}", got=str(list(channels))))
        first = TDNNBlock(input_size, channels[0], kernel_sizes[0], dilations[0], groups[0], dropout)
        rest = [
            SERes2NetBlock(
                channels[i - 1], channels[i], res2net_scale, se_channels, kernel_sizes[i], dilations[i], groups[i], dropout
            )
            for i in range(1, count - 1)
        ]  # fmt: skip
        self.blocks = nn.ModuleList([first, *rest])
        self.mfa = TDNNBlock(sum(channels[1:-1]), channels[-1], kernel_sizes[-1], dilations[-1], groups[-1], dropout)
        self.asp = AttentiveStatisticsPooling(channels[-1], attention_channels, global_context)
        self.asp_bn = Norm(channels[-1] * 2)
        self.fc = SameConv1d(channels[-1] * 2, lin_neurons, 1)

    def forward(self, x: Any, lengths: Any = None) -> Any:
        x = x.transpose(1, 2)
        mask = None if lengths is None else length_mask(lengths, x.shape[2]).to(x.dtype)
        x = self.blocks[0](x)
        states = []
        for block in list(self.blocks)[1:]:
            x = block(x, mask)
            states.append(x)
        x = self.asp(self.mfa(flambeau.cat(states, 1)), mask)
        return self.fc(self.asp_bn(x)).transpose(1, 2)


class Classifier(nn.Module):
    """Cosines between vectors (N, 1, E) and one direction for each speaker: (N, 1, K)."""

    def __init__(self, input_size: int, out_neurons: int = 1211) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(flambeau.empty(out_neurons, input_size)))

    def forward(self, x: Any) -> Any:
        return (F.normalize(x.squeeze(1)) @ F.normalize(self.weight).t())[:, None]


class AAMSoftmaxLoss(nn.Module):
    """Cross entropy of scaled cosines, where the angle to the right class counts as `margin` more (in radians): AAM-softmax.

    Args:
        margin: in radians.
        scale: what cosines are multiplied with.
        easy_margin: leave angles above a right angle as they are; else they are shifted evenly.

    `forward(cosines, targets)` takes (N, K) or (N, 1, K), and classes (N,).

    >>> import flambeau
    >>> loss = AAMSoftmaxLoss(0.2, 30.0)
    >>> cosines, classes = flambeau.tensor([[0.9, 0.1], [0.2, 0.8]]), flambeau.tensor([0, 1])
    >>> bool(loss(cosines, classes) > AAMSoftmaxLoss(0.0, 30.0)(cosines, classes))
    True
    """

    def __init__(self, margin: float = 0.2, scale: float = 30.0, easy_margin: bool = False) -> None:
        super().__init__()
        self.margin, self.scale, self.easy_margin = margin, scale, easy_margin

    def forward(self, cosines: Any, targets: Any) -> Any:
        cosines = cosines.reshape(-1, cosines.shape[-1]).float()
        targets = targets.reshape(-1)
        sines = (1.0 - cosines**2).clamp(min=1e-12).sqrt()
        moved = cosines * math.cos(self.margin) - sines * math.sin(self.margin)  # cos(angle + margin)
        if self.easy_margin:
            moved = flambeau.where(cosines > 0, moved, cosines)
        else:
            moved = flambeau.where(
                cosines > math.cos(math.pi - self.margin), moved, cosines - math.sin(math.pi - self.margin) * self.margin
            )
        right = F.one_hot(targets, cosines.shape[1]).bool()
        return F.cross_entropy(self.scale * flambeau.where(right, moved, cosines), targets)
