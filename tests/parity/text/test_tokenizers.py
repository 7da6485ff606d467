"""Our tokenizer engine against the Rust library: ids, tokens, offsets and decoded texts on a fuzzed multilingual corpus."""

from __future__ import annotations

import json
import random

import pytest

rust = pytest.importorskip("tokenizers")

from tokenizers import decoders as D  # noqa: E402
from tokenizers import models, trainers  # noqa: E402
from tokenizers import normalizers as N  # noqa: E402
from tokenizers import pre_tokenizers as P  # noqa: E402
from tokenizers import processors as PP  # noqa: E402

from flambeau_text.tokenize import Tokenizer, train_tokenizer  # noqa: E402

SAMPLES = [
    "Hello, world! It's 3.14 o'clock — we'll see…", "Ünïcödé façade naïve Ångström", "日本語のテキストと한국어 텍스트",
    "Привет, мир! Ёжик",
    "مرحبا بالعالم ١٢٣", "हिन्दी में पाठ क्षत्रिय", "emoji 😀👩‍👩‍👧‍👦🏽 flags 🇩🇪🇫🇷", "tabs\tand\r\nnewlines\n\n  double  spaces ",
    "ﬁ ligature ² ½ Ⅷ ①", "e\u0301 a\u0308\u0301 \u1100\u1161\u11a8", "ไทยไม่มีช่องว่าง", "İstanbul ΣΊΣΥΦΟΣ ſtraße",
    "\u200bzero\u200dwidth\ufeff \u00a0nbsp \u3000wide", "don't DON'T can't've 's 'LL", "<s>special</s> [MASK] tokens[MASK]<pad>",
    "a" * 120,
    "\x00\x07control\x1fchars\x85\x0b", "ａｂｃ ＡＢＣ ｶﾞ", "x=1;y+=2 #comment $5.00 ~ ^_^ `code`", "▁metaspace ▁▁", "각 각 가", "שָׁלוֹם",
]  # fmt: skip
POOL = sorted(set("".join(SAMPLES)))
SPECIAL = ["<unk>", "<s>", "</s>", "[MASK]", "<pad>"]
FIELDS = ("ids", "tokens", "offsets", "type_ids", "word_ids", "special_tokens_mask", "attention_mask")
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def fuzz(rng: random.Random) -> str:
    """A sample, a piece of two, or a jumble of their characters, or of any characters."""
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(SAMPLES)
    if kind < 0.6:
        text = rng.choice(SAMPLES) + rng.choice(["", " ", "  "]) + rng.choice(SAMPLES)
        start, stop = sorted((rng.randrange(len(text)), rng.randrange(len(text))))
        return text[start:stop]
    if kind < 0.9:
        return "".join(rng.choice(POOL) for _ in range(rng.randrange(20)))
    if kind > 0.95:
        return "".join(chr(rng.choice((rng.randrange(0xD800), rng.randrange(0xE000, 0x1FFFF)))) for _ in range(rng.randrange(12)))
    letters = [*range(0x20, 0x240), *range(0x391, 0x3FF), *range(0x410, 0x450), *range(0x4E00, 0x9000), *range(0x1F600, 0x1F640)]
    return "".join(chr(rng.choice(letters)) for _ in range(rng.randrange(10)))


def trained(model, trainer, norm=None, pre=None, post=None, dec=None):
    tokenizer = rust.Tokenizer(model)
    if norm is not None:
        tokenizer.normalizer = norm
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    tokenizer.train_from_iterator(SAMPLES * 3, trainer)
    if post is not None:
        tokenizer.post_processor = post
    if dec is not None:
        tokenizer.decoder = dec
    return tokenizer


def byte_level_trainer():
    return trainers.BpeTrainer(vocab_size=500, special_tokens=SPECIAL, initial_alphabet=P.ByteLevel.alphabet())


def wordpiece_trainer():
    return trainers.WordPieceTrainer(vocab_size=400, special_tokens=SPECIAL)


def unigram_trainer():
    return trainers.UnigramTrainer(vocab_size=200, special_tokens=SPECIAL, unk_token="<unk>")


def gpt2():
    return trained(
        models.BPE(), byte_level_trainer(), pre=P.ByteLevel(add_prefix_space=False), post=PP.ByteLevel(trim_offsets=True), dec=D.ByteLevel()
    )


def roberta():
    post = PP.RobertaProcessing(("</s>", 2), ("<s>", 1))
    return trained(models.BPE(), byte_level_trainer(), pre=P.ByteLevel(add_prefix_space=True), post=post, dec=D.ByteLevel())


def llama3():
    pre = P.Sequence([P.Split(rust.Regex(LLAMA3), "isolated"), P.ByteLevel(add_prefix_space=False, use_regex=False)])
    template = PP.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    post = PP.Sequence([PP.ByteLevel(trim_offsets=False), template])
    return trained(models.BPE(ignore_merges=True), byte_level_trainer(), N.NFC(), pre, post, D.ByteLevel())


def llama2():
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL + bytes_, limit_alphabet=60)
    norm = N.Sequence([N.Prepend("▁"), N.Replace(" ", "▁")])
    dec = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)])
    return trained(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True), trainer, norm, dec=dec)


def bert():
    post = PP.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)])
    return trained(models.WordPiece(unk_token="<unk>"), wordpiece_trainer(), N.BertNormalizer(), P.BertPreTokenizer(), post, D.WordPiece())


def bert_cased():
    post = PP.BertProcessing(("</s>", 2), ("<s>", 1))
    norm = N.BertNormalizer(lowercase=False, strip_accents=True)
    return trained(models.WordPiece(unk_token="<unk>"), wordpiece_trainer(), norm, P.BertPreTokenizer(), post, D.WordPiece())


def t5():
    norm = N.Sequence([N.Nmt(), N.NFKC(), N.Replace(rust.Regex(" {2,}"), " ")])
    return trained(models.Unigram(), unigram_trainer(), norm, P.Metaspace(), dec=D.Metaspace())


def unigram_words():
    norm = N.Sequence([N.NFKD(), N.StripAccents(), N.Lowercase(), N.Strip()])
    pre = P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="first", split=False)])
    return trained(models.Unigram(), unigram_trainer(), norm, pre, dec=D.Metaspace())


def clip():
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, limit_alphabet=50, end_of_word_suffix="</w>")
    model = models.BPE(unk_token="<unk>", fuse_unk=False, end_of_word_suffix="</w>")
    return trained(model, trainer, N.Sequence([N.NFC(), N.Lowercase()]), P.Whitespace(), dec=D.BPEDecoder())


def word_level():
    steps = [P.Punctuation("contiguous"), P.Digits(True), P.Split(rust.Regex(r"\s+"), "merged_with_previous"), P.CharDelimiterSplit("l")]
    trainer = trainers.WordLevelTrainer(vocab_size=100, special_tokens=SPECIAL)
    return trained(models.WordLevel(unk_token="<unk>"), trainer, N.NFD(), P.Sequence(steps))


KINDS = (gpt2, roberta, llama3, llama2, bert, bert_cased, t5, unigram_words, clip, word_level)
each_kind = pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)


def same(theirs, ours, context):
    for field in FIELDS:
        assert list(getattr(theirs, field)) == list(getattr(ours, field)), (field, context)


@each_kind
def test_fuzzed_texts_and_pairs(make):
    theirs, rng = make(), random.Random(0)
    ours = Tokenizer.from_str(theirs.to_str(), backend="python")
    assert json.loads(theirs.to_str()) == json.loads(ours.to_str())
    for _ in range(150):
        text, pair = fuzz(rng), (fuzz(rng) if rng.random() < 0.3 else None)
        expected, found = theirs.encode(text, pair), ours.encode(text, pair)
        same(expected, found, (text, pair))
        assert expected.sequence_ids == found.sequence_ids
        for skip in (True, False):
            decoded = theirs.decode(expected.ids, skip_special_tokens=skip)
            assert decoded == ours.decode(found.ids, skip_special_tokens=skip)


@each_kind
def test_truncation_padding_and_overflow(make):
    theirs, rng = make(), random.Random(1)
    for _ in range(40):
        strategy = rng.choice(["longest_first", "only_first", "only_second"])
        theirs.enable_truncation(
            max_length=rng.randrange(8, 20), stride=rng.randrange(2), strategy=strategy, direction=rng.choice(["left", "right"])
        )
        theirs.enable_padding(
            direction=rng.choice(["left", "right"]), pad_id=4, pad_token="<pad>", pad_to_multiple_of=rng.choice([None, 8]),
            length=rng.choice([None, 30]),
        )  # fmt: skip
        ours = Tokenizer.from_str(theirs.to_str(), backend="python")
        texts = [(fuzz(rng), fuzz(rng)) if strategy == "only_second" or rng.random() < 0.3 else fuzz(rng) for _ in range(3)]
        try:
            expected = theirs.encode_batch(texts)
        except BaseException:  # a text too short to be cut that much
            with pytest.raises(ValueError, match="truncat"):
                ours.encode_batch(texts)
            continue
        for one, other in zip(expected, ours.encode_batch(texts), strict=True):
            same(one, other, texts)
            assert len(one.overflowing) == len(other.overflowing)
            for part, our_part in zip(one.overflowing, other.overflowing, strict=True):
                same(part, our_part, texts)


@each_kind
def test_added_tokens_and_words(make):
    theirs, rng = make(), random.Random(2)
    Added = rust.AddedToken
    plain = [Added("foo", single_word=True), Added("<x>", lstrip=True), Added("<y>", rstrip=True), Added("World"), Added("Él")]
    theirs.add_tokens(plain)
    theirs.add_special_tokens([Added("<z>", lstrip=True, rstrip=True)])
    ours = Tokenizer.from_str(theirs.to_str(), backend="python")
    parts = ["foo", "<x>", "<y>", "<z>", " ", "  ", "\n", "World", "world", "él", "Él", "a", "food", "_", "é", "日", "foo1", "ofoo"]
    for _ in range(80):
        text = "".join(rng.choice(parts) for _ in range(rng.randrange(10)))
        same(theirs.encode(text), ours.encode(text), text)
        words = [fuzz(rng) for _ in range(rng.randrange(4))]
        same(theirs.encode(words, is_pretokenized=True), ours.encode(words), words)


def test_the_backends_of_a_tokenizer_agree():
    theirs, rng = roberta(), random.Random(3)
    fast, slow = (Tokenizer.from_str(theirs.to_str(), backend=backend, special={"pad_token": "<pad>"}) for backend in ("rust", "python"))
    texts = [fuzz(rng) for _ in range(20)]
    options = dict(padding=True, truncation=True, max_length=12, return_overflowing_tokens=True, return_offsets_mapping=True)
    assert dict(fast(texts, **options)) == dict(slow(texts, **options))


def test_learnt_merges_are_the_same():
    theirs = rust.Tokenizer(models.BPE())
    theirs.pre_tokenizer = P.ByteLevel(add_prefix_space=False)
    theirs.train_from_iterator(SAMPLES, byte_level_trainer())
    ours = train_tokenizer(SAMPLES, "bpe", vocab_size=500, special_tokens=SPECIAL)
    assert json.loads(theirs.to_str())["model"]["merges"] == ours.spec["model"]["merges"]
    assert theirs.get_vocab() == ours.vocab
