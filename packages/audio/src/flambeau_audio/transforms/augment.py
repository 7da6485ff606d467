"""Random changes for training. `generator` draws; without one the global generator does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau_audio import functional as F


class _Masking(nn.Module):
    axis: int

    def __init__(self, mask_param: int, iid_masks: bool, p: float, generator: Any) -> None:
        super().__init__()
        self.mask_param, self.iid_masks, self.p, self.generator = mask_param, iid_masks, p, generator

    def forward(self, specgram: Tensor, mask_value: float | Tensor = 0.0) -> Tensor:
        return F.mask_along_axis(specgram, self.mask_param, mask_value, self.axis, self.p, iid=self.iid_masks, generator=self.generator)


class FrequencyMasking(_Masking):
    """Overwrites up to `freq_mask_param` neighbouring bands of (..., freq, time)."""

    axis = -2

    def __init__(self, freq_mask_param: int, iid_masks: bool = False, *, generator: Any = None) -> None:
        super().__init__(freq_mask_param, iid_masks, 1.0, generator)


class TimeMasking(_Masking):
    """Overwrites up to `time_mask_param` neighbouring frames of (..., freq, time), at most the share `p` of them."""

    axis = -1

    def __init__(self, time_mask_param: int, iid_masks: bool = False, p: float = 1.0, *, generator: Any = None) -> None:
        super().__init__(time_mask_param, iid_masks, p, generator)


class AddNoise(nn.Module):
    """Noise at a ratio of decibels: see `functional.add_noise`."""

    def forward(self, waveform: Tensor, noise: Tensor, snr: Tensor, lengths: Tensor | None = None) -> Tensor:
        return F.add_noise(waveform, noise, snr, lengths)


class Speed(nn.Module):
    """Plays waveforms `factor` times as fast."""

    def __init__(self, orig_freq: int, factor: float) -> None:
        super().__init__()
        self.orig_freq, self.factor = orig_freq, factor

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        return F.speed(waveform, self.orig_freq, self.factor, lengths)


class SpeedPerturbation(nn.Module):
    """Plays waveforms at a random one of some speeds (Ko et al. 2015, "Audio augmentation for speech recognition")."""

    def __init__(self, orig_freq: int, factors: Sequence[float], *, generator: Any = None) -> None:
        super().__init__()
        self.orig_freq, self.factors, self.generator = orig_freq, tuple(factors), generator

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        which = int(flambeau.randint(0, len(self.factors), (1,), generator=self.generator).item())
        return F.speed(waveform, self.orig_freq, self.factors[which], lengths)
