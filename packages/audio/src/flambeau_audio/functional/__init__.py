"""Functions of waveforms (..., time) and spectra (..., freq, time). All are compositions of tensor operations: differentiable, batched, on
every device. Names and arguments are torchaudio's.
"""

from flambeau_audio.functional.effects import add_noise, compute_deltas, mask_along_axis, mu_law_decoding, mu_law_encoding, speed
from flambeau_audio.functional.filters import (
    allpass_biquad,
    band_biquad,
    bandpass_biquad,
    bandreject_biquad,
    bass_biquad,
    biquad,
    convolve,
    deemphasis,
    equalizer_biquad,
    fftconvolve,
    highpass_biquad,
    lfilter,
    lowpass_biquad,
    preemphasis,
    treble_biquad,
)
from flambeau_audio.functional.kaldi import fbank
from flambeau_audio.functional.mel import create_dct, hz_to_mel, mel_to_hz, melscale_fbanks
from flambeau_audio.functional.resampling import resample
from flambeau_audio.functional.spectral import DB_to_amplitude, amplitude_to_DB, griffinlim, inverse_spectrogram, spectrogram

__all__ = [
    "DB_to_amplitude",
    "add_noise",
    "allpass_biquad",
    "amplitude_to_DB",
    "band_biquad",
    "bandpass_biquad",
    "bandreject_biquad",
    "bass_biquad",
    "biquad",
    "compute_deltas",
    "convolve",
    "create_dct",
    "deemphasis",
    "equalizer_biquad",
    "fbank",
    "fftconvolve",
    "griffinlim",
    "highpass_biquad",
    "hz_to_mel",
    "inverse_spectrogram",
    "lfilter",
    "lowpass_biquad",
    "mask_along_axis",
    "mel_to_hz",
    "melscale_fbanks",
    "mu_law_decoding",
    "mu_law_encoding",
    "preemphasis",
    "resample",
    "spectrogram",
    "speed",
    "treble_biquad",
]
