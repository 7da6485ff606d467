"""Whisper without transformers: golden texts, rules, prompts, decoding, errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, FileFormatError, ShapeError
from flambeau_audio.models import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperSettings, WhisperTokenizer
from flambeau_audio.models.whisper_rules import allowed

NAME = "WhisperForConditionalGeneration"
GOLDEN = {
    key.partition("/")[2]: value
    for key, value in np.load(Path(__file__).parents[1] / "golden" / "audio_models.npz").items()
    if key.startswith(NAME)
}
SETTINGS = WhisperSettings.from_dict(json.loads(str(GOLDEN["settings"])))


@pytest.fixture(scope="module")
def model():
    made = WhisperForConditionalGeneration(WhisperConfig(**json.loads(str(GOLDEN["config"]))))
    state = {key[7:]: fb.tensor(value.astype(np.float32) / 64) for key, value in GOLDEN.items() if key.startswith("weight/")}
    made.load_weights(state, "golden")
    return made.eval()


def test_golden_text_of_long_audio(model):
    found = model.generate(fb.tensor(GOLDEN["frames"]), generation_config=SETTINGS, language="en", return_timestamps=True)
    np.testing.assert_array_equal(found.numpy(), GOLDEN["greedy"])


def test_segments_follow_each_other(model):
    options = dict(language="en", return_timestamps=True, return_segments=True)
    out = model.generate(fb.tensor(GOLDEN["frames"]), generation_config=SETTINGS, **options)
    for row, text in zip(out.segments, out.sequences.tolist(), strict=True):
        assert all(part["start"] <= part["end"] for part in row)
        assert all(one["start"] <= other["start"] for one, other in zip(row, row[1:], strict=False))
        assert [token for part in row for token in part["tokens"]] == text[: sum(len(part["tokens"]) for part in row)]


def test_a_static_cache_gives_what_whole_texts_give(model):
    x, ids = fb.tensor(GOLDEN["input/input_features"]), fb.tensor(GOLDEN["input/decoder_input_ids"])
    with fb.no_grad():
        whole = model(x, decoder_input_ids=ids).logits.numpy()
        from flambeau_audio.models.whisper_steps import steps_of

        steps = steps_of(model, 2)
        for _ in range(2):  # the program is used again
            steps.hear(model.model.encoder(x).last_hidden_state)
            for i, column in enumerate(ids.numpy().T):
                np.testing.assert_allclose(steps(column), whole[:, i], rtol=1e-4, atol=1e-4)
        assert steps_of(model, 2) is steps


def test_prompts():
    prompt = SETTINGS.prompt
    assert (
        prompt("de", None, None, False)
        == [31, 33, 35, 39]
        == prompt("German", None, None, False)
        == prompt("<|de|>", "transcribe", None, False)
    )
    assert prompt(None, "translate", 34, True) == [31, 34, 36] and prompt(None, None, 32, False) == [31, 32, 39]
    assert SETTINGS.listens(None, "translate") and not SETTINGS.listens("de", None)
    with pytest.raises(ArgumentError, match="Did you mean 'german'"):
        prompt("germann", None, None, False)
    with pytest.raises(ArgumentError, match="a task of transcribe, translate"):
        prompt("de", "sing", None, False)
    english = WhisperSettings(31, 30, 30, 39, is_multilingual=False)
    with pytest.raises(ArgumentError, match="for a model of English"):
        english.prompt("de", None, None, False)
    older = WhisperSettings(31, 30, 30, 39, forced_decoder_ids=[[1, 33], [2, 35], [3, 39]])
    assert older.prompt(None, None, None, False) == [31, 33, 35, 39] and older.prompt(None, None, None, True) == [31, 33, 35]


def test_rules_of_times():
    """Words are 3 to 29, the end is 30, times begin at 40."""

    def may(*written, scores=None):
        row = np.zeros((1, 66), np.float32) if scores is None else scores
        return set(np.flatnonzero(np.isfinite(allowed(row, np.array([written], np.int64).reshape(1, -1), SETTINGS, True)[0])))

    words = set(range(30)) - {4, 5}
    assert may() == set(range(40, 51))  # a time first, at most 0.2 seconds
    strong = np.zeros((1, 66), np.float32)
    strong[0, 3:31] = 8.0
    assert may(42, scores=strong) == words | {30}  # after the first time no other one
    assert may(42, 7, scores=strong) == words | {30} | set(range(43, 66))  # times never go back
    assert may(42, 7, 45, scores=strong) == {30} | set(range(45, 66))  # a pair, or the end
    assert may(42, 7, 45, 45, scores=strong) == words | {30}
    assert may(42, 7) == set(range(43, 66))  # together they are likelier than any word


def test_tokens(tmp_path):
    added = [{"id": 3, "content": "<|endoftext|>", "special": True}, {"id": 4, "content": "<|notimestamps|>", "special": True}]
    content = {"model": {"type": "BPE", "vocab": {"Ġhi": 0, "Ã": 1, "©": 2}}, "added_tokens": added}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    tokens = WhisperTokenizer.from_pretrained(tmp_path)
    assert tokens.decode([0, 1, 2, 3]) == " hié<|endoftext|>" and tokens.decode([1, 3, 2], skip_special_tokens=True) == "\ufffd\ufffd"
    assert tokens.batch_decode(fb.tensor([[5, 0], [55, 2]]), decode_with_timestamps=True) == ["<|0.00|> hi", "<|1.00|>\ufffd"]
    (tmp_path / "tokenizer.json").write_text(json.dumps({**content, "added_tokens": [3]}))
    with pytest.raises(FileFormatError, match="added_tokens with id and content"):
        WhisperTokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ArgumentError, match=r"tokenizer\.json or vocab\.json"):
        WhisperTokenizer.from_pretrained(tmp_path)


def test_features():
    extract = WhisperFeatureExtractor(feature_size=10, chunk_length=1)
    tone = np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000).astype(np.float32)
    out = extract([tone, tone[:4000]], sampling_rate=16000, return_attention_mask=True)
    assert out.input_features.shape == (2, 10, 100) and out.attention_mask.sum(1).tolist() == [50, 25]
    loudest = out.input_features.numpy()
    assert np.ptp(loudest) <= 2.0 + 1e-6  # 8 on the scale before it is divided by 4
    assert loudest[0, :, 70].max() == loudest[0].min() and loudest[0, :, 20].argmax() == loudest[0, :, 20:30].mean(1).argmax()
    with pytest.raises(ArgumentError, match=r"16000 Hz, got 8000 Hz.*resample"):
        extract(tone, sampling_rate=8000)
    with pytest.raises(ShapeError, match="one channel"):
        extract([tone[None]])
    with pytest.raises(ArgumentError, match="padding of"):
        extract(tone, padding="left")
    with pytest.raises(ArgumentError, match="positive ints"):
        WhisperFeatureExtractor(hop_length=0)


def test_refusals(model):
    x = fb.tensor(GOLDEN["frames"])
    with pytest.raises(ShapeError, match=r"frames \(N, bands, 50 or more\)"):
        model.generate(x[:, :, :40], generation_config=SETTINGS)
    with pytest.raises(ShapeError, match=r"log-mel frames \(N, 6, 50\).*WhisperFeatureExtractor"):
        model(x, decoder_input_ids=fb.tensor([[31]]))
    with pytest.raises(ArgumentError, match="times for long audio"):
        model.generate(x, generation_config=SETTINGS, return_timestamps=False)
    with pytest.raises(ArgumentError, match="max_new_tokens from 1 to 26"):
        model.generate(x[:, :, :50], generation_config=SETTINGS, language="en", max_new_tokens=27)
    with pytest.raises(ArgumentError, match="no_timestamps_token_id"):
        model.generate(x[:, :, :50], generation_config=WhisperSettings(31, 30, 30), return_timestamps=True)
    with pytest.raises(ArgumentError, match="at most 30 tokens, got 31"):
        model(x[:, :, :50], decoder_input_ids=fb.zeros(2, 31, dtype=fb.int64))
    for wrong in (dict(suppress_tokens=["x"]), dict(lang_to_id=3), dict(max_length=-1), dict(eos_token_id=None)):
        with pytest.raises(FileFormatError, match="generation settings"):
            WhisperSettings.from_dict({"decoder_start_token_id": 31, "eos_token_id": 30, "pad_token_id": 30, **wrong})
