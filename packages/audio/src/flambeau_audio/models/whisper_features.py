"""What Whisper reads: log-mel frames of 10 milliseconds, equal to those of Hugging Face's WhisperFeatureExtractor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.base.files import read_json
from flambeau.pretrained import ModelOutput
from flambeau.pretrained.places import locate
from flambeau_audio.functional import melscale_fbanks


class WhisperFeatureExtractor:
    """Waveforms -> `input_features` (N, feature_size, frames): log10 of mel bands, at most 8 below the loudest, in about [-1, 1].

    Args:
        feature_size: mel bands: 80, or 128 for large-v3.
        sampling_rate: samples a second.
        hop_length, n_fft: samples between frames, and under a window.
        chunk_length: seconds that shorter audio is padded to.
        padding_value: what it is padded with.

    >>> extract = WhisperFeatureExtractor(feature_size=8, chunk_length=1)
    >>> extract(np.zeros(4000, np.float32), sampling_rate=16000).input_features.shape
    flambeau.Size([1, 8, 100])
    """

    def __init__(
        self,
        feature_size: int = 80,
        sampling_rate: int = 16000,
        hop_length: int = 160,
        chunk_length: int = 30,
        n_fft: int = 400,
        padding_value: float = 0.0,
    ) -> None:
        numbers = (feature_size, sampling_rate, hop_length, chunk_length, n_fft)
        if not all(isinstance(n, Integral) and not isinstance(n, bool) and n > 0 for n in numbers):
            raise ArgumentError(explain("WhisperFeatureExtractor", expected="positive ints", got=repr(numbers)))
        self.feature_size, self.sampling_rate, self.hop_length, self.n_fft = feature_size, sampling_rate, hop_length, n_fft
        self.padding_value, self.n_samples = padding_value, chunk_length * sampling_rate
        self.banks = melscale_fbanks(1 + n_fft // 2, 0.0, 8000.0, feature_size, sampling_rate, norm="slaney", mel_scale="slaney")

    @classmethod
    def from_pretrained(cls, path_or_id: str | os.PathLike[str]) -> WhisperFeatureExtractor:
        """From the `preprocessor_config.json` of a model's folder."""
        found = read_json(Path(locate(path_or_id, "flambeau_audio")) / "preprocessor_config.json")
        names = ("feature_size", "sampling_rate", "hop_length", "chunk_length", "n_fft", "padding_value")
        return cls(**{name: found[name] for name in names if name in found})

    def __call__(
        self,
        raw_speech: Any,
        *,
        sampling_rate: int | None = None,
        padding: str = "max_length",
        truncation: bool = True,
        return_attention_mask: bool = False,
    ) -> ModelOutput:
        """Features of one waveform (T,) or of several: a list of (T,), or (N, T).

        Args:
            raw_speech: arrays or tensors of one channel.
            sampling_rate: of the waveforms; an error if it is another than the extractor's.
            padding: "max_length" pads to `chunk_length` seconds, "longest" to the longest waveform.
            truncation: cut longer waveforms with "max_length"; pass False and "longest" for audio that is read in parts.
            return_attention_mask: also return `attention_mask` (N, frames), 0 for padding.
        """
        if sampling_rate is not None and sampling_rate != self.sampling_rate:
            hint = f"functional.resample(x, {sampling_rate}, {self.sampling_rate})"
            got = f"{sampling_rate} Hz"
            raise ArgumentError(explain("WhisperFeatureExtractor", expected=f"{self.sampling_rate} Hz", got=got, hint=hint))
        if padding not in ("max_length", "longest"):
            raise ArgumentError(explain("WhisperFeatureExtractor", expected='padding of "max_length" or "longest"', got=repr(padding)))
        waves = [_one(wave) for wave in _several(raw_speech)]
        size = self.n_samples if padding == "max_length" else max(len(wave) for wave in waves)
        size = max(size, *(len(wave) for wave in waves)) if not truncation else size
        batch, mask = np.full((len(waves), size), self.padding_value, np.float32), np.zeros((len(waves), size), np.int64)
        for i, wave in enumerate(waves):
            wave = wave[:size]
            batch[i, : len(wave)], mask[i, : len(wave)] = wave, 1
        frames = size // self.hop_length
        features = self.features(flambeau.from_numpy(batch))
        kept = flambeau.from_numpy(mask[:, :: self.hop_length][:, :frames].copy()) if return_attention_mask else None
        return ModelOutput(input_features=features, attention_mask=kept)

    def features(self, waveforms: Any) -> Any:
        """(N, T) tensors -> (N, feature_size, T // hop_length); differentiable, on the tensor's device."""
        if waveforms.shape[-1] <= self.n_fft // 2:
            expected = f"more than {self.n_fft // 2} samples"
            raise ShapeError(explain("WhisperFeatureExtractor", expected=expected, got=str(waveforms.shape[-1])))
        window = flambeau.hann_window(self.n_fft, device=waveforms.device, dtype=waveforms.dtype)
        spectrum = flambeau.stft(waveforms, self.n_fft, self.hop_length, window=window, return_complex=True)[..., :-1]
        power = spectrum.real**2 + spectrum.imag**2
        logs = (self.banks.to(power.device, power.dtype).t() @ power).clamp(min=1e-10).log10()
        return (flambeau.maximum(logs, logs.amax((1, 2), keepdim=True) - 8.0) + 4.0) / 4.0


def _several(speech: Any) -> Sequence[Any]:
    """The waveforms of one argument."""
    if isinstance(speech, (list, tuple)):
        if not speech:
            raise ArgumentError(explain("WhisperFeatureExtractor", expected="a waveform at least", got="none"))
        return speech if not isinstance(speech[0], (int, float)) else [speech]
    return [speech] if speech.ndim == 1 else list(speech)


def _one(wave: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(wave.detach().cpu().numpy() if isinstance(wave, flambeau.Tensor) else wave, np.float32)
    if array.ndim != 1:
        raise ShapeError(explain("WhisperFeatureExtractor", expected="waveforms of one channel (T,)", got=f"shape {array.shape}"))
    return array
