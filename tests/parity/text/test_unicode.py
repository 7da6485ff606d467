"""Every character of Unicode through each part of our tokenizer engine and through the Rust library: the same texts, pieces and ids."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest

rust = pytest.importorskip("tokenizers")
sys.path.insert(0, str(Path(__file__).parent))

from test_tokenizers import LLAMA3, bert, bert_cased, gpt2, llama3, same, t5, unigram_words  # noqa: E402
from tokenizers import normalizers as N  # noqa: E402
from tokenizers import pre_tokenizers as P  # noqa: E402

from flambeau_text.tokenize import Tokenizer, read_sentencepiece  # noqa: E402
from flambeau_text.tokenize.aligned import Aligned  # noqa: E402
from flambeau_text.tokenize.normalizers import normalizer  # noqa: E402
from flambeau_text.tokenize.pre_tokenizers import pre_tokenizer  # noqa: E402

CODES = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
FEW = CODES[:0x30000:5]  # a fifth of the planes that have letters
NORMALIZERS = [
    N.NFC(), N.NFD(), N.NFKC(), N.NFKD(), N.Lowercase(), N.StripAccents(), N.Nmt(), N.ByteLevel(), N.BertNormalizer(),
    N.BertNormalizer(clean_text=False, lowercase=False, strip_accents=True),
    N.BertNormalizer(lowercase=False), N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase(), N.NFC()]),
]  # fmt: skip
PRE_TOKENIZERS = [
    P.BertPreTokenizer(), P.ByteLevel(), P.Whitespace(), P.WhitespaceSplit(), P.Punctuation(), P.Digits(True), P.Metaspace(),
    P.Split(rust.Regex(LLAMA3), "isolated"), P.Split(rust.Regex(r"\w+|\d|[^\s\w]"), "isolated"),
]  # fmt: skip
all_or_few = pytest.mark.parametrize("chars", [FEW, pytest.param(CODES, marks=pytest.mark.slow)], ids=["few", "all"])


def texts(chars, before, after, size=256):
    """Every character between two texts, many such to a text."""
    for start in range(0, len(chars), size):
        yield "".join(before + char + after for char in chars[start : start + size])


def spec(part):
    return json.loads(part.__getstate__())


def name(part):
    return spec(part)["type"]


def same_text(theirs, ours, text):
    mine, expected = Aligned.of(text), theirs.normalize_str(text)
    ours(mine)
    if mine.text != expected:
        at = next(i for i, (one, other) in enumerate(zip(mine.text + "\0", expected + "\0")) if one != other)
        raise AssertionError((at, mine.text[at - 5 : at + 5], expected[at - 5 : at + 5]))


@all_or_few
@pytest.mark.parametrize("theirs", NORMALIZERS, ids=name)
def test_normalizers(theirs, chars):
    ours = normalizer(spec(theirs))
    for text in texts(chars, "e\u0323", "\u0301 "):  # beside marks that are ordered and composed
        same_text(theirs, ours, text)


@all_or_few
@pytest.mark.parametrize("theirs", PRE_TOKENIZERS, ids=name)
def test_pre_tokenizers(theirs, chars):
    ours = pre_tokenizer(spec(theirs))
    for text in texts(chars, "a", "b "):
        found = [(piece.text, piece.span(0, len(piece))) for piece in ours(Aligned.of(text))]
        assert found == theirs.pre_tokenize_str(text)


@all_or_few
@pytest.mark.parametrize(("before", "after"), [("a", " "), ("º", " "), ("", "\u0301 "), ("\u1e9b", "\u200d")])
def test_precompiled(chars, before, after, tmp_path):
    """SentencePiece's table, alone and with characters before and after that make a cluster."""
    sentencepiece = pytest.importorskip("sentencepiece")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c"] * 20), model_prefix=str(tmp_path / "m"), vocab_size=8, minloglevel=2, hard_vocab_limit=False
    )
    table = read_sentencepiece(tmp_path / "m.model").charsmap
    theirs, ours = N.Precompiled(table), normalizer({"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()})
    for text in texts(chars, before, after):
        same_text(theirs, ours, text)


@all_or_few
@pytest.mark.parametrize("make", [bert, bert_cased, gpt2, llama3, t5, unigram_words], ids=lambda make: make.__name__)
def test_ids(make, chars):
    theirs = make()
    ours = Tokenizer.from_str(theirs.to_str(), backend="python")
    for text in texts(chars, "a", " b"):
        same(theirs.encode(text), ours.encode(text), text)
