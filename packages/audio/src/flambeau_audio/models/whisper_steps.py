"""Whisper's decoder one token at a time, as one compiled program: caches of fixed size hold what was written and what was heard."""

from __future__ import annotations

from typing import Any

import numpy as np

import flambeau
from flambeau.pretrained import StaticCache

Array = np.ndarray[Any, Any]


class Steps:
    """The program and its caches for a batch; kept with the model and used again for other audio.

    Args:
        model: a WhisperForConditionalGeneration.
        batch: how many texts are written at once.
    """

    def __init__(self, model: Any, batch: int) -> None:
        config, parameter = model.config, next(model.parameters())
        self.model, self.device, where = model, parameter.device, {"dtype": parameter.dtype, "device": parameter.device}
        heads = config.decoder_attention_heads
        size = config.d_model // heads
        self.cache = StaticCache(config.decoder_layers, batch, heads, config.max_target_positions, size, **where)
        shape = (batch, heads, config.max_source_positions, size)
        self.cache.cross = {i: (flambeau.zeros(*shape, **where), flambeau.zeros(*shape, **where)) for i in range(config.decoder_layers)}
        self.program = flambeau.compile(self._read)

    def hear(self, memory: Any) -> None:
        """Begin new texts for the encoder's states (N, S, E)."""
        for i, layer in enumerate(self.model.model.decoder.layers):
            for buffer, value in zip(self.cache.cross[i], layer.encoder_attn.keys(memory), strict=True):
                buffer.copy_(value)
        self.restart()

    def restart(self) -> None:
        """Begin new texts for what was heard."""
        self.cache.read = 0
        self.cache.position.zero_()

    def __call__(self, tokens: Array) -> Array:
        """(N,) tokens that come next -> (N, vocabulary) float32 scores of the ones after them."""
        self.cache.claim(1)
        column = flambeau.tensor(tokens[:, None].tolist(), dtype=flambeau.int64, device=self.device)
        return np.array(self.program(column).float().numpy(), np.float32)

    def _read(self, tokens: Any) -> Any:
        out = self.model.model.decoder(tokens, None, None, self.cache)
        return self.model.proj_out(out.last_hidden_state)[:, -1]


class _Kept(dict[Any, Steps]):
    """Programs by batch. Copies of a model make their own."""

    def __deepcopy__(self, memo: Any) -> _Kept:
        return _Kept()

    def __reduce__(self) -> Any:
        return _Kept, ()


def steps_of(model: Any, batch: int) -> Steps:
    """The steps of a model for a batch."""
    kept = model.__dict__.setdefault("_whisper_steps", _Kept())
    key = (batch, str(next(model.parameters()).device))
    if key not in kept:
        kept.clear()  # one program at a time: each holds caches
        kept[key] = Steps(model, batch)
    found: Steps = kept[key]
    return found
