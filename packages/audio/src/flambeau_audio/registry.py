"""What this package registers with Flambeau, as names and entry strings that are imported on first use."""

from __future__ import annotations

from flambeau.plugins import Register, hookimpl


@hookimpl
def flambeau_register(registry: Register) -> None:
    """Models."""
    for name, target, summary in MODELS:
        registry.model(name, f"flambeau_audio.models.{target}", summary=summary)


MODELS = (
    ("hubert", "hubert:HubertForCTC", "HuBERT, a recogniser that learns from hidden units."),
    ("wav2vec2", "wav2vec2:Wav2Vec2ForCTC", "wav2vec 2.0, a recogniser that learns from waveforms without labels."),
)
