"""From waveforms to spectra and back."""

from __future__ import annotations

import math
from typing import Any

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, explain


def spectrogram(
    waveform: Tensor,
    pad: int,
    window: Tensor,
    n_fft: int,
    hop_length: int,
    win_length: int,
    power: float | None = 2.0,
    normalized: bool | str = False,
    *,
    center: bool = True,
    pad_mode: str = "reflect",
    onesided: bool = True,
) -> Tensor:
    """The short-time Fourier transform of a waveform (..., time): (..., freq, frame).

    Args:
        pad: zeros to put at both ends first.
        window: (win_length,).
        n_fft: points of a transform.
        hop_length: samples between two frames.
        power: magnitudes to this power; None gives complex numbers.
        normalized: divide by the window's norm ("window", True) or by sqrt(n_fft) ("frame_length").
        center: frames are centred at multiples of the hop, the ends padded as `pad_mode` says.

    >>> tone = (flambeau.arange(800) * (2 * 3.14159265 * 100 / 800)).sin()
    >>> spectrum = spectrogram(tone, 0, flambeau.hann_window(80), 80, 40, 80)
    >>> tuple(spectrum.shape), spectrum.mean(1).argmax().item()
    ((41, 21), 10)
    """
    if pad > 0:
        waveform = flambeau.nn.functional.pad(waveform, (pad, pad))
    shape = waveform.shape
    spectrum = flambeau.stft(
        waveform.reshape(-1, shape[-1]),
        n_fft,
        hop_length,
        win_length,
        window,
        center=center,
        pad_mode=pad_mode,
        normalized=normalized == "frame_length",
        onesided=onesided,
        return_complex=True,
    )
    spectrum = spectrum.reshape(*shape[:-1], *spectrum.shape[-2:])
    if normalized in (True, "window"):
        spectrum = spectrum / window.square().sum().sqrt()
    if power is None:
        return spectrum
    if power != 2.0:
        return spectrum.abs() if power == 1.0 else spectrum.abs() ** power
    frames = spectrum.transpose(-1, -2)  # as they lie in memory
    return (frames.real.square() + frames.imag.square()).transpose(-1, -2)


def inverse_spectrogram(
    spectrogram: Tensor,
    length: int | None,
    pad: int,
    window: Tensor,
    n_fft: int,
    hop_length: int,
    win_length: int,
    normalized: bool | str = False,
    *,
    center: bool = True,
    onesided: bool = True,
) -> Tensor:
    """The waveform (..., time) of a complex spectrogram (..., freq, frame): what `spectrogram(power=None)` undoes. `length` in samples."""
    if not spectrogram.is_complex():
        raise ArgumentError(explain("inverse_spectrogram", expected="complex numbers", got=str(spectrogram.dtype), hint="power=None"))
    if normalized in (True, "window"):
        spectrogram = spectrogram * window.square().sum().sqrt()
    shape = spectrogram.shape
    waveform = flambeau.istft(
        spectrogram.reshape(-1, *shape[-2:]),
        n_fft,
        hop_length,
        win_length,
        window,
        center=center,
        normalized=normalized == "frame_length",
        onesided=onesided,
        length=length + 2 * pad if length is not None else None,
    )
    if length is not None and pad > 0:
        waveform = waveform[:, pad:-pad]
    return waveform.reshape(*shape[:-2], waveform.shape[-1])


def griffinlim(
    specgram: Tensor,
    window: Tensor,
    n_fft: int,
    hop_length: int,
    win_length: int,
    power: float,
    n_iter: int,
    momentum: float,
    length: int | None,
    rand_init: bool,
    *,
    generator: Any = None,
) -> Tensor:
    """A waveform whose spectrogram (..., freq, frame) is like this one, by guessing phases again and again.

    Perraudin, Balazs and Søndergaard 2013, "A fast Griffin-Lim algorithm"; Griffin and Lim 1984 with `momentum` 0.

    Args:
        power: of the magnitudes in `specgram`.
        momentum: 0.99 is quick; has to be below 1.
        rand_init: begin with random phases, else with zeros.
        generator: draws them.
    """
    if not 0 <= momentum < 1:
        raise ArgumentError(explain("griffinlim", expected="a momentum from 0 to below 1", got=str(momentum)))
    momentum = momentum / (1 + momentum)
    shape = specgram.shape
    magnitudes = specgram.reshape(-1, *shape[-2:]) ** (1 / power)
    options: dict[str, Any] = {"n_fft": n_fft, "hop_length": hop_length, "win_length": win_length, "window": window}
    if rand_init:
        turn = 2 * math.pi * flambeau.rand(magnitudes.shape, generator=generator, dtype=magnitudes.dtype, device=magnitudes.device)
        phases = flambeau.complex(turn.cos(), turn.sin())
    else:
        phases = flambeau.complex(flambeau.ones_like(magnitudes), flambeau.zeros_like(magnitudes))
    before: Tensor | None = None
    for _ in range(n_iter):
        waveform = flambeau.istft(magnitudes * phases, length=length, **options)
        rebuilt = flambeau.stft(waveform, return_complex=True, **options)
        phases = rebuilt if before is None or not momentum else rebuilt - momentum * before
        phases = phases / (phases.abs() + 1e-16)
        before = rebuilt
    waveform = flambeau.istft(magnitudes * phases, length=length, **options)
    return waveform.reshape(*shape[:-2], waveform.shape[-1])


def amplitude_to_DB(x: Tensor, multiplier: float, amin: float, db_multiplier: float, top_db: float | None = None) -> Tensor:
    """Decibels: `multiplier * (log10(max(x, amin)) - db_multiplier)`, with multiplier 10 for powers and 20 for amplitudes.

    With `top_db` nothing is lower than the largest value of its spectrogram (the last three axes) less this.
    """
    decibels = multiplier * (x.clamp(min=amin).log10() - db_multiplier)
    if top_db is None:
        return decibels
    axes = tuple(range(max(0, decibels.ndim - 3), decibels.ndim))
    return flambeau.maximum(decibels, decibels.amax(axes, keepdim=True) - top_db)


def DB_to_amplitude(x: Tensor, ref: float, power: float) -> Tensor:
    """`ref * (10 ** (x / 10)) ** power`: 1 gives powers, 0.5 amplitudes.

    >>> DB_to_amplitude(flambeau.tensor([20.0]), 1.0, 0.5)
    tensor([10.])
    """
    return ref * (10.0 ** (0.1 * x)) ** power
