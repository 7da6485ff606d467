"""Filters: recursive ones of any order, the usual biquads, and convolution by FFT."""

from __future__ import annotations

import math

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, ShapeError, explain

BLOCK = 128  # samples that a recursive filter computes at once


def lfilter(waveform: Tensor, a_coeffs: Tensor, b_coeffs: Tensor, clamp: bool = True) -> Tensor:
    """The recursive filter `a0 y[t] = b0 x[t] + b1 x[t-1] + ... - a1 y[t-1] - a2 y[t-2] - ...` of waveforms (..., time).

    A block of samples is one product with the filter's response, to which the block before contributes its last samples: exact, and
    differentiable in all arguments.

    Args:
        a_coeffs, b_coeffs: (order + 1,).
        clamp: limit the result to [-1, 1].

    >>> lfilter(flambeau.tensor([1.0, 0.0, 0.0]), flambeau.tensor([1.0, -0.5]), flambeau.tensor([1.0, 0.0]))
    tensor([1.0000, 0.5000, 0.2500])
    """
    if a_coeffs.ndim != 1 or a_coeffs.shape != b_coeffs.shape:
        got = f"{tuple(a_coeffs.shape)} and {tuple(b_coeffs.shape)}"
        raise ShapeError(explain("lfilter", expected="a_coeffs and b_coeffs of one shape (order + 1,)", got=got))
    shape, order = waveform.shape, a_coeffs.shape[0] - 1
    rows = waveform.reshape(-1, shape[-1])
    a, b = a_coeffs / a_coeffs[0], b_coeffs / a_coeffs[0]
    shifted = flambeau.nn.functional.pad(rows, (order, 0))
    forward = sum((b[k] * shifted[:, order - k : order - k + shape[-1]] for k in range(order + 1)), start=flambeau.zeros_like(rows))
    out = _recursive(forward, a[1:]) if order and shape[-1] else forward
    return (out.clamp(-1.0, 1.0) if clamp else out).reshape(shape)


def _recursive(x: Tensor, a: Tensor) -> Tensor:
    """`y[t] = x[t] - a[0] y[t-1] - a[1] y[t-2] - ...` along rows (N, time)."""
    order, size = a.shape[0], min(BLOCK, x.shape[1])
    response = [flambeau.ones((), dtype=x.dtype, device=x.device)]
    for t in range(1, size + order):
        response.append(-sum((a[k] * response[t - 1 - k] for k in range(1, min(order, t))), start=a[0] * response[t - 1]))
    h = flambeau.stack(response)
    steps = flambeau.arange(size, device=x.device)
    lag = steps.unsqueeze(0) - steps.unsqueeze(1)  # (source, target)
    inside = flambeau.where(lag >= 0, h[lag.clamp(0)], 0.0)
    # What y[-1 - j] gives to y[t] is the response to the inputs -a[i] that it stands for: sum over i >= j of -a[i] h[t - (i - j)].
    carried = []
    for j in range(order):
        parts = [-a[i] * flambeau.where(steps >= i - j, h[(steps - (i - j)).clamp(0)], 0.0) for i in range(j, order)]
        carried.append(sum(parts[1:], start=parts[0]))
    before = flambeau.stack(carried)  # (order, size): row j for y[-1 - j]
    blocks = []
    last = flambeau.zeros(x.shape[0], order, dtype=x.dtype, device=x.device)
    for start in range(0, x.shape[1], size):
        piece = x[:, start : start + size]
        n = piece.shape[1]
        y = piece @ inside[:n, :n] + last @ before[:, :n]
        blocks.append(y)
        last = flambeau.cat([y.flip(1), last], 1)[:, :order]
    return flambeau.cat(blocks, 1)


def biquad(waveform: Tensor, b0: float, b1: float, b2: float, a0: float, a1: float, a2: float) -> Tensor:
    """The filter of second order with these coefficients; the result is limited to [-1, 1]."""
    a, b = (flambeau.tensor(values, dtype=waveform.dtype, device=waveform.device) for values in ([a0, a1, a2], [b0, b1, b2]))
    return lfilter(waveform, a, b)


# The formulas of Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients". Frequencies in Hz; Q is the quality.
def _w0(sample_rate: int, freq: float) -> tuple[float, float]:
    if not 0 < freq < sample_rate / 2:
        raise ArgumentError(explain("biquad", expected=f"a frequency between 0 and {sample_rate / 2} Hz", got=str(freq)))
    w0 = 2 * math.pi * freq / sample_rate
    return math.cos(w0), math.sin(w0)


def lowpass_biquad(waveform: Tensor, sample_rate: int, cutoff_freq: float, Q: float = 0.707) -> Tensor:
    """Keeps what is below the cutoff."""
    cos, sin = _w0(sample_rate, cutoff_freq)
    alpha = sin / 2 / Q
    return biquad(waveform, (1 - cos) / 2, 1 - cos, (1 - cos) / 2, 1 + alpha, -2 * cos, 1 - alpha)


def highpass_biquad(waveform: Tensor, sample_rate: int, cutoff_freq: float, Q: float = 0.707) -> Tensor:
    """Keeps what is above the cutoff."""
    cos, sin = _w0(sample_rate, cutoff_freq)
    alpha = sin / 2 / Q
    return biquad(waveform, (1 + cos) / 2, -1 - cos, (1 + cos) / 2, 1 + alpha, -2 * cos, 1 - alpha)


def bandpass_biquad(waveform: Tensor, sample_rate: int, central_freq: float, Q: float = 0.707, const_skirt_gain: bool = False) -> Tensor:
    """Keeps a band; with `const_skirt_gain` the peak grows with Q."""
    cos, sin = _w0(sample_rate, central_freq)
    alpha = sin / 2 / Q
    peak = sin / 2 if const_skirt_gain else alpha
    return biquad(waveform, peak, 0.0, -peak, 1 + alpha, -2 * cos, 1 - alpha)


def bandreject_biquad(waveform: Tensor, sample_rate: int, central_freq: float, Q: float = 0.707) -> Tensor:
    """Takes a band away."""
    cos, sin = _w0(sample_rate, central_freq)
    alpha = sin / 2 / Q
    return biquad(waveform, 1.0, -2 * cos, 1.0, 1 + alpha, -2 * cos, 1 - alpha)


def allpass_biquad(waveform: Tensor, sample_rate: int, central_freq: float, Q: float = 0.707) -> Tensor:
    """Changes phases only."""
    cos, sin = _w0(sample_rate, central_freq)
    alpha = sin / 2 / Q
    return biquad(waveform, 1 - alpha, -2 * cos, 1 + alpha, 1 + alpha, -2 * cos, 1 - alpha)


def equalizer_biquad(waveform: Tensor, sample_rate: int, center_freq: float, gain: float, Q: float = 0.707) -> Tensor:
    """Makes a band louder by `gain` dB."""
    cos, sin = _w0(sample_rate, center_freq)
    A, alpha = 10 ** (gain / 40), sin / 2 / Q
    return biquad(waveform, 1 + alpha * A, -2 * cos, 1 - alpha * A, 1 + alpha / A, -2 * cos, 1 - alpha / A)


def band_biquad(waveform: Tensor, sample_rate: int, central_freq: float, Q: float = 0.707, noise: bool = False) -> Tensor:
    """A band of two poles, as SoX's `band`; `noise` for sounds without pitch."""
    cos, _ = _w0(sample_rate, central_freq)
    width = central_freq / Q
    a2 = math.exp(-2 * math.pi * width / sample_rate)
    a1 = -4 * a2 / (1 + a2) * cos
    b0 = math.sqrt(1 - a1**2 / (4 * a2)) * (1 - a2)
    if noise:
        b0 *= math.sqrt(((1 + a2) ** 2 - a1**2) * (1 - a2) / (1 + a2)) / b0
    return biquad(waveform, b0, 0.0, 0.0, 1.0, a1, a2)


def treble_biquad(waveform: Tensor, sample_rate: int, gain: float, central_freq: float = 3000, Q: float = 0.707) -> Tensor:
    """Makes high tones louder by `gain` dB (a shelf)."""
    cos, sin = _w0(sample_rate, central_freq)
    A, alpha = 10 ** (gain / 40), sin / 2 / Q
    root, minus, plus = 2 * math.sqrt(A) * alpha, (A - 1) * cos, (A + 1) * cos
    return biquad(
        waveform,
        A * (A + 1 + minus + root), -2 * A * (A - 1 + plus), A * (A + 1 + minus - root),
        A + 1 - minus + root, 2 * (A - 1 - plus), A + 1 - minus - root,
    )  # fmt: skip


def bass_biquad(waveform: Tensor, sample_rate: int, gain: float, central_freq: float = 100, Q: float = 0.707) -> Tensor:
    """Makes low tones louder by `gain` dB (a shelf)."""
    cos, sin = _w0(sample_rate, central_freq)
    A, alpha = 10 ** (gain / 40), sin / 2 / Q
    root, minus, plus = 2 * math.sqrt(A) * alpha, (A - 1) * cos, (A + 1) * cos
    return biquad(
        waveform,
        A * (A + 1 - minus + root), 2 * A * (A - 1 - plus), A * (A + 1 - minus - root),
        A + 1 + minus + root, -2 * (A - 1 + plus), A + 1 + minus - root,
    )  # fmt: skip


def preemphasis(waveform: Tensor, coeff: float = 0.97) -> Tensor:
    """`y[t] = x[t] - coeff x[t-1]`: high tones louder."""
    return flambeau.cat([waveform[..., :1], waveform[..., 1:] - coeff * waveform[..., :-1]], -1)


def deemphasis(waveform: Tensor, coeff: float = 0.97) -> Tensor:
    """`y[t] = x[t] + coeff y[t-1]`: what `preemphasis` undoes."""
    a, b = (flambeau.tensor(values, dtype=waveform.dtype, device=waveform.device) for values in ([1.0, -coeff], [1.0, 0.0]))
    return lfilter(waveform, a, b, clamp=False)


def convolve(x: Tensor, y: Tensor, mode: str = "full") -> Tensor:
    """The convolution of (..., n) and (..., m) along the last axis, all sums written out.

    `mode`: "full" (n + m - 1), "same" (n, the middle), "valid" (where the shorter lies in the longer).
    """
    rows = flambeau.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    count = int(np.prod(rows, dtype=np.int64))
    left, right = (t.expand(*rows, t.shape[-1]).reshape(count, t.shape[-1]) for t in (x, y))
    m = right.shape[1]
    full = flambeau.nn.functional.conv1d(left.unsqueeze(0), right.flip(1).unsqueeze(1), padding=m - 1, groups=count)
    return _cut(full.reshape(*rows, full.shape[-1]), x.shape[-1], m, mode)


def fftconvolve(x: Tensor, y: Tensor, mode: str = "full") -> Tensor:
    """As `convolve`, by Fourier transforms: faster for long ones.

    >>> fftconvolve(flambeau.tensor([1.0, 2.0]), flambeau.tensor([1.0, 1.0])).round()
    tensor([1., 3., 2.])
    """
    n = x.shape[-1] + y.shape[-1] - 1
    full = flambeau.fft.irfft(flambeau.fft.rfft(x, n=n) * flambeau.fft.rfft(y, n=n), n=n)
    return _cut(full, x.shape[-1], y.shape[-1], mode)


def _cut(full: Tensor, n: int, m: int, mode: str) -> Tensor:
    if mode == "full":
        return full
    if mode not in ("same", "valid"):
        raise ArgumentError(explain("convolve", expected='mode "full", "same" or "valid"', got=repr(mode)))
    size = n if mode == "same" else max(n, m) - min(n, m) + 1
    start = (full.shape[-1] - size) // 2
    return full[..., start : start + size]
