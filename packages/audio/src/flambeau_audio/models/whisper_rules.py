"""Which tokens Whisper may write next: (N, vocabulary) float32 scores, and the (N, L) tokens written so far, without the prompt."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau_audio.models.whisper_settings import WhisperSettings

Array = np.ndarray[Any, Any]
NEVER = np.float32(-np.inf)


def allowed(scores: Array, written: Array, settings: WhisperSettings, times: bool) -> Array:
    """The scores, minus infinity where a token may not come."""
    scores = scores.copy()
    if not written.shape[1] and settings.begin_suppress_tokens:
        scores[:, settings.begin_suppress_tokens] = NEVER
    if settings.suppress_tokens:
        scores[:, settings.suppress_tokens] = NEVER
    if times and settings.times is not None:
        _times(scores, written, settings, settings.times)
    return scores


def _times(scores: Array, written: Array, settings: WhisperSettings, first: int) -> None:
    """Times come in pairs, never go back, and win when together they are likelier than any word (section 4.5 of the paper)."""
    scores[:, settings.no_timestamps_token_id] = NEVER
    for row, tokens in zip(scores, written, strict=True):
        was_time = len(tokens) >= 1 and tokens[-1] >= first
        pair = len(tokens) < 2 or tokens[-2] >= first
        if was_time and pair:
            row[first:] = NEVER
        elif was_time:
            row[: settings.eos_token_id] = NEVER
        known = tokens[tokens >= first]
        if len(known):
            row[first : known[-1] + (not was_time or pair)] = NEVER
    if not written.shape[1]:
        scores[:, :first] = NEVER
        if settings.max_initial_timestamp_index is not None:
            scores[:, first + settings.max_initial_timestamp_index + 1 :] = NEVER
    logs = scores - scores.max(1, keepdims=True)
    logs = logs - np.log(np.exp(logs).sum(1, keepdims=True))
    total = np.log(np.maximum(np.exp(logs[:, first:]).sum(1), np.finfo(np.float32).tiny))
    scores[total > logs[:, :first].max(1), :first] = NEVER
