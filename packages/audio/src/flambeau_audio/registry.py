"""What this package registers with Flambeau, as names and entry strings that are imported on first use."""

from __future__ import annotations

from flambeau.plugins import Register, hookimpl


@hookimpl
def flambeau_register(registry: Register) -> None:
    """Models."""
    for name, target, summary in MODELS:
        registry.model(name, f"flambeau_audio.models.{target}", summary=summary)


MODELS = (
    ("conformer", "conformer:Conformer", "Conformer, attention and convolution in turns."),
    ("ecapa_tdnn", "ecapa_tdnn:ECAPA_TDNN", "ECAPA-TDNN, vectors of speakers."),
    ("hifigan", "hifigan:SpeechT5HifiGan", "HiFi-GAN, from mel bands to waveforms."),
    ("hubert", "hubert:HubertForCTC", "HuBERT, a recogniser that learns from hidden units."),
    ("tacotron2", "tacotron2:Tacotron2", "Tacotron 2, from characters to mel bands."),
    ("wav2vec2", "wav2vec2:Wav2Vec2ForCTC", "wav2vec 2.0, a recogniser that learns from waveforms without labels."),
    ("wavenet", "wavenet:WaveNet", "WaveNet, waveforms sample by sample."),
    ("whisper", "whisper:WhisperForConditionalGeneration", "Whisper, a recogniser and translator that writes words."),
    ("xvector", "xvector:Xvector", "x-vectors of speakers."),
)
