"""DistilBERT (Sanh et al. 2019): BERT of half the depth, without types and pooler."""

from __future__ import annotations

from typing import Any

import flambeau
from flambeau import nn
from flambeau.pretrained.activations import activation
from flambeau.pretrained.attention import attend, merge_heads, padding_mask, split_heads
from flambeau.pretrained.config import Config
from flambeau.pretrained.outputs import ModelOutput
from flambeau_text.models.encoder_heads import MaskedLMHead, QuestionAnsweringHead, SequenceClassificationHead, TokenClassificationHead
from flambeau_text.models.gpt2 import check_length
from flambeau_text.models.pretrained import PretrainedModel

NORM_EPS = 1e-12


class DistilBertConfig(Config):
    """Options of DistilBERT, with the defaults of its base model (66 million parameters)."""

    model_type = "distilbert"
    defaults = {
        "vocab_size": 30522, "max_position_embeddings": 512, "sinusoidal_pos_embds": False, "n_layers": 6, "n_heads": 12, "dim": 768,
        "hidden_dim": 3072, "dropout": 0.1, "attention_dropout": 0.1, "activation": "gelu", "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2, "pad_token_id": 0,
    }  # fmt: skip
    aliases = {
        "hidden_size": "dim", "num_attention_heads": "n_heads", "num_hidden_layers": "n_layers", "hidden_dropout_prob": "dropout"
    }  # fmt: skip
    divisible = (("dim", "n_heads"),)


class Embeddings(nn.Module):
    """The sum of a token's and a position's vectors, normalised."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.dim, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.dim)
        self.LayerNorm = nn.LayerNorm(config.dim, NORM_EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, input_ids: Any, position_ids: Any, inputs_embeds: Any) -> Any:
        x = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if position_ids is None:
            position_ids = flambeau.arange(x.shape[1], device=x.device)
        return self.dropout(self.LayerNorm(x + self.position_embeddings(position_ids)))


class Attention(nn.Module):
    """Self-attention: (N, L, E) -> (N, L, E)."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.size, self.dropout = config.dim // config.n_heads, config.attention_dropout
        self.q_lin, self.k_lin, self.v_lin = (nn.Linear(config.dim, config.dim) for _ in range(3))
        self.out_lin = nn.Linear(config.dim, config.dim)

    def forward(self, x: Any, mask: Any, weights: bool) -> tuple[Any, Any]:
        query, key, value = (split_heads(layer(x), self.size) for layer in (self.q_lin, self.k_lin, self.v_lin))
        out, shares = attend(query, key, value, mask, dropout=self.dropout if self.training else 0.0, weights=weights)
        return self.out_lin(merge_heads(out)), shares


class FFN(nn.Module):
    """Two layers with an activation between."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(config.dim, config.hidden_dim), nn.Linear(config.hidden_dim, config.dim)
        self.act, self.dropout = activation(config.activation), nn.Dropout(config.dropout)

    def forward(self, x: Any) -> Any:
        return self.dropout(self.lin2(self.act(self.lin1(x))))


class Layer(nn.Module):
    """Attention, then an MLP, each with a residual and a norm."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.attention, self.sa_layer_norm = Attention(config), nn.LayerNorm(config.dim, NORM_EPS)
        self.ffn, self.output_layer_norm = FFN(config), nn.LayerNorm(config.dim, NORM_EPS)

    def forward(self, x: Any, mask: Any, weights: bool) -> tuple[Any, Any]:
        out, shares = self.attention(x, mask, weights)
        x = self.sa_layer_norm(out + x)
        return self.output_layer_norm(self.ffn(x) + x), shares


class Stack(nn.Module):
    """The layers."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(config) for _ in range(config.n_layers))


class DistilBertModel(PretrainedModel):
    """Token ids (N, L) -> `last_hidden_state` (N, L, E)."""

    config_class = DistilBertConfig
    base_model_prefix = "distilbert"

    def __init__(self, config: DistilBertConfig, add_pooling_layer: bool = False) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.transformer = Stack(config)
        self.post_init()

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        inputs_embeds: Any = None,
        position_ids: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> ModelOutput:
        weights = self.config.output_attentions if output_attentions is None else output_attentions
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        length = (input_ids if inputs_embeds is None else inputs_embeds).shape[1]
        check_length(self, length, None, self.config.max_position_embeddings)
        x = self.embeddings(input_ids, position_ids, inputs_embeds)
        mask = padding_mask(attention_mask)
        states, attentions = [x], []
        for layer in self.transformer.layer:
            x, shares = layer(x, mask, weights)
            states.append(x)
            attentions.append(shares)
        return ModelOutput(
            last_hidden_state=x,
            hidden_states=tuple(states) if keep else None,
            attentions=tuple(attentions) if weights else None,
        )


class DistilBertForMaskedLM(MaskedLMHead):
    """DistilBERT with scores for masked tokens; see `MaskedLMHead`."""

    config_class, base_class, base_model_prefix = DistilBertConfig, DistilBertModel, "distilbert"
    tied = {"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"}

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.vocab_transform = nn.Linear(config.dim, config.dim)
        self.vocab_layer_norm = nn.LayerNorm(config.dim, NORM_EPS)
        self.vocab_projector = nn.Linear(config.dim, config.vocab_size)
        self.act = activation(config.activation)
        self.post_init()

    def score(self, hidden: Any) -> Any:
        return self.vocab_projector(self.vocab_layer_norm(self.act(self.vocab_transform(hidden))))


class DistilBertForSequenceClassification(SequenceClassificationHead):
    """DistilBERT with scores for a text; see `SequenceClassificationHead`."""

    config_class, base_class, base_model_prefix = DistilBertConfig, DistilBertModel, "distilbert"

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.pre_classifier = nn.Linear(config.dim, config.dim)
        self.classifier = nn.Linear(config.dim, config.num_labels)
        self.dropout = nn.Dropout(config.seq_classif_dropout)
        self.post_init()

    def score(self, base: ModelOutput) -> Any:
        return self.classifier(self.dropout(self.pre_classifier(base.last_hidden_state[:, 0]).relu()))


class DistilBertForTokenClassification(TokenClassificationHead):
    """DistilBERT with scores for each token; see `TokenClassificationHead`."""

    config_class, base_class, base_model_prefix = DistilBertConfig, DistilBertModel, "distilbert"


class DistilBertForQuestionAnswering(QuestionAnsweringHead):
    """DistilBERT with scores for spans; see `QuestionAnsweringHead`."""

    config_class, base_class, base_model_prefix = DistilBertConfig, DistilBertModel, "distilbert"
