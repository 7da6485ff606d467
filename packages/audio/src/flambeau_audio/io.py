"""Sound files: WAV in all its widths, FLAC, OGG and MP3 in and out, through libsndfile.

A waveform is a tensor (channel, time), float32 in [-1, 1].
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import flambeau
from flambeau import Tensor
from flambeau.base.errors import ArgumentError, FileFormatError, ShapeError, explain
from flambeau.base.files import atomic_write

Source = Any  # a path, or an open binary file
ENCODINGS = {  # of WAV and FLAC: (encoding, bits) -> libsndfile's name
    ("PCM_U", 8): "PCM_U8", ("PCM_S", 16): "PCM_16", ("PCM_S", 24): "PCM_24", ("PCM_S", 32): "PCM_32", ("PCM_F", 32): "FLOAT",
    ("PCM_F", 64): "DOUBLE", ("ULAW", 8): "ULAW", ("ALAW", 8): "ALAW", ("PCM_S", 8): "PCM_S8",
}  # fmt: skip
_CHUNK = 1 << 20  # frames that are read at once
_FORMATS = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3"}


@dataclass(frozen=True)
class AudioInfo:
    """What a file holds: samples a second, samples of each channel, channels, bits of a sample (0 where compressed), and its encoding."""

    sample_rate: int
    num_frames: int
    num_channels: int
    bits_per_sample: int
    encoding: str

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.num_frames / self.sample_rate if self.sample_rate else 0.0


def info(source: Source) -> AudioInfo:
    """What a file holds, from its header alone. Raises FileFormatError for what is no sound file.

    >>> import io
    >>> file = io.BytesIO()
    >>> save(file, flambeau.zeros(2, 800), 8000)
    >>> _ = file.seek(0)
    >>> info(file)
    AudioInfo(sample_rate=8000, num_frames=800, num_channels=2, bits_per_sample=16, encoding='PCM_S')
    """
    names = {name: key for key, name in ENCODINGS.items()}
    with _opened(source) as file:
        encoding, bits = names.get(file.subtype, (file.subtype, 0))
        return AudioInfo(int(file.samplerate), int(file.frames), int(file.channels), bits, encoding)


def load(
    source: Source, frame_offset: int = 0, num_frames: int = -1, *, channels_first: bool = True, normalize: bool = True
) -> tuple[Tensor, int]:
    """A waveform and its sample rate.

    Args:
        source: a path or an open binary file.
        frame_offset: where to begin, in samples; only what is asked for is read.
        num_frames: how many samples; -1 for all that follow. Less come back where the file ends before.
        channels_first: (channel, time), else (time, channel).
        normalize: float32 in [-1, 1]; otherwise integers as in the file (int16 or int32, the upper bits of it for 24 bits) where it holds
            integers.

    Raises FileNotFoundError, and FileFormatError for what is no sound file or a damaged one.
    """
    if frame_offset < 0 or num_frames < -1:
        got = f"frame_offset={frame_offset}, num_frames={num_frames}"
        raise ArgumentError(explain("load", expected="an offset of 0 or more, and a number of frames (-1 for all)", got=got))
    with _opened(source) as file:
        wanted = max(0, min(file.frames - frame_offset, file.frames if num_frames < 0 else num_frames))
        array = _read(file, min(frame_offset, file.frames), wanted, _dtype(file.subtype, normalize), source)
        return _tensor(array, channels_first), int(file.samplerate)


def blocks(source: Source, size: int, *, overlap: int = 0, frame_offset: int = 0, num_frames: int = -1) -> Iterator[Tensor]:
    """The waveform in pieces (channel, size) that follow each other, the last one shorter; never more than one is in memory.

    Args:
        size: samples of a piece.
        overlap: samples that a piece shares with the one before it.
        frame_offset, num_frames: as for `load`.
    """
    if size < 1 or not 0 <= overlap < size:
        raise ArgumentError(explain("blocks", expected="a size of 1 or more, and an overlap below it", got=f"{size} and {overlap}"))
    with _opened(source) as file:
        end = file.frames if num_frames < 0 else min(file.frames, frame_offset + num_frames)
        start = min(frame_offset, end)
        while start < end:
            yield _tensor(_read(file, start, min(size, end - start), "float32", source), True)
            start += size if start + size >= end else size - overlap


def save(
    target: Source,
    waveform: Tensor,
    sample_rate: int,
    *,
    channels_first: bool = True,
    format: str | None = None,
    encoding: str = "PCM_S",
    bits_per_sample: int = 16,
) -> None:
    """Write a waveform (channel, time) or (time,). A file appears whole or not at all.

    Args:
        target: a path, whose suffix says the format, or an open binary file (WAV, if `format` says nothing else).
        waveform: floats, where what is beyond [-1, 1] is clipped (except for float encodings), or int16 or int32.
        format: "wav", "flac", "ogg" or "mp3".
        encoding, bits_per_sample: PCM_S (8, 16, 24, 32), PCM_U (8), PCM_F (32, 64), ULAW or ALAW (8); OGG and MP3 have none.
    """
    kind = _format_of(target, format)
    subtype = _subtype(kind, encoding, bits_per_sample)
    array = waveform.detach().cpu().numpy()
    array = array[None] if array.ndim == 1 else array if channels_first else array.T
    if array.ndim != 2 or array.shape[0] > 1024 or array.dtype.kind not in "fi":
        got = f"{waveform.dtype} of shape {tuple(waveform.shape)}"
        raise ShapeError(explain("save", expected="a waveform (channel, time) of floats, int16 or int32", got=got))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ArgumentError(explain("save", expected="finite samples", got="nan or inf"))
    if array.dtype.itemsize == 2 and array.dtype.kind == "f":
        array = array.astype(np.float32)
    samples = np.ascontiguousarray(array.T)
    if hasattr(target, "write"):
        _write(target, samples, sample_rate, kind, subtype)
    else:
        with atomic_write(Path(target)) as file:
            _write(file, samples, sample_rate, kind, subtype)


def _write(file: Any, samples: np.ndarray[Any, Any], sample_rate: int, kind: str, subtype: str | None) -> None:
    import soundfile

    try:
        soundfile.write(file, samples, sample_rate, format=kind, subtype=subtype)
    except soundfile.LibsndfileError as error:
        raise ArgumentError(explain("save", expected=f"samples that {kind} {subtype or ''} can hold", got=str(error))) from None


def _format_of(target: Source, format: str | None) -> str:
    suffix = "wav" if hasattr(target, "write") else os.fspath(target).rpartition(".")[2]
    name = (format or suffix).lower()
    if name not in _FORMATS:
        raise ArgumentError(explain("save", expected=f"one of the formats {', '.join(_FORMATS)}", got=repr(name)))
    return _FORMATS[name]


def _subtype(kind: str, encoding: str, bits: int) -> str | None:
    if kind in ("OGG", "MP3"):
        return None
    if (encoding, bits) not in ENCODINGS or (kind == "FLAC" and encoding != "PCM_S"):
        known = ", ".join(f"{name} {n}" for name, n in ENCODINGS if kind == "WAV" or name == "PCM_S")
        raise ArgumentError(explain("save", expected=f"an encoding of {kind}: {known}", got=f"{encoding} {bits}"))
    return ENCODINGS[encoding, bits]


def _dtype(subtype: str, normalize: bool) -> str:
    if normalize or subtype not in ("PCM_16", "PCM_24", "PCM_32", "PCM_S8", "PCM_U8"):
        return "float32"
    return "int16" if subtype in ("PCM_16", "PCM_S8", "PCM_U8") else "int32"


def _read(file: Any, start: int, count: int, dtype: str, source: Source) -> np.ndarray[Any, Any]:
    """`count` frames from `start` on, (frame, channel). A header that promises more than there is costs no memory."""
    import soundfile

    pieces = [np.zeros((0, file.channels), dtype)]
    try:
        file.seek(start)
        while count > 0:
            pieces.append(file.read(min(count, _CHUNK), dtype=dtype, always_2d=True))
            if len(pieces[-1]) < min(count, _CHUNK):
                break
            count -= _CHUNK
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise FileFormatError(explain(_named(source), expected="sound that can be decoded", got=str(error))) from None
    array = np.concatenate(pieces) if len(pieces) != 2 else pieces[1]
    if dtype == "float32" and not np.isfinite(array).all():
        raise FileFormatError(explain(_named(source), expected="finite samples", got="nan or inf"))
    return array


def _tensor(array: np.ndarray[Any, Any], channels_first: bool) -> Tensor:
    return flambeau.from_numpy(np.ascontiguousarray(array.T if channels_first else array))


@contextlib.contextmanager
def _opened(source: Source) -> Iterator[Any]:
    import soundfile

    if not hasattr(source, "read") and not os.path.isfile(source):
        raise FileNotFoundError(explain("audio", expected="a file", got=f"{os.fspath(source)!r}, which is none"))
    try:
        file = soundfile.SoundFile(source if hasattr(source, "read") else os.fspath(source))
    except (soundfile.LibsndfileError, TypeError) as error:
        raise FileFormatError(explain(_named(source), expected="a WAV, FLAC, OGG or MP3 file", got=str(error))) from None
    with file:
        yield file


def _named(source: Source) -> str:
    return "file" if hasattr(source, "read") else f"file {os.fspath(source)}"
