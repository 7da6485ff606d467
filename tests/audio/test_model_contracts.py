"""The contract of models, for each family: gradients, state, files, examples that do not affect each other, learning."""

from __future__ import annotations

from flambeau import nn
from flambeau.testing import ModelCase, floats, run, sample
from flambeau_audio import models

SPEECH = dict(
    vocab_size=5, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=4, conv_dim=(3, 4), conv_stride=(3, 2),
    conv_kernel=(4, 2), num_conv_pos_embeddings=3, num_conv_pos_embedding_groups=2, mask_time_prob=0.0,
)  # fmt: skip
STABLE = dict(SPEECH, feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)


class First(nn.Module):
    """A model's first output."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *inputs):
        return self.model(*inputs)[0]


CASES = [
    ModelCase(
        "wav2vec2", lambda: First(models.Wav2Vec2ForCTC(models.Wav2Vec2Config(**SPEECH))), [sample(floats(3, 40))], shapes=[(3, 6, 5)]
    ),
    ModelCase(
        "hubert", lambda: First(models.HubertForCTC(models.HubertConfig(**STABLE))), [sample(floats(3, 40))], shapes=[(3, 6, 5)]
    ),
]  # fmt: skip

test_contract = run(CASES)
