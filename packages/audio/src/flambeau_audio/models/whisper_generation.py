"""`generate` of Whisper: log-mel frames in, tokens out; greedy, with or without times, for audio of any length."""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau.pretrained import ModelOutput
from flambeau_audio.models.whisper_rules import NEVER, allowed
from flambeau_audio.models.whisper_settings import WhisperSettings
from flambeau_audio.models.whisper_steps import Steps, steps_of

Array = np.ndarray[Any, Any]
STEP = 0.02  # seconds between two time tokens
STRIDE = 2  # frames of a time token


def generate(
    model: Any,
    input_features: Any,
    attention_mask: Any = None,
    *,
    language: str | None = None,
    task: str | None = None,
    return_timestamps: bool | None = None,
    return_segments: bool = False,
    max_new_tokens: int | None = None,
    generation_config: WhisperSettings | None = None,
) -> Any:
    """Write down what is said: the likeliest token each time.

    Args:
        model: a WhisperForConditionalGeneration.
        input_features: (N, bands, frames) of `WhisperFeatureExtractor`; more frames than the model reads at once are read in parts, each
            from the last time that was written, which needs `return_timestamps`.
        attention_mask: (N, frames), 0 for padding; it says where longer audio ends.
        language: "en", "english" or "<|en|>"; heard from the first part where it is absent and the model knows several.
        task: "transcribe" or "translate" (into English).
        return_timestamps: write times.
        return_segments: return `sequences` and `segments`, for each text a list of {"start", "end", "tokens"} in seconds.
        max_new_tokens: of each part.
        generation_config: the settings to start from; the model's own when absent.

    Returns the tokens that were written (N, L), padded, without the prompt and without the end.
    """
    settings = generation_config or WhisperSettings.of(model)
    features = flambeau.as_tensor(input_features)
    window = STRIDE * model.config.max_source_positions
    if features.dim() != 3 or features.shape[2] < window:
        expected = f"frames (N, bands, {window} or more)"
        raise ShapeError(explain("Whisper.generate", expected=expected, got=f"shape {tuple(features.shape)}"))
    times = settings.return_timestamps if return_timestamps is None else return_timestamps
    long = features.shape[2] > window
    if long and return_timestamps is False:
        hint = f"return_timestamps=True, or at most {window} frames"
        raise ArgumentError(explain("Whisper.generate", expected="times for long audio", got="return_timestamps=False", hint=hint))
    times = times or long
    if times and settings.times is None:
        raise ArgumentError(explain("Whisper.generate", expected="a no_timestamps_token_id in the settings", got="none"))
    with flambeau.no_grad():
        reader = _Reader(model, settings, times, max_new_tokens)
        parts = reader.read(features.to(next(model.parameters()).device), _ends(features, attention_mask, long), language, task)
    sequences = flambeau.from_numpy(_padded([[t for part in row for t in part["tokens"]] for row in parts], settings.pad_token_id))
    return ModelOutput(sequences=sequences, segments=parts) if return_segments else sequences


def _ends(features: Any, mask: Any, long: bool) -> list[int]:
    """How many frames of each row are read."""
    if mask is None or not long:
        return [features.shape[2]] * features.shape[0]
    return [int(n) for n in flambeau.as_tensor(mask).long().sum(-1).tolist()]


def _padded(rows: list[list[int]], fill: int) -> Array:
    out = np.full((len(rows), max(map(len, rows), default=0)), fill, np.int64)
    for row, tokens in zip(out, rows, strict=True):
        row[: len(tokens)] = tokens
    return out


class _Reader:
    """Reads the parts of a batch one after the other."""

    def __init__(self, model: Any, settings: WhisperSettings, times: bool, max_new_tokens: int | None) -> None:
        self.model, self.settings, self.times, self.most = model, settings, times, max_new_tokens
        self.window, self.length = STRIDE * model.config.max_source_positions, settings.max_length

    def read(self, features: Any, ends: list[int], language: str | None, task: str | None) -> list[list[dict[str, Any]]]:
        """The segments of each row."""
        count = features.shape[0]
        steps = steps_of(self.model, count)
        prompts: Array | None = None
        places = [0] * count
        segments: list[list[dict[str, Any]]] = [[] for _ in range(count)]
        while any(place < end for place, end in zip(places, ends, strict=True)):
            sizes = [max(0, min(end - place, self.window)) for place, end in zip(places, ends, strict=True)]
            part = flambeau.stack([self._part(row, place, size) for row, place, size in zip(features, places, sizes, strict=True)])
            steps.hear(self.model.model.encoder(part).last_hidden_state)
            if prompts is None:
                prompts = self._prompts(steps, count, language, task)
            written = self._write(steps, prompts)
            for i in range(count):
                if sizes[i]:
                    found, offset = self._segments(written[i], places[i], sizes[i])
                    segments[i] += found
                    places[i] += offset if offset > 0 else sizes[i]
        return segments

    def _part(self, row: Any, place: int, size: int) -> Any:
        """(bands, window) frames from a place on, zeros after the end."""
        return flambeau.nn.functional.pad(row[:, place : place + size], (0, self.window - size))

    def _prompts(self, steps: Steps, count: int, language: str | None, task: str | None) -> Array:
        """(N, P) tokens that the texts begin with."""
        settings = self.settings
        heard: list[Any] = [None] * count
        if settings.listens(language, task):
            scores = steps(np.full(count, settings.decoder_start_token_id))
            others = np.setdiff1d(np.arange(scores.shape[1]), list(settings.lang_to_id.values()))
            scores[:, others] = NEVER
            heard = scores.argmax(1).tolist()
            steps.restart()
        return np.array([settings.prompt(language, task, token, self.times) for token in heard])

    def _write(self, steps: Steps, prompts: Array) -> list[list[int]]:
        """Tokens after the prompts, until all texts end; without their ends."""
        settings, limit = self.settings, self._limit(prompts.shape[1])
        for column in prompts.T:
            scores = steps(column)
        written, done = np.zeros((len(prompts), 0), np.int64), np.zeros(len(prompts), bool)
        while True:
            tokens = np.where(done, settings.pad_token_id, allowed(scores, written, settings, self.times).argmax(1))
            written = np.concatenate([written, tokens[:, None]], 1)
            done |= tokens == settings.eos_token_id
            if done.all() or prompts.shape[1] + written.shape[1] >= limit:
                break
            scores = steps(tokens)
        rows = []
        for row in written.tolist():
            rows.append(row[: row.index(settings.eos_token_id)] if settings.eos_token_id in row else row)
        return rows

    def _limit(self, prompt: int) -> int:
        """How many tokens a text may have, with its prompt."""
        most: int = self.model.config.max_target_positions
        if self.most is not None:
            if self.most < 1 or prompt + self.most > most:
                raise ArgumentError(explain("Whisper.generate", expected=f"max_new_tokens from 1 to {most - prompt}", got=str(self.most)))
            return prompt + self.most
        if self.length is None:
            return most
        self.length = min(self.length + min(most // 2 - 1, prompt), most)  # with each part, as in transformers
        return self.length

    def _segments(self, tokens: list[int], place: int, size: int) -> tuple[list[dict[str, Any]], int]:
        """A part's tokens as segments in seconds, and how many frames were understood: up to the last pair of times, or all."""
        first = self.settings.times if self.settings.times is not None else self.model.config.vocab_size + 1
        start = place * STEP / STRIDE
        is_time = [token >= first for token in tokens]
        single = is_time[-2:] == [False, True]
        cuts = [i + 1 for i in range(len(tokens) - 1) if is_time[i] and is_time[i + 1]]
        if not cuts:
            last = int(size / STRIDE)
            known = [token for token in tokens if token >= first]
            if known and known[-1] != first:
                last = known[-1] - first
            return [{"start": start, "end": start + last * STEP, "tokens": tokens}], size
        cuts = [*cuts, len(tokens)] if single else [*cuts[:-1], cuts[-1] + 1]
        segments = []
        for i, (begin, end) in enumerate(zip([0, *cuts[:-1]], cuts, strict=True)):
            piece = tokens[begin:end]
            final = piece[-2 if i == len(cuts) - 1 and not single else -1]
            segments.append({"start": start + (piece[0] - first) * STEP, "end": start + (final - first) * STEP, "tokens": piece})
        return segments, size if single else (tokens[cuts[-1] - 2] - first) * STRIDE
