"""`load_model(folder)`: the class that a folder's `config.json` names, with its weights."""

from __future__ import annotations

import os
from typing import Any

from flambeau.pretrained import Config, Families, locate

# model_type -> module, then the class for each task: the name's stem and what follows it.
FAMILIES: dict[str, tuple[str, str]] = {
    "wav2vec2": ("wav2vec2", "Wav2Vec2"),
    "whisper": ("whisper", "Whisper"),
    "hubert": ("hubert", "Hubert"),
    "speecht5_hifigan": ("hifigan", "SpeechT5HifiGan"),
}
TASKS: dict[str, tuple[str, ...]] = {
    "base": ("Model", ""),
    "ctc": ("ForCTC",),
    "sequence-classification": ("ForSequenceClassification",),
    "speaker-verification": ("ForXVector",),
    "pretraining": ("ForPreTraining",),
    "seq2seq-lm": ("ForConditionalGeneration",),
}
families = Families("flambeau_audio.models", FAMILIES, TASKS)


def load_model(path_or_id: str | os.PathLike[str], task: str | None = None, **options: Any) -> Any:
    """A model, in evaluation mode, ready for use.

    `config.json` names the family (`model_type`) and the class (`architectures`); the weights are `model.safetensors`, its shards, or
    `pytorch_model.bin`. Nothing in the files is executed.

    Args:
        path_or_id: a folder, or the name of a repository of Hugging Face, "org/name": from its cache on this machine, else downloaded
            where `huggingface_hub` is installed and FLAMBEAU_OFFLINE is not set.
        task: another head than the one in the file: "base", "ctc", "sequence-classification", "speaker-verification", "pretraining",
            "seq2seq-lm".
        options: replace options of the configuration, such as num_labels.

    Raises ArgumentError when files are missing or the family is not known, FileFormatError when they are damaged or contradict one another.
    """
    return families.load(locate(path_or_id, "flambeau_audio"), task, **options)


def load_config(path_or_id: str | os.PathLike[str]) -> Config:
    """The configuration of a model, of its family's class."""
    return families.config(locate(path_or_id, "flambeau_audio"))
