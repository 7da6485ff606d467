"""Runs a model token by token and hides how: caches that grow or are static and compiled, padding, encoders."""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, explain
from flambeau.pretrained.cache import Cache, StaticCache

Array = np.ndarray[Any, Any]
ROOM = 64  # static caches have room for a multiple of so many tokens


class Stepper:
    """Scores of the next token for a batch of texts.

    Args:
        model: with a language head; a decoder alone, or an encoder and a decoder.
        mask: (N, L) ones for tokens and zeros for padding of the prompt; for an encoder-decoder, of the encoder's input.
        encoded: the encoder's output, where there is one.
        max_length: room of the static cache; None for one that grows.
        use_cache: without it, each step reads the whole text again.
    """

    def __init__(self, model: Any, mask: Array, encoded: Any = None, *, max_length: int | None = None, use_cache: bool = True) -> None:
        self.model, self.mask, self.encoded, self.use_cache = model, mask, encoded, use_cache
        self.device = next(model.parameters()).device
        self.cache: Any = Cache() if use_cache else None
        self.static: _StaticStep | None = None
        if max_length is not None:
            self.static = _static_step(model, mask, encoded, max_length)
            self.cache = self.static.cache

    def __call__(self, ids: Array) -> Array:
        """(N, L) ids so far -> (N, vocabulary) float32 scores of the next token. Only new tokens are read."""
        done = self.cache.get_seq_length() if self.cache is not None else 0
        new = ids[:, done:]
        with flambeau.no_grad():
            if self.static is not None:
                scores = self.static(new)
            else:
                logits = self.model(**self._inputs(new, ids.shape[1]), past_key_values=self.cache, use_cache=self.use_cache).logits
                scores = logits[:, -1]
        return np.array(scores.float().numpy(), np.float32)

    def _inputs(self, new: Array, length: int) -> dict[str, Any]:
        if self.encoded is not None:
            memory_mask = self._tensor(self.mask)
            return {"decoder_input_ids": self._tensor(new), "encoder_outputs": self.encoded, "attention_mask": memory_mask}
        inputs = {"input_ids": self._tensor(new)}
        if not self.mask.all():
            whole = np.concatenate([self.mask, np.ones((len(new), length - self.mask.shape[1]), self.mask.dtype)], 1)
            inputs["attention_mask"] = self._tensor(whole)
            inputs["position_ids"] = self._tensor(np.maximum(whole.cumsum(1) - 1, 0)[:, -new.shape[1] :])
        return inputs

    def _tensor(self, array: Array) -> Any:
        return flambeau.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def reorder(self, rows: Array) -> None:
        """Keep these rows of the batch, in this order."""
        if self.cache is not None:
            self.cache.reorder(self._tensor(rows))


class _StaticStep:
    """A static cache and the compiled program that reads one token with it; kept with the model and used again."""

    def __init__(self, model: Any, batch: int, max_length: int) -> None:
        self.model = model
        config = model.config
        heads = getattr(config, "decoder_attention_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        heads = getattr(config, "num_key_value_heads", None) or heads
        layers = getattr(config, "decoder_layers", None) or getattr(config, "num_decoder_layers", None) or config.num_hidden_layers
        parameter = next(model.parameters())
        where = {"dtype": parameter.dtype, "device": parameter.device}
        self.cache = StaticCache(layers, batch, heads, max_length, size, **where)
        self.mask = flambeau.ones(batch, max_length, dtype=flambeau.int64, device=parameter.device)
        self.pads = flambeau.zeros(batch, 1, dtype=flambeau.int64, device=parameter.device)
        self.step = flambeau.compile(self._read)
        self.encoded: Any = None
        self.memory_mask: Any = None

    def reset(self, mask: Array, encoded: Any) -> None:
        """Begin anew with other texts."""
        self.cache.read = 0
        self.cache.cross = {}
        self.cache.position.zero_()
        if encoded is None:
            whole = np.ones(tuple(self.mask.shape), np.int64)
            whole[:, : mask.shape[1]] = mask
            self.mask.copy_(flambeau.from_numpy(whole))
            self.pads.copy_(flambeau.from_numpy((mask.shape[1] - mask.sum(1, keepdims=True)).astype(np.int64)))
        else:
            self.encoded, self.memory_mask = encoded, flambeau.from_numpy(mask)
            self.step = flambeau.compile(self._read)  # the program holds the encoder's output

    def __call__(self, new: Array) -> Any:
        self.cache.claim(new.shape[1])
        tokens = flambeau.tensor(new.tolist(), dtype=flambeau.int64, device=self.mask.device)  # fresh memory: strides are part of a kind
        return self.step(tokens) if new.shape[1] == 1 else self._read(tokens)

    def _read(self, tokens: Any) -> Any:
        if self.encoded is not None:
            out = self.model(
                decoder_input_ids=tokens, encoder_outputs=self.encoded, attention_mask=self.memory_mask, past_key_values=self.cache
            )
        else:
            positions = (self.cache.positions(tokens.shape[1], tokens.device)[None] - self.pads).clamp(min=0)
            out = self.model(tokens, past_key_values=self.cache, attention_mask=self.mask, position_ids=positions)
        return out.logits[:, -1]


class _Steps(dict[Any, _StaticStep]):
    """Programs by batch and room. Copies of a model make their own."""

    def __deepcopy__(self, memo: Any) -> _Steps:
        return _Steps()

    def __reduce__(self) -> Any:
        return _Steps, ()


def _static_step(model: Any, mask: Array, encoded: Any, max_length: int) -> _StaticStep:
    limit = model.config.max_position_embeddings if getattr(model, "bounded", False) else None
    if limit is not None and max_length > limit:
        got = f"room for {max_length}"
        raise ArgumentError(explain("generate", expected=f"at most {limit} tokens, for which the model has positions", got=got))
    max_length = -(-max_length // ROOM) * ROOM  # prompts of other lengths use the same program
    max_length = max_length if limit is None else min(max_length, limit)
    kept = model.__dict__.setdefault("_static_steps", _Steps())
    key = (len(mask), max_length, model.training, str(next(model.parameters()).device))
    if key not in kept:
        kept.clear()  # one program at a time: each holds a cache
        kept[key] = _StaticStep(model, len(mask), max_length)
    kept[key].reset(mask, encoded)
    step: _StaticStep = kept[key]
    return step
