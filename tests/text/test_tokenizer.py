"""Tokenizers without the Rust library: golden encodings, files, training, batches, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import flambeau as fb
from flambeau.base.errors import ArgumentError, ArgumentTypeError, FileFormatError, ShapeError
from flambeau_text.tokenize import Tokenizer, load_tokenizer, read_sentencepiece, save_tokenizer, sentencepiece_tokenizer, train_tokenizer
from flambeau_text.tokenize.byte_level import to_chars, to_text

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "text_tokenizers.json").read_text(encoding="utf-8"))
TEXTS = ["the cat sat on the mat", "the dog sat on the log", "a cat and a dog", "Übermaß! 日本語", "it's 3.14"] * 5


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_encodings(name):
    tokenizer = Tokenizer(GOLDEN[name]["spec"], backend="python")
    for text, ids, offsets, decoded in GOLDEN[name]["rows"]:
        encoding = tokenizer.encode(text)
        assert encoding.ids == ids
        assert encoding.offsets == [tuple(pair) for pair in offsets]
        assert tokenizer.decode(ids) == decoded


def test_bytes_as_characters():
    everything = "".join(chr(code) for code in range(0x20, 0x3000))
    assert to_text(to_chars(everything)) == everything


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char", "word", "wordpiece"])
def test_trained_tokenizers(kind, tmp_path):
    tokenizer = train_tokenizer(iter(TEXTS), kind, vocab_size=300, special_tokens=["<pad>"], special={"pad_token": "<pad>"})
    assert tokenizer.token_to_id("<pad>") is not None and len(tokenizer) <= 300
    for text in TEXTS[:4]:
        encoding = tokenizer.encode(text)
        for token, (start, stop) in zip(encoding.tokens, encoding.offsets, strict=True):
            assert 0 <= start <= stop <= len(text), token
        if kind in ("bpe", "char"):
            assert tokenizer.decode(encoding.ids) == text
    save_tokenizer(tokenizer, tmp_path)
    again = load_tokenizer(tmp_path)
    assert again.spec == tokenizer.spec and again.special == tokenizer.special
    assert again.encode(TEXTS[3]).ids == tokenizer.encode(TEXTS[3]).ids


def test_training_is_decided_by_the_texts():
    first, second = (train_tokenizer(TEXTS, "unigram", vocab_size=60) for _ in range(2))
    assert first.spec == second.spec
    scores = [score for _, score in first.spec["model"]["vocab"][1:]]
    assert scores == sorted(scores, reverse=True) and np.exp(scores).sum() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("backend", ["auto", "python"])
def test_batches(backend):
    tokenizer = train_tokenizer(TEXTS, "bpe", vocab_size=300, special_tokens=["<pad>"], special={"pad_token": "<pad>"})
    tokenizer.backend = backend
    batch = tokenizer(["the cat", "the cat sat on the mat"], padding=True, return_tensors="fb")
    assert batch.input_ids.dtype == fb.int64 and batch["input_ids"].shape == batch.attention_mask.shape
    assert batch.attention_mask[0].sum() < batch.attention_mask[1].sum() == batch.input_ids.shape[1]
    assert "token_type_ids" not in batch
    assert tokenizer.decode(batch.input_ids[0]) == "the cat"
    single = tokenizer("the cat")
    assert single["input_ids"] == tokenizer.encode("the cat").ids
    cut = tokenizer(["the cat sat on the mat"] * 2, truncation=True, max_length=3, return_tensors="np")
    assert cut["input_ids"].shape == (2, 3)
    tokenizer.config["padding_side"] = "left"
    left = tokenizer(["the cat", "the cat sat"], padding="max_length", max_length=8)
    assert left["attention_mask"][0][0] == 0 and len(left["input_ids"][0]) == 8
    parts = tokenizer(["the cat sat on the mat"], truncation=True, max_length=3, stride=1, return_overflowing_tokens=True)
    assert len(parts["input_ids"]) > 2 and set(parts["overflow_to_sample_mapping"]) == {0}


def test_words_that_are_split_already():
    tokenizer = train_tokenizer(TEXTS, "wordpiece", vocab_size=60)
    encoding = tokenizer.encode(["cat", "doggo"])
    assert encoding.word_ids[0] == 0 and set(encoding.word_ids[1:]) == {1}


def test_bad_texts():
    tokenizer = train_tokenizer(TEXTS, "bpe", vocab_size=280)
    with pytest.raises(ArgumentError, match="lone surrogate '.ud800' at position 2"):
        tokenizer.encode("ab\ud800")
    with pytest.raises(ArgumentTypeError, match="expected a str, got int"):
        tokenizer.encode(3)  # type: ignore[arg-type]
    assert tokenizer.encode("").ids == [] and tokenizer.decode([]) == ""
    assert tokenizer([])["input_ids"] == []
    with pytest.raises(ArgumentError, match="a pad_token"):
        tokenizer(["a", "b c"], padding=True)
    with pytest.raises(ShapeError, match="padding=True"):
        tokenizer(["a", "the cat and more"], return_tensors="fb")
    with pytest.raises(ArgumentTypeError, match="return_offsets_mapping"):
        tokenizer("a", return_everything=True)
    for wrong in ([[1], [2]], "ab", [1.5]):
        with pytest.raises(ArgumentTypeError, match="ids of one text"):
            tokenizer.decode(wrong)
    with pytest.raises(ArgumentError, match="a stride below max_length=2"):
        tokenizer("a b c d", truncation=True, max_length=2, stride=5, return_overflowing_tokens=True)
    assert len(tokenizer.encode("x" * 20_000).ids) <= 20_000


def test_bad_files(tmp_path):
    with pytest.raises(FileFormatError, match="expected JSON"):
        Tokenizer.from_str("{")
    with pytest.raises(FileFormatError, match="an object with a model"):
        Tokenizer.from_str("[]")
    with pytest.raises(FileFormatError, match="Did you mean 'BPE'"):
        Tokenizer({"model": {"type": "BPEE", "vocab": {}}})
    with pytest.raises(FileFormatError, match="the tokens of merge"):
        Tokenizer({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}})
    words = {"model": {"type": "WordLevel", "vocab": {"a": 0}}}
    for wrong in (dict(truncation={"max_length": 3}), dict(truncation=3), dict(padding={"strategy": "x"}), dict(padding={"strategy": {}})):
        with pytest.raises(FileFormatError, match="tokenizer.json"):
            Tokenizer({**words, **wrong})
    with pytest.raises(FileFormatError, match="vocabulary"):
        Tokenizer({"model": {"type": "WordLevel", "vocab": {"a": -1}}})
    nasty = {"type": "Split", "pattern": {"Regex": "(("}, "behavior": "Isolated"}
    with pytest.raises(FileFormatError, match="a regular expression"):
        Tokenizer({"model": {"type": "WordLevel", "vocab": {"<unk>": 0}}, "pre_tokenizer": nasty}, backend="python").encode("a")
    with pytest.raises(ArgumentError, match="tokenizer.json, vocab.json"):
        load_tokenizer(tmp_path)
    (tmp_path / "x.model").write_bytes(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
    with pytest.raises(FileFormatError, match="SentencePiece"):
        sentencepiece_tokenizer(tmp_path / "x.model")


def _message(*fields: tuple[int, object]) -> bytes:
    """A protobuf message, written by hand."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += bytes([number * 8, value])
        elif isinstance(value, float):
            out += bytes([number * 8 + 5]) + np.float32(value).tobytes()
        else:
            data = value if isinstance(value, bytes) else str(value).encode()
            out += bytes([number * 8 + 2, len(data)]) + data
    return out


def test_a_sentencepiece_file(tmp_path):
    pieces = [("<unk>", 0.0, 2), ("</s>", 0.0, 3), ("▁", -2.0, 1), ("a", -2.0, 1), ("▁a", -2.5, 1), ("b", -3.0, 1)]
    data = b"".join(_message((1, _message((1, text), (2, score), (3, kind)))) for text, score, kind in pieces)
    (tmp_path / "spiece.model").write_bytes(data + _message((2, _message((3, 1))), (3, _message((3, 1), (4, 1), (5, 1)))))
    model = read_sentencepiece(tmp_path / "spiece.model")
    assert model.pieces[4] == ("▁a", -2.5, 1) and model.kind == "Unigram"
    tokenizer = load_tokenizer(tmp_path, backend="python")
    assert tokenizer.encode("  a   ab c").tokens == ["▁a", "▁a", "b", "▁", "c", "</s>"]
    assert tokenizer.decode(tokenizer.encode("a ab").ids) == "a ab"


def test_files_of_gpt2_and_bert(tmp_path):
    trained = train_tokenizer(TEXTS, "bpe", vocab_size=300, special_tokens=["<|endoftext|>"])
    gpt2 = tmp_path / "gpt2"
    gpt2.mkdir()
    (gpt2 / "vocab.json").write_text(json.dumps(trained.vocab))
    (gpt2 / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in trained.spec["model"]["merges"]) + "\n")
    tokenizer = load_tokenizer(gpt2, backend="python")
    assert tokenizer.encode(TEXTS[0]).ids == trained.encode(TEXTS[0]).ids
    assert tokenizer.special["eos_token"] == "<|endoftext|>"
    bert = tmp_path / "bert"
    bert.mkdir()
    (bert / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cafe", "##s", "!"]) + "\n")
    tokenizer = load_tokenizer(bert)
    batch = tokenizer("Cafés!", "CAFÉ")
    assert batch["input_ids"] == [2, 5, 6, 7, 3, 5, 3] and batch["token_type_ids"] == [0, 0, 0, 0, 0, 1, 1]
    assert tokenizer.encode("[MASK]").ids == [2, 4, 3]
