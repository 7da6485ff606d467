"""The functions as modules with torchaudio's names: settings are given once, tables are buffers and move with the module."""

from flambeau_audio.transforms.augment import AddNoise, FrequencyMasking, Speed, SpeedPerturbation, TimeMasking
from flambeau_audio.transforms.features import (
    LFCC,
    MFCC,
    AmplitudeToDB,
    ComputeDeltas,
    GriffinLim,
    InverseSpectrogram,
    MelScale,
    MelSpectrogram,
    MuLawDecoding,
    MuLawEncoding,
    Preemphasis,
    Resample,
    Spectrogram,
)

__all__ = [
    "LFCC",
    "MFCC",
    "AddNoise",
    "AmplitudeToDB",
    "ComputeDeltas",
    "FrequencyMasking",
    "GriffinLim",
    "InverseSpectrogram",
    "MelScale",
    "MelSpectrogram",
    "MuLawDecoding",
    "MuLawEncoding",
    "Preemphasis",
    "Resample",
    "Spectrogram",
    "Speed",
    "SpeedPerturbation",
    "TimeMasking",
]
