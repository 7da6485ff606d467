"""Metrics: worked examples, results kept from the reference programs, and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ArgumentTypeError
from flambeau_text.metrics import Perplexity, bleu, entity_f1, entity_spans, exact_match, f1, perplexity, rouge, sentence_bleu, squad_scores
from flambeau_text.models import GPT2Config, GPT2LMHeadModel


def test_bleu():
    texts = ["the cat sat on the mat.", "It's 3.5 o'clock, isn't it?"]
    references = [["the cat is on the mat.", "a cat sat on a mat."], ["It is 3.5 o'clock, is it not?", "It's half past three, isn't it?"]]
    found = bleu(texts, references)
    assert found.score == pytest.approx(SACREBLEU[0], abs=1e-9)  # sacreBLEU 2.6.0
    assert sentence_bleu(texts[0], references[0]) == pytest.approx(SACREBLEU[1], abs=1e-9)
    assert bleu(["a b c d"], [["a b c d"]]).score == pytest.approx(100.0)
    assert bleu([""], [["a"]]).score == 0.0 and bleu([], []).score == 0.0
    with pytest.raises(ArgumentError, match="a list of references for each text"):
        bleu(["a"], ["a"])
    with pytest.raises(ArgumentError, match="references for 1 texts, got 2"):
        bleu(["a"], [["a"], ["b"]])


SACREBLEU = (56.69628986372903, 62.23329772884783)


def test_rouge():
    found = rouge("the cat was found under the bed", "the cat was under the bed")
    assert found == pytest.approx({"rouge1": 12 / 13, "rouge2": 8 / 11, "rougeL": 12 / 13, "rougeLsum": 12 / 13})
    assert rouge("", "a") == {"rouge1": 0, "rouge2": 0, "rougeL": 0, "rougeLsum": 0}
    with pytest.raises(ArgumentTypeError, match="a text and a reference"):
        rouge(["a"], ["a"])
    lines = rouge("w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5")  # the example of the paper's section 3.2
    assert lines["rougeLsum"] == pytest.approx(2 * 4 / (10 + 5))


def test_answers():
    assert exact_match("The  Eiffel-Tower!", "eiffeltower") == 1.0 and exact_match("a", "b") == 0.0
    assert f1("", "") == 1.0 and f1("x", "") == 0.0
    assert squad_scores({"1": "in 1889", "2": ""}, {"1": ["1889", "the year 1889"], "2": [], "3": ["x"]}) == pytest.approx(
        {"exact_match": 1 / 3, "f1": (2 / 3 + 1 + 0) / 3}
    )


def test_entities():
    assert entity_spans(["B-PER", "B-PER", "I-LOC", "I-LOC", "O", "E-X", "S-Y"]) == [
        ("PER", 0, 1), ("PER", 1, 2), ("LOC", 2, 4), ("X", 5, 6), ("Y", 6, 7)
    ]  # fmt: skip
    found = entity_f1([["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "O", "B-ORG"]])
    assert found == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "accuracy": 0.75}
    assert entity_f1([["O"]], [["O"]])["f1"] == 0.0
    with pytest.raises(ArgumentError, match="as many tags"):
        entity_f1([["O"]], [["O", "O"]])


def test_perplexity():
    metric = Perplexity()
    assert math.isnan(metric.compute())
    fb.manual_seed(0)
    logits, labels = fb.randn(2, 5, 7), fb.randint(0, 7, (2, 5))
    labels[0, 3:] = -100
    metric.update(logits[:1], labels[:1])
    metric.update(logits[1:], labels[1:])
    expected = math.exp(float(fb.nn.functional.cross_entropy(logits.reshape(-1, 7), labels.reshape(-1))))
    assert metric.compute() == pytest.approx(expected, rel=1e-6)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=32)).eval()
    ids = np.random.default_rng(0).integers(0, 20, 30).tolist()
    with fb.no_grad():
        whole = math.exp(float(model(fb.tensor([ids]), labels=fb.tensor([ids])).loss))
    assert perplexity(model, ids, window=32) == pytest.approx(whole, rel=1e-5)
    seen = [perplexity(model, ids, window=8, stride=stride) for stride in (1, 4, 8)]
    assert all(1 < value < 40 for value in seen)
