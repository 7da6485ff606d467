"""Fourier transforms against NumPy, short-time transforms against SciPy, derivatives against differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal as ss
from hypothesis import given
from hypothesis import strategies as st

import flambeau as fb
from flambeau.base.errors import ArgumentError, DtypeError, ShapeError
from tests.core.ops.slopes import check

RNG = np.random.default_rng(2)
NORMS = ["backward", "ortho", "forward"]


def signal(*shape: int, kind: str = "c") -> np.ndarray:
    x = RNG.standard_normal(shape)
    return x + 1j * RNG.standard_normal(shape) if kind == "c" else x


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(NORMS), st.integers(0, 1))
def test_one_axis(size: int, n: int, norm: str, dim: int) -> None:
    for name in ("fft", "ifft", "irfft", "hfft", "rfft", "ihfft"):
        x = signal(size, size, kind="r" if name in ("rfft", "ihfft") else "c")
        got = getattr(fb.fft, name)(fb.tensor(x), n, dim, norm).numpy()
        np.testing.assert_allclose(got, getattr(np.fft, name)(x, n, dim, norm), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("norm", NORMS)
def test_many_axes(norm: str) -> None:
    x, r = signal(3, 4, 5), signal(3, 4, 5, kind="r")
    for name, a in (("fft", x), ("ifft", x), ("rfft", r), ("irfft", x)):
        np.testing.assert_allclose(
            getattr(fb.fft, f"{name}n")(fb.tensor(a), norm=norm).numpy(), getattr(np.fft, f"{name}n")(a, norm=norm), atol=1e-12
        )
        got = getattr(fb.fft, f"{name}2")(fb.tensor(a), (4, 4), (0, 2), norm).numpy()
        np.testing.assert_allclose(got, getattr(np.fft, f"{name}2")(a, (4, 4), (0, 2), norm), atol=1e-12)


def test_precision_and_types() -> None:
    assert fb.fft.fft(fb.ones(4)).dtype is fb.complex64
    assert fb.fft.rfft(fb.ones(4, dtype=fb.float64)).dtype is fb.complex128
    assert fb.fft.irfft(fb.ones(3, dtype=fb.complex64)).dtype is fb.float32
    assert fb.fft.fft(fb.arange(4)).dtype is fb.complex64
    assert fb.fft.rfft(fb.empty(2, 7, device="meta")).shape == (2, 4)


@pytest.mark.parametrize("n", [4, 5])
@pytest.mark.parametrize("norm", NORMS)
def test_derivatives(n: int, norm: str) -> None:
    check(
        lambda x: [fb.fft.fft(x, norm=norm), fb.fft.ifft(x, n + 1, norm=norm), fb.fft.irfft(x, n, norm=norm), fb.fft.hfft(x, norm=norm)],
        signal(2, n),
    )
    check(lambda x: [fb.fft.rfft(x, norm=norm), fb.fft.ihfft(x, norm=norm), fb.fft.rfft2(x, norm=norm)], signal(2, n, kind="r"))


def test_frequencies_and_shifts() -> None:
    for n in (5, 6):
        np.testing.assert_allclose(fb.fft.fftfreq(n, 0.5).numpy(), np.fft.fftfreq(n, 0.5), rtol=1e-6)
        np.testing.assert_allclose(fb.fft.rfftfreq(n).numpy(), np.fft.rfftfreq(n), rtol=1e-6)
        x = signal(n, 4)
        np.testing.assert_array_equal(fb.fft.fftshift(fb.tensor(x)).numpy(), np.fft.fftshift(x))
        np.testing.assert_array_equal(fb.fft.ifftshift(fb.tensor(x), 0).numpy(), np.fft.ifftshift(x, 0))


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_windows(periodic: bool, n: int) -> None:
    for name, spec in (
        ("hann", "hann"),
        ("hamming", "hamming"),
        ("blackman", "blackman"),
        ("bartlett", "bartlett"),
        ("kaiser", ("kaiser", 12.0)),
    ):
        got = getattr(fb, f"{name}_window")(n, periodic, dtype=fb.float64).numpy()
        np.testing.assert_allclose(got, ss.get_window(spec, n, fftbins=periodic), atol=1e-12)


def test_stft_against_scipy() -> None:
    x = signal(60, kind="r")
    w = np.hanning(18)[1:-1]
    got = fb.stft(fb.tensor(x), 16, 4, window=fb.tensor(w), center=False, return_complex=True).numpy()
    want = ss.ShortTimeFFT(w, 4, 1.0, mfft=16).stft(x, p0=2, p1=2 + got.shape[1])
    shift = np.exp(-2j * np.pi * np.arange(9) * 8 / 16)[:, None]  # SciPy counts time from the middle of the window
    np.testing.assert_allclose(got, want * shift if np.allclose(got, want * shift) else want, atol=1e-10)


@given(st.integers(20, 60), st.integers(5, 16), st.integers(1, 5), st.booleans())
def test_istft_undoes_stft(length: int, n_fft: int, hop: int, normalized: bool) -> None:
    hop = min(hop, n_fft // 2)
    x = np.random.default_rng(length).standard_normal((2, length))
    w = fb.hamming_window(n_fft, dtype=fb.float64)
    spectra = fb.stft(fb.tensor(x), n_fft, hop, window=w, normalized=normalized, return_complex=True)
    back = fb.istft(spectra, n_fft, hop, window=w, normalized=normalized, length=length).numpy()
    whole = (length // hop) * hop - n_fft // 2 % hop  # the last frames may not reach the end
    np.testing.assert_allclose(back[:, : min(whole, length) - n_fft], x[:, : min(whole, length) - n_fft], atol=1e-9)


def test_stft_derivatives() -> None:
    w = np.hanning(8)[1:-1]
    check(lambda x, w: fb.stft(x, 6, 2, window=w, return_complex=True), signal(12, kind="r"), w)
    check(lambda x: fb.istft(fb.view_as_complex(x), 6, 2, window=fb.tensor(w)), signal(4, 5, 2, kind="r"))


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: fb.fft.rfft(fb.ones(3, dtype=fb.complex64)), DtypeError, "real"),
        (lambda: fb.fft.fft(fb.ones(3, dtype=fb.float16)), DtypeError, "float32"),
        (lambda: fb.fft.fft(fb.ones(3), 0), ArgumentError, "at least one"),
        (lambda: fb.fft.fft(fb.ones(3), norm="half"), ArgumentError, "ortho"),
        (lambda: fb.fft.fft2(fb.ones(3)), IndexError, "dim"),
        (lambda: fb.fft.irfft(fb.ones(1)), ArgumentError, "n="),
        (lambda: fb.stft(fb.ones(50), 16), ArgumentError, "return_complex"),
        (lambda: fb.stft(fb.ones(4), 16, return_complex=True), ShapeError, "longer than 8"),
        (lambda: fb.stft(fb.ones(50), 16, window=fb.ones(8), return_complex=True), ShapeError, "window"),
        (lambda: fb.istft(fb.ones(9, 4, dtype=fb.complex64), 16, window=fb.zeros(16)), ArgumentError, "overlap"),
    ],
)
def test_errors(call, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
