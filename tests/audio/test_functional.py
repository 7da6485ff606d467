"""Functions of sound against SciPy, plain loops, and what they must undo."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.fft
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau
from flambeau.base.errors import ArgumentError, ShapeError
from flambeau_audio import functional as F
from flambeau_audio import transforms as T

RNG = np.random.default_rng(0)
SOUND = RNG.normal(size=(2, 3000)).astype(np.float32) * 0.1


def tensor(x: np.ndarray) -> flambeau.Tensor:
    return flambeau.from_numpy(np.asarray(x))


@given(st.integers(0, 4), st.integers(1, 300), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_recursive_filters_are_scipys(order: int, time: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    roots = 0.95 * rng.random(order) * np.exp(1j * rng.uniform(0, math.pi, order))
    a = np.real(np.poly(np.concatenate([roots, roots.conj()])[:order])) if order else np.ones(1)
    a, b = a * rng.uniform(0.5, 2), rng.normal(size=order + 1)
    x = rng.normal(size=(2, time))
    got = F.lfilter(tensor(x), tensor(a), tensor(b), clamp=False)
    want = scipy.signal.lfilter(b, a, x)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-8, atol=1e-8 * max(1.0, np.abs(want).max()))


def test_gradients_of_recursive_filters() -> None:
    x, a, b = (tensor(v).requires_grad_() for v in (RNG.normal(size=(1, 12)), np.array([1.0, -0.5, 0.2]), np.array([0.3, 0.1, -0.2])))
    assert flambeau.autograd.gradcheck(lambda x, a, b: F.lfilter(x, a, b, clamp=False), (x, a, b))


DESIGNS = {
    "lowpass_biquad": (lambda: scipy.signal.butter(2, 1000, fs=16000), {"cutoff_freq": 1000, "Q": 1 / math.sqrt(2)}),
    "highpass_biquad": (lambda: scipy.signal.butter(2, 1000, "high", fs=16000), {"cutoff_freq": 1000, "Q": 1 / math.sqrt(2)}),
    "bandpass_biquad": (lambda: scipy.signal.iirpeak(1000, 2.0, fs=16000), {"central_freq": 1000, "Q": 2.0}),
    "bandreject_biquad": (lambda: scipy.signal.iirnotch(1000, 2.0, fs=16000), {"central_freq": 1000, "Q": 2.0}),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_biquads_are_scipys_designs(name: str) -> None:
    design, options = DESIGNS[name]
    b, a = design()
    if name.startswith("band"):  # SciPy's Q is of the bandwidth before the bilinear transform warps it
        w = 2 * math.pi * 1000 / 16000
        options = {**options, "Q": math.sin(w) / 2 / math.tan(w / 2.0 / 2)}
    got = getattr(F, name)(tensor(SOUND), 16000, **options).numpy()
    np.testing.assert_allclose(got, scipy.signal.lfilter(b, a, SOUND).clip(-1, 1), atol=2e-6)


@pytest.mark.parametrize(
    ("name", "options", "low", "middle", "high"),
    [
        ("treble_biquad", {"gain": 12.0}, 0.0, None, 12.0),
        ("bass_biquad", {"gain": -9.0}, -9.0, None, 0.0),
        ("equalizer_biquad", {"gain": 6.0, "center_freq": 4000.0, "Q": 2.0}, 0.0, 6.0, 0.0),
        ("allpass_biquad", {"central_freq": 3000.0}, 0.0, 0.0, 0.0),
        ("band_biquad", {"central_freq": 4000.0, "Q": 8.0}, None, 0.0, None),
    ],
)
def test_gains_of_shelves_and_bands(
    name: str, options: dict[str, float], low: float | None, middle: float | None, high: float | None
) -> None:
    impulse = np.zeros((1, 16384), np.float64)
    impulse[0, 0] = 0.1
    response = np.abs(np.fft.rfft(getattr(F, name)(tensor(impulse), 16000, **options).numpy()[0])) / 0.1
    for wanted, place in ((low, 0), (middle, 4096), (high, 8192)):
        if wanted is not None:
            assert 20 * math.log10(response[place]) == pytest.approx(wanted, abs=0.3)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("sizes", [(50, 7), (33, 20)])
def test_convolutions(mode: str, sizes: tuple[int, int]) -> None:
    x, y = RNG.normal(size=(2, 3, sizes[0])), RNG.normal(size=(3, sizes[1]))
    want = np.stack([[np.convolve(x[i, j], y[j], mode) for j in range(3)] for i in range(2)])
    for fn in (F.convolve, F.fftconvolve):
        np.testing.assert_allclose(fn(tensor(x), tensor(y), mode).numpy(), want, atol=1e-10)


def test_emphasis_is_undone() -> None:
    np.testing.assert_allclose(F.deemphasis(F.preemphasis(tensor(SOUND))).numpy(), SOUND, atol=1e-5)
    np.testing.assert_allclose(F.preemphasis(tensor(SOUND), 0.9).numpy(), scipy.signal.lfilter([1, -0.9], [1], SOUND), atol=1e-6)


@pytest.mark.parametrize(("old", "new"), [(16000, 8000), (8000, 16000), (44100, 16000), (16000, 22050), (3, 7)])
def test_tones_stay_tones(old: int, new: int) -> None:
    seconds, tone = 2000 / old, 0.1 * min(old, new)
    x = np.sin(2 * math.pi * tone * np.arange(2000) / old)
    got = F.resample(tensor(x), old, new, lowpass_filter_width=32).numpy()
    assert len(got) == math.ceil(2000 * new / old)
    want = np.sin(2 * math.pi * tone * np.arange(len(got)) / new)
    edge = int(0.1 * seconds * new)
    np.testing.assert_allclose(got[edge:-edge], want[edge:-edge], atol=2e-3)


def test_mu_law() -> None:
    x = tensor(np.linspace(-1, 1, 2001))
    for channels in (256, 64):
        codes = F.mu_law_encoding(x, channels)
        assert codes.min().item() == 0 and codes.max().item() == channels - 1
        assert (codes[1:] >= codes[:-1]).all()
        back = F.mu_law_decoding(codes, channels)
        assert (F.mu_law_encoding(back, channels) == codes).all()
        assert (back - x).abs().max().item() < 6.0 / channels
    assert (F.mu_law_decoding(tensor(np.array([128])), 256).abs() < 1e-3).all()


def test_deltas_are_least_squares_slopes() -> None:
    x = RNG.normal(size=(2, 3, 20))
    for width in (3, 5, 9):
        n = width // 2
        padded = np.pad(x, ((0, 0), (0, 0), (n, n)), "edge")
        want = np.stack([[[np.polyfit(np.arange(width), row[t : t + width], 1)[0] for t in range(20)] for row in m] for m in padded])
        np.testing.assert_allclose(F.compute_deltas(tensor(x), width).numpy(), want, atol=1e-10)


@pytest.mark.parametrize("norm", [None, "ortho"])
def test_the_cosine_transform_is_scipys(norm: str | None) -> None:
    x = RNG.normal(size=(4, 16))
    got = x @ F.create_dct(10, 16, norm).numpy().astype(np.float64)
    np.testing.assert_allclose(got, scipy.fft.dct(x, norm=norm)[:, :10], atol=1e-5)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_mel_scales(scale: str) -> None:
    f = np.linspace(0, 8000, 101)
    np.testing.assert_allclose(F.mel_to_hz(F.hz_to_mel(f, scale), scale), f, atol=1e-8)
    banks = F.melscale_fbanks(201, 0.0, 8000.0, 20, 16000, None, scale).numpy()
    assert banks.shape == (201, 20)
    assert banks.max() <= 1.0
    np.testing.assert_allclose(banks[10:-30].sum(1), 1.0, atol=1e-5)  # neighbours share every frequency
    with pytest.warns(UserWarning, match="hold no frequency"):
        F.melscale_fbanks(21, 0.0, 8000.0, 80, 16000)


def test_spectrograms_go_back() -> None:
    window = flambeau.hann_window(200)
    for normalized in (False, True, "window", "frame_length"):
        for pad in (0, 30):
            spectrum = F.spectrogram(tensor(SOUND), pad, window, 200, 50, 200, None, normalized)
            back = F.inverse_spectrogram(spectrum, 3000, pad, window, 200, 50, 200, normalized)
            np.testing.assert_allclose(back.numpy(), SOUND, atol=1e-5)
    with pytest.raises(ArgumentError, match="complex"):
        F.inverse_spectrogram(spectrum.abs(), None, 0, window, 200, 50, 200)
    powers = [F.spectrogram(tensor(SOUND), 0, window, 200, 50, 200, p).numpy() for p in (1.0, 2.0, 3.0)]
    np.testing.assert_allclose(powers[0] ** 2, powers[1], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(powers[0] ** 3, powers[2], rtol=1e-4, atol=1e-7)


def test_phases_are_found() -> None:
    t = np.arange(8000) / 8000
    tone = tensor((0.4 * np.sin(2 * math.pi * 440 * t) + 0.3 * np.sin(2 * math.pi * 1000 * t)).astype(np.float32))
    to, back = (
        T.Spectrogram(n_fft=256, power=1.0),
        T.GriffinLim(n_fft=256, n_iter=40, power=1.0, generator=flambeau.Generator().manual_seed(0)),
    )
    wanted = to(tone)
    error = (to(back(wanted))[:, 3:-3] - wanted[:, 3:-3]).square().sum() / wanted.square().sum()
    assert error.item() < 0.01


def test_decibels() -> None:
    x = tensor(np.array([[[[1.0, 0.1, 1e-6]]], [[[100.0, 1.0, 1e-12]]]]))
    np.testing.assert_allclose(F.amplitude_to_DB(x, 10.0, 1e-10, 0.0).numpy()[:, 0, 0], [[0, -10, -60], [20, 0, -100]], atol=1e-9)
    np.testing.assert_allclose(T.AmplitudeToDB(top_db=30.0)(x).numpy()[:, 0, 0], [[0, -10, -30], [20, 0, -10]], atol=1e-9)
    np.testing.assert_allclose(F.DB_to_amplitude(T.AmplitudeToDB("magnitude")(x[:, :, :, :2]), 1.0, 0.5).numpy(), x[:, :, :, :2].numpy())


def test_noise_at_a_ratio() -> None:
    noise = RNG.normal(size=SOUND.shape)
    got = F.add_noise(tensor(SOUND.astype(np.float64)), tensor(noise), tensor(np.array([10.0, -5.0])))
    added = got.numpy() - SOUND
    np.testing.assert_allclose(10 * np.log10((SOUND.astype(np.float64) ** 2).sum(1) / (added**2).sum(1)), [10, -5], atol=1e-6)
    short = F.add_noise(
        tensor(SOUND.astype(np.float64)), tensor(noise), tensor(np.array([0.0, 0.0])), tensor(np.array([100, 3000]))
    ).numpy()
    np.testing.assert_array_equal(short[0, 100:], SOUND[0, 100:].astype(np.float64))
    with pytest.raises(ShapeError, match="snr"):
        F.add_noise(tensor(SOUND), tensor(SOUND), tensor(np.zeros(3)))


@pytest.mark.parametrize("kind", [T.TimeMasking, T.FrequencyMasking])
@pytest.mark.parametrize("iid", [False, True])
def test_masks(kind: type, iid: bool) -> None:
    x = flambeau.ones(5, 2, 40, 60)
    masked = kind(12, iid, generator=flambeau.Generator().manual_seed(3))(x, 7.0).numpy()
    axis = 2 if kind is T.FrequencyMasking else 3
    widths = []
    for i in range(5):
        for c in range(2):
            hit = (masked[i, c] == 7.0).all(axis=1 if axis == 2 else 0)
            assert ((masked[i, c] == 7.0).any(axis=1 if axis == 2 else 0) == hit).all()
            places = np.flatnonzero(hit)
            assert len(places) < 12 and (np.diff(places) == 1).all()
            widths.append((places.min() if len(places) else -1, len(places)))
    assert (len(set(widths)) > 1) == iid
    assert (T.TimeMasking(30, p=0.1, generator=flambeau.Generator().manual_seed(0))(x) == 0).float().mean().item() <= 0.1


def test_speed() -> None:
    t = np.arange(16000) / 16000
    x = tensor(np.sin(2 * math.pi * 200 * t))
    fast, lengths = T.Speed(16000, 1.25)(x, tensor(np.array([8000])))
    assert fast.shape[0] == 12800 and lengths is not None and lengths.tolist() == [6400]
    assert np.abs(np.fft.rfft(fast.numpy())).argmax() == pytest.approx(200, abs=1)  # bins of 1.25 Hz: 250 Hz
    kinds = {T.SpeedPerturbation(16000, [0.9, 1.0, 1.1], generator=flambeau.Generator().manual_seed(i))(x)[0].shape[0] for i in range(12)}
    assert kinds == {17778, 16000, 14546}


@pytest.mark.parametrize(
    "module",
    [
        T.Spectrogram(100), T.MelSpectrogram(16000, 100, n_mels=10), T.MFCC(16000, 8, melkwargs={"n_fft": 100, "n_mels": 10}),
        T.LFCC(16000, 20, n_lfcc=8, speckwargs={"n_fft": 100}), T.Resample(16000, 8000), T.Preemphasis(),
    ],
    ids=lambda m: type(m).__name__,
)  # fmt: skip
def test_modules_take_batches_and_have_gradients(module: flambeau.nn.Module) -> None:
    x = tensor(SOUND[:, :800]).requires_grad_()
    out = module(x)
    np.testing.assert_allclose(module(x[1:2]).detach().numpy(), out[1:2].detach().numpy(), atol=1e-4)
    out.square().sum().backward()
    assert x.grad is not None and np.isfinite(x.grad.numpy()).all() and (x.grad != 0).any()


def test_mistakes() -> None:
    with pytest.raises(ArgumentError, match="positive sample rates"):
        F.resample(flambeau.zeros(5), 0, 3)
    with pytest.raises(ArgumentError, match="htk"):
        F.hz_to_mel(3.0, "bark")
    with pytest.raises(ArgumentError, match="between 0 and 8000"):
        F.lowpass_biquad(flambeau.zeros(5), 16000, 9000.0)
    with pytest.raises(ShapeError, match="one shape"):
        F.lfilter(flambeau.zeros(5), flambeau.ones(2), flambeau.ones(3))
