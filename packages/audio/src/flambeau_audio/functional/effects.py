"""Changes of waveforms and spectra that training uses: noise, speed, masks, and codes."""

from __future__ import annotations

import math
from typing import Any

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.nn import functional as F
from flambeau_audio.functional.resampling import resample


def mu_law_encoding(x: Tensor, quantization_channels: int) -> Tensor:
    """Samples in [-1, 1] as whole numbers from 0 to `quantization_channels - 1`, finer where it is quiet.

    ITU-T G.711's law in its continuous form.

    >>> mu_law_encoding(flambeau.tensor([-1.0, 0.0, 1.0]), 256)
    tensor([  0, 128, 255])
    """
    mu = quantization_channels - 1.0
    squeezed = x.sign() * (mu * x.abs()).log1p() / math.log1p(mu)
    return ((squeezed + 1) / 2 * mu + 0.5).to(flambeau.int64)


def mu_law_decoding(x_mu: Tensor, quantization_channels: int) -> Tensor:
    """Samples in [-1, 1] of the numbers that `mu_law_encoding` gives."""
    mu = quantization_channels - 1.0
    x = x_mu if x_mu.is_floating_point() else x_mu.float()
    x = x / mu * 2 - 1.0
    return x.sign() * ((x.abs() * math.log1p(mu)).exp() - 1.0) / mu


def compute_deltas(specgram: Tensor, win_length: int = 5, mode: str = "replicate") -> Tensor:
    """The slopes of features (..., freq, time) over time, by least squares over `win_length` (odd, 3 or more) frames."""
    if win_length < 3 or win_length % 2 == 0:
        raise ArgumentError(explain("compute_deltas", expected="an odd win_length of 3 or more", got=str(win_length)))
    shape, n = specgram.shape, (win_length - 1) // 2
    rows = F.pad(specgram.reshape(-1, 1, shape[-1]), (n, n), mode=mode)
    kernel = flambeau.arange(-n, n + 1, dtype=specgram.dtype, device=specgram.device).reshape(1, 1, -1)
    return (F.conv1d(rows, kernel) / (n * (n + 1) * (2 * n + 1) / 3)).reshape(shape)


def mask_along_axis(
    specgram: Tensor, mask_param: int, mask_value: float | Tensor, axis: int, p: float = 1.0, *, iid: bool = False, generator: Any = None
) -> Tensor:
    """Overwrite a random stretch of an axis (Park et al. 2019, "SpecAugment", arXiv 1904.08779).

    Args:
        specgram: (..., freq, time).
        mask_param: the stretch is shorter than this.
        mask_value: what comes in its place.
        axis: the last (time) or the one before (frequency).
        p: the stretch is at most this share of the axis.
        iid: a stretch of its own for each spectrogram of a batch (..., channel, freq, time); otherwise one for all.
        generator: draws the stretches.
    """
    axis = axis % specgram.ndim
    if axis < specgram.ndim - 2 or not 0.0 <= p <= 1.0:
        got = f"axis {axis} of {specgram.ndim}, p={p}"
        raise ArgumentError(explain("mask_along_axis", expected="one of the last two axes, and p from 0 to 1", got=got))
    size = specgram.shape[axis]
    longest = min(mask_param, int(size * p))
    if longest < 1:
        return specgram
    lead = specgram.shape[:-2] if iid else ()
    drawn = flambeau.rand((2, *lead), generator=generator, device=specgram.device)
    length = drawn[0] * longest
    start = (drawn[1] * (size - length)).long()
    end = start + length.long()
    place = flambeau.arange(size, device=specgram.device)
    inside = (place >= start.unsqueeze(-1)) & (place < end.unsqueeze(-1))
    inside = inside.unsqueeze(-1) if axis == specgram.ndim - 2 else inside.unsqueeze(-2)
    return flambeau.where(inside, mask_value, specgram)


def add_noise(waveform: Tensor, noise: Tensor, snr: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Waveforms (..., time) with noise (..., time), scaled so that the ratio of their powers is `snr` (...) decibels.

    `lengths` (...): samples that count; what lies beyond them is not looked at and gets no noise.
    """
    if waveform.shape != noise.shape or snr.shape != waveform.shape[:-1]:
        got = f"noise {tuple(noise.shape)}, snr {tuple(snr.shape)}"
        expected = f"noise of shape {tuple(waveform.shape)} and an snr of shape {tuple(waveform.shape[:-1])}"
        raise ShapeError(explain("add_noise", expected=expected, got=got))
    if lengths is not None:
        inside = flambeau.arange(waveform.shape[-1], device=waveform.device) < lengths.unsqueeze(-1)
        noise = flambeau.where(inside, noise, 0.0)
        heard = flambeau.where(inside, waveform, 0.0)
    else:
        heard = waveform
    energy, loud = heard.square().sum(-1), noise.square().sum(-1)
    have = 10.0 * (energy.log10() - loud.log10())
    return waveform + (10.0 ** ((have - snr) / 20.0)).unsqueeze(-1) * noise


def speed(waveform: Tensor, orig_freq: int, factor: float, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Waveforms played `factor` times as fast, which raises their pitch, and their `lengths` then (Ko et al. 2015)."""
    if factor <= 0:
        raise ArgumentError(explain("speed", expected="a factor above 0", got=str(factor)))
    source, target = int(factor * orig_freq), int(orig_freq)
    divisor = math.gcd(source, target)
    source, target = source // divisor, target // divisor
    after = None if lengths is None else (lengths * target / source).ceil().to(lengths.dtype)
    return resample(waveform, source, target), after
