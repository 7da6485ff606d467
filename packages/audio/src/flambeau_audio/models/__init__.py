"""Models of speech, one paper a file; `load_model(folder)` picks the class."""

from __future__ import annotations

from flambeau.base.lazy import lazy_attributes as _lazy_attributes

_FILES = {
    "auto": ("load_config", "load_model"),
    "conformer": ("Conformer",),
    "ecapa_tdnn": ("AAMSoftmaxLoss", "Classifier", "ECAPA_TDNN"),
    "hifigan": ("SpeechT5HifiGan", "SpeechT5HifiGanConfig"),
    "hifigan_losses": (
        "MultiPeriodDiscriminator", "MultiScaleDiscriminator", "discriminator_loss", "feature_loss", "generator_loss",
    ),
    "hubert": ("HubertConfig", "HubertForCTC", "HubertForSequenceClassification", "HubertModel"),
    "masking": ("mask_spans", "sample_negatives"),
    "tacotron2": ("Tacotron2",),
    "wav2vec2": (
        "Wav2Vec2Config", "Wav2Vec2ForCTC", "Wav2Vec2ForPreTraining", "Wav2Vec2ForSequenceClassification", "Wav2Vec2ForXVector",
        "Wav2Vec2Model",
    ),
    "wavenet": ("WaveNet",),
    "whisper": ("WhisperConfig", "WhisperForConditionalGeneration", "WhisperModel"),
    "whisper_features": ("WhisperFeatureExtractor",),
    "whisper_settings": ("WhisperSettings",),
    "whisper_tokens": ("WhisperTokenizer",),
    "xvector": ("Xvector",),
}  # fmt: skip

__all__ = sorted(name for names in _FILES.values() for name in names)

__getattr__, __dir__ = _lazy_attributes(
    globals(),
    attributes={name: f"{__name__}.{file}:{name}" for file, names in _FILES.items() for name in names},
)
