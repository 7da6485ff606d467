"""Models without transformers: golden outputs, random masks, errors, files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ShapeError
from flambeau_audio.models import (
    HubertConfig,
    HubertForSequenceClassification,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    Wav2Vec2ForPreTraining,
    auto,
    load_config,
    load_model,
    mask_spans,
    sample_negatives,
)

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "audio_models.npz"))
NAMES = sorted({key.partition("/")[0] for key in GOLDEN})
TINY = dict(
    vocab_size=5, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, conv_dim=(4, 4), conv_stride=(4, 2),
    conv_kernel=(8, 2), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, mask_time_length=3,
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_golden_outputs(name):
    config = json.loads(str(GOLDEN[f"{name}/config"]))
    cls = auto.families.model_class(config)
    model, start = cls(cls.config_class(**config)), f"{name}/weight/"
    state = {key[len(start) :]: fb.tensor(value.astype(np.float32) / 64) for key, value in GOLDEN.items() if key.startswith(start)}
    model.load_weights(state, name)
    start = f"{name}/input/"
    inputs = {key[len(start) :]: fb.tensor(value) for key, value in GOLDEN.items() if key.startswith(start)}
    with fb.no_grad():
        found = next(value for value in model.eval()(**inputs).values() if value.dim())
    np.testing.assert_allclose(found.numpy(), GOLDEN[f"{name}/output"], rtol=1e-4, atol=1e-4)


def test_spans_that_are_hidden():
    fb.manual_seed(0)
    lengths = fb.tensor([50, 50, 20, 2])
    masks = np.stack([mask_spans((4, 50), 0.4, 5, 1, lengths).numpy() for _ in range(300)])
    assert not masks[:, 2, 20:].any() and not masks[:, 3].any()  # no span ends in padding, none fits into two frames
    for mask in masks[:50].reshape(-1, 50):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], mask, [0]])))
        assert (edges[1::2] - edges[::2] >= 5).all()  # whole spans
    assert (masks[:, :2].sum(2) <= 5 * 5).all() and (masks[:, :2].sum(2) >= 5).all()
    often = masks[:, :2].mean((0, 1))
    assert 0.25 < often[10:40].mean() < 0.4 and often[10:40].min() > 0.2  # everywhere alike
    assert np.array_equal(masks[0], masks[0]) and not np.array_equal(masks[0], masks[1])
    fb.manual_seed(0)
    np.testing.assert_array_equal(mask_spans((4, 50), 0.4, 5, 1, lengths).numpy(), masks[0])
    with pytest.raises(ArgumentError, match="mask_length from 1 to the length 4"):
        mask_spans((1, 4), 0.5, 5)
    assert not mask_spans((2, 9), 0.0, 10**0 * 9).any()


def test_negatives_are_other_hidden_frames():
    fb.manual_seed(0)
    mask = np.zeros((3, 12), bool)
    mask[0, [1, 4, 5]] = mask[1, [0, 11]] = mask[2, 3:9] = True
    found = sample_negatives(fb.tensor(mask), 200).numpy()
    for row, place in zip(*np.nonzero(mask), strict=True):
        others = set(np.flatnonzero(mask[row])) - {place}
        drawn, counts = np.unique(found[row, place] - row * 12, return_counts=True)
        assert set(drawn) == others
        assert counts.min() > 0.4 * 200 / len(others)


def test_pretraining_learns():
    fb.manual_seed(0)
    config = Wav2Vec2Config(**TINY, num_codevectors_per_group=4, codevector_dim=4, proj_codevector_dim=4, num_negatives=5, layerdrop=0.0)
    model = Wav2Vec2ForPreTraining(config).train()
    waves = fb.randn(2, 320)
    mask = mask_spans((2, 39), 0.5, 3)
    negatives = sample_negatives(mask, 5)
    optimizer = fb.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        loss = model(waves, mask_time_indices=mask, sampled_negative_indices=negatives).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_layers_left_out_and_frozen_convolutions():
    fb.manual_seed(0)
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**TINY, hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, final_dropout=0.0,
                                          mask_time_prob=0.0, layerdrop=1.0)).train()  # fmt: skip
    out = model(fb.randn(1, 100), output_hidden_states=True)
    np.testing.assert_array_equal(out.hidden_states[0].detach().numpy(), out.hidden_states[1].detach().numpy())
    model.freeze_feature_encoder()
    out.logits.sum()
    model(fb.randn(1, 100)).logits.sum().backward()
    assert model.wav2vec2.feature_extractor.conv_layers[0].conv.weight.grad is None
    assert model.wav2vec2.feature_projection.projection.weight.grad is not None


def test_training_hides_frames_and_gives_the_mask_a_gradient():
    fb.manual_seed(0)
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**TINY, mask_time_prob=0.5, mask_feature_prob=0.3, mask_feature_length=2)).train()
    loss = model(fb.randn(2, 200), labels=fb.tensor([[1, 2], [3, -100]])).loss
    loss.backward()
    assert float(model.wav2vec2.masked_spec_embed.grad.abs().sum()) > 0


def test_labels_with_gaps():
    fb.manual_seed(0)
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**TINY)).eval()
    waves = fb.randn(1, 200)
    one, other = (float(model(waves, labels=fb.tensor([labels])).loss) for labels in ([1, 3, -100], [1, -100, 3]))
    assert one == other


def test_shapes_that_are_wrong():
    model = HubertForSequenceClassification(HubertConfig(**TINY)).eval()
    assert model(fb.randn(2, 100)).logits.shape == (2, 2)
    with pytest.raises(ShapeError, match=r"waveforms \(N, T\), got shape \(2, 1, 100\)"):
        model(fb.randn(2, 1, 100))
    assert model(fb.randn(1, 12)).logits.shape == (1, 2)
    with pytest.raises(ShapeError, match="12 samples at least, got 11"):
        model(fb.randn(1, 11))


@pytest.mark.parametrize(
    "wrong",
    [
        dict(conv_dim=[4]), dict(conv_kernel=[8, 0]), dict(conv_stride=3), dict(feat_extract_norm="batch"), dict(hidden_size=9),
        dict(num_conv_pos_embedding_groups=3), dict(mask_time_prob="x"), dict(num_hidden_layers=0), dict(add_adapter=True),
        dict(mask_feature_min_masks=-1),
    ],
    ids=str,
)  # fmt: skip
def test_options_that_make_no_sense(wrong):
    with pytest.raises(ArgumentError, match="Wav2Vec2Config"):
        Wav2Vec2Config(**{**TINY, **wrong})


def test_files(tmp_path):
    fb.manual_seed(0)
    model = Wav2Vec2ForCTC(Wav2Vec2Config(**TINY)).eval()
    model.save_pretrained(tmp_path)
    waves = fb.randn(2, 100)
    np.testing.assert_array_equal(load_model(tmp_path)(waves).logits.detach().numpy(), model(waves).logits.detach().numpy())
    assert load_config(tmp_path) == model.config
    with pytest.warns(UserWarning, match="new weights for"):
        assert load_model(tmp_path, "sequence-classification", num_labels=4)(waves).logits.shape == (2, 4)
    with pytest.raises(ArgumentError, match="a folder, or org/name"):
        load_model("nowhere")
