"""A model that reads waveforms, and heads for it; wav2vec 2.0, HuBERT and WavLM have the same."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import flambeau
from flambeau import nn
from flambeau.nn import functional as F
from flambeau.pretrained import ModelOutput, PretrainedModel
from flambeau_audio.models.masking import mask_spans
from flambeau_audio.models.speech_config import SpeechConfig, check_layers
from flambeau_audio.models.speech_encoder import (
    Encoder,
    FeatureEncoder,
    FeatureProjection,
    PositionalConv,
    check_waveforms,
    frame_lengths,
    frame_mask,
)


class SpeechPretrained(PretrainedModel):
    """What all have: initial weights, and names of older files."""

    computed = ("masked_spec_embed",)

    def init_weights(self) -> None:
        """Hugging Face's: normal Linear weights, He's for convolutions, uniform mask vector."""
        super().init_weights()
        positional = {id(module.conv) for module in self.modules() if isinstance(module, PositionalConv)}
        with flambeau.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Conv1d) and id(module) not in positional:
                    nn.init.kaiming_normal_(module.weight)
                    if module.bias is not None:
                        bound = math.sqrt(module.groups / (module.in_channels * module.kernel_size[0]))
                        nn.init.uniform_(module.bias, -bound, bound)
                elif isinstance(module, PositionalConv):
                    spread = 2 * math.sqrt(1 / (module.conv.kernel_size[0] * module.conv.in_channels))
                    drawn: Any = nn.init.normal_(flambeau.empty(*module.conv.weight.shape), 0.0, spread)
                    module.conv.weight = drawn if module.batch_norm is None else nn.Parameter(drawn)
                    nn.init.zeros_(module.conv.bias)
                elif isinstance(module, FeatureProjection):
                    bound = math.sqrt(1 / module.projection.in_features)
                    nn.init.uniform_(module.projection.weight, -bound, bound)
                    nn.init.uniform_(module.projection.bias, -bound, bound)

    def rename_keys(self, state: dict[str, Any]) -> dict[str, Any]:
        """`weight_g` and `weight_v` of files from before PyTorch 2; a mask vector that the configuration has no use for goes."""
        names = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}
        renamed = {}
        for name, value in state.items():
            for old, new in names.items():
                name = name.removesuffix(old) + new if name.endswith(old) else name
            if self.config.masks or not name.endswith("masked_spec_embed"):
                renamed[name] = value
        return renamed

    def freeze_feature_encoder(self) -> None:
        """Do not train the convolutions."""
        self.base_model.feature_extractor.requires_grad_(False)


class SpeechModel(SpeechPretrained):
    """Waveforms (N, T) -> `last_hidden_state` (N, frames, E), `extract_features` (N, frames, C)."""

    encoder_class: ClassVar[Any] = Encoder
    keeps_features: ClassVar[bool] = True

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(config)
        self.feature_extractor = FeatureEncoder(config)
        self.feature_projection = FeatureProjection(config, getattr(config, "feat_proj_layer_norm", True))
        if config.masks:
            self.masked_spec_embed = nn.Parameter(flambeau.rand(config.hidden_size))
        self.encoder = self.encoder_class(config)
        self.post_init()

    def forward(
        self,
        input_values: Any,
        attention_mask: Any = None,
        mask_time_indices: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        check_waveforms(self, input_values, self.config)
        features = self.feature_extractor(input_values).transpose(1, 2)
        mask = frame_mask(attention_mask, features.shape[1], self.config)
        x, features = self.feature_projection(features)
        out = self.encoder(self._hide(x, mask_time_indices, mask), mask, output_attentions)
        return ModelOutput(
            last_hidden_state=out.last_hidden_state,
            extract_features=features if self.keeps_features else None,
            hidden_states=out.hidden_states if output_hidden_states else None,
            attentions=out.attentions,
        )

    def _hide(self, x: Any, chosen: Any, mask: Any) -> Any:
        """SpecAugment on frames: those that are `chosen`, or in training random spans, become the mask vector; whole features become 0."""
        config = self.config
        if not config.apply_spec_augment or not config.masks:
            return x
        count, frames, width = x.shape
        if chosen is None and self.training and config.mask_time_prob > 0:
            lengths = None if mask is None else mask.long().sum(-1)
            chosen = mask_spans(
                (count, frames), config.mask_time_prob, config.mask_time_length, config.mask_time_min_masks, lengths, device=x.device
            )
        if chosen is not None:
            x = flambeau.where(chosen.bool()[:, :, None], self.masked_spec_embed.to(x.dtype), x)
        if self.training and config.mask_feature_prob > 0:
            length, least = config.mask_feature_length, config.mask_feature_min_masks
            x = x.masked_fill(mask_spans((count, width), config.mask_feature_prob, length, least, device=x.device)[:, None], 0.0)
        return x


class SpeechHead(SpeechPretrained):
    """A model with something on top of it."""

    base_class: ClassVar[type[SpeechModel]] = SpeechModel

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.base_class(config))

    def read(self, input_values: Any, attention_mask: Any, **outputs: bool) -> tuple[Any, ModelOutput]:
        """The states that a classifier reads, the last ones or a learned mean of all (`use_weighted_layer_sum`), and the fields."""
        weighted = self.config.use_weighted_layer_sum
        keep = outputs.pop("output_hidden_states", False)
        out = self.base_model(input_values, attention_mask, output_hidden_states=keep or weighted, **outputs)
        x = out.last_hidden_state
        if weighted:
            x = (flambeau.stack(out.hidden_states, 1) * self.layer_weights.softmax(-1)[:, None, None]).sum(1)
        return x, ModelOutput(hidden_states=out.hidden_states if keep else None, attentions=out.attentions)

    def add_layer_weights(self) -> None:
        """The weights of that mean, if the configuration asks for it."""
        if self.config.use_weighted_layer_sum:
            count = self.config.num_hidden_layers + 1
            self.layer_weights = nn.Parameter(flambeau.full((count,), 1 / count))


class SpeechForCTC(SpeechHead):
    """Scores of tokens for each frame: `logits` (N, frames, vocabulary), and `loss` where `labels` (N, L) are given, -100 for padding.

    The blank of CTC is `config.pad_token_id`.
    """

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(config.final_dropout)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def forward(self, input_values: Any, attention_mask: Any = None, labels: Any = None, **outputs: bool) -> ModelOutput:
        out = self.base_model(input_values, attention_mask, **outputs)
        logits = self.lm_head(self.dropout(out.last_hidden_state))
        loss = None if labels is None else self._loss(logits, input_values, attention_mask, labels)
        return ModelOutput(loss=loss, logits=logits, hidden_states=out.hidden_states, attentions=out.attentions)

    def _loss(self, logits: Any, input_values: Any, attention_mask: Any, labels: Any) -> Any:
        config = self.config
        if attention_mask is None:
            lengths: Any = [logits.shape[1]] * logits.shape[0]
        else:
            lengths = frame_lengths(attention_mask.long().sum(-1), config)
        real = labels >= 0
        targets = labels.gather(1, (~real).long().argsort(dim=1, stable=True)).clamp(min=0)  # padding goes to the end
        log_probs = logits.float().log_softmax(-1).transpose(0, 1)
        return F.ctc_loss(
            log_probs,
            targets,
            lengths,
            real.long().sum(1),
            blank=config.pad_token_id,
            reduction=config.ctc_loss_reduction,
            zero_infinity=config.ctc_zero_infinity,
        )


class SpeechForSequenceClassification(SpeechHead):
    """Scores of classes for whole waveforms, from the mean over their frames: `logits` (N, K)."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(config)
        self.add_layer_weights()
        self.projector = nn.Linear(config.hidden_size, config.classifier_proj_size)
        self.classifier = nn.Linear(config.classifier_proj_size, config.num_labels)
        self.post_init()

    def forward(self, input_values: Any, attention_mask: Any = None, labels: Any = None, **outputs: bool) -> ModelOutput:
        x, out = self.read(input_values, attention_mask, **outputs)
        x = self.projector(x)
        mask = frame_mask(attention_mask, x.shape[1], self.config)
        if mask is None:
            pooled = x.mean(1)
        else:
            pooled = (x * mask[:, :, None].to(x.dtype)).sum(1) / mask.long().sum(1, keepdim=True)
        logits = self.classifier(pooled)
        loss = None if labels is None else F.cross_entropy(logits, labels.reshape(-1))
        return ModelOutput(loss=loss, logits=logits, **out.__dict__)


class TDNNLayer(nn.Module):
    """A dilated convolution along time, kept as the weight of a Linear of spliced frames, and ReLU: (N, T, C) -> (N, T', D)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.size, self.dilation = kernel, dilation
        self.kernel = nn.Linear(inputs * kernel, outputs)

    def forward(self, x: Any) -> Any:
        weight = self.kernel.weight.reshape(self.kernel.out_features, self.size, -1).transpose(1, 2)
        return F.conv1d(x.transpose(1, 2), weight, self.kernel.bias, dilation=self.dilation).transpose(1, 2).relu()


class AMSoftmaxLoss(nn.Module):
    """Cross entropy of cosines with a margin (Wang et al. 2018): embeddings (N, E) and classes (N,)."""

    def __init__(self, input_dim: int, num_labels: int, scale: float = 30.0, margin: float = 0.4) -> None:
        super().__init__()
        self.scale, self.margin = scale, margin
        self.weight = nn.Parameter(flambeau.randn(input_dim, num_labels))

    def forward(self, x: Any, labels: Any) -> Any:
        labels = labels.reshape(-1)
        cosines = F.normalize(x, dim=1) @ F.normalize(self.weight, dim=0)
        margins = F.one_hot(labels, self.weight.shape[1]).to(x.dtype) * self.margin
        return F.cross_entropy(self.scale * (cosines - margins), labels)


def pooled_statistics(x: Any, lengths: Any = None) -> Any:
    """Mean and standard deviation (of a sample) over time, of the first `lengths` frames: (N, T, C) -> (N, 2 C)."""
    if lengths is None:
        lengths = flambeau.full((x.shape[0],), x.shape[1], dtype=flambeau.int64, device=x.device)
    mask = (flambeau.arange(x.shape[1], device=x.device) < lengths[:, None])[:, :, None].to(x.dtype)
    count = lengths[:, None].to(x.dtype)
    mean = (x * mask).sum(1) / count
    spread = (((x - mean[:, None]) * mask) ** 2).sum(1) / (count - 1)
    still = spread == 0  # whose root has no derivative
    return flambeau.cat([mean, spread.masked_fill(still, 1.0).sqrt().masked_fill(still, 0.0)], -1)


class SpeechForXVector(SpeechHead):
    """Vectors of speakers: `embeddings` (N, E); `logits` are a further layer of them, and `loss` that of `labels` (N,) by AM-softmax."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(config)
        check_layers(
            type(config).__name__, "tdnn_dim, tdnn_kernel and tdnn_dilation", [config.tdnn_dim, config.tdnn_kernel, config.tdnn_dilation]
        )
        self.add_layer_weights()
        dims = [config.tdnn_dim[0], *config.tdnn_dim]
        self.projector = nn.Linear(config.hidden_size, dims[0])
        self.tdnn = nn.ModuleList(
            TDNNLayer(dims[i], dims[i + 1], config.tdnn_kernel[i], config.tdnn_dilation[i]) for i in range(len(config.tdnn_dim))
        )
        self.feature_extractor = nn.Linear(2 * dims[-1], config.xvector_output_dim)
        self.classifier = nn.Linear(config.xvector_output_dim, config.xvector_output_dim)
        self.objective = AMSoftmaxLoss(config.xvector_output_dim, config.num_labels)
        self.post_init()

    def forward(self, input_values: Any, attention_mask: Any = None, labels: Any = None, **outputs: bool) -> ModelOutput:
        x, out = self.read(input_values, attention_mask, **outputs)
        x = self.projector(x)
        for layer in self.tdnn:
            x = layer(x)
        lengths = None
        if attention_mask is not None:  # as in transformers, which leaves the dilation out of the count
            lost = sum(size - 1 for size in self.config.tdnn_kernel)
            lengths = (frame_lengths(attention_mask.long().sum(1), self.config) - lost).clamp(max=x.shape[1])
        embeddings = self.feature_extractor(pooled_statistics(x, lengths))
        logits = self.classifier(embeddings)
        loss = None if labels is None else self.objective(logits, labels)
        return ModelOutput(loss=loss, logits=logits, embeddings=embeddings, **out.__dict__)
