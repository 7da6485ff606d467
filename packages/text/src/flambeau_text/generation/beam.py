"""Beam search: several texts are followed at once, and the best complete ones are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from flambeau_text.generation.processors import Processor, log_softmax
from flambeau_text.generation.settings import GenerationConfig
from flambeau_text.generation.stepper import Stepper

Array = np.ndarray[Any, Any]
LOW = np.float32(-1e9)


@dataclass
class _Finished:
    """The best complete texts of each prompt: (N, beams, limit) ids, (N, beams) scores and whether they are complete."""

    ids: Array
    scores: Array
    done: Array

    def offer(self, ids: Array, scores: Array) -> None:
        """Take candidates (N, k, limit) with scores (N, k), LOW or less for those that are not complete."""
        width = self.scores.shape[1]
        scores_all = np.concatenate([self.scores, scores], 1)
        best = _top(scores_all, width)
        self.ids = _gather(np.concatenate([self.ids, ids], 1), best)
        self.done = _gather(np.concatenate([self.done, scores > LOW / 2], 1), best)
        self.scores = _gather(scores_all, best)


def beam_search(
    stepper: Stepper, ids: Array, config: GenerationConfig, chain: list[Processor], limit: int, fill: int, draw: Any
) -> tuple[Array, Array]:
    """(N * beams, L) prompts, each repeated -> (N, results, limit) ids and (N, results) scores, the best first.

    With `config.do_sample`, `draw(n, k)` gives uniform numbers (n, k), and candidates are drawn instead of taken.
    """
    beams, prompt = config.num_beams, ids.shape[1]
    count = len(ids) // beams
    keep = max(2, 1 + len(config.ends)) * beams
    running = np.full((count, beams, limit), fill, np.int64)
    running[:, :, :prompt] = ids.reshape(count, beams, prompt)
    scores = np.zeros((count, beams), np.float32)
    scores[:, 1:] = LOW  # the beams of a prompt begin alike
    finished = _Finished(running.copy(), np.full((count, beams), LOW, np.float32), np.zeros((count, beams), bool))
    hopeful = np.ones((count, 1), bool)
    for length in range(prompt, limit):
        flat = running[:, :, :length].reshape(count * beams, length)
        logs = log_softmax(stepper(flat))
        for process in chain:
            logs = process(flat, logs)
        logs = (logs.reshape(count, beams, -1) + scores[:, :, None]).astype(np.float32)
        vocabulary = logs.shape[2]
        logs = logs.reshape(count, -1)
        picks = _drawn(logs, keep, draw) if config.do_sample else _top(logs, keep)
        values, parents, tokens = np.take_along_axis(logs, picks, 1), picks // vocabulary, picks % vocabulary
        candidates = _gather(running, parents)
        candidates[:, :, length] = tokens
        ending = np.isin(tokens, config.ends) | (length + 1 >= limit)
        going = _top(values + ending * LOW, beams)
        running, scores = _gather(candidates, going), _gather(values + ending * LOW, going)
        offered = values / np.float32((length + 1 - prompt) ** config.length_penalty)
        full = finished.done.all(1, keepdims=True) & (config.early_stopping is True)
        top = np.arange(keep) < beams
        offered = offered + (full * LOW + ~hopeful * LOW + ~(ending & top) * LOW)
        finished.offer(candidates, offered)
        rows = np.arange(count)[:, None] * beams + _gather(parents, going)
        stepper.reorder(rows.reshape(-1))
        hopeful = hopeful & _may_improve(scores, finished, config, length + 1 - prompt, limit - prompt)
        if not hopeful.any() or ending.all() or (config.early_stopping is True and finished.done.all()):
            break
    return finished.ids[:, : config.num_return_sequences], finished.scores[:, : config.num_return_sequences]


def _may_improve(scores: Array, finished: _Finished, config: GenerationConfig, length: int, longest: int) -> Array:
    """Whether a running text could still beat the worst complete one, by Hugging Face's heuristic."""
    reach = longest if config.early_stopping == "never" and config.length_penalty > 0 else length
    best = scores[:, :1] / np.float32(reach**config.length_penalty)
    worst = np.where(finished.done, finished.scores.min(1, keepdims=True), LOW)
    return np.asarray((best > worst).any(1, keepdims=True))


def _top(scores: Array, count: int) -> Array:
    """The places of the `count` greatest of each row, in order; of equal ones the first."""
    if scores.shape[1] > 4 * count:
        part = np.sort(np.argpartition(-scores, count, axis=1)[:, : count + 1], axis=1)
        order = np.argsort(-np.take_along_axis(scores, part, 1), axis=1, kind="stable")[:, :count]
        return np.take_along_axis(part, order, 1)
    return np.argsort(-scores, axis=1, kind="stable")[:, :count]


def _drawn(logs: Array, count: int, draw: Any) -> Array:
    """`count` places of each row without repetition, drawn in proportion to exp(logs), the most probable first (Gumbel's trick)."""
    noise = -np.log(-np.log(np.clip(draw(*logs.shape), 1e-20, 1 - 1e-7)))
    chosen = _top((logs + noise).astype(np.float32), count)
    order = np.argsort(-np.take_along_axis(logs, chosen, 1), axis=1, kind="stable")
    return np.take_along_axis(chosen, order, 1)


def _gather(values: Array, places: Array) -> Array:
    """Rows (N, k, ...) at places (N, m)."""
    return values[np.arange(len(values))[:, None], places]
