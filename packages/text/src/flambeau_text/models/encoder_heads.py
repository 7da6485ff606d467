"""Heads on encoders: one class for each task, which the families fill in with their base model and their names."""

from __future__ import annotations

from typing import Any, ClassVar

from flambeau import nn
from flambeau.pretrained.losses import classification_loss, span_loss, token_loss
from flambeau.pretrained.outputs import ModelOutput
from flambeau_text.models.pretrained import PretrainedModel


class EncoderHead(PretrainedModel):
    """A base model, at the attribute that its family calls it, with something on top.

    Attributes:
        base_class: the base model's class; called with `add_pooling_layer` where it has a pooler.
        pooled: whether this head reads the pooler.
    """

    base_class: ClassVar[Any]
    pooled: ClassVar[bool] = False

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        setattr(self, self.base_model_prefix, self.base_class(config, add_pooling_layer=self.pooled))

    def encode(self, input_ids: Any, attention_mask: Any, inputs: dict[str, Any]) -> ModelOutput:
        """The base model's output."""
        return getattr(self, self.base_model_prefix)(input_ids, attention_mask, **inputs)


def head_output(base: ModelOutput, loss: Any, **fields: Any) -> ModelOutput:
    """The head's fields, with the base model's states and attentions."""
    return ModelOutput(loss=loss, **fields, hidden_states=base.hidden_states, attentions=base.attentions)


class TokenClassificationHead(EncoderHead):
    """Scores for each token: `logits` (N, L, K), and `loss` where `labels` (N, L) are given."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(head_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids: Any = None, attention_mask: Any = None, *, labels: Any = None, **inputs: Any) -> ModelOutput:
        base = self.encode(input_ids, attention_mask, inputs)
        logits = self.classifier(self.dropout(base.last_hidden_state))
        return head_output(base, None if labels is None else token_loss(logits, labels), logits=logits)


class QuestionAnsweringHead(EncoderHead):
    """Scores for where an answer starts and ends: `start_logits` and `end_logits` (N, L)."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        *,
        start_positions: Any = None,
        end_positions: Any = None,
        **inputs: Any,
    ) -> ModelOutput:
        base = self.encode(input_ids, attention_mask, inputs)
        logits = self.qa_outputs(base.last_hidden_state)
        starts, ends = logits[..., 0], logits[..., 1]
        known = start_positions is not None and end_positions is not None
        loss = span_loss(starts, ends, start_positions, end_positions) if known else None
        return head_output(base, loss, start_logits=starts, end_logits=ends)


class SequenceClassificationHead(EncoderHead):
    """Scores for a whole text: `logits` (N, K), and `loss` where `labels` are given. A family defines `score`."""

    def score(self, base: ModelOutput) -> Any:
        """The scores from the base model's output."""
        raise NotImplementedError

    def forward(self, input_ids: Any = None, attention_mask: Any = None, *, labels: Any = None, **inputs: Any) -> ModelOutput:
        base = self.encode(input_ids, attention_mask, inputs)
        logits = self.score(base)
        return head_output(base, None if labels is None else classification_loss(logits, labels, self.config), logits=logits)


class MaskedLMHead(EncoderHead):
    """Scores for what each token is: `logits` (N, L, vocabulary), and `loss` where `labels` are given. A family defines `score`."""

    def score(self, hidden: Any) -> Any:
        """The scores from the last states."""
        raise NotImplementedError

    def forward(self, input_ids: Any = None, attention_mask: Any = None, *, labels: Any = None, **inputs: Any) -> ModelOutput:
        base = self.encode(input_ids, attention_mask, inputs)
        logits = self.score(base.last_hidden_state)
        return head_output(base, None if labels is None else token_loss(logits, labels), logits=logits)


def head_dropout(config: Any) -> float:
    """The dropout before a classifier: the head's own, else that of hidden states."""
    own = getattr(config, "classifier_dropout", None)
    return float(config.hidden_dropout_prob if own is None else own)
