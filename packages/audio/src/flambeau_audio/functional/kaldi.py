"""Kaldi's filter banks, as `compute-fbank-feats` computes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, ShapeError, explain

_EPS = float(np.finfo(np.float32).eps)
_WINDOWS: dict[str, Callable[[int], np.ndarray[Any, Any]]] = {
    "hanning": lambda n: 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(n) / (n - 1)),
    "hamming": lambda n: 0.54 - 0.46 * np.cos(2 * math.pi * np.arange(n) / (n - 1)),
    "povey": lambda n: (0.5 - 0.5 * np.cos(2 * math.pi * np.arange(n) / (n - 1))) ** 0.85,
    "rectangular": np.ones,
}


def fbank(
    waveform: Tensor,
    *,
    num_mel_bins: int = 23,
    sample_frequency: float = 16000.0,
    frame_length: float = 25.0,
    frame_shift: float = 10.0,
    low_freq: float = 20.0,
    high_freq: float = 0.0,
    dither: float = 0.0,
    preemphasis_coefficient: float = 0.97,
    remove_dc_offset: bool = True,
    snip_edges: bool = True,
    window_type: str = "povey",
    use_log_fbank: bool = True,
    generator: Any = None,
) -> Tensor:
    """Log energies of mel bands (frame, num_mel_bins) of the first channel of a waveform (channel, time).

    Args:
        frame_length, frame_shift: in milliseconds.
        high_freq: in Hz; 0 or less is counted from half the sample rate.
        dither: deviation of noise that is added, drawn by `generator`.
        snip_edges: only frames that lie in the waveform; otherwise one for each shift, the ends mirrored.
        window_type: "povey", "hamming", "hanning" or "rectangular".
    """
    if waveform.ndim != 2:
        raise ShapeError(explain("fbank", expected="a waveform (channel, time)", got=str(tuple(waveform.shape))))
    if window_type not in _WINDOWS:
        raise ArgumentError(explain("fbank", expected=f"a window_type of {', '.join(_WINDOWS)}", got=repr(window_type)))
    size, shift = int(sample_frequency * frame_length * 0.001), int(sample_frequency * frame_shift * 0.001)
    frames = _frames(waveform[0], size, shift, snip_edges)
    if dither:
        frames = frames + dither * flambeau.randn(frames.shape, generator=generator, device=frames.device)
    if remove_dc_offset:
        frames = frames - frames.mean(1, keepdim=True)
    if preemphasis_coefficient:
        frames = frames - preemphasis_coefficient * flambeau.cat([frames[:, :1], frames[:, :-1]], 1)
    window = flambeau.from_numpy(_WINDOWS[window_type](size).astype(np.float32)).to(frames)
    points = 1 << (size - 1).bit_length()
    spectrum = flambeau.fft.rfft(frames * window, n=points).abs()
    banks = flambeau.from_numpy(_banks(num_mel_bins, points, sample_frequency, low_freq, high_freq)).to(frames)
    energies = spectrum.square()[:, : points // 2] @ banks
    return energies.clamp(min=_EPS).log() if use_log_fbank else energies


def _frames(wave: Tensor, size: int, shift: int, snip: bool) -> Tensor:
    """Overlapping pieces (frame, size)."""
    n = wave.shape[0]
    if snip:
        if n < size:
            return wave.new_zeros(0, size)
        return wave.unfold(0, size, shift)
    count = (n + shift // 2) // shift
    pad = size // 2 - shift // 2
    mirror = wave.flip(0)
    padded = flambeau.cat([mirror[-pad:], wave, mirror] if pad > 0 else [wave[-pad:], mirror])
    return padded.unfold(0, size, shift)[:count]


def _banks(bins: int, points: int, rate: float, low: float, high: float) -> np.ndarray[Any, Any]:
    """Triangles on the mel scale `1127 ln(1 + f / 700)`: (points / 2, bins)."""
    nyquist = 0.5 * rate
    high = high + nyquist if high <= 0 else high
    if not (0 <= low < high <= nyquist) or bins < 4:
        got = f"{bins} bands from {low} to {high} Hz"
        raise ArgumentError(explain("fbank", expected=f"4 bands or more between 0 and {nyquist} Hz", got=got))

    def mel(f: Any) -> Any:
        return 1127.0 * np.log(1.0 + np.asarray(f) / 700.0)

    corners = np.linspace(mel(low), mel(high), bins + 2)
    at = mel(rate / points * np.arange(points // 2))[:, None]
    up = (at - corners[:-2]) / (corners[1:-1] - corners[:-2])
    down = (corners[2:] - at) / (corners[2:] - corners[1:-1])
    return np.maximum(0.0, np.minimum(up, down)).astype(np.float32)
