"""The contract of models, for each family: gradients, state, files, examples that do not affect each other, learning."""

from __future__ import annotations

import flambeau as fb
from flambeau import nn
from flambeau.testing import ModelCase, floats, ints, run, sample
from flambeau_audio import models

SPEECH = dict(
    vocab_size=5, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=4, conv_dim=(3, 4), conv_stride=(3, 2),
    conv_kernel=(4, 2), num_conv_pos_embeddings=3, num_conv_pos_embedding_groups=2, mask_time_prob=0.0,
)  # fmt: skip
TACOTRON = dict(
    n_mels=2, n_symbol=3, symbol_embedding_dim=2, encoder_embedding_dim=2, encoder_n_convolution=1, encoder_kernel_size=3,
    decoder_rnn_dim=2, attention_rnn_dim=2, attention_hidden_dim=2, attention_location_n_filter=1, attention_location_kernel_size=3,
    prenet_dim=2, postnet_n_convolution=2, postnet_embedding_dim=2, postnet_kernel_size=3, prenet_dropout=0.0,
)  # fmt: skip
HIFIGAN = dict(
    model_in_dim=3, upsample_initial_channel=8, upsample_rates=(4, 2), upsample_kernel_sizes=(8, 4), resblock_kernel_sizes=(3, 5),
    resblock_dilation_sizes=((1, 3), (1, 2)), initializer_range=0.5,
)  # fmt: skip
WHISPER = dict(
    vocab_size=7, num_mel_bins=2, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
    encoder_ffn_dim=4, decoder_ffn_dim=4, d_model=4, max_source_positions=3, max_target_positions=5, pad_token_id=0, bos_token_id=1,
    eos_token_id=2, decoder_start_token_id=1, use_cache=False,
)  # fmt: skip
STABLE = dict(SPEECH, feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)


class First(nn.Module):
    """A model's first output."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *inputs):
        return self.model(*inputs)[0]


class Tokens(First):
    """The scores of an encoder-decoder's tokens."""

    def __init__(self, model):
        super().__init__(model)
        for name, parameter in model.named_parameters():
            if "encoder.embed_positions" not in name:
                nn.init.normal_(parameter, 0.0, 0.5)

    def forward(self, x, ids):
        return self.model(x, decoder_input_ids=ids).logits


class Bands(First):
    """Tacotron 2's bands and gates, all lengths being whole."""

    def forward(self, tokens, mel):
        whole = [fb.full((x.shape[0],), x.shape[-1], dtype=fb.int64, device=x.device) for x in (tokens, mel)]
        return self.model(tokens, whole[0], mel, whole[1])[:3]


class Whole(First):
    """The frames of a model that takes lengths."""

    def forward(self, x):
        return self.model(x, fb.full((x.shape[0],), x.shape[1], dtype=fb.int64, device=x.device))[0]


CASES = [
    ModelCase(
        "conformer", lambda: Whole(models.Conformer(4, 2, 6, 1, 3)), [sample(floats(3, 5, 4))], shapes=[(3, 5, 4)]
    ),
    ModelCase(
        "ecapa_tdnn",
        lambda: models.ECAPA_TDNN(3, 4, [8, 8, 8, 8, 12], attention_channels=3, res2net_scale=2, se_channels=3),
        [sample(floats(3, 9, 3))], shapes=[(3, 1, 4)],
    ),
    ModelCase(
        "hifigan", lambda: models.SpeechT5HifiGan(models.SpeechT5HifiGanConfig(**HIFIGAN)), [sample(floats(3, 4, 3))], shapes=[(3, 32)]
    ),
    ModelCase(
        "tacotron2",
        lambda: Bands(models.Tacotron2(**TACOTRON)),
        [sample(ints(2, 3, low=1, high=3), floats(2, 2, 3))],
        shapes=[(2, 2, 3), (2, 2, 3), (2, 3)],
        skip={"meta": "packed sequences need lengths on the host"},
    ),
    ModelCase(
        "wavenet",
        lambda: models.WaveNet(5, 4, 2, 4, 4, 4, cin_channels=2, gin_channels=3),
        [sample(ints(3, 6, low=0, high=5), floats(3, 2, 6), floats(3, 3))], shapes=[(3, 5, 6)],
    ),
    ModelCase(
        "whisper",
        lambda: Tokens(models.WhisperForConditionalGeneration(models.WhisperConfig(**WHISPER))),
        [sample(floats(3, 2, 6), ints(3, 4, low=3, high=7))],
        shapes=[(3, 4, 7)],
    ),
    ModelCase("xvector", lambda: models.Xvector(tdnn_channels=[4, 4, 4, 4, 6], lin_neurons=3, in_channels=3), [sample(floats(3, 9, 3))],
              shapes=[(3, 1, 3)]),
    ModelCase(
        "wav2vec2", lambda: First(models.Wav2Vec2ForCTC(models.Wav2Vec2Config(**SPEECH))), [sample(floats(3, 40))], shapes=[(3, 6, 5)]
    ),
    ModelCase(
        "hubert", lambda: First(models.HubertForCTC(models.HubertConfig(**STABLE))), [sample(floats(3, 40))], shapes=[(3, 6, 5)]
    ),
]  # fmt: skip

test_contract = run(CASES)
