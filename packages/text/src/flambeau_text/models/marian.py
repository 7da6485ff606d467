"""Marian (Junczys-Dowmunt et al. 2018), the nets of the OPUS-MT translators: BART with sinusoidal positions, embeddings not normalised."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import flambeau
from flambeau import nn
from flambeau.pretrained.config import Config
from flambeau_text.models.bart import BartConfig, BartForConditionalGeneration, BartModel, BartStack


class MarianConfig(BartConfig):
    """Options of Marian."""

    model_type = "marian"
    defaults = {
        **BartConfig.defaults, "vocab_size": 58101, "pad_token_id": 58100, "decoder_start_token_id": 58100, "bos_token_id": None,
        "eos_token_id": 0, "forced_eos_token_id": 0,
    }  # fmt: skip


def sinusoids(positions: int, width: int) -> np.ndarray[Any, Any]:
    """(positions, width): sines in the first half of a row and cosines in the second (Vaswani et al. 2017, not interleaved)."""
    rates = 10000.0 ** (-2.0 * (np.arange(width) // 2) / width)
    angles = np.arange(positions)[:, None] * rates
    return np.concatenate([np.sin(angles[:, 0::2]), np.cos(angles[:, 1::2])], 1).astype(np.float32)


class SinusoidalPositions(nn.Embedding):
    """A fixed table of positions."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__(positions, width, _weight=flambeau.from_numpy(sinusoids(positions, width)), _freeze=True)


class MarianStack(BartStack):
    """The encoder or the decoder."""

    positions_class = SinusoidalPositions
    normalised = False


class MarianModel(BartModel):
    """Encoder and decoder: ids (N, S) and decoder ids (N, L) -> `last_hidden_state` (N, L, E)."""

    config_class: ClassVar[type[Config]] = MarianConfig
    stack_class = MarianStack
    computed = (".embed_positions.weight",)

    def init_weights(self) -> None:
        super().init_weights()
        for stack in (self.encoder, self.decoder):
            table = stack.embed_positions.weight
            with flambeau.no_grad():
                table.copy_(flambeau.from_numpy(sinusoids(*table.shape)))


class MarianMTModel(BartForConditionalGeneration):
    """Marian with scores for the next token of the decoder; see `BartForConditionalGeneration`."""

    config_class: ClassVar[type[Config]] = MarianConfig
    base_class: ClassVar[type[BartModel]] = MarianModel
    computed = (".embed_positions.weight",)
