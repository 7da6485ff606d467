"""RoBERTa (Liu et al. 2019): BERT whose positions skip padding; XLM-R (Conneau et al. 2019) is the same net."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import nn
from flambeau.pretrained.outputs import ModelOutput
from flambeau_text.models.bert import BertConfig, BertModel, Embeddings
from flambeau_text.models.encoder_heads import (
    MaskedLMHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
    head_dropout,
)


class RobertaConfig(BertConfig):
    """Options of RoBERTa, with the defaults of its base model."""

    model_type = "roberta"
    defaults = {**BertConfig.defaults, "vocab_size": 50265, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


class XLMRobertaConfig(RobertaConfig):
    """Options of XLM-R."""

    model_type = "xlm-roberta"


class RobertaEmbeddings(Embeddings):
    """BERT's, with positions that count from the padding's number on and leave padding out."""

    @staticmethod
    def position_padding(config: BertConfig) -> int | None:
        return int(config.pad_token_id)

    def positions(self, input_ids: Any, length: int, device: Any) -> Any:
        pad = self.position_embeddings.padding_idx or 0
        if input_ids is None:
            return flambeau.arange(pad + 1, pad + 1 + length, device=device)
        real = (input_ids != pad).long()
        return real.cumsum(1) * real + pad


class RobertaModel(BertModel):
    """Token ids (N, L) -> `last_hidden_state` (N, L, E) and `pooler_output` (N, E)."""

    config_class = RobertaConfig
    base_model_prefix = "roberta"
    embeddings_class = RobertaEmbeddings

    @property
    def max_tokens(self) -> int:
        return int(self.config.max_position_embeddings - self.config.pad_token_id - 1)


class LMHead(nn.Module):
    """Scores over the vocabulary; the bias is held under two names."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(flambeau.zeros(config.vocab_size))

    def forward(self, x: Any) -> Any:
        return self.decoder(self.layer_norm(nn.functional.gelu(self.dense(x))))


class RobertaForMaskedLM(MaskedLMHead):
    """RoBERTa with scores for masked tokens; see `MaskedLMHead`."""

    config_class, base_class, base_model_prefix = RobertaConfig, RobertaModel, "roberta"
    tied = {"lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight", "lm_head.decoder.bias": "lm_head.bias"}

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.lm_head = LMHead(config)
        self.post_init()

    def score(self, hidden: Any) -> Any:
        return self.lm_head(hidden)


class ClassificationHead(nn.Module):
    """out(tanh(dense(state of the first token)))"""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(head_dropout(config))
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, hidden: Any) -> Any:
        return self.out_proj(self.dropout(self.dense(self.dropout(hidden[:, 0])).tanh()))


class RobertaForSequenceClassification(SequenceClassificationHead):
    """RoBERTa with scores for a text; see `SequenceClassificationHead`."""

    config_class, base_class, base_model_prefix = RobertaConfig, RobertaModel, "roberta"

    def __init__(self, config: RobertaConfig) -> None:
        super().__init__(config)
        self.classifier = ClassificationHead(config)
        self.post_init()

    def score(self, base: ModelOutput) -> Any:
        return self.classifier(base.last_hidden_state)


class RobertaForTokenClassification(TokenClassificationHead):
    """RoBERTa with scores for each token; see `TokenClassificationHead`."""

    config_class, base_class, base_model_prefix = RobertaConfig, RobertaModel, "roberta"


class RobertaForQuestionAnswering(QuestionAnsweringHead):
    """RoBERTa with scores for spans; see `QuestionAnsweringHead`."""

    config_class, base_class, base_model_prefix = RobertaConfig, RobertaModel, "roberta"
