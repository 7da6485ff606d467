"""Tokenizers learnt from texts: `train_tokenizer(texts, "bpe", vocab_size=8000)`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau_text.tokenize.aligned import Aligned, checked
from flambeau_text.tokenize.byte_level import BYTE_TO_CHAR
from flambeau_text.tokenize.learn_bpe import learn_bpe
from flambeau_text.tokenize.learn_unigram import learn_unigram
from flambeau_text.tokenize.normalizers import normalizer
from flambeau_text.tokenize.pre_tokenizers import pre_tokenizer
from flambeau_text.tokenize.tokenizer import Tokenizer

Spec = dict[str, Any]
_NFC: Spec = {"type": "NFC"}
_METASPACE: Spec = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
_BYTES: Spec = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
_BERT: Spec = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}

# How each kind cuts texts when nothing else is asked for: normalizer, pre-tokenizer, decoder.
_USUAL: dict[str, tuple[Spec | None, Spec, Spec | None]] = {
    "bpe": (None, _BYTES, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}),
    "wordpiece": (_BERT, {"type": "BertPreTokenizer"}, {"type": "WordPiece", "prefix": "##", "cleanup": True}),
    "unigram": ({"type": "NFKC"}, _METASPACE, _METASPACE),
    "word": (_NFC, {"type": "Whitespace"}, None),
    "char": (None, {"type": "FixedLength", "length": 1}, {"type": "Fuse"}),
}
_UNKNOWN = {"bpe": None, "wordpiece": "[UNK]", "unigram": "<unk>", "word": "<unk>", "char": "<unk>"}


def train_tokenizer(
    texts: Iterable[str],
    kind: str = "bpe",
    *,
    vocab_size: int = 8000,
    min_frequency: int = 0,
    special_tokens: Sequence[str] = (),
    special: dict[str, str] | None = None,
    normalizer_spec: Spec | None = None,
    pre_tokenizer_spec: Spec | None = None,
) -> Tokenizer:
    """Learn a tokenizer from an iterator over texts.

    Args:
        texts: read once; only counts of words are kept.
        kind: "bpe" (byte-level, knows every text), "wordpiece", "unigram", "word" or "char".
        vocab_size: the most tokens there may be, special ones included.
        min_frequency: how often a pair (or word, or character) must occur to become a token.
        special_tokens: tokens with the first ids, in this order; kinds that need an unknown token put theirs first if it is absent.
        special: what the special tokens are for, as in `Tokenizer`.
        normalizer_spec, pre_tokenizer_spec: JSON objects that replace the usual ones of the kind.

    >>> tokenizer = train_tokenizer(["low lower lowest"], "bpe", vocab_size=260)
    >>> tokenizer.encode("lower").tokens
    ['low', 'e', 'r']
    """
    if kind not in _USUAL:
        raise ArgumentError(explain("train_tokenizer", expected=f"a kind of {', '.join(_USUAL)}", got=repr(kind)))
    usual_norm, usual_pre, usual_decoder = _USUAL[kind]
    norm, pre = normalizer_spec or usual_norm, pre_tokenizer_spec or usual_pre
    unknown = _UNKNOWN[kind]
    first = list(special_tokens) if unknown is None or unknown in special_tokens else [unknown, *special_tokens]
    words = count_words(texts, normalizer(norm), pre_tokenizer(pre))
    model = _learn(kind, words, vocab_size, min_frequency, first)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": i, "content": token, **flags} for i, token in enumerate(first)]
    spec = {"model": model, "normalizer": norm, "pre_tokenizer": pre, "decoder": usual_decoder, "added_tokens": added}
    return Tokenizer(spec, special={**({} if unknown is None else {"unk_token": unknown}), **(special or {})})


def count_words(texts: Iterable[str], norm: Callable[[Aligned], None], pre: Callable[[Aligned], list[Aligned]]) -> Counter[str]:
    """How often each piece occurs, in the order in which they were first seen."""
    words: Counter[str] = Counter()
    for text in texts:
        aligned = Aligned.of(checked(text))
        norm(aligned)
        words.update(piece.text for piece in pre(aligned) if piece.text)
    return words


def _learn(kind: str, words: Counter[str], size: int, least: int, first: list[str]) -> Spec:
    if kind == "bpe":
        vocab, merges = learn_bpe(words, size, least, first, alphabet=BYTE_TO_CHAR.values())
        return {"type": "BPE", "vocab": vocab, "merges": merges, **_BPE_FIELDS}
    if kind == "wordpiece":
        vocab, _ = learn_bpe(words, size, least, first, prefix="##")
        return {
            "type": "WordPiece", "vocab": vocab, "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100
        }  # fmt: skip
    if kind == "unigram":
        pieces = learn_unigram(words, size, first)
        return {"type": "Unigram", "vocab": pieces, "unk_id": first.index("<unk>"), "byte_fallback": False}
    ranked = sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))
    names = [word for word, count in ranked if count >= least and word not in first]
    chosen = first + names[: max(0, size - len(first))]
    return {"type": "WordLevel", "vocab": {token: i for i, token in enumerate(chosen)}, "unk_token": "<unk>"}


_BPE_FIELDS: Spec = {
    "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
    "byte_fallback": False, "ignore_merges": False,
}  # fmt: skip
