"""Frequencies as ears hear them."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, explain

_LINEAR, _START, _STEP = 200.0 / 3, 1000.0, math.log(6.4) / 27.0  # Slaney's scale: linear below 1 kHz, logarithmic above


def _known(mel_scale: str) -> None:
    if mel_scale not in ("htk", "slaney"):
        raise ArgumentError(explain("mel scale", expected='"htk" or "slaney"', got=repr(mel_scale)))


def hz_to_mel(freq: Any, mel_scale: str = "htk") -> Any:
    """Mels of frequencies in Hz: `2595 log10(1 + f / 700)` ("htk"; O'Shaughnessy 1987), or the scale of Slaney's Auditory Toolbox.

    >>> round(float(hz_to_mel(1000.0)), 3), round(float(hz_to_mel(1000.0, "slaney")), 3)
    (999.986, 15.0)
    """
    _known(mel_scale)
    f = np.asarray(freq, np.float64)
    if mel_scale == "htk":
        return 2595.0 * np.log10(1.0 + f / 700.0)
    return np.where(f >= _START, _START / _LINEAR + np.log(np.maximum(f, _START) / _START) / _STEP, f / _LINEAR)


def mel_to_hz(mels: Any, mel_scale: str = "htk") -> Any:
    """Frequencies in Hz of mels: the inverse of `hz_to_mel`."""
    _known(mel_scale)
    m = np.asarray(mels, np.float64)
    if mel_scale == "htk":
        return 700.0 * (10.0 ** (m / 2595.0) - 1.0)
    start = _START / _LINEAR
    return np.where(m >= start, _START * np.exp(_STEP * (np.maximum(m, start) - start)), _LINEAR * m)


def melscale_fbanks(
    n_freqs: int, f_min: float, f_max: float, n_mels: int, sample_rate: int, norm: str | None = None, mel_scale: str = "htk"
) -> Tensor:
    """Triangles over frequencies: (n_freqs, n_mels), to multiply spectra (..., n_freqs) with.

    Args:
        n_freqs: frequencies from 0 to half the sample rate.
        f_min, f_max: in Hz, where the first triangle begins and the last ends.
        norm: "slaney" makes the areas equal.
        mel_scale: "htk" or "slaney".

    Warns if a triangle holds no frequency at all.
    """
    if norm not in (None, "slaney"):
        raise ArgumentError(explain("melscale_fbanks", expected='norm of None or "slaney"', got=repr(norm)))
    frequencies = np.linspace(0, sample_rate // 2, n_freqs)
    corners = mel_to_hz(np.linspace(hz_to_mel(f_min, mel_scale), hz_to_mel(f_max, mel_scale), n_mels + 2), mel_scale)
    widths = np.diff(corners)
    slopes = corners[None] - frequencies[:, None]
    banks = np.maximum(0.0, np.minimum(-slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]))
    if norm == "slaney":
        banks *= 2.0 / (corners[2:] - corners[:-2])
    if (banks.max(0) == 0).any():
        warnings.warn(
            f"{int((banks.max(0) == 0).sum())} of {n_mels} mel bands hold no frequency: fewer n_mels, or a larger n_fft", stacklevel=2
        )
    return flambeau.from_numpy(banks.astype(np.float32))


def create_dct(n_mfcc: int, n_mels: int, norm: str | None) -> Tensor:
    """The discrete cosine transform of type II as a matrix (n_mels, n_mfcc); `norm` "ortho" makes it orthogonal."""
    if norm not in (None, "ortho"):
        raise ArgumentError(explain("create_dct", expected='norm of None or "ortho"', got=repr(norm)))
    k = np.arange(n_mfcc)
    matrix = np.cos(math.pi / n_mels * (np.arange(n_mels)[:, None] + 0.5) * k)
    matrix *= np.where(k == 0, math.sqrt(1.0 / n_mels), math.sqrt(2.0 / n_mels)) if norm == "ortho" else 2.0
    return flambeau.from_numpy(matrix.astype(np.float32))
