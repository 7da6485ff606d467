"""The losses that models compute when they are given labels; a label of -100 counts for nothing."""

from __future__ import annotations

from typing import Any

from flambeau.nn import functional as F
from flambeau.tensor.creation import arange


def causal_loss(logits: Any, labels: Any) -> Any:
    """Cross entropy of each token given those before it: (N, L, vocabulary) and (N, L), not shifted."""
    return token_loss(logits[:, :-1], labels[:, 1:])


def token_loss(logits: Any, labels: Any) -> Any:
    """Cross entropy of each token: (N, L, K) and (N, L)."""
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), labels.reshape(-1), ignore_index=-100)


def classification_loss(logits: Any, labels: Any, config: Any) -> Any:
    """Cross entropy for whole numbers, squared error for one output, binary cross entropy for several labels at once."""
    kind = config.problem_type
    if kind is None:
        whole = not labels.is_floating_point()
        kind = "regression" if config.num_labels == 1 else "single_label_classification" if whole else "multi_label_classification"
    if kind == "regression":
        return F.mse_loss(logits.squeeze(), labels.squeeze().to(logits.dtype))
    if kind == "single_label_classification":
        return F.cross_entropy(logits.reshape(-1, config.num_labels), labels.reshape(-1))
    return F.binary_cross_entropy_with_logits(logits, labels)


def span_loss(starts: Any, ends: Any, start_positions: Any, end_positions: Any) -> Any:
    """The mean cross entropy of where a span starts and ends; positions beyond the text count for nothing."""
    width = starts.shape[1]
    losses = [
        F.cross_entropy(scores, positions.reshape(-1).clamp(0, width), ignore_index=width)
        for scores, positions in ((starts, start_positions), (ends, end_positions))
    ]
    return (losses[0] + losses[1]) / 2


def last_tokens(input_ids: Any, hidden: Any, pad_token_id: int | None) -> Any:
    """The states of each text's last token that is no padding: (N, L, E) -> (N, E)."""
    rows = arange(hidden.shape[0], device=hidden.device)
    if pad_token_id is None or input_ids is None:
        return hidden[:, -1]
    places = arange(hidden.shape[1], device=hidden.device)
    return hidden[rows, (places * (input_ids != pad_token_id).long()).argmax(-1)]
