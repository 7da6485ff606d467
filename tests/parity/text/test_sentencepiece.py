"""Our reader of SentencePiece files against the library `sentencepiece`."""

from __future__ import annotations

import random
import unicodedata

import pytest

sentencepiece = pytest.importorskip("sentencepiece")

from flambeau_text.tokenize import sentencepiece_tokenizer  # noqa: E402

SAMPLES = [
    "Hello, world! It's 3.14 o'clock — we'll see…", "Ünïcödé façade naïve Ångström", "日本語のテキストと한국어 텍스트", "Привет, мир! Ёжик",
    "مرحبا بالعالم ١٢٣", "emoji 😀 flags 🇩🇪🇫🇷", "tabs\tand newlines  double  spaces ", "ﬁ ligature ² ½ ①", "İstanbul ΣΊΣΥΦΟΣ ſtraße",
    "don't DON'T can't've 's 'LL", "ａｂｃ ＡＢＣ", "x=1;y+=2 #comment $5.00 ~ ^_^ `code`",
]  # fmt: skip
POOL = sorted(char for char in set("".join(SAMPLES)) if not unicodedata.category(char).startswith("M"))


def fuzz(rng: random.Random) -> str:
    if rng.random() < 0.5:
        text = rng.choice(SAMPLES) + " " + rng.choice(SAMPLES)
        start, stop = sorted((rng.randrange(len(text)), rng.randrange(len(text))))
        return text[start:stop]
    return "".join(rng.choice(POOL) for _ in range(rng.randrange(25)))


@pytest.mark.parametrize("fallback", [False, True])
@pytest.mark.parametrize("norm", ["nmt_nfkc", "identity"])
@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_ids(kind, norm, fallback, tmp_path):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SAMPLES * 20), model_prefix=str(tmp_path / "m"), vocab_size=520 if fallback else 300, model_type=kind,
        byte_fallback=fallback, normalization_rule_name=norm, character_coverage=0.98 if fallback else 1.0, hard_vocab_limit=False,
        minloglevel=2, remove_extra_whitespaces=not fallback,
    )  # fmt: skip
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "m.model"))
    ours = sentencepiece_tokenizer(tmp_path / "m.model", backend="python")
    rng = random.Random(0)
    for _ in range(200):
        text = fuzz(rng)
        assert ours.encode(text).ids == theirs.encode(text), text
    assert ours.decode(ours.encode("Hello world").ids) == theirs.decode(theirs.encode("Hello world"))
