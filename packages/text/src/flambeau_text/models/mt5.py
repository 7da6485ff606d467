"""mT5 (Xue et al. 2020): T5 1.1, whose scores are not scaled, learnt from a hundred languages."""

from __future__ import annotations

from flambeau_text.models.t5 import T5Config, T5EncoderModel, T5ForConditionalGeneration, T5Model


class MT5Config(T5Config):
    """Options of mT5, with the defaults of its small model (300 million parameters)."""

    model_type = "mt5"
    defaults = {
        **T5Config.defaults, "vocab_size": 250112, "d_ff": 1024, "num_layers": 8, "num_heads": 6, "feed_forward_proj": "gated-gelu",
        "scale_decoder_outputs": False,
    }  # fmt: skip


class MT5Model(T5Model):
    """Encoder and decoder; see `T5Model`."""

    config_class = MT5Config


class MT5EncoderModel(T5EncoderModel):
    """The encoder alone; see `T5EncoderModel`."""

    config_class = MT5Config


class MT5ForConditionalGeneration(T5ForConditionalGeneration):
    """mT5 with scores for the next token of the decoder; see `T5ForConditionalGeneration`."""

    config_class = MT5Config
