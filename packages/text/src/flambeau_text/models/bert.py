"""BERT (Devlin et al. 2018): an encoder with learnt positions and types, norms last."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import nn
from flambeau.pretrained.activations import activation
from flambeau.pretrained.attention import attend, merge_heads, padding_mask, split_heads
from flambeau.pretrained.config import Config
from flambeau.pretrained.outputs import ModelOutput
from flambeau_text.models.encoder_heads import (
    MaskedLMHead,
    QuestionAnsweringHead,
    SequenceClassificationHead,
    TokenClassificationHead,
    head_dropout,
)
from flambeau_text.models.gpt2 import check_length
from flambeau_text.models.pretrained import PretrainedModel


class BertConfig(Config):
    """Options of BERT, with the defaults of its base model (110 million parameters)."""

    model_type = "bert"
    defaults = {
        "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "max_position_embeddings": 512,
        "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0, "classifier_dropout": None,
    }  # fmt: skip
    divisible = (("hidden_size", "num_attention_heads"),)


class Embeddings(nn.Module):
    """The sum of a token's, a position's and a type's vectors, normalised."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width, padding_idx=self.position_padding(config))
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    @staticmethod
    def position_padding(config: BertConfig) -> int | None:
        """The position that padding has, if any."""
        return None

    def positions(self, input_ids: Any, length: int, device: Any) -> Any:
        """The positions of tokens."""
        return flambeau.arange(length, device=device)

    def forward(self, input_ids: Any, token_type_ids: Any, position_ids: Any, inputs_embeds: Any) -> Any:
        x = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = self.positions(input_ids, x.shape[1], x.device)
        types = self.token_type_embeddings.weight[0] if token_type_ids is None else self.token_type_embeddings(token_type_ids)
        return self.dropout(self.LayerNorm(x + types + self.position_embeddings(position_ids)))


class SelfAttention(nn.Module):
    """Heads of attention: (N, L, E) -> (N, L, E)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.size, self.dropout = width // config.num_attention_heads, config.attention_probs_dropout_prob
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Any, mask: Any, weights: bool) -> tuple[Any, Any]:
        query, key, value = (split_heads(layer(x), self.size) for layer in (self.query, self.key, self.value))
        out, shares = attend(query, key, value, mask, dropout=self.dropout if self.training else 0.0, weights=weights)
        return merge_heads(out), shares


class AddNorm(nn.Module):
    """norm(dropout(dense(x)) + residual)"""

    def __init__(self, inputs: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Any, residual: Any) -> Any:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Attention(nn.Module):
    """Self-attention with its residual."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = AddNorm(config.hidden_size, config)

    def forward(self, x: Any, mask: Any, weights: bool) -> tuple[Any, Any]:
        out, shares = self.self(x, mask, weights)
        return self.output(out, x), shares


class Intermediate(nn.Module):
    """The first layer of the MLP."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.act = activation(config.hidden_act)

    def forward(self, x: Any) -> Any:
        return self.act(self.dense(x))


class Layer(nn.Module):
    """Attention, then an MLP, each with a residual and a norm."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = AddNorm(config.intermediate_size, config)

    def forward(self, x: Any, mask: Any, weights: bool) -> tuple[Any, Any]:
        x, shares = self.attention(x, mask, weights)
        return self.output(self.intermediate(x), x), shares


class Encoder(nn.Module):
    """The layers."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))


class Pooler(nn.Module):
    """tanh(dense(state of the first token))"""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Any) -> Any:
        return self.dense(hidden[:, 0]).tanh()


class BertModel(PretrainedModel):
    """Token ids (N, L) -> `last_hidden_state` (N, L, E) and `pooler_output` (N, E).

    >>> config = BertConfig(vocab_size=11, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    >>> BertModel(config).eval()(flambeau.tensor([[1, 2, 3]])).pooler_output.shape
    flambeau.Size([1, 8])
    """

    config_class = BertConfig
    base_model_prefix = "bert"
    embeddings_class: Any = Embeddings

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = self.embeddings_class(config)
        self.encoder = Encoder(config)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.post_init()

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        inputs_embeds: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> ModelOutput:
        weights = self.config.output_attentions if output_attentions is None else output_attentions
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        length = (input_ids if inputs_embeds is None else inputs_embeds).shape[1]
        check_length(self, length, None, self.max_tokens)
        x = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds)
        mask = padding_mask(attention_mask)
        states, attentions = [x], []
        for layer in self.encoder.layer:
            x, shares = layer(x, mask, weights)
            states.append(x)
            attentions.append(shares)
        return ModelOutput(
            last_hidden_state=x,
            pooler_output=None if self.pooler is None else self.pooler(x),
            hidden_states=tuple(states) if keep else None,
            attentions=tuple(attentions) if weights else None,
        )

    @property
    def max_tokens(self) -> int:
        """The longest text there are positions for."""
        return int(self.config.max_position_embeddings)


class Transform(nn.Module):
    """norm(act(dense(x)))"""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.act = activation(config.hidden_act)

    def forward(self, x: Any) -> Any:
        return self.LayerNorm(self.act(self.dense(x)))


class Predictions(nn.Module):
    """Scores over the vocabulary; the bias is held under two names."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = Transform(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.bias = nn.Parameter(flambeau.zeros(config.vocab_size))

    def forward(self, x: Any) -> Any:
        return self.decoder(self.transform(x))


class OnlyMLM(nn.Module):
    """The prediction head, at the place where files have it."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.predictions = Predictions(config)


class BertForMaskedLM(MaskedLMHead):
    """BERT with scores for masked tokens; see `MaskedLMHead`."""

    config_class, base_class, base_model_prefix = BertConfig, BertModel, "bert"
    tied = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.cls = OnlyMLM(config)
        self.post_init()

    def score(self, hidden: Any) -> Any:
        return self.cls.predictions(hidden)


class BertForSequenceClassification(SequenceClassificationHead):
    """BERT with scores for a text; see `SequenceClassificationHead`."""

    config_class, base_class, base_model_prefix = BertConfig, BertModel, "bert"
    pooled = True

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(head_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def score(self, base: ModelOutput) -> Any:
        return self.classifier(self.dropout(base.pooler_output))


class BertForTokenClassification(TokenClassificationHead):
    """BERT with scores for each token; see `TokenClassificationHead`."""

    config_class, base_class, base_model_prefix = BertConfig, BertModel, "bert"


class BertForQuestionAnswering(QuestionAnsweringHead):
    """BERT with scores for spans; see `QuestionAnsweringHead`."""

    config_class, base_class, base_model_prefix = BertConfig, BertModel, "bert"
