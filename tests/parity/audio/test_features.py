"""Features against librosa and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
librosa = pytest.importorskip("librosa")

import flambeau  # noqa: E402
from flambeau_audio import functional as F  # noqa: E402
from flambeau_audio import transforms as T  # noqa: E402

SOUND = np.random.default_rng(0).normal(size=8000).astype(np.float32)


def close(got: flambeau.Tensor, want: np.ndarray, tolerance: float = 1e-5) -> None:
    assert np.abs(got.numpy() - want).max() <= tolerance * np.abs(want).max()


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("center", [True, False])
def test_spectrograms_are_pytorchs(power: float, center: bool) -> None:
    got = T.Spectrogram(512, 400, 160, power=power, center=center)(flambeau.from_numpy(SOUND))
    window = torch.hann_window(400)
    want = torch.stft(torch.from_numpy(SOUND), 512, 160, 400, window, center=center, return_complex=True).abs() ** power
    close(got, want.numpy())


@pytest.mark.parametrize("norm", [None, "slaney"])
@pytest.mark.parametrize("htk", [True, False])
def test_mel_bands_are_librosas(norm: str | None, htk: bool) -> None:
    banks = librosa.filters.mel(sr=16000, n_fft=512, n_mels=40, fmin=50.0, fmax=7600.0, htk=htk, norm=norm)
    close(F.melscale_fbanks(257, 50.0, 7600.0, 40, 16000, norm, "htk" if htk else "slaney"), banks.T)
    options = dict(n_fft=512, hop_length=160, n_mels=40)
    want = librosa.feature.melspectrogram(y=SOUND, sr=16000, htk=htk, norm=norm, pad_mode="reflect", **options)
    got = T.MelSpectrogram(16000, 512, None, 160, n_mels=40, norm=norm, mel_scale="htk" if htk else "slaney")
    close(got(flambeau.from_numpy(SOUND)), want)


def test_cepstra_are_librosas() -> None:
    options = {"n_fft": 512, "hop_length": 160, "n_mels": 40, "norm": "slaney", "mel_scale": "slaney"}
    got = T.MFCC(16000, 13, melkwargs=options)(flambeau.from_numpy(SOUND)[None])[0]
    mel = librosa.feature.melspectrogram(y=SOUND, sr=16000, n_fft=512, hop_length=160, n_mels=40, pad_mode="reflect")
    want = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=13)
    close(got, want)


def test_decibels_and_mu_law_are_librosas() -> None:
    power = np.abs(SOUND) ** 2
    close(T.AmplitudeToDB()(flambeau.from_numpy(power)), librosa.power_to_db(power, top_db=None))
    x = np.linspace(-1, 1, 501)
    codes = F.mu_law_encoding(flambeau.from_numpy(x), 256).numpy()
    np.testing.assert_allclose(codes - 128, librosa.mu_compress(x, mu=255, quantize=True), atol=1)


def test_deltas_and_emphasis_are_librosas() -> None:
    x = np.random.default_rng(1).normal(size=(5, 30))
    close(F.compute_deltas(flambeau.from_numpy(x), 5), librosa.feature.delta(x, width=5, mode="nearest"))
    close(F.preemphasis(flambeau.from_numpy(SOUND))[1:], librosa.effects.preemphasis(SOUND)[1:])
