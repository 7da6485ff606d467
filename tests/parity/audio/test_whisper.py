"""Whisper against transformers: features, keys, outputs, losses, texts token for token, decoding."""

from __future__ import annotations

import json
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
from flambeau_audio.models import WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer, load_model  # noqa: E402

torch.set_num_threads(1)
TOLERANCE = dict(rtol=1e-4, atol=1e-4)
# Words 3 to 29, end 30, start 31, languages 32 to 34, tasks 35 and 36, before 37, no speech 38, no times 39, times 40 to 65.
OPTIONS = dict(
    vocab_size=66, num_mel_bins=6, encoder_layers=2, encoder_attention_heads=2, decoder_layers=2, decoder_attention_heads=4,
    decoder_ffn_dim=20, encoder_ffn_dim=24, d_model=16, max_source_positions=25, max_target_positions=30, pad_token_id=30, bos_token_id=30,
    eos_token_id=30, decoder_start_token_id=31, begin_suppress_tokens=None,
)  # fmt: skip
SETTINGS = dict(
    no_timestamps_token_id=39, max_initial_timestamp_index=10, suppress_tokens=[4, 5, 31, 32, 33, 34, 35, 36, 37, 38],
    begin_suppress_tokens=[3, 30], lang_to_id={"<|en|>": 32, "<|de|>": 33, "<|fr|>": 34}, task_to_id={"transcribe": 35, "translate": 36},
    is_multilingual=True, prev_sot_token_id=37,
)  # fmt: skip


def made(folder, seed=0, spread=0.5, **changes):
    """transformers' model with random weights, and ours from the folder that it wrote."""
    torch.manual_seed(seed)
    theirs = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(**OPTIONS, attn_implementation="eager")).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "encoder.embed_positions" not in name:
                parameter.add_(spread * torch.randn_like(parameter))
    theirs.tie_weights()
    for name, value in {**SETTINGS, **changes}.items():
        setattr(theirs.generation_config, name, value)
    theirs.save_pretrained(folder)
    return theirs, load_model(folder)


def features(frames=50, count=2, seed=1):
    return np.random.default_rng(seed).standard_normal((count, 6, frames)).astype(np.float32)


def test_keys_and_outputs(tmp_path):
    theirs, model = made(tmp_path)
    assert sorted(theirs.state_dict()) == sorted(model.state_dict()) and type(model) is WhisperForConditionalGeneration
    x, ids = features(), np.random.default_rng(2).integers(3, 30, (2, 7))
    with torch.no_grad(), fb.no_grad():
        expected = theirs(torch.tensor(x), decoder_input_ids=torch.tensor(ids), output_hidden_states=True, output_attentions=True)
        found = model(fb.tensor(x), decoder_input_ids=fb.tensor(ids), output_hidden_states=True, output_attentions=True)
    caches = {"cache", "past_key_values"}
    assert [key for key in expected if key not in caches] == [key for key in found if key not in caches]
    for key, value in found.items():
        if key in caches:
            continue
        for one, other in zip(*((v if isinstance(v, tuple) else (v,)) for v in (expected[key], value)), strict=True):
            np.testing.assert_allclose(other.numpy(), one.numpy(), **TOLERANCE, err_msg=key)
    base = load_model(tmp_path, "base")
    with fb.no_grad():
        state = base(fb.tensor(x), decoder_input_ids=fb.tensor(ids)).last_hidden_state
    np.testing.assert_allclose(state.numpy(), expected.decoder_hidden_states[-1].numpy(), **TOLERANCE)
    model.save_pretrained(tmp_path / "ours")
    again = transformers.WhisperForConditionalGeneration.from_pretrained(tmp_path / "ours")
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, rtol=0, atol=0)


def test_losses_and_gradients(tmp_path):
    theirs, model = made(tmp_path)
    x, labels = features(), np.random.default_rng(2).integers(3, 30, (2, 7))
    labels[1, 4:] = -100
    expected, found = theirs(torch.tensor(x), labels=torch.tensor(labels)).loss, model(fb.tensor(x), labels=fb.tensor(labels)).loss
    np.testing.assert_allclose(float(found.detach()), float(expected.detach()), rtol=1e-4)
    expected.backward()
    found.backward()
    mine = dict(model.named_parameters())
    for key, parameter in theirs.named_parameters():
        if parameter.grad is not None and parameter.requires_grad:
            np.testing.assert_allclose(mine[key].grad.numpy(), parameter.grad.numpy(), rtol=2e-3, atol=2e-4, err_msg=key)


@pytest.mark.parametrize(
    "options",
    [
        dict(language="de"), dict(language="german", task="translate"), dict(language="<|fr|>", task="transcribe"), dict(task="translate"),
        dict(), dict(language="en", return_timestamps=True), dict(return_timestamps=True), dict(language="en", max_new_tokens=5),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_texts(options, seed, tmp_path):
    theirs, model = made(tmp_path, seed, max_length=20)
    x = features(count=3, seed=seed)
    expected = theirs.generate(torch.tensor(x), attention_mask=torch.ones(3, 50, dtype=torch.long), **options)
    found = model.generate(fb.tensor(x), **options)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_long_audio(seed, tmp_path):
    """Parts that begin where the last pair of times was; rows that end at different places."""
    theirs, model = made(tmp_path, seed, 0.7, max_length=20)
    x, mask = features(230, 2, seed), np.ones((2, 230), np.int64)
    mask[1, 140:] = 0
    options = dict(language="en", return_timestamps=True, return_segments=True)
    expected = theirs.generate(torch.tensor(x), attention_mask=torch.tensor(mask), **options)
    found = model.generate(fb.tensor(x), fb.tensor(mask), **options)
    assert found.sequences.tolist() == expected["sequences"].tolist()
    assert max(map(len, found.segments)) > 3
    for mine, other in zip(found.segments, expected["segments"], strict=True):
        assert [list(segment["tokens"]) for segment in mine] == [segment["tokens"].tolist() for segment in other]
        for key in ("start", "end"):
            np.testing.assert_allclose([segment[key] for segment in mine], [float(segment[key]) for segment in other], atol=1e-6)


def test_older_settings(tmp_path):
    """Prompts as (place, token) pairs, and a model of English alone."""
    theirs, model = made(tmp_path / "a", forced_decoder_ids=[[1, 33], [2, 36], [3, 39]], max_length=20)
    x = features()
    assert model.generate(fb.tensor(x)).tolist() == theirs.generate(torch.tensor(x)).tolist()
    theirs, _ = made(tmp_path / "b", is_multilingual=False, max_length=20)
    del theirs.generation_config.lang_to_id, theirs.generation_config.task_to_id
    theirs.save_pretrained(tmp_path / "b")
    model = load_model(tmp_path / "b")
    assert model.generate(fb.tensor(x)).tolist() == theirs.generate(torch.tensor(x)).tolist()


@pytest.mark.parametrize("padding", ["max_length", "longest"])
def test_features(padding, tmp_path):
    theirs = transformers.WhisperFeatureExtractor(feature_size=20, chunk_length=2)
    theirs.save_pretrained(tmp_path)
    mine = WhisperFeatureExtractor.from_pretrained(tmp_path)
    rng = np.random.default_rng(0)
    waves = [0.3 * rng.standard_normal(n).astype(np.float32) for n in (16000, 20480, 40000)]
    waves[0][3000:9000] = 0.0
    for speech in (waves, waves[0]):
        for truncation in (True, False):
            options = dict(sampling_rate=16000, padding=padding, return_attention_mask=True, truncation=truncation)
            if padding == "max_length" and not truncation:
                continue
            if padding == "longest" and truncation:
                continue
            expected = theirs(speech, return_tensors="np", **options)
            found = mine(speech, **options)
            np.testing.assert_allclose(found.input_features.numpy(), expected["input_features"], rtol=1e-4, atol=1e-4)
            np.testing.assert_array_equal(found.attention_mask.numpy(), expected["attention_mask"])


def test_decoding(tmp_path):
    from transformers.models.whisper.tokenization_whisper import WhisperTokenizer as Theirs

    characters = sorted({*"abcdefghijklmnopqrstuvwxyzĠÃ©ÂĊ.,'"})
    vocab = {char: i for i, char in enumerate(characters)} | {token: len(characters) + i for i, token in enumerate(("Ġt", "Ġth", "Ġthe"))}
    added = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|startofprev|>", "<|notimestamps|>"]
    (tmp_path / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\nĠ t\nĠt h\nĠth e\n", encoding="utf-8")
    theirs = Theirs(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"), unk_token="<|endoftext|>")
    theirs.add_special_tokens({"additional_special_tokens": added})
    theirs.save_pretrained(tmp_path / "saved")
    mine = WhisperTokenizer.from_pretrained(tmp_path / "saved")
    rng = np.random.default_rng(0)
    top = max(mine.added)
    assert mine.times == top + 1
    before, start = (next(n for n, (text, _) in mine.added.items() if text == f"<|startof{end}|>") for end in ("prev", "transcript"))
    for i in range(20):
        ids = [int(i) for i in rng.integers(0, top + 1, 12)]
        ids = [before, 3, start, *ids] if i % 4 == 0 else [before, *ids] if i % 4 == 1 else ids
        for skip in (True, False):
            expected = theirs.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
            assert mine.decode(ids, skip_special_tokens=skip) == expected
    ids = [top + 1, vocab["Ġthe"], top + 51]
    assert mine.decode(ids, decode_with_timestamps=True) == "<|0.00|> the<|1.00|>" and mine.decode(fb.tensor(ids)) == " the"
