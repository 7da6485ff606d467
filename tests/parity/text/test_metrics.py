"""BLEU against sacreBLEU, ROUGE against Google's rouge_score."""

from __future__ import annotations

import random

import pytest

from flambeau_text.metrics import bleu, rouge, sentence_bleu

WORDS = (
    "the a cat dog sat on mat, mat. it's 3.5 1,000 well-known (old) \"new\" Zürich 100% don't AT&T x-ray 4-5 日本 ! - &amp; 12:30".split()
)


def sentences(seed, count):
    rng = random.Random(seed)
    texts = [" ".join(rng.choice(WORDS) for _ in range(rng.randrange(0, 12))) for _ in range(count)]
    references = []
    for text in texts:
        changed = [[word if rng.random() < 0.7 else rng.choice(WORDS) for word in text.split()] for _ in range(2)]
        references.append([" ".join(words + rng.choices(WORDS, k=rng.randrange(3))) for words in changed])
    return texts, references


@pytest.mark.parametrize("tokenize", ["13a", "intl", "none", "char"])
@pytest.mark.parametrize("smooth", ["exp", "floor", "add-k", "none"])
@pytest.mark.parametrize("lowercase", [False, True])
def test_bleu(tokenize, smooth, lowercase):
    sacrebleu = pytest.importorskip("sacrebleu")
    for seed in range(6):
        texts, references = sentences(seed, 1 + 5 * seed)
        streams = [list(stream) for stream in zip(*references, strict=True)]
        theirs = sacrebleu.BLEU(tokenize=tokenize, smooth_method=smooth, lowercase=lowercase).corpus_score(texts, streams)
        ours = bleu(texts, references, tokenize=tokenize, smooth=smooth, lowercase=lowercase)
        assert ours.score == pytest.approx(theirs.score, abs=1e-9)
        assert ours.precisions == pytest.approx(tuple(theirs.precisions), abs=1e-9)
        assert (ours.bp, ours.sys_len, ours.ref_len) == (pytest.approx(theirs.bp), theirs.sys_len, theirs.ref_len)


def test_sentence_bleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    texts, references = sentences(9, 60)
    for text, right in zip(texts, references, strict=True):
        assert sentence_bleu(text, right) == pytest.approx(sacrebleu.sentence_bleu(text, right).score, abs=1e-9)


def test_rouge():
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
    texts, references = sentences(10, 60)
    rng = random.Random(0)
    for text, (right, other) in zip(texts, references, strict=True):
        both = (text + "\n" + other, right + "\n" + text) if rng.random() < 0.5 else (text, right)
        expected = {name: score.fmeasure for name, score in scorer.score(both[1], both[0]).items()}
        assert rouge(*both) == pytest.approx(expected, abs=1e-9)
