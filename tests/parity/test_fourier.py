"""Fourier transforms, windows and short-time transforms against PyTorch: values, dtypes and gradients."""

from __future__ import annotations

import numpy as np
import pytest

from tests.parity.agreement import agree, arrays

torch = pytest.importorskip("torch")

NORMS = (None, "ortho", "forward")


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("n", [None, 5, 8, 3])
@pytest.mark.parametrize("kind", ["f8", "c16"])
def test_one_axis(name: str, n: int | None, kind: str) -> None:
    if kind == "c16" and name in ("rfft", "ihfft"):
        return
    x = arrays((3, 6), kind=kind)[0]
    agree(torch, lambda t, x: [getattr(t.fft, name)(x, n, norm=norm) for norm in NORMS] + [getattr(t.fft, name)(x, n, 0)], x)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("norm", NORMS)
def test_many_axes(name: str, norm: str | None) -> None:
    x = arrays((2, 4, 5), kind="f8" if name in ("rfft", "ihfft") else "c16")[0]
    agree(torch, lambda t, x: [getattr(t.fft, f"{name}2")(x, norm=norm), getattr(t.fft, f"{name}2")(x, (3, 6), (0, 1), norm)], x)
    agree(
        torch,
        lambda t, x: [
            getattr(t.fft, f"{name}n")(x, norm=norm),
            getattr(t.fft, f"{name}n")(x, (4, 4)),
            getattr(t.fft, f"{name}n")(x, dim=(2, 0)),
        ],
        x,
    )


def test_precision_is_kept() -> None:
    x = arrays((8,), kind="f4")[0]
    agree(
        torch,
        lambda t, x: [t.fft.fft(x), t.fft.rfft(x), t.fft.irfft(t.fft.rfft(x)), t.fft.hfft(x), t.fft.fft2(x.reshape(2, 4))],
        x,
        rtol=1e-5,
        atol=1e-6,
    )
    agree(torch, lambda t, x: t.fft.fft(x), np.arange(6))


def test_frequencies_and_shifts() -> None:
    x = arrays((4, 5))[0]
    agree(
        torch,
        lambda t, x: [
            t.fft.fftfreq(5),
            t.fft.fftfreq(6, 0.1),
            t.fft.rfftfreq(7, 2.0),
            t.fft.fftshift(x),
            t.fft.ifftshift(x),
            t.fft.fftshift(x, 1),
        ],
        x,
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "bartlett", "kaiser"])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 8])
def test_windows(name: str, n: int) -> None:
    agree(torch, lambda t: [getattr(t, f"{name}_window")(n), getattr(t, f"{name}_window")(n, False, dtype=t.float64)], rtol=1e-6, atol=1e-7)


ISTFT = [
    dict(n_fft=16),
    dict(n_fft=16, hop_length=5, length=48),
    dict(n_fft=15, hop_length=4, win_length=9, normalized=True),
    dict(n_fft=16, length=70),
    dict(n_fft=16, onesided=False),
]
STFT = [
    dict(n_fft=16),
    dict(n_fft=16, hop_length=5, center=False),
    dict(n_fft=15, hop_length=4, win_length=9, normalized=True),
    dict(n_fft=16, onesided=False, pad_mode="constant"),
    dict(n_fft=12, pad_mode="replicate"),
]


@pytest.mark.filterwarnings("ignore:stft with return_complex")
@pytest.mark.parametrize("options", STFT)
@pytest.mark.parametrize("shape", [(50,), (2, 50)])
def test_stft(options: dict, shape: tuple) -> None:
    x = arrays(shape)[0]
    w = np.hanning(options.get("win_length", options["n_fft"]) + 2)[1:-1].copy()
    agree(torch, lambda t, x, w: t.stft(x, window=w, return_complex=True, **options), x, w)
    agree(torch, lambda t, x, w: x.stft(options["n_fft"], return_complex=False, window=t.ones(options["n_fft"], dtype=t.float64)), x, w)


@pytest.mark.filterwarnings("ignore:The length of signal")
@pytest.mark.parametrize("options", ISTFT)
@pytest.mark.parametrize("shape", [(50,), (2, 50)])
def test_istft(options: dict, shape: tuple) -> None:
    x = arrays(shape)[0]
    w = np.hanning(options.get("win_length", options["n_fft"]) + 2)[1:-1].copy()
    forward = {k: v for k, v in options.items() if k != "length"}
    agree(torch, lambda t, x, w: t.istft(t.stft(x, window=w, return_complex=True, **forward) * 1.5, window=w, **options), x, w)


def test_istft_without_center() -> None:
    x = arrays((2, 50))[0]
    w = np.hanning(18)[1:-1].copy()
    agree(
        torch, lambda t, x, w: t.istft(t.stft(x, 16, 4, window=w, center=False, return_complex=True), 16, 4, window=w, center=False), x, w
    )
