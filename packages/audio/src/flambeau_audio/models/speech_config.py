"""The options that wav2vec 2.0 and its relatives share."""

from __future__ import annotations

from math import prod
from typing import Any, ClassVar

from flambeau.base.errors import ArgumentError, explain
from flambeau.pretrained import Config


class SpeechConfig(Config):
    """Options of a model that reads waveforms: convolutions, then a Transformer. The defaults are those of the base models."""

    defaults: ClassVar[dict[str, Any]] = {
        "vocab_size": 32, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
        "hidden_act": "gelu", "hidden_dropout": 0.1, "activation_dropout": 0.1, "attention_dropout": 0.1, "feat_proj_dropout": 0.0,
        "final_dropout": 0.1, "layerdrop": 0.1, "layer_norm_eps": 1e-5, "feat_extract_norm": "group", "feat_extract_activation": "gelu",
        "conv_dim": (512,) * 7, "conv_stride": (5, 2, 2, 2, 2, 2, 2), "conv_kernel": (10, 3, 3, 3, 3, 2, 2), "conv_bias": False,
        "num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16, "do_stable_layer_norm": False, "apply_spec_augment": True,
        "mask_time_prob": 0.05, "mask_time_length": 10, "mask_time_min_masks": 2, "mask_feature_prob": 0.0, "mask_feature_length": 10,
        "mask_feature_min_masks": 0, "ctc_loss_reduction": "sum", "ctc_zero_infinity": False, "use_weighted_layer_sum": False,
        "classifier_proj_size": 256, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    divisible: ClassVar[tuple[tuple[str, str], ...]] = (
        ("hidden_size", "num_attention_heads"),
        ("hidden_size", "num_conv_pos_embedding_groups"),
    )
    may_be_zero = ("mask_time_min_masks", "mask_feature_min_masks")

    def check(self) -> None:
        super().check()
        layers = [getattr(self, name) for name in ("conv_dim", "conv_stride", "conv_kernel")]
        check_layers(type(self).__name__, "conv_dim, conv_stride and conv_kernel", layers)
        if self.feat_extract_norm not in ("group", "layer"):
            got = repr(self.feat_extract_norm)
            raise ArgumentError(explain(f"{type(self).__name__}.feat_extract_norm", expected='"group" or "layer"', got=got))

    @property
    def inputs_to_logits_ratio(self) -> int:
        """How many samples make one frame."""
        return prod(self.conv_stride)

    @property
    def masks(self) -> bool:
        """Whether the model hides spans in training."""
        return bool(self.mask_time_prob > 0 or self.mask_feature_prob > 0)


def check_layers(owner: str, names: str, lists: list[Any]) -> None:
    """Raise ArgumentError unless these are lists of positive whole numbers that are equally long."""
    fine = all(isinstance(values, (list, tuple)) and values for values in lists)
    fine = fine and all(type(value) is int and value > 0 for values in lists for value in values)
    if not fine or len({len(values) for values in lists}) != 1:
        raise ArgumentError(explain(f"{owner} {names}", expected="equally many positive ints", got=repr(lists)[:120]))
