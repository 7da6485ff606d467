"""wav2vec 2.0 (Baevski et al. 2020, "A Framework for Self-Supervised Learning of Speech Representations"): base and large variants."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import nn
from flambeau.base.errors import ArgumentError, explain
from flambeau.pretrained import ModelOutput
from flambeau_audio.models.quantizer import GumbelVectorQuantizer, contrastive_loss
from flambeau_audio.models.speech_config import SpeechConfig
from flambeau_audio.models.speech_heads import (
    SpeechForCTC,
    SpeechForSequenceClassification,
    SpeechForXVector,
    SpeechHead,
    SpeechModel,
)


class Wav2Vec2Config(SpeechConfig):
    """Options of wav2vec 2.0, with the defaults of its base model (95 million parameters).

    The large models with `feat_extract_norm="layer"` and `do_stable_layer_norm=True` are those called LV-60 and XLSR.
    """

    model_type = "wav2vec2"
    defaults = {
        **SpeechConfig.defaults, "feat_quantizer_dropout": 0.0, "num_codevectors_per_group": 320, "num_codevector_groups": 2,
        "contrastive_logits_temperature": 0.1, "num_negatives": 100, "codevector_dim": 256, "proj_codevector_dim": 256,
        "diversity_loss_weight": 0.1, "tdnn_dim": (512, 512, 512, 512, 1500), "tdnn_kernel": (5, 3, 3, 1, 1),
        "tdnn_dilation": (1, 2, 3, 1, 1), "xvector_output_dim": 512, "add_adapter": False, "adapter_kernel_size": 3, "adapter_stride": 2,
        "num_adapter_layers": 3, "output_hidden_size": None, "adapter_attn_dim": None,
    }  # fmt: skip
    divisible = (*SpeechConfig.divisible, ("codevector_dim", "num_codevector_groups"))

    def check(self) -> None:
        super().check()
        if self.add_adapter or self.adapter_attn_dim is not None:
            got = f"add_adapter={self.add_adapter}, adapter_attn_dim={self.adapter_attn_dim}"
            raise ArgumentError(explain("Wav2Vec2Config", expected="a model without adapters (of MMS, for example)", got=got))


class Wav2Vec2Model(SpeechModel):
    """Waveforms (N, T), normalised to mean 0 and variance 1 -> `last_hidden_state` (N, frames, E), `extract_features` (N, frames, C).

    `attention_mask` (N, T) is 1 for samples and 0 for padding; `mask_time_indices` (N, frames) chooses the frames that are hidden.
    """

    config_class = Wav2Vec2Config
    base_model_prefix = "wav2vec2"


class Wav2Vec2ForCTC(SpeechForCTC):
    """wav2vec 2.0 that recognises: `logits` (N, frames, vocabulary), and `loss` where `labels` (N, L) are given, -100 for padding.

    >>> import flambeau
    >>> config = Wav2Vec2Config(
    ...     hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, conv_dim=(8, 8), conv_stride=(4, 4),
    ...     conv_kernel=(8, 4), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, vocab_size=5
    ... )
    >>> out = Wav2Vec2ForCTC(config).eval()(flambeau.randn(2, 400), labels=flambeau.tensor([[1, 2], [3, -100]]))
    >>> out.logits.shape, out.loss.shape
    (flambeau.Size([2, 24, 5]), flambeau.Size([]))
    """  # fmt: skip

    config_class = Wav2Vec2Config
    base_model_prefix = "wav2vec2"
    base_class = Wav2Vec2Model


class Wav2Vec2ForSequenceClassification(SpeechForSequenceClassification):
    """wav2vec 2.0 that classifies waveforms: `logits` (N, K), and `loss` where `labels` (N,) are given."""

    config_class = Wav2Vec2Config
    base_model_prefix = "wav2vec2"
    base_class = Wav2Vec2Model


class Wav2Vec2ForXVector(SpeechForXVector):
    """wav2vec 2.0 that tells speakers apart: `embeddings` (N, E), `logits`, and `loss` where `labels` (N,) are given."""

    config_class = Wav2Vec2Config
    base_model_prefix = "wav2vec2"
    base_class = Wav2Vec2Model


class Wav2Vec2ForPreTraining(SpeechHead):
    """wav2vec 2.0 as it learns without labels: hidden frames are predicted, as codes, among codes of other frames.

    Give `mask_time_indices` (N, frames; `masking.mask_spans`), and for the loss `sampled_negative_indices` (N, frames, K;
    `masking.sample_negatives`). Returns `loss`, `projected_states`, `projected_quantized_states` (N, frames, E), `codevector_perplexity`,
    `contrastive_loss` and `diversity_loss`; losses are sums over hidden frames.
    """

    config_class = Wav2Vec2Config
    base_model_prefix = "wav2vec2"
    base_class = Wav2Vec2Model

    def __init__(self, config: Wav2Vec2Config) -> None:
        super().__init__(config)
        self.dropout_features = nn.Dropout(config.feat_quantizer_dropout)
        self.quantizer = GumbelVectorQuantizer(config)
        self.project_hid = nn.Linear(config.hidden_size, config.proj_codevector_dim)
        self.project_q = nn.Linear(config.codevector_dim, config.proj_codevector_dim)
        self.post_init()

    def init_weights(self) -> None:
        super().init_weights()
        self.project_hid.reset_parameters()
        self.project_q.reset_parameters()
        nn.init.normal_(self.quantizer.weight_proj.weight, 0.0, 1.0)
        nn.init.zeros_(self.quantizer.weight_proj.bias)
        nn.init.uniform_(self.quantizer.codevectors)

    def set_gumbel_temperature(self, temperature: float) -> None:
        """How random the choice of codes is in training; it is lowered step by step."""
        self.quantizer.temperature = temperature

    def forward(
        self,
        input_values: Any,
        attention_mask: Any = None,
        mask_time_indices: Any = None,
        sampled_negative_indices: Any = None,
        **outputs: bool,
    ) -> ModelOutput:
        mask = None if mask_time_indices is None else mask_time_indices.bool()
        out = self.base_model(input_values, attention_mask, mask, **outputs)
        predicted = self.project_hid(out.last_hidden_state)
        codes, used = self.quantizer(self.dropout_features(out.extract_features), mask)
        codes = self.project_q(codes)
        loss = contrastive = diversity = None
        if sampled_negative_indices is not None:
            if mask is None:
                mask = flambeau.ones(*codes.shape[:2], dtype=flambeau.bool, device=codes.device)
            contrastive = contrastive_loss(predicted, codes, sampled_negative_indices, mask, self.config.contrastive_logits_temperature)
            total = self.config.num_codevectors_per_group * self.config.num_codevector_groups
            diversity = (total - used) / total * mask.long().sum()
            loss = contrastive + self.config.diversity_loss_weight * diversity
        return ModelOutput(
            loss=loss,
            projected_states=predicted,
            projected_quantized_states=codes,
            codevector_perplexity=used,
            hidden_states=out.hidden_states,
            attentions=out.attentions,
            contrastive_loss=contrastive,
            diversity_loss=diversity,
        )
