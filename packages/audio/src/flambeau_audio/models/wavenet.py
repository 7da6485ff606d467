"""WaveNet (van den Oord et al. 2016): samples one after the other, each from all before it; generation with queues (Paine et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.nn import functional as F


class ResidualLayer(nn.Module):
    """A dilated causal convolution with a gate: (N, R, T) -> the next layer's input (N, R, T), and what it adds to the output (N, S, T)."""

    def __init__(self, residual: int, gate: int, skip: int, kernel: int, dilation: int, cin: int, gin: int, last: bool) -> None:
        super().__init__()
        self.past = (kernel - 1) * dilation
        self.dilation = dilation
        self.conv = nn.Conv1d(residual, gate, kernel, dilation=dilation)
        self.conv1x1c = nn.Conv1d(cin, gate, 1, bias=False) if cin else None
        self.conv1x1g = nn.Conv1d(gin, gate, 1, bias=False) if gin else None
        self.conv1x1_out = None if last else nn.Conv1d(gate // 2, residual, 1)
        self.conv1x1_skip = nn.Conv1d(gate // 2, skip, 1)

    def forward(self, x: Any, past: Any, c: Any, g: Any) -> tuple[Any, Any]:
        """`past` (N, R, self.past) are the inputs before x."""
        return self.gated(x, self.conv(flambeau.cat([past, x], 2)), c, g)

    def gated(self, x: Any, inner: Any, c: Any, g: Any) -> tuple[Any, Any]:
        """What follows the dilated convolution, whose result `inner` is."""
        if self.conv1x1c is not None:
            inner = inner + self.conv1x1c(c)
        if self.conv1x1g is not None:
            inner = inner + self.conv1x1g(g)
        value, gate = inner.chunk(2, 1)
        out = value.tanh() * gate.sigmoid()
        after = x if self.conv1x1_out is None else (x + self.conv1x1_out(out)) * 0.5**0.5
        return after, self.conv1x1_skip(out)


class Upsample(nn.Module):
    """Frames (N, C, T) -> (N, C, T * product of scales): each repeated and smoothed, in steps."""

    def __init__(self, channels: int, scales: Sequence[int]) -> None:
        super().__init__()
        self.scales = list(scales)
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, 2 * scale + 1, padding=scale, groups=channels, bias=False) for scale in scales
        )
        with flambeau.no_grad():
            for scale, conv in zip(scales, self.convs, strict=True):
                conv.weight.fill_(1 / (2 * scale + 1))

    def forward(self, c: Any) -> Any:
        for scale, conv in zip(self.scales, self.convs, strict=True):
            c = conv(c.repeat_interleave(scale, 2))
        return c


class WaveNet(nn.Module):
    """Scores of each sample's class given the samples before it: classes (N, T) -> `(N, classes, T)`.

    Samples are classes such as those of mu-law (`functional.mu_law_encoding`); before the first one stands the middle class.

    Args:
        classes: how many values a sample may have.
        layers, stacks: of layers, in so many stacks; dilation doubles within a stack.
        residual_channels, gate_channels, skip_channels: widths.
        kernel_size: of the dilated convolutions.
        cin_channels: channels of a local condition such as mel bands, 0 for none.
        gin_channels: size of a global condition such as a vector of a speaker, 0 for none.
        upsample_scales: how the local condition's frames become samples, in steps; their product is samples a frame.

    >>> import flambeau
    >>> model = WaveNet(classes=16, layers=4, stacks=2, residual_channels=8, gate_channels=8, skip_channels=8).eval()
    >>> model(flambeau.zeros(1, 10, dtype=flambeau.int64)).shape, model.receptive_field
    (flambeau.Size([1, 16, 10]), 7)
    >>> model.generate(5, generator=flambeau.Generator().manual_seed(0)).shape
    flambeau.Size([1, 5])
    """

    def __init__(
        self,
        classes: int = 256,
        layers: int = 30,
        stacks: int = 3,
        residual_channels: int = 64,
        gate_channels: int = 128,
        skip_channels: int = 64,
        kernel_size: int = 2,
        cin_channels: int = 0,
        gin_channels: int = 0,
        upsample_scales: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if layers < 1 or stacks < 1 or layers % stacks or gate_channels % 2 or kernel_size < 2:
            got = f"{layers} layers in {stacks} stacks, {gate_channels} gate_channels, kernel_size {kernel_size}"
            raise ArgumentError(explain("WaveNet", expected="equal stacks, an even gate, a kernel_size of 2 or more", got=got))
        self.classes, self.hop = classes, prod(upsample_scales)
        self.first_conv = nn.Embedding(classes, residual_channels)
        sizes = (residual_channels, gate_channels, skip_channels, kernel_size)
        self.conv_layers = nn.ModuleList(
            ResidualLayer(*sizes, 2 ** (i % (layers // stacks)), cin_channels, gin_channels, i == layers - 1) for i in range(layers)
        )
        self.last_conv_layers = nn.ModuleList([nn.Conv1d(skip_channels, skip_channels, 1), nn.Conv1d(skip_channels, classes, 1)])
        self.upsample_net = Upsample(cin_channels, upsample_scales) if cin_channels and upsample_scales else None
        self.cin_channels, self.gin_channels = cin_channels, gin_channels

    @property
    def receptive_field(self) -> int:
        """How many samples before it a sample sees."""
        return sum(layer.past for layer in self.conv_layers) + 1

    def forward(self, x: Any, c: Any = None, g: Any = None) -> Any:
        """`c` is a local condition (N, cin_channels, frames), of samples without `upsample_scales`; `g` is (N, gin_channels)."""
        if x.dim() != 2:
            raise ShapeError(explain("WaveNet", expected="classes (N, T)", got=f"shape {tuple(x.shape)}"))
        start = flambeau.full_like(x[:, :1], self.classes // 2)
        before = flambeau.cat([start, x[:, :-1]], 1)
        hidden = self.first_conv(before).transpose(1, 2)
        c, g = self._conditions(c, g, x.shape[1])
        total: Any = 0.0
        for layer in self.conv_layers:
            hidden, skip = layer(hidden, hidden.new_zeros(hidden.shape[0], hidden.shape[1], layer.past), c, g)
            total = total + skip
        return self.scores(total)

    def loss(self, x: Any, c: Any = None, g: Any = None) -> Any:
        """The mean cross entropy of classes (N, T)."""
        return F.cross_entropy(self(x, c, g), x)

    def generate(
        self, length: int, c: Any = None, g: Any = None, *, temperature: float = 1.0, batch: int = 1, generator: Any = None
    ) -> Any:
        """Draw classes (N, length), one sample a step; each step is one compiled program that works on queues of the layers' inputs.

        Args:
            length: samples.
            c, g: conditions, as in `forward`; they say how many waveforms are made.
            temperature: what scores are divided by; 0 takes the likeliest class.
            batch: how many waveforms, where there are no conditions.
            generator: of the random numbers.
        """
        if length < 1 or temperature < 0:
            got = f"{length} and {temperature}"
            raise ArgumentError(explain("WaveNet.generate", expected="a length of 1 or more and a temperature of 0 or more", got=got))
        from flambeau_audio.models.wavenet_steps import generate

        with flambeau.no_grad():
            given = next((value for value in (c, g) if value is not None), None)
            c, g = self._conditions(c, g, length)
            count = batch if given is None else given.shape[0]
            return generate(self, length, c, g, count, temperature, generator)

    def scores(self, total: Any) -> Any:
        """The scores of classes, from the sum of what the layers add to the output: (N, S, T) -> (N, classes, T)."""
        total = total * len(self.conv_layers) ** -0.5
        first, last = self.last_conv_layers
        return last(first(total.relu()).relu())

    def _conditions(self, c: Any, g: Any, length: int) -> tuple[Any, Any]:
        """The local condition for each sample, the global one with an axis of time."""
        for name, value, wanted in (("c", c, self.cin_channels), ("g", g, self.gin_channels)):
            if (value is not None) != bool(wanted) or (value is not None and value.shape[1] != wanted):
                got = "none" if value is None else f"shape {tuple(value.shape)}"
                raise ShapeError(explain("WaveNet", expected=f"{name} with {wanted} channels" if wanted else f"no {name}", got=got))
        if c is not None:
            c = c if self.upsample_net is None else self.upsample_net(c)
            if c.shape[2] < length:
                expected = f"a condition for {length} samples"
                raise ShapeError(explain("WaveNet", expected=expected, got=f"one for {c.shape[2]}", hint=f"{self.hop} samples a frame"))
            c = c[:, :, :length]
        return c, None if g is None else g[:, :, None]
