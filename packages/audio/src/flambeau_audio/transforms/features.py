"""Features of waveforms (..., time)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor, nn
from flambeau.base.errors import ArgumentError, explain
from flambeau_audio import functional as F

Window = Callable[..., Tensor]


class _Framed(nn.Module):
    """What all transforms by frames share."""

    window: Tensor

    def __init__(
        self, n_fft: int, win_length: int | None, hop_length: int | None, window_fn: Window, wkwargs: Mapping[str, Any] | None
    ) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.win_length = win_length if win_length is not None else n_fft
        self.hop_length = hop_length if hop_length is not None else self.win_length // 2
        self.register_buffer("window", window_fn(self.win_length, **(wkwargs or {})))


class Spectrogram(_Framed):
    """(..., time) to (..., n_fft / 2 + 1, frame). Arguments as for `functional.spectrogram`.

    >>> tuple(Spectrogram(n_fft=400)(flambeau.zeros(2, 16000)).shape)
    (2, 201, 81)
    """

    def __init__(
        self,
        n_fft: int = 400,
        win_length: int | None = None,
        hop_length: int | None = None,
        pad: int = 0,
        window_fn: Window = flambeau.hann_window,
        power: float | None = 2.0,
        normalized: bool | str = False,
        wkwargs: Mapping[str, Any] | None = None,
        center: bool = True,
        pad_mode: str = "reflect",
        onesided: bool = True,
    ) -> None:
        super().__init__(n_fft, win_length, hop_length, window_fn, wkwargs)
        self.pad, self.power, self.normalized = pad, power, normalized
        self.center, self.pad_mode, self.onesided = center, pad_mode, onesided

    def forward(self, waveform: Tensor) -> Tensor:
        return F.spectrogram(
            waveform, self.pad, self.window, self.n_fft, self.hop_length, self.win_length, self.power, self.normalized,
            center=self.center, pad_mode=self.pad_mode, onesided=self.onesided,
        )  # fmt: skip


class InverseSpectrogram(_Framed):
    """Complex (..., freq, frame) to (..., time)."""

    def __init__(
        self,
        n_fft: int = 400,
        win_length: int | None = None,
        hop_length: int | None = None,
        pad: int = 0,
        window_fn: Window = flambeau.hann_window,
        normalized: bool | str = False,
        wkwargs: Mapping[str, Any] | None = None,
        center: bool = True,
        onesided: bool = True,
    ) -> None:
        super().__init__(n_fft, win_length, hop_length, window_fn, wkwargs)
        self.pad, self.normalized, self.center, self.onesided = pad, normalized, center, onesided

    def forward(self, spectrogram: Tensor, length: int | None = None) -> Tensor:
        return F.inverse_spectrogram(
            spectrogram, length, self.pad, self.window, self.n_fft, self.hop_length, self.win_length, self.normalized,
            center=self.center, onesided=self.onesided,
        )  # fmt: skip


class GriffinLim(_Framed):
    """(..., freq, frame) to a waveform (..., time) that sounds like it. `generator` draws the first phases."""

    def __init__(
        self,
        n_fft: int = 400,
        n_iter: int = 32,
        win_length: int | None = None,
        hop_length: int | None = None,
        window_fn: Window = flambeau.hann_window,
        power: float = 2.0,
        wkwargs: Mapping[str, Any] | None = None,
        momentum: float = 0.99,
        length: int | None = None,
        rand_init: bool = True,
        generator: Any = None,
    ) -> None:
        super().__init__(n_fft, win_length, hop_length, window_fn, wkwargs)
        self.n_iter, self.power, self.momentum, self.length, self.rand_init = n_iter, power, momentum, length, rand_init
        self.generator = generator

    def forward(self, specgram: Tensor) -> Tensor:
        return F.griffinlim(
            specgram, self.window, self.n_fft, self.hop_length, self.win_length, self.power, self.n_iter, self.momentum, self.length,
            self.rand_init, generator=self.generator,
        )  # fmt: skip


class AmplitudeToDB(nn.Module):
    """Decibels of powers ("power") or amplitudes ("magnitude"), nothing lower than the largest less `top_db`."""

    def __init__(self, stype: str = "power", top_db: float | None = None) -> None:
        super().__init__()
        if stype not in ("power", "magnitude") or (top_db is not None and top_db < 0):
            got = f"stype={stype!r}, top_db={top_db}"
            raise ArgumentError(explain("AmplitudeToDB", expected='"power" or "magnitude", and a top_db of 0 or more', got=got))
        self.stype, self.top_db, self.multiplier, self.amin = stype, top_db, 10.0 if stype == "power" else 20.0, 1e-10

    def forward(self, x: Tensor) -> Tensor:
        return F.amplitude_to_DB(x, self.multiplier, self.amin, 0.0, self.top_db)


class MelScale(nn.Module):
    """Spectra (..., n_stft, frame) to mel bands (..., n_mels, frame)."""

    fb: Tensor

    def __init__(
        self,
        n_mels: int = 128,
        sample_rate: int = 16000,
        f_min: float = 0.0,
        f_max: float | None = None,
        n_stft: int = 201,
        norm: str | None = None,
        mel_scale: str = "htk",
    ) -> None:
        super().__init__()
        top = f_max if f_max is not None else float(sample_rate // 2)
        if f_min > top:
            raise ArgumentError(explain("MelScale", expected=f"f_min of {top} or less", got=str(f_min)))
        self.register_buffer("fb", F.melscale_fbanks(n_stft, f_min, top, n_mels, sample_rate, norm, mel_scale))

    def forward(self, specgram: Tensor) -> Tensor:
        return (specgram.transpose(-1, -2) @ self.fb).transpose(-1, -2)


class MelSpectrogram(nn.Module):
    """(..., time) to mel bands (..., n_mels, frame). Frequencies in Hz, lengths in samples.

    >>> tuple(MelSpectrogram(16000, n_mels=40)(flambeau.zeros(16000)).shape)
    (40, 81)
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 400,
        win_length: int | None = None,
        hop_length: int | None = None,
        f_min: float = 0.0,
        f_max: float | None = None,
        pad: int = 0,
        n_mels: int = 128,
        window_fn: Window = flambeau.hann_window,
        power: float = 2.0,
        normalized: bool | str = False,
        wkwargs: Mapping[str, Any] | None = None,
        center: bool = True,
        pad_mode: str = "reflect",
        norm: str | None = None,
        mel_scale: str = "htk",
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.spectrogram = Spectrogram(n_fft, win_length, hop_length, pad, window_fn, power, normalized, wkwargs, center, pad_mode)
        self.mel_scale = MelScale(n_mels, sample_rate, f_min, f_max, n_fft // 2 + 1, norm, mel_scale)

    def forward(self, waveform: Tensor) -> Tensor:
        return self.mel_scale(self.spectrogram(waveform))


class _Cepstrum(nn.Module):
    """Cosine transforms of log spectra."""

    dct_mat: Tensor

    def __init__(self, n_out: int, n_in: int, norm: str | None, log: bool) -> None:
        super().__init__()
        if n_out > n_in:
            raise ArgumentError(explain(type(self).__name__, expected=f"{n_in} coefficients or fewer", got=str(n_out)))
        self.log = log
        self.to_db = AmplitudeToDB("power", 80.0)
        self.register_buffer("dct_mat", F.create_dct(n_out, n_in, norm))

    def _transform(self, bands: Tensor) -> Tensor:
        levels = (bands + 1e-6).log() if self.log else self.to_db(bands)
        return (levels.transpose(-1, -2) @ self.dct_mat).transpose(-1, -2)


class MFCC(_Cepstrum):
    """(..., time) to mel-frequency cepstral coefficients (..., n_mfcc, frame); `melkwargs` are those of `MelSpectrogram`."""

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mfcc: int = 40,
        dct_type: int = 2,
        norm: str | None = "ortho",
        log_mels: bool = False,
        melkwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if dct_type != 2:
            raise ArgumentError(explain("MFCC", expected="dct_type of 2", got=str(dct_type)))
        options = dict(melkwargs or {})
        super().__init__(n_mfcc, int(options.get("n_mels", 128)), norm, log_mels)
        self.mel_spectrogram = MelSpectrogram(sample_rate, **options)

    def forward(self, waveform: Tensor) -> Tensor:
        return self._transform(self.mel_spectrogram(waveform))


class LFCC(_Cepstrum):
    """The same with bands that are equally wide: (..., n_lfcc, frame); `speckwargs` are those of `Spectrogram`."""

    filter_mat: Tensor

    def __init__(
        self,
        sample_rate: int = 16000,
        n_filter: int = 128,
        f_min: float = 0.0,
        f_max: float | None = None,
        n_lfcc: int = 40,
        dct_type: int = 2,
        norm: str | None = "ortho",
        log_lf: bool = False,
        speckwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if dct_type != 2:
            raise ArgumentError(explain("LFCC", expected="dct_type of 2", got=str(dct_type)))
        super().__init__(n_lfcc, n_filter, norm, log_lf)
        self.spectrogram = Spectrogram(**(speckwargs or {}))
        frequencies = np.linspace(0, sample_rate // 2, self.spectrogram.n_fft // 2 + 1)
        corners = np.linspace(f_min, f_max if f_max is not None else float(sample_rate // 2), n_filter + 2)
        slopes = corners[None] - frequencies[:, None]
        banks = np.maximum(0.0, np.minimum(-slopes[:, :-2], slopes[:, 2:]) / np.diff(corners)[0])
        self.register_buffer("filter_mat", flambeau.from_numpy(banks.astype(np.float32)))

    def forward(self, waveform: Tensor) -> Tensor:
        return self._transform((self.spectrogram(waveform).transpose(-1, -2) @ self.filter_mat).transpose(-1, -2))


class Resample(nn.Module):
    """(..., time) at `orig_freq` samples a second to `new_freq`. Arguments as for `functional.resample`."""

    def __init__(
        self,
        orig_freq: int = 16000,
        new_freq: int = 16000,
        resampling_method: str = "sinc_interp_hann",
        lowpass_filter_width: int = 6,
        rolloff: float = 0.99,
        beta: float | None = None,
    ) -> None:
        super().__init__()
        self.settings = (orig_freq, new_freq, lowpass_filter_width, rolloff, resampling_method, beta)

    def forward(self, waveform: Tensor) -> Tensor:
        return F.resample(waveform, *self.settings)


class ComputeDeltas(nn.Module):
    """Slopes of features (..., freq, time) over time."""

    def __init__(self, win_length: int = 5, mode: str = "replicate") -> None:
        super().__init__()
        self.win_length, self.mode = win_length, mode

    def forward(self, specgram: Tensor) -> Tensor:
        return F.compute_deltas(specgram, self.win_length, self.mode)


class MuLawEncoding(nn.Module):
    """Samples in [-1, 1] to whole numbers below `quantization_channels`."""

    def __init__(self, quantization_channels: int = 256) -> None:
        super().__init__()
        self.quantization_channels = quantization_channels

    def forward(self, x: Tensor) -> Tensor:
        return F.mu_law_encoding(x, self.quantization_channels)


class MuLawDecoding(nn.Module):
    """Those numbers to samples in [-1, 1]."""

    def __init__(self, quantization_channels: int = 256) -> None:
        super().__init__()
        self.quantization_channels = quantization_channels

    def forward(self, x_mu: Tensor) -> Tensor:
        return F.mu_law_decoding(x_mu, self.quantization_channels)


class Preemphasis(nn.Module):
    """High tones louder: `y[t] = x[t] - coeff x[t-1]`."""

    def __init__(self, coeff: float = 0.97) -> None:
        super().__init__()
        self.coeff = coeff

    def forward(self, waveform: Tensor) -> Tensor:
        return F.preemphasis(waveform, self.coeff)
