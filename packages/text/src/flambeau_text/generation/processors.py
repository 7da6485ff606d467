"""What changes scores before a token is chosen: (N, vocabulary) float32 arrays, and the (N, L) ids so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau_text.generation.settings import GenerationConfig

Array = np.ndarray[Any, Any]
Processor = Callable[[Array, Array], Array]
NEVER = np.float32(-np.inf)


def repetition_penalty(penalty: float) -> Processor:
    """Scores of tokens that have occurred are divided by the penalty, or multiplied where they are negative."""

    def process(ids: Array, scores: Array) -> Array:
        seen = np.take_along_axis(scores, ids, 1)
        changed = np.where(seen < 0, seen * np.float32(penalty), seen / np.float32(penalty))
        np.put_along_axis(scores, ids, changed, 1)
        return scores

    return process


def no_repeat_ngrams(size: int) -> Processor:
    """A token that would repeat a sequence of `size` tokens is never chosen."""

    def process(ids: Array, scores: Array) -> Array:
        for row, tokens in enumerate(ids.tolist()):
            before = tuple(tokens[len(tokens) - size + 1 :])
            for start in range(len(tokens) - size + 1):
                if tuple(tokens[start : start + size - 1]) == before:
                    scores[row, tokens[start + size - 1]] = NEVER
        return scores

    return process


def ban(tokens: list[int], while_shorter: int | None = None) -> Processor:
    """These tokens are never chosen (or only while there are fewer than `while_shorter` ids)."""

    def process(ids: Array, scores: Array) -> Array:
        if while_shorter is None or ids.shape[1] < while_shorter:
            scores[:, tokens] = NEVER
        return scores

    return process


def ban_sequences(words: list[list[int]]) -> Processor:
    """The last token of each of these sequences is never chosen after the others."""

    def process(ids: Array, scores: Array) -> Array:
        for word in words:
            before = len(word) - 1
            if before <= ids.shape[1]:
                follows = (ids[:, ids.shape[1] - before :] == word[:-1]).all(1)
                scores[follows, word[-1]] = NEVER
        return scores

    return process


def force(token: int, length: int) -> Processor:
    """At this length, this token is the only one."""

    def process(ids: Array, scores: Array) -> Array:
        if ids.shape[1] == length:
            scores[:] = NEVER
            scores[:, token] = 0
        return scores

    return process


def temperature(value: float) -> Processor:
    """Scores divided by the temperature."""
    return lambda ids, scores: scores / np.float32(value)


def top_k(count: int) -> Processor:
    """The `count` best tokens."""

    def process(ids: Array, scores: Array) -> Array:
        k = min(count, scores.shape[1])
        least = np.partition(scores, -k, axis=1)[:, -k, None]
        return np.where(scores < least, NEVER, scores)

    return process


def top_p(share: float) -> Processor:
    """The smallest set of best tokens with this share of the probability (Holtzman et al. 2019)."""

    def process(ids: Array, scores: Array) -> Array:
        order = np.argsort(scores, axis=1, kind="stable")
        sums = np.cumsum(softmax(np.take_along_axis(scores, order, 1)), axis=1)
        drop = sums <= 1 - share
        drop[:, -1] = False
        removed = np.zeros_like(drop)
        np.put_along_axis(removed, order, drop, 1)
        return np.where(removed, NEVER, scores)

    return process


def min_p(share: float) -> Processor:
    """Tokens with at least this share of the best one's probability (Nguyen et al. 2024)."""

    def process(ids: Array, scores: Array) -> Array:
        shares = softmax(scores)
        return np.where(shares < share * shares.max(1, keepdims=True), NEVER, scores)

    return process


def softmax(scores: Array) -> Array:
    """Probabilities along the last axis."""
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def log_softmax(scores: Array) -> Array:
    """Log probabilities along the last axis."""
    shifted = scores - scores.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def processors(config: GenerationConfig, prompt: int, limit: int) -> list[Processor]:
    """All that a configuration asks for, in Hugging Face's order; `prompt` and `limit` are lengths in tokens."""
    found: list[Processor] = []
    if config.repetition_penalty != 1.0:
        found.append(repetition_penalty(config.repetition_penalty))
    if config.no_repeat_ngram_size > 0:
        found.append(no_repeat_ngrams(config.no_repeat_ngram_size))
    if config.bad_words_ids:
        found.append(ban_sequences(config.bad_words_ids))
    if config.min_length and config.ends:
        found.append(ban(config.ends, config.min_length))
    if config.min_new_tokens and config.ends:
        found.append(ban(config.ends, prompt + config.min_new_tokens))
    if config.forced_bos_token_id is not None:
        found.append(force(config.forced_bos_token_id, 1))
    if config.forced_eos_token_id is not None:
        found.append(force(config.forced_eos_token_id, limit - 1))
    if config.do_sample:
        if config.temperature != 1.0:
            found.append(temperature(config.temperature))
        if config.top_k:
            found.append(top_k(config.top_k))
        if config.top_p < 1.0:
            found.append(top_p(config.top_p))
        if config.min_p is not None:
            found.append(min_p(config.min_p))
    return found
