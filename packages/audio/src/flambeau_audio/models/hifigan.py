"""HiFi-GAN (Kong et al. 2020): from mel bands to waveforms. Hugging Face's keys (SpeechT5HifiGan); the authors' files load too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.nn import functional as F
from flambeau.nn.utils.parametrizations import weight_norm
from flambeau.nn.utils.parametrize import remove_parametrizations
from flambeau.pretrained import Config, PretrainedModel
from flambeau_audio.models.speech_config import check_layers


class SpeechT5HifiGanConfig(Config):
    """Options of HiFi-GAN's generator: Hugging Face's names and defaults. The authors' V1 for 22.05 kHz has `upsample_rates=(8, 8, 2, 2)`,
    `upsample_kernel_sizes=(16, 16, 4, 4)` and `normalize_before=False`.
    """

    model_type = "speecht5_hifigan"
    defaults: ClassVar[dict[str, Any]] = {
        "model_in_dim": 80, "sampling_rate": 16000, "upsample_initial_channel": 512, "upsample_rates": (4, 4, 4, 4),
        "upsample_kernel_sizes": (8, 8, 8, 8), "resblock_kernel_sizes": (3, 7, 11),
        "resblock_dilation_sizes": ((1, 3, 5), (1, 3, 5), (1, 3, 5)), "initializer_range": 0.01, "leaky_relu_slope": 0.1,
        "normalize_before": True,
    }  # fmt: skip

    def check(self) -> None:
        super().check()
        check_layers("SpeechT5HifiGanConfig", "upsample_rates and upsample_kernel_sizes", [self.upsample_rates, self.upsample_kernel_sizes])
        dilations = self.resblock_dilation_sizes
        if not isinstance(dilations, (list, tuple)) or len(dilations) != len(self.resblock_kernel_sizes):
            expected = "a list of resblock_dilation_sizes for each of resblock_kernel_sizes"
            raise ArgumentError(explain("SpeechT5HifiGanConfig", expected=expected, got=repr(dilations)[:120]))
        check_layers("SpeechT5HifiGanConfig", "resblock_kernel_sizes", [self.resblock_kernel_sizes])
        for values in dilations:
            check_layers("SpeechT5HifiGanConfig", "resblock_dilation_sizes", [values])
        if self.upsample_initial_channel % 2 ** len(self.upsample_rates):
            expected = f"upsample_initial_channel to be a multiple of {2 ** len(self.upsample_rates)}"
            raise ArgumentError(explain("SpeechT5HifiGanConfig", expected=expected, got=str(self.upsample_initial_channel)))


class ResidualBlock(nn.Module):
    """Dilated convolutions, each followed by a plain one and a residual: (N, C, T) -> (N, C, T)."""

    def __init__(self, channels: int, kernel: int, dilations: list[int], slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.convs1 = nn.ModuleList(nn.Conv1d(channels, channels, kernel, dilation=d, padding=(kernel - 1) * d // 2) for d in dilations)
        self.convs2 = nn.ModuleList(nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) // 2) for _ in dilations)

    def forward(self, x: Any) -> Any:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(F.leaky_relu(first(F.leaky_relu(x, self.slope)), self.slope))
        return x


class SpeechT5HifiGan(PretrainedModel):
    """Bands (N, frames, M), or (frames, M) -> waveforms (N, T), or (T,): the product of `upsample_rates` samples a frame.

    >>> import flambeau
    >>> config = SpeechT5HifiGanConfig(model_in_dim=5, upsample_initial_channel=16, upsample_rates=(4, 2), upsample_kernel_sizes=(8, 4))
    >>> SpeechT5HifiGan(config)(flambeau.randn(2, 10, 5)).shape
    flambeau.Size([2, 80])
    """

    config_class = SpeechT5HifiGanConfig

    def __init__(self, config: SpeechT5HifiGanConfig) -> None:
        super().__init__(config)
        width = config.upsample_initial_channel
        self.conv_pre = nn.Conv1d(config.model_in_dim, width, 7, padding=3)
        self.upsampler = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
            self.upsampler.append(nn.ConvTranspose1d(width, width // 2, kernel, rate, padding=(kernel - rate) // 2))
            width //= 2
            for size, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True):
                self.resblocks.append(ResidualBlock(width, size, dilations, config.leaky_relu_slope))
        self.conv_post = nn.Conv1d(width, 1, 7, padding=3)
        self.register_buffer("mean", flambeau.zeros(config.model_in_dim))
        self.register_buffer("scale", flambeau.ones(config.model_in_dim))
        self.post_init()

    def init_weights(self) -> None:
        for layer in self._convolutions():
            nn.init.normal_(layer.weight, 0.0, self.config.initializer_range)
            nn.init.zeros_(layer.bias)

    def forward(self, spectrogram: Any) -> Any:
        config = self.config
        if spectrogram.dim() not in (2, 3) or spectrogram.shape[-1] != config.model_in_dim:
            expected = f"bands (N, frames, {config.model_in_dim})"
            got = f"shape {tuple(spectrogram.shape)}"
            raise ShapeError(explain("SpeechT5HifiGan", expected=expected, got=got, hint=".transpose(1, 2) for (N, bands, frames)"))
        if config.normalize_before:
            spectrogram = (spectrogram - self.mean) / self.scale
        x = self.conv_pre((spectrogram if spectrogram.dim() == 3 else spectrogram[None]).transpose(1, 2))
        count = len(config.resblock_kernel_sizes)
        for i, upsample in enumerate(self.upsampler):
            x = upsample(F.leaky_relu(x, config.leaky_relu_slope))
            total: Any = 0.0
            for block in list(self.resblocks)[i * count : (i + 1) * count]:
                total = total + block(x)
            x = total / count
        waveform = self.conv_post(F.leaky_relu(x)).tanh()[:, 0]
        return waveform if spectrogram.dim() == 3 else waveform[0]

    def rename_keys(self, state: dict[str, Any]) -> dict[str, Any]:
        """The authors' names, and weights that are stored as length and direction."""
        state = {name.replace("ups.", "upsampler.", 1) if name.startswith("ups.") else name: value for name, value in state.items()}
        for name in [name for name in state if name.endswith((".weight_g", ".parametrizations.weight.original0"))]:
            stem = name.removesuffix(".weight_g").removesuffix(".parametrizations.weight.original0")
            other = name.replace("weight_g", "weight_v").replace("original0", "original1")
            length, direction = state.pop(name), state.pop(other)
            state[f"{stem}.weight"] = direction * (length / flambeau.linalg.vector_norm(direction, dim=(1, 2), keepdim=True))
        if "mean" not in state:
            state |= {"mean": flambeau.zeros(self.config.model_in_dim), "scale": flambeau.ones(self.config.model_in_dim)}
        return state

    def apply_weight_norm(self) -> None:
        """Learn the length and the direction of each weight apart, as the paper trains it."""
        for layer in self._convolutions():
            weight_norm(layer)

    def remove_weight_norm(self) -> None:
        """Back to plain weights, which are faster."""
        for layer in self._convolutions():
            remove_parametrizations(layer, "weight")

    def _convolutions(self) -> Iterator[Any]:
        return (layer for layer in self.modules() if isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d)))
