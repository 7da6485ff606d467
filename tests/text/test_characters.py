"""The characters of Unicode are taken for the same on every Python: digests of what was compared with the Rust library, all of it."""

from __future__ import annotations

import hashlib

import pytest

from flambeau_text.tokenize.aligned import Aligned
from flambeau_text.tokenize.characters import general, is_a, lower, ranges
from flambeau_text.tokenize.normalizers import normalizer
from flambeau_text.tokenize.pre_tokenizers import pre_tokenizer

BLOCKS = ((0, 0x3400), (0xA000, 0xAC10), (0xD790, 0xD800), (0xF8F0, 0x17000), (0x18D00, 0x20010), (0xE0000, 0xE0200))  # small scripts
CODES = [chr(code) for start, stop in BLOCKS for code in range(start, stop)]
TEXT = "".join(f"e{char}\u0301 " for char in CODES)
DIGESTS = {
    "NFC": "fd79789fa1522355", "NFD": "90137445fc11a214", "NFKC": "1a57f3f9466b3110", "NFKD": "914271b1f397757d",
    "Lowercase": "7d4e9d29178e4877", "StripAccents": "8770a278c2f593f3", "BertNormalizer": "23c14861de4b4c37",
    "BertPreTokenizer": "c1678dfa81d0c1a4",
    "ByteLevel": "35672eca045f5a92", "Whitespace": "4218f56ffa6fa5d6", "Digits": "6f3d7e4186d07bb4",
}  # fmt: skip


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("kind", ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "BertNormalizer"])
def test_normalizers(kind):
    text = Aligned.of(TEXT)
    normalizer({"type": kind})(text)
    assert digest(text.text) == DIGESTS[kind]


@pytest.mark.parametrize("kind", ["BertPreTokenizer", "ByteLevel", "Whitespace", "Digits"])
def test_pre_tokenizers(kind):
    pieces = pre_tokenizer({"type": kind})(Aligned.of("".join(f"a{char}b" for char in CODES)))
    assert digest("\n".join(piece.text for piece in pieces)) == DIGESTS[kind]


def test_sets():
    assert [general(char) for char in "aA1 ,\u0301\n\U0010ffff"] == ["Ll", "Lu", "Nd", "Zs", "Po", "Mn", "Cc", "Cn"]
    assert is_a("word", "_") and not is_a("word", "-") and is_a("punctuation", "$") and is_a("joining", "\u0e33")
    assert lower("İ") == "i\u0307" and lower("Σ") == "σ" and lower("ß") == "ß"
    assert (0x41, 0x5A) in ranges("Lu") and ranges("Xx") == []
