"""Other sample rates."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, explain
from flambeau.nn import functional as F


def resample(
    waveform: Tensor,
    orig_freq: int,
    new_freq: int,
    lowpass_filter_width: int = 6,
    rolloff: float = 0.99,
    resampling_method: str = "sinc_interp_hann",
    beta: float | None = None,
) -> Tensor:
    """A waveform (..., time) at another sample rate: (..., ceil(time * new_freq / orig_freq)), by windowed sinc interpolation.

    Smith, "Digital audio resampling home page"; the windows and defaults are torchaudio's, so results agree with it.

    Args:
        lowpass_filter_width: zero crossings on each side; more is sharper and slower.
        rolloff: where the filter cuts off, as a share of half the lower rate.
        resampling_method: "sinc_interp_hann" or "sinc_interp_kaiser", whose `beta` is 14.769656459379492 if not given.

    >>> tuple(resample(flambeau.zeros(2, 441), 44100, 16000).shape)
    (2, 160)
    """
    if orig_freq != int(orig_freq) or new_freq != int(new_freq) or orig_freq < 1 or new_freq < 1:
        raise ArgumentError(explain("resample", expected="whole, positive sample rates", got=f"{orig_freq} and {new_freq}"))
    if lowpass_filter_width < 1 or not 0 < rolloff <= 1:
        got = f"lowpass_filter_width={lowpass_filter_width}, rolloff={rolloff}"
        raise ArgumentError(explain("resample", expected="a width of 1 or more and a rolloff in (0, 1]", got=got))
    divisor = math.gcd(int(orig_freq), int(new_freq))
    old, new = int(orig_freq) // divisor, int(new_freq) // divisor
    if old == new:
        return waveform
    kernels, width = _kernels(old, new, lowpass_filter_width, rolloff, resampling_method, beta)
    shape, length = waveform.shape, waveform.shape[-1]
    rows = F.pad(waveform.reshape(-1, 1, length), (width, width + old))
    phases = F.conv1d(rows, flambeau.from_numpy(kernels).to(waveform), stride=old)
    out = phases.transpose(1, 2).reshape(rows.shape[0], -1)[:, : math.ceil(new * length / old)]
    return out.reshape(*shape[:-1], out.shape[-1])


@functools.lru_cache(maxsize=32)
def _kernels(old: int, new: int, crossings: int, rolloff: float, method: str, beta: float | None) -> tuple[np.ndarray[Any, Any], int]:
    """A filter for each of the `new` phases (new, 1, length), and how far it reaches back."""
    if method not in ("sinc_interp_hann", "sinc_interp_kaiser"):
        raise ArgumentError(explain("resample", expected='"sinc_interp_hann" or "sinc_interp_kaiser"', got=repr(method)))
    base = min(old, new) * rolloff
    width = math.ceil(crossings * old / base)
    t = (np.arange(-width, width + old)[None] / old - np.arange(new)[:, None] / new) * base
    t = t.clip(-crossings, crossings)
    if method == "sinc_interp_hann":
        window = np.cos(t * math.pi / crossings / 2) ** 2
    else:
        window = np.i0((14.769656459379492 if beta is None else beta) * np.sqrt(1 - (t / crossings) ** 2)) / np.i0(
            14.769656459379492 if beta is None else beta
        )
    return (np.sinc(t) * window * base / old)[:, None].astype(np.float64), width
