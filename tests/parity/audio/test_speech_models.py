"""wav2vec 2.0 and its relatives against transformers: the same weights give the same keys, outputs, losses, gradients and files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1] / "text"))

from reference import have_transformers, transformers  # noqa: E402

if not have_transformers:
    pytest.skip("transformers is not installed", allow_module_level=True)

import flambeau as fb  # noqa: E402
from flambeau_audio import models  # noqa: E402
from flambeau_audio.models import load_model  # noqa: E402

torch.set_num_threads(1)
TOLERANCE = dict(rtol=1e-4, atol=1e-4)
SMALL = dict(
    vocab_size=12, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24, conv_dim=(8, 8, 12),
    conv_stride=(5, 2, 2), conv_kernel=(10, 3, 2), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=4, mask_time_length=3,
    num_codevectors_per_group=6, codevector_dim=8, proj_codevector_dim=10, num_negatives=3, classifier_proj_size=6, num_labels=3,
    tdnn_dim=(8, 8, 10), tdnn_kernel=(3, 3, 1), tdnn_dilation=(1, 2, 1), xvector_output_dim=6,
)  # fmt: skip
LARGE = dict(SMALL, feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True)
CASES = [
    ("Wav2Vec2Model", SMALL), ("Wav2Vec2Model", LARGE), ("Wav2Vec2Model", dict(SMALL, num_conv_pos_embeddings=7, mask_time_prob=0.0)),
    ("Wav2Vec2ForCTC", SMALL), ("Wav2Vec2ForCTC", dict(LARGE, ctc_loss_reduction="mean")), ("Wav2Vec2ForPreTraining", SMALL),
    ("Wav2Vec2ForPreTraining", LARGE), ("Wav2Vec2ForSequenceClassification", SMALL),
    ("Wav2Vec2ForSequenceClassification", dict(LARGE, use_weighted_layer_sum=True)), ("Wav2Vec2ForXVector", SMALL),
    ("HubertModel", SMALL), ("HubertModel", LARGE), ("HubertModel", dict(SMALL, conv_pos_batch_norm=True, feat_proj_layer_norm=False)),
    ("HubertForCTC", SMALL), ("HubertForSequenceClassification", LARGE),
]  # fmt: skip
LENGTHS = (700, 520)


def over(*parts):
    chosen = [(i, case) for i, case in enumerate(CASES) if not parts or any(part in case[0] for part in parts)]
    return pytest.mark.parametrize(("name", "options"), [case for _, case in chosen], ids=[f"{case[0]}-{i}" for i, case in chosen])


each = over()


@pytest.fixture
def pair(name, options, tmp_path):
    """transformers' model with random weights, and ours read from the folder that it wrote."""
    torch.manual_seed(0)
    cls = getattr(transformers, name)
    theirs = cls(cls.config_class(**{**dict(attn_implementation="eager"), **options})).eval()
    with torch.no_grad():
        for key, parameter in theirs.named_parameters():
            if "codevectors" not in key:
                parameter.add_(0.2 * torch.randn_like(parameter))
    theirs.save_pretrained(tmp_path)
    model = load_model(tmp_path)
    assert type(model) is getattr(models, name)
    return theirs, model


def inputs(name):
    rng = np.random.default_rng(1)
    waves = rng.standard_normal((2, LENGTHS[0])).astype(np.float32)
    mask = (np.arange(LENGTHS[0]) < np.array(LENGTHS)[:, None]).astype(np.int64)
    found = {"input_values": waves * mask.astype(np.float32), "attention_mask": mask}
    if "PreTraining" in name:
        frames = 34
        hidden = rng.random((2, frames)) < 0.4
        hidden[1, 24:] = False
        places = rng.integers(0, 24, (2, frames, 3)) + np.arange(2)[:, None, None] * frames
        found |= {"mask_time_indices": hidden, "sampled_negative_indices": places}
    return found


def call(lib, model, found, **more):
    make = torch.tensor if lib is torch else fb.tensor
    return model(**{key: make(value) for key, value in found.items()}, **more)


@each
def test_keys(pair):
    theirs, model = pair
    assert sorted(theirs.state_dict()) == sorted(model.state_dict())
    for key, value in theirs.state_dict().items():
        assert tuple(value.shape) == tuple(model.state_dict()[key].shape)


@each
@pytest.mark.parametrize("masked", [True, False])
def test_outputs(pair, name, masked):
    theirs, model = pair
    found = inputs(name)
    if not masked:
        del found["attention_mask"]
    with torch.no_grad(), fb.no_grad():
        expected = call(torch, theirs, found, output_hidden_states=True, output_attentions=True)
        got = call(fb, model, found, output_hidden_states=True, output_attentions=True)
        plain = call(fb, model, found)
    assert [key for key in expected if expected[key] is not None] == list(got)
    real = np.ones((2, 34), bool)
    if masked:
        real[1] = np.arange(34) < int(theirs._get_feat_extract_output_lengths(torch.tensor(LENGTHS[1])))

    def seen(values, key):
        """Without what is computed for padding."""
        if values.ndim == 3 and values.shape[1] == 34:
            return values[real]
        return values.transpose(0, 2, 1, 3)[real] if values.ndim == 4 else values

    for key, value in got.items():
        theirs_of = expected[key]
        for i, (one, other) in enumerate(zip(*((v if isinstance(v, tuple) else (v,)) for v in (theirs_of, value)), strict=True)):
            np.testing.assert_allclose(seen(other.numpy(), key), seen(one.numpy(), key), **TOLERANCE, err_msg=f"{key} {i}")
        if key in plain and not isinstance(value, tuple):
            np.testing.assert_allclose(seen(plain[key].numpy(), key), seen(value.numpy(), key), **TOLERANCE, err_msg=key)


@over("For")
def test_losses_and_gradients(pair, name):
    theirs, model = pair
    found = inputs(name)
    if "CTC" in name:
        found["labels"] = np.array([[3, 4, 4, 5], [1, 7, -100, -100]])
    elif "PreTraining" not in name:
        found["labels"] = np.array([2, 0])
    expected, got = call(torch, theirs, found).loss, call(fb, model, found).loss
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=1e-4)
    expected.backward()
    got.backward()
    mine = dict(model.named_parameters())
    for key, parameter in theirs.named_parameters():
        if parameter.grad is not None:
            np.testing.assert_allclose(mine[key].grad.numpy(), parameter.grad.numpy(), rtol=2e-3, atol=2e-4, err_msg=key)


@each
def test_files_that_we_write(pair, name, tmp_path):
    theirs, model = pair
    model.save_pretrained(tmp_path / "ours")
    again = getattr(transformers, name).from_pretrained(tmp_path / "ours", attn_implementation="eager").eval()
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)


@over("Wav2Vec2ForCTC")
def test_old_files(pair, name, tmp_path):
    """Files from before PyTorch 2 have weight_g and weight_v; published ones have no mask vector, or one that is not used."""
    theirs, model = pair
    state = dict(theirs.state_dict())
    for old, new in (("weight_g", "parametrizations.weight.original0"), ("weight_v", "parametrizations.weight.original1")):
        state[f"wav2vec2.encoder.pos_conv_embed.conv.{old}"] = state.pop(f"wav2vec2.encoder.pos_conv_embed.conv.{new}")
    del state["wav2vec2.masked_spec_embed"]
    theirs.config.save_pretrained(tmp_path / "old")
    torch.save(state, tmp_path / "old" / "pytorch_model.bin")
    again = load_model(tmp_path / "old", task="ctc")
    found = inputs(name)
    with fb.no_grad():
        np.testing.assert_array_equal(call(fb, again, found).logits.numpy(), call(fb, model, found).logits.numpy())
        plain = load_model(tmp_path / "old", task="ctc", mask_time_prob=0.0)
        np.testing.assert_array_equal(call(fb, plain, found).logits.numpy(), call(fb, model, found).logits.numpy())
