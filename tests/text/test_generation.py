"""Generation without transformers: what settings mean, stop strings, streams, sampling, caches, bad input."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ArgumentTypeError
from flambeau_text.generation import GenerationConfig, StopStrings, TextStreamer, generate
from flambeau_text.generation.processors import log_softmax, min_p, softmax, top_k, top_p
from flambeau_text.models import GPT2Config, GPT2LMHeadModel, ModelOutput
from flambeau_text.tokenize import train_tokenizer

LETTERS = "abcdefgh"


class Table(fb.nn.Module):
    """A model whose next token depends on the last one alone, by a table of scores."""

    def __init__(self, table):
        super().__init__()
        self.table = fb.nn.Parameter(fb.tensor(np.asarray(table, np.float32)))
        self.config = GPT2Config(vocab_size=len(table), n_embd=4, n_head=1, n_layer=1, bos_token_id=None, eos_token_id=None)

    def forward(self, input_ids, **_):
        return ModelOutput(logits=self.table[input_ids])


def cycle(size=8):
    """Each token is followed by the next one."""
    return np.roll(np.eye(size), 1, axis=1) * 5.0


@pytest.fixture(scope="module")
def gpt():
    fb.manual_seed(3)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=24, n_embd=16, n_layer=2, n_head=2, n_positions=32, bos_token_id=None, eos_token_id=None))
    for parameter in model.parameters():
        fb.nn.init.normal_(parameter, 0.0, 0.4)
    return model.eval()


def test_lengths_and_ends():
    model = Table(cycle())
    start = fb.tensor([[0], [5]])
    settings = dict(use_cache=False)
    assert generate(model, start, max_new_tokens=3, **settings).tolist() == [[0, 1, 2, 3], [5, 6, 7, 0]]
    found = generate(model, start, max_new_tokens=5, eos_token_id=7, pad_token_id=2, **settings)
    assert found.tolist() == [[0, 1, 2, 3, 4, 5], [5, 6, 7, 2, 2, 2]]
    assert generate(model, start, max_length=3, **settings).shape == (2, 3)
    assert generate(model, start, max_new_tokens=0, **settings).tolist() == start.tolist()
    longer = generate(model, start[1:], max_new_tokens=6, min_new_tokens=4, eos_token_id=[7], **settings)
    assert 7 not in longer[0, :4].tolist()
    assert 7 not in generate(model, start[1:], max_length=9, min_length=5, eos_token_id=7, **settings)[0, :5].tolist()


def test_beams_find_what_greed_misses():
    table = np.full((5, 5), -9.0)
    table[0, 1], table[0, 2] = 1.0, 0.9  # 1 looks better, but leads nowhere
    table[1] = 0.0
    table[2, 3] = table[3, 4] = 9.0
    model = Table(table)
    greedy = generate(model, fb.tensor([[0]]), max_new_tokens=3, use_cache=False)
    beams = generate(model, fb.tensor([[0]]), max_new_tokens=3, num_beams=3, num_return_sequences=2, use_cache=False)
    assert greedy[0, 1] == 1 and beams[0].tolist() == [0, 2, 3, 4] and beams.shape == (2, 4)


def brute_force(table, start, steps):
    """The most probable continuation, by trying all."""
    logs = log_softmax(np.asarray(table, np.float64))
    paths = {(start,): 0.0}
    for _ in range(steps):
        paths = {(*path, token): score + logs[path[-1], token] for path, score in paths.items() for token in range(len(table))}
    return list(max(paths, key=paths.__getitem__))


@pytest.mark.parametrize("seed", range(5))
def test_wide_beams_are_exact(seed):
    table = np.random.default_rng(seed).normal(size=(4, 4)) * 2
    found = generate(Table(table), fb.tensor([[seed % 4]]), max_new_tokens=4, num_beams=64, use_cache=False)
    assert found[0].tolist() == brute_force(table, seed % 4, 4)


def test_sampling_follows_the_probabilities():
    scores = np.log(np.tile([0.5, 0.3, 0.15, 0.05], (4, 1)))
    model, n = Table(scores), 4000
    start = fb.zeros(n, 1, dtype=fb.int64)

    def shares(**settings):
        found = generate(
            model, start, max_new_tokens=1, do_sample=True, use_cache=False, generator=fb.Generator().manual_seed(0), **settings
        )
        return np.bincount(found[:, 1].numpy(), minlength=4) / n

    np.testing.assert_allclose(shares(top_k=0), [0.5, 0.3, 0.15, 0.05], atol=0.03)
    np.testing.assert_allclose(shares(top_k=2), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(shares(top_k=0, top_p=0.7), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(shares(top_k=0, min_p=0.25), [0.526, 0.316, 0.158, 0], atol=0.03)
    squared = np.array([0.25, 0.09, 0.0225, 0.0025]) / 0.365
    np.testing.assert_allclose(shares(top_k=0, temperature=0.5), squared, atol=0.03)
    np.testing.assert_array_equal(shares(top_k=0), shares(top_k=0))


def test_filters_keep_the_best():
    scores = np.random.default_rng(0).normal(size=(20, 50)).astype(np.float32)
    for keep in (top_k(1), top_p(1e-6), min_p(1.0)):
        kept = keep(np.zeros((20, 1), np.int64), scores.copy())
        assert (np.isfinite(kept).sum(1) == 1).all() and (kept.argmax(1) == scores.argmax(1)).all()
    assert softmax(scores).sum(1) == pytest.approx(1.0)


def test_caches_and_padding_change_nothing(gpt):
    ids = fb.tensor([[7, 3, 9, 1]])
    plain = gpt.generate(ids, max_new_tokens=6, use_cache=False).tolist()
    assert gpt.generate(ids, max_new_tokens=6).tolist() == plain
    assert gpt.generate(ids, max_new_tokens=6, cache_implementation="static").tolist() == plain
    padded, mask = fb.tensor([[0, 0, 7, 3, 9, 1], [4, 4, 4, 4, 4, 4]]), fb.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    assert gpt.generate(padded, mask, max_new_tokens=6)[0, 2:].tolist() == plain[0]
    assert gpt.generate(padded, mask, max_new_tokens=6, cache_implementation="static")[0, 2:].tolist() == plain[0]


def test_sampled_beams(gpt):
    ids = fb.tensor([[7, 3, 9, 1]])
    draws = [gpt.generate(ids, max_new_tokens=5, num_beams=3, do_sample=True, generator=fb.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert draws[0].tolist() == draws[1].tolist() and draws[0].shape == (1, 9)


def test_stop_strings_and_streams():
    tokenizer = train_tokenizer(["abcdefgh"], "char", vocab_size=20)
    vocab = tokenizer.vocab
    size = len(vocab)
    table = np.zeros((size, size))
    for one, other in zip(LETTERS, LETTERS[1:] + "a"):
        table[vocab[one], vocab[other]] = 5
    model, pieces = Table(table), []
    streamer = TextStreamer(tokenizer, pieces.append)
    start = fb.tensor([[vocab["a"]]])
    ids = generate(model, start, max_new_tokens=20, stop_strings=["ef"], tokenizer=tokenizer, streamer=streamer, use_cache=False)
    assert tokenizer.decode(ids[0]) == "abcdef" and "".join(pieces) == "abcdef"
    assert StopStrings(tokenizer, ["d", "b"]).cut("abcd") == "a"
    with pytest.raises(ArgumentError, match="a tokenizer, for stop_strings"):
        generate(model, start, stop_strings="x", use_cache=False)


def test_streams_wait_for_whole_characters():
    tokenizer = train_tokenizer(["ü"], "bpe", vocab_size=256)
    pieces: list[str] = []
    streamer = TextStreamer(tokenizer, pieces.append)
    streamer.put([])
    for id_ in tokenizer.encode("aü日b").ids:
        streamer.put([id_])
    streamer.end()
    assert pieces == ["a", "ü", "日", "b"]


def test_bad_input(gpt):
    ids = fb.tensor([[1, 2]])
    with pytest.raises(ArgumentTypeError, match="Did you mean 'max_new_tokens'"):
        gpt.generate(ids, max_new_token=3)
    with pytest.raises(ArgumentError, match="ids below the vocabulary of 24"):
        gpt.generate(fb.tensor([[24]]))
    with pytest.raises(ArgumentError, match="at least one token"):
        gpt.generate(fb.zeros(1, 0, dtype=fb.int64))
    with pytest.raises(ArgumentTypeError, match="whole numbers"):
        gpt.generate(fb.tensor([[1.5]]))
    with pytest.raises(ArgumentError, match="one text with a streamer"):
        gpt.generate(fb.tensor([[1], [2]]), streamer=TextStreamer(None))
    with pytest.raises(ArgumentError, match="padding on the left"):
        gpt.generate(ids, fb.tensor([[1, 0]]))
    with pytest.raises(ArgumentError, match="a prompt shorter than max_length=1"):
        gpt.generate(ids, max_length=1)
    for kind in ("dynamic", "static"):
        with pytest.raises(ArgumentError, match="at most 32 tokens"):
            gpt.generate(ids, max_new_tokens=40, cache_implementation=kind)
    for wrong in (dict(temperature=0.0), dict(top_p=1.5), dict(num_beams=0), dict(repetition_penalty=-1.0), dict(top_k=-1)):
        with pytest.raises(ArgumentError, match="that makes sense"):
            GenerationConfig(**wrong)
    with pytest.raises(ArgumentError, match="num_return_sequences of at most num_beams"):
        GenerationConfig(num_return_sequences=2)
    for wrong in (dict(max_new_tokens=2.5), dict(length_penalty="a"), dict(num_beams=None)):
        with pytest.raises(ArgumentTypeError, match="number"):
            GenerationConfig(**wrong)
    for wrong in (dict(bad_words_ids=[[]]), dict(bad_words_ids=[3]), dict(early_stopping="soon")):
        with pytest.raises(ArgumentError, match="that makes sense"):
            GenerationConfig(**wrong)
    with pytest.raises(ArgumentError, match="stop_strings"):
        StopStrings(None, ["a", ""])


def test_bad_words():
    model, start = Table(cycle() + np.roll(np.eye(8), 3, axis=1)), fb.tensor([[0], [5]])
    settings = dict(use_cache=False, max_new_tokens=3)
    assert generate(model, start, bad_words_ids=[[2]], **settings).tolist() == [[0, 1, 4, 5], [5, 6, 7, 0]]
    assert generate(model, start, bad_words_ids=[[0, 1, 2], [7, 0]], **settings).tolist() == [[0, 1, 4, 5], [5, 6, 7, 2]]


def test_one_program_serves_prompts_of_all_lengths(gpt):
    found = []
    for length in (2, 3, 5, 8):
        ids = fb.tensor([list(range(1, length + 1))])
        plain = gpt.generate(ids, max_new_tokens=9).tolist()
        assert gpt.generate(ids, max_new_tokens=9, cache_implementation="static").tolist() == plain
        found.append(next(iter(gpt.__dict__["_static_steps"].values())).step)
    assert all(step is found[0] for step in found) and len(found[0].captures) == 1


def test_copies_of_a_model_have_programs_of_their_own(gpt):
    ids = fb.tensor([[1, 2, 3]])
    found = gpt.generate(ids, max_new_tokens=4, cache_implementation="static").tolist()
    other = copy.deepcopy(gpt)
    assert other.generate(ids, max_new_tokens=4, cache_implementation="static").tolist() == found
    with fb.no_grad():
        other.transformer.h[0].mlp.c_fc.weight.mul_(-3.0)
    assert other.generate(ids, max_new_tokens=4, cache_implementation="static").tolist() == other.generate(ids, max_new_tokens=4).tolist()
    assert gpt.generate(ids, max_new_tokens=4, cache_implementation="static").tolist() == found
