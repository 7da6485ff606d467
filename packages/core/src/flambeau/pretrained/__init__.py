"""What models that come in Hugging Face's folders share: configuration, outputs by name, weights, attention with caches."""

from __future__ import annotations

from flambeau.base.lazy import lazy_attributes as _lazy_attributes

_FILES = {
    "activations": ("activation",),
    "attention": ("attend", "causal_mask", "decoder_mask", "merge_heads", "padding_mask", "split_heads"),
    "auto": ("Families",),
    "cache": ("Cache", "StaticCache"),
    "config": ("Config",),
    "places": ("locate", "shipped"),
    "losses": ("causal_loss", "classification_loss", "last_tokens", "span_loss", "token_loss"),
    "model": ("PretrainedModel", "read_weights", "scaled_residuals"),
    "outputs": ("ModelOutput",),
    "seq2seq": ("seq2seq_output", "shift_right"),
}

__all__ = sorted(name for names in _FILES.values() for name in names)

__getattr__, __dir__ = _lazy_attributes(
    globals(),
    attributes={name: f"{__name__}.{file}:{name}" for file, names in _FILES.items() for name in names},
)
