"""`generate`: ids in, ids out; greedy, sampled, or by beam search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau_text.generation.beam import beam_search
from flambeau_text.generation.processors import Processor, processors, softmax
from flambeau_text.generation.settings import GenerationConfig
from flambeau_text.generation.stepper import Stepper
from flambeau_text.generation.streaming import StopStrings

Array = np.ndarray[Any, Any]


def generate(
    model: Any,
    input_ids: Any,
    attention_mask: Any = None,
    *,
    generation_config: GenerationConfig | None = None,
    stop_strings: Sequence[str] | str | None = None,
    tokenizer: Any = None,
    streamer: Any = None,
    generator: Any = None,
    **settings: Any,
) -> Any:
    """Continue texts.

    Args:
        model: one with a language head.
        input_ids: (N, L) ids; for an encoder-decoder, the encoder's input. Pad on the left for a decoder alone.
        attention_mask: (N, L), 0 for padding; made from the padding token where it is absent.
        generation_config: the settings to start from; the model's own when absent.
        stop_strings: strings that end a text; needs `tokenizer`.
        streamer: receives the ids of the prompt and of each token, `put(ids)` and `end()`; for one text.
        generator: of the random numbers.
        settings: fields of `GenerationConfig`.

    Returns the ids (N * num_return_sequences, L): the prompt and what was added (the decoder's ids, for an encoder-decoder), padded.
    """
    config = (generation_config or GenerationConfig.of(model)).update(**settings)
    given = flambeau.as_tensor(input_ids)
    if given.numel() and given.is_floating_point():
        raise ArgumentTypeError(explain("generate", expected="input_ids, whole numbers", got=str(given.dtype)))
    ids = np.array(given.numpy(), np.int64)
    if ids.ndim != 2 or ids.shape[1] == 0:
        raise ArgumentError(explain("generate", expected="input_ids (N, L) with at least one token", got=str(ids.shape)))
    if ids.size and not 0 <= ids.min() <= ids.max() < model.config.vocab_size:
        got = f"{ids.min()} to {ids.max()}"
        raise ArgumentError(explain("generate", expected=f"ids below the vocabulary of {model.config.vocab_size}", got=got))
    if streamer is not None and len(ids) != 1:
        raise ArgumentError(explain("generate", expected="one text with a streamer", got=str(len(ids))))
    mask = _mask(ids, attention_mask, config, bool(model.config.is_encoder_decoder))
    repeat = max(config.num_beams, 1 if config.num_beams > 1 else config.num_return_sequences)
    encoded = None
    if model.config.is_encoder_decoder:
        ids, mask, encoded = _encode(model, ids, mask, config, repeat)
    else:
        ids, mask = ids.repeat(repeat, 0), mask.repeat(repeat, 0)
    limit = ids.shape[1] + config.max_new_tokens if config.max_new_tokens is not None else config.max_length
    if limit < ids.shape[1]:
        got = f"a prompt of {ids.shape[1]}"
        raise ArgumentError(explain("generate", expected=f"a prompt shorter than max_length={limit}", got=got, hint="max_new_tokens=..."))
    room = limit if config.cache_implementation == "static" else None
    stepper = Stepper(model, mask, encoded, max_length=room, use_cache=config.use_cache)
    chain = processors(config, ids.shape[1], limit)

    def draw(*shape: int) -> Array:
        return np.array(flambeau.rand(*shape, generator=generator, dtype=flambeau.float64).numpy())

    fill = _fill(config)
    if config.num_beams > 1:
        if stop_strings is not None or streamer is not None:
            raise ArgumentError(explain("generate", expected="no stop_strings and no streamer with beams", got=f"{config.num_beams} beams"))
        found, _ = beam_search(stepper, ids, config, chain, limit, fill, draw)
        return flambeau.from_numpy(_trimmed(found.reshape(-1, limit), ids.shape[1], config.ends, fill))
    stop = None if stop_strings is None else StopStrings(_needed(tokenizer), stop_strings)
    return flambeau.from_numpy(_follow(stepper, ids, limit, _Choice(config, chain, draw, stop, streamer, fill)))


def _needed(tokenizer: Any) -> Any:
    if tokenizer is None:
        raise ArgumentError(explain("generate", expected="a tokenizer, for stop_strings", got="none"))
    return tokenizer


class _Choice:
    """How the next token is chosen, and when a text has ended."""

    def __init__(
        self, config: GenerationConfig, chain: list[Processor], draw: Any, stop: StopStrings | None, streamer: Any, fill: int
    ) -> None:
        self.config, self.chain, self.draw, self.stop, self.streamer, self.fill = config, chain, draw, stop, streamer, fill

    def __call__(self, ids: Array, scores: Array) -> Array:
        """(N, L) ids and (N, vocabulary) scores -> (N,) tokens."""
        for process in self.chain:
            scores = process(ids, scores)
        if not self.config.do_sample:
            return scores.argmax(1)
        sums = softmax(scores.astype(np.float64)).cumsum(1)
        return (sums < self.draw(len(ids), 1) * sums[:, -1:]).sum(1)

    def ended(self, ids: Array, prompt: int) -> Array:
        """(N,) whether each text has ended with its last token."""
        ended = np.isin(ids[:, -1], self.config.ends)
        if self.stop is not None:
            ended |= np.array([self.stop(row[prompt:]) for row in ids.tolist()])
        return ended


def _follow(stepper: Stepper, ids: Array, limit: int, choice: _Choice) -> Array:
    """Add one token after another to each text until all have ended."""
    prompt, done = ids.shape[1], np.zeros(len(ids), bool)
    if choice.streamer is not None:
        choice.streamer.put(ids[0].tolist())
    while ids.shape[1] < limit and not done.all():
        tokens = np.where(done, choice.fill, choice(ids, stepper(ids)))
        ids = np.concatenate([ids, tokens[:, None]], 1)
        done |= choice.ended(ids, prompt)
        if choice.streamer is not None:
            choice.streamer.put([int(tokens[0])])
    if choice.streamer is not None:
        choice.streamer.end()
    return ids


def _mask(ids: Array, given: Any, config: GenerationConfig, encoder: bool) -> Array:
    if given is not None:
        mask = np.array(flambeau.as_tensor(given).numpy(), np.int64)
        if mask.shape != ids.shape:
            raise ArgumentError(explain("generate", expected=f"an attention_mask of shape {ids.shape}", got=str(mask.shape)))
    elif config.pad_token_id is not None and config.pad_token_id not in config.ends:
        mask = (ids != config.pad_token_id).astype(np.int64)
    else:
        mask = np.ones_like(ids)
    if not encoder and not mask[:, -1].all():
        got = "a text that ends with padding"
        raise ArgumentError(explain("generate", expected="padding on the left", got=got, hint='tokenizer.config["padding_side"] = "left"'))
    return mask


def _encode(model: Any, ids: Array, mask: Array, config: GenerationConfig, repeat: int) -> tuple[Array, Array, Any]:
    """The decoder's first token, the encoder's mask and its output, for each text `repeat` times."""
    start = config.decoder_start_token_id if config.decoder_start_token_id is not None else config.bos_token_id
    if start is None:
        raise ArgumentError(explain("generate", expected="a decoder_start_token_id in the configuration", got="none"))
    device = next(model.parameters()).device
    encoder = model.encoder if "encoder" in model._modules else model.base_model.encoder
    with flambeau.no_grad():
        out = encoder(flambeau.from_numpy(ids).to(device), flambeau.from_numpy(mask).to(device))
        memory = out.last_hidden_state.repeat_interleave(repeat, 0)
    return np.full((len(ids) * repeat, 1), start, np.int64), mask.repeat(repeat, 0), (memory,)


def _fill(config: GenerationConfig) -> int:
    """What follows the end of a text."""
    return config.pad_token_id if config.pad_token_id is not None else (config.ends or [0])[0]


def _trimmed(ids: Array, prompt: int, ends: list[int], fill: int) -> Array:
    """Without the columns after the longest text's end."""
    length = ids.shape[1]
    while length > prompt + 1 and (ids[:, length - 1] == fill).all() and _all_ended(ids[:, prompt : length - 1], ends):
        length -= 1
    return ids[:, :length]


def _all_ended(new: Array, ends: list[int]) -> bool:
    return bool(np.isin(new, ends).any(1).all())
