"""Files in and out, against the values that went in, Python's wave module, and damaged bytes."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest

import flambeau
from flambeau.base.errors import ArgumentError, FileFormatError, FlambeauError, ShapeError
from flambeau_audio import blocks, info, load, save

RNG = np.random.default_rng(0)
WAVE = (0.9 * np.sin(np.arange(2000) / 7)[None] * np.array([[1.0], [-0.5]])).astype(np.float32)
LOSSLESS = [
    ("PCM_U", 8, 2.0**-7), ("PCM_S", 16, 2.0**-15), ("PCM_S", 24, 2.0**-23), ("PCM_S", 32, 2.0**-24),
    ("PCM_F", 32, 0.0), ("PCM_F", 64, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "bits", "step"), LOSSLESS)
def test_every_width_of_wav(tmp_path: Path, encoding: str, bits: int, step: float) -> None:
    path = tmp_path / "a.wav"
    save(path, flambeau.from_numpy(WAVE), 8000, encoding=encoding, bits_per_sample=bits)
    found = info(path)
    assert (found.sample_rate, found.num_frames, found.num_channels, found.encoding, found.bits_per_sample) == (
        8000,
        2000,
        2,
        encoding,
        bits,
    )
    assert found.seconds == 0.25
    got, rate = load(path)
    assert rate == 8000 and got.dtype == flambeau.float32
    np.testing.assert_allclose(got.numpy(), WAVE, atol=1.01 * step)


@pytest.mark.parametrize("encoding", ["ULAW", "ALAW"])
def test_companded_wav(tmp_path: Path, encoding: str) -> None:
    save(tmp_path / "a.wav", flambeau.from_numpy(WAVE), 8000, encoding=encoding, bits_per_sample=8)
    np.testing.assert_allclose(load(tmp_path / "a.wav")[0].numpy(), WAVE, atol=0.03)


@pytest.mark.parametrize(("format", "tolerance"), [("flac", 2.0**-15), ("ogg", 0.1), ("mp3", 0.15)])
def test_other_formats(tmp_path: Path, format: str, tolerance: float) -> None:
    path = tmp_path / f"a.{format}"
    long = (0.5 * np.sin(np.arange(10_000) / 7)[None] * np.array([[1.0], [-0.5]])).astype(np.float32)
    save(path, flambeau.from_numpy(long), 16000)
    got, rate = load(path)
    assert rate == 16000
    assert got.shape[0] == 2
    np.testing.assert_allclose(got.numpy()[:, 3000:7000], long[:, 3000:7000], atol=tolerance)


def test_pythons_wave_module_agrees(tmp_path: Path) -> None:
    samples = RNG.integers(-32768, 32768, (300, 2)).astype("<i2")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(samples.tobytes())
    got, rate = load(tmp_path / "a.wav", normalize=False)
    assert rate == 44100 and got.dtype == flambeau.int16
    np.testing.assert_array_equal(got.numpy(), samples.T)
    np.testing.assert_array_equal(load(tmp_path / "a.wav")[0].numpy(), samples.T / np.float32(32768))
    save(tmp_path / "b.wav", got, 44100)
    with wave.open(str(tmp_path / "b.wav"), "rb") as file:
        assert file.readframes(300) == samples.tobytes()


def test_ranges_and_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    save(path, flambeau.from_numpy(WAVE), 8000)
    whole = load(path)[0].numpy()
    for offset, count in ((0, 10), (1990, 50), (2000, 5), (5000, -1), (17, 0), (5, -1)):
        end = None if count < 0 else offset + count
        np.testing.assert_array_equal(load(path, offset, count)[0].numpy(), whole[:, offset:end])
    np.testing.assert_array_equal(load(path, channels_first=False)[0].numpy(), whole.T)
    pieces = [piece.numpy() for piece in blocks(path, 300)]
    assert [p.shape[1] for p in pieces] == [300] * 6 + [200]
    np.testing.assert_array_equal(np.concatenate(pieces, 1), whole)
    overlapping = [piece.numpy() for piece in blocks(path, 300, overlap=100, frame_offset=10, num_frames=900)]
    for i, piece in enumerate(overlapping):
        np.testing.assert_array_equal(piece, whole[:, 10 + 200 * i : min(10 + 200 * i + 300, 910)])
    assert 10 + 200 * (len(overlapping) - 1) + overlapping[-1].shape[1] == 910


def test_open_files_and_too_loud_samples() -> None:
    file = io.BytesIO()
    save(file, flambeau.tensor([2.0, -3.0, 0.5]), 8000, format="wav")
    file.seek(0)
    np.testing.assert_allclose(load(file)[0].numpy(), [[1.0, -1.0, 0.5]], atol=1e-4)


def test_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(FileNotFoundError, match="nothing.wav"):
        load(tmp_path / "nothing.wav")
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(FileFormatError, match=r"text\.wav"):
        load(tmp_path / "text.wav")
    with pytest.raises(ArgumentError, match="wav, flac, ogg, mp3"):
        save(tmp_path / "a.aiff", flambeau.zeros(5), 8000)
    with pytest.raises(ArgumentError, match="PCM_S 24"):
        save(path, flambeau.zeros(5), 8000, bits_per_sample=12)
    with pytest.raises(ArgumentError, match="finite"):
        save(path, flambeau.tensor([float("nan")]), 8000)
    with pytest.raises(ShapeError, match="channel, time"):
        save(path, flambeau.zeros(1, 2, 3), 8000)
    with pytest.raises(ArgumentError, match="offset"):
        load(path, -1)
    assert not path.exists()  # nothing half-written


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "mp3"])
def test_damaged_files_are_errors_of_ours(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"a.{format}"
    save(path, flambeau.from_numpy(WAVE), 16000)
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    for i in range(60):
        bad = bytearray(good)
        for _ in range(int(rng.integers(1, 12))):
            bad[int(rng.integers(len(bad) if i % 2 else min(80, len(bad))))] = int(rng.integers(256))
        path.write_bytes(bad[: int(rng.integers(1, len(bad)))] if i % 3 == 0 else bad)
        try:
            got, rate = load(path)
        except (FlambeauError, MemoryError):
            continue
        assert np.isfinite(got.numpy()).all() and rate > 0
