"""What HiFi-GAN is trained against: discriminators of several periods and scales, and their losses, with the authors' names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau import nn
from flambeau.nn import functional as F
from flambeau.nn.utils import spectral_norm
from flambeau.nn.utils.parametrizations import weight_norm

SLOPE = 0.1
Found = tuple[list[Any], list[Any], list[list[Any]], list[list[Any]]]


class _Discriminator(nn.Module):
    """Convolutions with leaky ReLU: -> scores (N, *), and the states of all layers."""

    def __init__(self, convs: Sequence[nn.Module], post: nn.Module, norm: Callable[[Any], Any]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(norm(conv) for conv in convs)
        self.conv_post = norm(post)

    def forward(self, x: Any) -> tuple[Any, list[Any]]:
        states = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            states.append(x)
        x = self.conv_post(x)
        return x.flatten(1), [*states, x]


class DiscriminatorP(_Discriminator):
    """Looks at each `period`-th sample: waveforms (N, 1, T)."""

    def __init__(self, period: int, widths: Sequence[int] = (32, 128, 512, 1024, 1024)) -> None:
        sizes = zip((1, *widths), widths, strict=False)
        strides = [3] * (len(widths) - 1) + [1]
        convs = [nn.Conv2d(a, b, (5, 1), (stride, 1), padding=(2, 0)) for (a, b), stride in zip(sizes, strides, strict=True)]
        super().__init__(convs, nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)), weight_norm)
        self.period = period

    def forward(self, x: Any) -> tuple[Any, list[Any]]:
        count, channels, length = x.shape
        missing = -length % self.period
        x = F.pad(x, (0, missing), "reflect") if missing else x
        return super().forward(x.reshape(count, channels, (length + missing) // self.period, self.period))


class DiscriminatorS(_Discriminator):
    """Looks at whole waveforms (N, 1, T)."""

    def __init__(self, use_spectral_norm: bool = False, width: int = 128) -> None:
        w = width
        convs = [
            nn.Conv1d(1, w, 15, padding=7),
            nn.Conv1d(w, w, 41, 2, groups=4, padding=20),
            nn.Conv1d(w, 2 * w, 41, 2, groups=16, padding=20),
            nn.Conv1d(2 * w, 4 * w, 41, 4, groups=16, padding=20),
            nn.Conv1d(4 * w, 8 * w, 41, 4, groups=16, padding=20),
            nn.Conv1d(8 * w, 8 * w, 41, 1, groups=16, padding=20),
            nn.Conv1d(8 * w, 8 * w, 5, padding=2),
        ]
        super().__init__(convs, nn.Conv1d(8 * w, 1, 3, padding=1), spectral_norm if use_spectral_norm else weight_norm)


def _both(discriminators: Any, pairs: list[tuple[Any, Any]]) -> Found:
    real: list[Any] = []
    made: list[Any] = []
    real_states: list[list[Any]] = []
    made_states: list[list[Any]] = []
    for discriminator, (y, y_hat) in zip(discriminators, pairs, strict=True):
        for x, scores, states in ((y, real, real_states), (y_hat, made, made_states)):
            found, inner = discriminator(x)
            scores.append(found)
            states.append(inner)
    return real, made, real_states, made_states


class MultiPeriodDiscriminator(nn.Module):
    """Real and made waveforms (N, 1, T) -> scores of each period for both, and states of all layers for both.

    `widths` are the channels of the layers; the paper's are the default.
    """

    def __init__(self, periods: Sequence[int] = (2, 3, 5, 7, 11), widths: Sequence[int] = (32, 128, 512, 1024, 1024)) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(DiscriminatorP(period, widths) for period in periods)

    def forward(self, y: Any, y_hat: Any) -> Found:
        return _both(self.discriminators, [(y, y_hat)] * len(self.discriminators))


class MultiScaleDiscriminator(nn.Module):
    """The same for waveforms at full, half and quarter rate. `width` is that of the first layer, a multiple of 16; 128 in the paper."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(DiscriminatorS(i == 0, width) for i in range(3))
        self.meanpools = nn.ModuleList(nn.AvgPool1d(4, 2, padding=2) for _ in range(2))

    def forward(self, y: Any, y_hat: Any) -> Found:
        pairs = [(y, y_hat)]
        for pool in self.meanpools:
            pairs.append((pool(pairs[-1][0]), pool(pairs[-1][1])))
        return _both(self.discriminators, pairs)


def feature_loss(fmap_r: list[list[Any]], fmap_g: list[list[Any]]) -> Any:
    """Twice the summed mean distances of all layers' states for real and for made waveforms."""
    pairs = [pair for real, made in zip(fmap_r, fmap_g, strict=True) for pair in zip(real, made, strict=True)]
    return 2 * sum(((real - made).abs().mean() for real, made in pairs), start=flambeau.zeros(()))


def discriminator_loss(disc_real_outputs: list[Any], disc_generated_outputs: list[Any]) -> tuple[Any, list[Any], list[Any]]:
    """Real waveforms should score 1 and made ones 0: the sum of squared errors, and those of each discriminator."""
    real = [((1 - scores) ** 2).mean() for scores in disc_real_outputs]
    made = [(scores**2).mean() for scores in disc_generated_outputs]
    return sum(real + made), real, made


def generator_loss(disc_outputs: list[Any]) -> tuple[Any, list[Any]]:
    """Made waveforms should score 1: the sum of squared errors, and those of each discriminator."""
    losses = [((1 - scores) ** 2).mean() for scores in disc_outputs]
    return sum(losses), losses
