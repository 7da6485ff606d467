"""The Transformer (Vaswani et al. 2017, "Attention Is All You Need"): encoder and decoder, sinusoidal positions, norms last, ReLU."""

from __future__ import annotations

from flambeau_text.models.bart import BartConfig
from flambeau_text.models.marian import MarianModel, MarianMTModel


class TransformerConfig(BartConfig):
    """Options of the Transformer, with the defaults of the paper's base model (65 million parameters with 37,000 tokens)."""

    model_type = "transformer"
    defaults = {
        **BartConfig.defaults, "vocab_size": 37000, "d_model": 512, "encoder_layers": 6, "decoder_layers": 6, "encoder_ffn_dim": 2048,
        "decoder_ffn_dim": 2048, "encoder_attention_heads": 8, "decoder_attention_heads": 8, "activation_function": "relu",
        "scale_embedding": True, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
        "forced_eos_token_id": None, "max_position_embeddings": 512,
    }  # fmt: skip


class TransformerModel(MarianModel):
    """Encoder and decoder: ids (N, S) and decoder ids (N, L) -> `last_hidden_state` (N, L, E)."""

    config_class = TransformerConfig

    def init_weights(self) -> None:
        self.config.init_std = self.config.d_model**-0.5  # embeddings are scaled by its inverse
        super().init_weights()


class TransformerForConditionalGeneration(MarianMTModel):
    """The Transformer with scores for the next token of the decoder: `logits` (N, L, vocabulary), and `loss` where `labels` are given.

    >>> import flambeau
    >>> config = TransformerConfig(
    ...     vocab_size=11,
    ...     d_model=8,
    ...     encoder_layers=1,
    ...     decoder_layers=1,
    ...     encoder_ffn_dim=16,
    ...     decoder_ffn_dim=16,
    ...     encoder_attention_heads=2,
    ...     decoder_attention_heads=2,
    ... )
    >>> out = TransformerForConditionalGeneration(config).eval()(flambeau.tensor([[3, 4, 2]]), labels=flambeau.tensor([[4, 3, 2]]))
    >>> out.logits.shape, out.loss.shape
    (flambeau.Size([1, 3, 11]), flambeau.Size([]))
    """

    config_class, base_class = TransformerConfig, TransformerModel
