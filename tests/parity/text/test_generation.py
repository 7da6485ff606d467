"""Greedy and beam search against transformers, token for token, with the same random weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent))

from reference import have_transformers, transformers  # noqa: E402

import flambeau as fb  # noqa: E402
from flambeau_text.generation import processors as ours_processors  # noqa: E402
from flambeau_text.models import load_model  # noqa: E402

if not have_transformers:
    pytest.skip("transformers is not installed", allow_module_level=True)

VOCAB = 40
DECODERS = {
    "GPT2LMHeadModel": dict(
        vocab_size=VOCAB, n_positions=40, n_embd=16, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2, pad_token_id=0
    ),
    "LlamaForCausalLM": dict(
        vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    ),
    "MistralForCausalLM": dict(
        vocab_size=VOCAB, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, sliding_window=5, head_dim=4,
    ),
}  # fmt: skip
ENCODERS = {
    "T5ForConditionalGeneration": dict(
        vocab_size=VOCAB, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4, relative_attention_num_buckets=8,
        relative_attention_max_distance=12, decoder_start_token_id=0, eos_token_id=2,
    ),
    "BartForConditionalGeneration": dict(
        vocab_size=VOCAB, d_model=16, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=24, decoder_ffn_dim=20,
        encoder_attention_heads=4, decoder_attention_heads=2, max_position_embeddings=40,
    ),
    "MarianMTModel": dict(
        vocab_size=VOCAB, d_model=16, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=24, decoder_ffn_dim=20,
        encoder_attention_heads=4, decoder_attention_heads=2, max_position_embeddings=40, pad_token_id=39, decoder_start_token_id=39,
        eos_token_id=0, forced_eos_token_id=0,
    ),
}  # fmt: skip
SETTINGS = [
    {}, dict(repetition_penalty=1.5, no_repeat_ngram_size=2), dict(num_beams=3, min_new_tokens=8),
    dict(num_beams=3, early_stopping=True, num_return_sequences=2), dict(num_beams=4, length_penalty=2.0, early_stopping="never"),
    dict(num_beams=2, length_penalty=0.3, no_repeat_ngram_size=2, repetition_penalty=1.3),
]  # fmt: skip


@pytest.fixture(scope="module", params=[*DECODERS, *ENCODERS])
def pair(request, tmp_path_factory):
    torch.manual_seed(0)
    cls = getattr(transformers, request.param)
    theirs = cls(cls.config_class(**{**DECODERS, **ENCODERS}[request.param])).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "embed_positions" not in name:
                parameter.add_(0.25 * torch.randn_like(parameter))
    theirs.tie_weights()
    folder = tmp_path_factory.mktemp("model")
    theirs.save_pretrained(folder)
    return theirs, load_model(folder)


def prompts():
    rng = np.random.default_rng(3)
    ids = rng.integers(3, VOCAB - 2, (3, 7))
    mask = np.ones_like(ids)
    for row, pads in ((0, 3), (2, 1)):  # left-padded
        ids[row, :pads], mask[row, :pads] = 0, 0
    return ids, mask


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_token_for_token(pair, settings):
    theirs, ours = pair
    ids, mask = prompts()
    more = dict(max_new_tokens=12, do_sample=False, **settings)
    expected = theirs.generate(torch.tensor(ids), attention_mask=torch.tensor(mask), **more).numpy()
    found = ours.generate(fb.tensor(ids), fb.tensor(mask), **more).numpy()
    start = 1 if ours.config.is_encoder_decoder else ids.shape[1]
    assert [whole(row, start, ours) for row in found] == [whole(row, start, ours) for row in expected]


def whole(row, start, model):
    """The tokens of a text up to its end: with padding token 0, transformers fills beams up with the end token instead."""
    ends = np.flatnonzero(row[start:] == model.config.eos_token_id)
    return row[: start + ends[0] + 1].tolist() if len(ends) else row.tolist()


@pytest.mark.parametrize("settings", [SETTINGS[0], SETTINGS[3]], ids=str)
def test_static_caches_change_nothing(pair, settings):
    _, ours = pair
    ids, mask = prompts()
    more = dict(max_new_tokens=8, **settings)
    expected = ours.generate(fb.tensor(ids), fb.tensor(mask), **more).numpy()
    for _ in range(2):  # the second run uses the compiled step again
        found = ours.generate(fb.tensor(ids), fb.tensor(mask), cache_implementation="static", **more).numpy()
        np.testing.assert_array_equal(found, expected)
    without = ours.generate(fb.tensor(ids), fb.tensor(mask), use_cache=False, **more).numpy()
    np.testing.assert_array_equal(without, expected)


def test_warpers():
    rng = np.random.default_rng(0)
    scores, ids = rng.normal(0, 3, (4, 30)).astype(np.float32), rng.integers(0, 30, (4, 6))
    logits = transformers.generation.logits_process
    pairs = [
        (ours_processors.temperature(0.7), logits.TemperatureLogitsWarper(0.7)), (ours_processors.top_k(5), logits.TopKLogitsWarper(5)),
        (ours_processors.top_p(0.8), logits.TopPLogitsWarper(0.8)), (ours_processors.min_p(0.1), logits.MinPLogitsWarper(0.1)),
        (ours_processors.repetition_penalty(1.4), logits.RepetitionPenaltyLogitsProcessor(1.4)),
        (ours_processors.no_repeat_ngrams(2), logits.NoRepeatNGramLogitsProcessor(2)),
    ]  # fmt: skip
    for ours, theirs in pairs:
        expected = theirs(torch.tensor(ids), torch.tensor(scores)).numpy()
        np.testing.assert_allclose(ours(ids, scores.copy()), expected, rtol=1e-6)
