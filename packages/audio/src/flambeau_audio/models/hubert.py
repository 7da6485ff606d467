"""HuBERT (Hsu et al. 2021, "Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units")."""

from __future__ import annotations

from flambeau_audio.models.speech_config import SpeechConfig
from flambeau_audio.models.speech_heads import SpeechForCTC, SpeechForSequenceClassification, SpeechModel


class HubertConfig(SpeechConfig):
    """Options of HuBERT, with the defaults of its base model (95 million parameters)."""

    model_type = "hubert"
    defaults = {**SpeechConfig.defaults, "feat_proj_layer_norm": True, "conv_pos_batch_norm": False}


class HubertModel(SpeechModel):
    """Waveforms (N, T) -> `last_hidden_state` (N, frames, E)."""

    config_class = HubertConfig
    base_model_prefix = "hubert"
    keeps_features = False


class HubertForCTC(SpeechForCTC):
    """HuBERT that recognises: `logits` (N, frames, vocabulary), and `loss` where `labels` (N, L) are given, -100 for padding."""

    config_class = HubertConfig
    base_model_prefix = "hubert"
    base_class = HubertModel


class HubertForSequenceClassification(SpeechForSequenceClassification):
    """HuBERT that classifies waveforms: `logits` (N, K), and `loss` where `labels` (N,) are given."""

    config_class = HubertConfig
    base_model_prefix = "hubert"
    base_class = HubertModel
