"""What encoder-decoder models share."""

from __future__ import annotations

from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.ops.joining import cat
from flambeau.pretrained.outputs import ModelOutput
from flambeau.tensor.creation import full


def shift_right(labels: Any, config: Any) -> Any:
    """The decoder's input for labels (N, L): the start token, then the labels without the last; -100 becomes padding."""
    start, pad = config.decoder_start_token_id, config.pad_token_id
    if start is None or pad is None:
        got = f"{start} and {pad}"
        raise ArgumentError(explain("labels", expected="decoder_start_token_id and pad_token_id in the configuration", got=got))
    first = full((labels.shape[0], 1), start, dtype=labels.dtype, device=labels.device)
    shifted = cat([first, labels[:, :-1]], 1)
    return shifted.masked_fill(shifted == -100, pad)


def seq2seq_output(encoded: Any, decoded: ModelOutput, keep_states: bool) -> ModelOutput:
    """The fields of an encoder-decoder model from those of its parts."""
    parts = encoded if isinstance(encoded, ModelOutput) else ModelOutput(last_hidden_state=encoded[0], hidden_states=None, attentions=None)
    return ModelOutput(
        last_hidden_state=decoded.last_hidden_state,
        past_key_values=decoded.past_key_values,
        decoder_hidden_states=decoded.hidden_states if keep_states else None,
        decoder_attentions=decoded.attentions,
        cross_attentions=decoded.cross_attentions,
        encoder_last_hidden_state=parts.last_hidden_state,
        encoder_hidden_states=parts.hidden_states if keep_states else None,
        encoder_attentions=parts.attentions,
    )
