"""Short-time Fourier transforms and their inverse, as PyTorch computes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.ops import fourier
from flambeau.ops.casting import casting
from flambeau.ops.indexing import index_select
from flambeau.ops.joining import narrow
from flambeau.ops.pointwise import div_op, mul_op
from flambeau.ops.shape import expand, transpose, unfold, unsqueeze
from flambeau.primitives import fft as rows
from flambeau.primitives.movement import pad, reshape, view_as_complex, view_as_real
from flambeau.tensor.creation import as_tensor, ones
from flambeau.tensor.tensor import Tensor


def _window(op: str, window: Tensor | None, win_length: int, n_fft: int, like: Tensor) -> Tensor:
    """The window in the middle of n_fft values."""
    if not 0 < win_length <= n_fft:
        raise ArgumentError(explain(op, expected=f"win_length in [1, {n_fft}]", got=str(win_length)))
    if window is None:
        window = ones(win_length, dtype=like.dtype.to_real(), device=like.device)
    if window._a.shape != (win_length,):
        raise ShapeError(explain(op, expected=f"a window of shape ({win_length},)", got=str(tuple(window.shape))))
    left = (n_fft - win_length) // 2
    return pad(window, widths=((left, n_fft - win_length - left),), value=0) if win_length < n_fft else window


def _sizes(op: str, n_fft: int, hop_length: int | None, win_length: int | None) -> tuple[int, int]:
    hop = n_fft // 4 if hop_length is None else int(hop_length)
    if n_fft <= 0 or hop <= 0:
        raise ArgumentError(explain(op, expected="n_fft and hop_length above 0", got=f"n_fft={n_fft}, hop_length={hop}"))
    return hop, n_fft if win_length is None else int(win_length)


def _padded(x: Tensor, width: int, mode: str) -> Tensor:
    """Both ends of the last axis extended."""
    n = x._a.shape[-1]
    if mode == "constant":
        return pad(x, widths=((0, 0), (width, width)), value=0)
    if mode not in ("reflect", "replicate", "circular"):
        raise ArgumentError(explain("stft", expected="pad_mode 'reflect', 'constant', 'replicate' or 'circular'", got=repr(mode)))
    if (mode == "reflect" and width >= n) or (mode == "circular" and width > n) or n == 0:
        raise ShapeError(
            explain("stft", expected=f"a signal longer than {width} to pad it by as much", got=f"length {n}", hint="pad_mode='constant'")
        )
    how: Any = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    at = np.pad(np.arange(n), width, mode=how)
    return index_select(x, 1, as_tensor(at, device=x.device))


def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """The Fourier transforms of overlapping frames of a signal.

    `input` is (time,) or (batch, time); the result is (..., frequencies, frames), complex (or with a last axis of real and
    imaginary part where return_complex=False). Frame t starts at t * hop_length (n_fft // 4 by default) of the signal, which `center`
    extends by n_fft // 2 on both sides.
    `onesided` (for real signals the default) keeps the first n_fft // 2 + 1 frequencies; `normalized` divides by sqrt(n_fft).
    """
    hop, length = _sizes("stft", n_fft, hop_length, win_length)
    x = input if input._a.ndim == 2 else unsqueeze(input, 0)
    if input._a.ndim not in (1, 2) or input._a.dtype.kind in "biu":
        raise ShapeError(
            explain(
                "stft", expected="a float or complex signal (time,) or (batch, time)", got=f"{input.dtype!r} of shape {tuple(input.shape)}"
            )
        )
    real = not (x.is_complex() or (window is not None and window.is_complex()))
    if return_complex is None:
        if real:
            raise ArgumentError(explain("stft", expected="return_complex=True or False for a real signal", got="neither"))
        return_complex = True
    if align_to_window and center:
        raise ArgumentError(explain("stft", expected="align_to_window only with center=False", got="center=True"))
    shape = _window("stft", window, length, n_fft, x)
    if center:
        x = _padded(x, n_fft // 2, pad_mode)
    elif align_to_window:
        left = (n_fft - length) // 2
        x = pad(x, widths=((0, 0), (left, n_fft - length - left)), value=0)
    if x._a.shape[1] < n_fft:
        raise ShapeError(explain("stft", expected=f"a signal of at least n_fft={n_fft} values", got=str(x._a.shape[1])))
    frames = mul_op(unfold(x, 1, n_fft, hop), shape)
    if onesided is None:
        onesided = real
    if onesided and not real:
        raise ArgumentError(explain("stft", expected="onesided=False for complex signals or windows", got="onesided=True"))
    norm = "ortho" if normalized else "backward"
    spectra = rows.rfft(frames, axis=-1, norm=norm) if onesided else fourier.fft(frames, norm=norm)
    out = transpose(spectra, 1, 2)
    out = out if input._a.ndim == 2 else reshape(out, shape=out._a.shape[1:])
    return out if return_complex else view_as_real(out)


def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal of least squared distance to given transforms of its frames (Griffin and Lim 1984): the inverse of `stft`.

    `input` is (..., frequencies, frames), complex; `length` cuts or extends the signal.
    """
    hop, win = _sizes("istft", n_fft, hop_length, win_length)
    x = input if input.is_complex() else view_as_complex(input)
    if x._a.ndim not in (2, 3):
        raise ShapeError(
            explain("istft", expected="(frequencies, frames) or (batch, frequencies, frames), complex", got=f"shape {tuple(x.shape)}")
        )
    x = x if x._a.ndim == 3 else unsqueeze(x, 0)
    half = x._a.shape[1] != n_fft if onesided is None else onesided
    wanted = n_fft // 2 + 1 if half else n_fft
    if x._a.shape[1] != wanted:
        raise ShapeError(explain("istft", expected=f"{wanted} frequencies for n_fft={n_fft}", got=str(x._a.shape[1])))
    if half and return_complex:
        raise ArgumentError(explain("istft", expected="onesided=False for a complex result", got="onesided=True"))
    shape = _window("istft", window, win, n_fft, x)
    norm = "ortho" if normalized else "backward"
    spectra = transpose(x, 1, 2)
    frames = fourier.irfft(spectra, n_fft, norm=norm) if half else fourier.ifft(spectra, norm=norm)
    if not half and not return_complex:
        frames = frames.real
    count = frames._a.shape[1]
    total = _overlap_add(mul_op(frames, shape), hop)
    weight = _overlap_add(expand(mul_op(shape, shape), (1, count, n_fft)), hop)
    start = n_fft // 2 if center else 0
    full = total._a.shape[1]
    end = start + length if length is not None else full - n_fft // 2 if center else full
    total, weight = (narrow(t, 1, start, max(min(end, full) - start, 0)) for t in (total, weight))
    if not weight.is_meta and float(weight.detach().abs().min() if weight._a.size else 1.0) < 1e-11:
        raise ArgumentError(explain("istft", expected="windows that overlap so that their squares add up to more than 0", got="a gap"))
    signal = div_op(total, weight)
    if length is not None and end > full:
        signal = pad(signal, widths=((0, 0), (0, end - full)), value=0)
    return signal if input._a.ndim == (3 if input.is_complex() else 4) else reshape(signal, shape=signal._a.shape[1:])


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """(batch, frames, n) to (batch, n + (frames - 1) * hop): the frames are cut into parts of hop values, which are shifted and added."""
    batch, count, n = frames._a.shape
    parts = -(-n // hop)
    cut = pad(frames, widths=((0, 0), (0, 0), (0, parts * hop - n)), value=0)
    total: Any = None
    for k in range(parts):
        part = reshape(narrow(cut, 2, k * hop, hop), shape=(batch, count * hop))
        moved = pad(part, widths=((0, 0), (k * hop, (parts - 1 - k) * hop)), value=0)
        total = moved if total is None else total + moved
    return narrow(total, 1, 0, n + (count - 1) * hop)


__all__ = ["istft", "stft"]

casting(globals())
