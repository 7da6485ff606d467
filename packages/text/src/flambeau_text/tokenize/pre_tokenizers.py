"""Pre-tokenizers of `tokenizer.json`: each is made from its JSON object and cuts an `Aligned` text into the pieces a model works on."""

from __future__ import annotations

from collections.abc import Callable
from re import Pattern
from typing import Any

from flambeau.base.errors import FileFormatError, explain
from flambeau_text.tokenize.aligned import Aligned
from flambeau_text.tokenize.byte_level import BYTE_TO_CHAR, SPLIT
from flambeau_text.tokenize.characters import is_a
from flambeau_text.tokenize.components import builder, field
from flambeau_text.tokenize.patterns import compiled, find, find_each, is_space, pattern_of, words

PreTokenizer = Callable[[Aligned], list[Aligned]]
Spec = dict[str, Any]


def is_punctuation(char: str) -> bool:
    """ASCII's punctuation with its symbols, and Unicode's category P."""
    return is_a("punctuation", char)


def _each(test: Callable[[str], bool], behavior: str) -> PreTokenizer:
    return lambda text: text.split(find_each(test, text.text), behavior)


def _matching(pattern: Pattern[str], behavior: str, invert: bool = False) -> PreTokenizer:
    return lambda text: text.split(find(pattern, text.text, invert), behavior)


def _bert(spec: Spec) -> PreTokenizer:
    return _chain([_each(is_space, "Removed"), _each(is_punctuation, "Isolated")])


def _byte_level(spec: Spec) -> PreTokenizer:
    """Radford et al. 2019: words with the space before them, then the bytes of each as characters."""
    space = field(spec, "add_prefix_space", bool, True)
    cut = _matching(compiled(SPLIT), "Isolated") if field(spec, "use_regex", bool, True) else None

    def split(text: Aligned) -> list[Aligned]:
        if space and not text.text.startswith(" "):
            text.prepend(" ")
        pieces = [text] if cut is None else cut(text)
        for piece in pieces:
            piece.map_each(lambda char: "".join(BYTE_TO_CHAR[byte] for byte in char.encode()))
        return pieces

    return split


def _metaspace(spec: Spec) -> PreTokenizer:
    """SentencePiece: spaces are written as a visible character, and words begin with it."""
    mark = field(spec, "replacement", str, "▁")
    default = "always" if spec.get("add_prefix_space", True) else "never"  # files of older versions have this field
    scheme = field(spec, "prepend_scheme", str, default)
    if scheme not in ("always", "first", "never"):
        raise FileFormatError(explain("Metaspace", expected="prepend_scheme always, first or never", got=repr(scheme)))
    cut = field(spec, "split", bool, True)

    def split(text: Aligned) -> list[Aligned]:
        text.text = text.text.replace(" ", mark)
        if not text.text.startswith(mark) and (scheme == "always" or (scheme == "first" and text.begin == 0)):
            text.prepend(mark)
        return text.split(find_each(mark.__eq__, text.text), "MergedWithNext") if cut else [text]

    return split


def _split(spec: Spec) -> PreTokenizer:
    return _matching(pattern_of(spec.get("pattern")), field(spec, "behavior", str), field(spec, "invert", bool, False))


def _punctuation(spec: Spec) -> PreTokenizer:
    return _each(is_punctuation, field(spec, "behavior", str, "Isolated"))


def _digits(spec: Spec) -> PreTokenizer:
    alone = field(spec, "individual_digits", bool, False)
    return _each(lambda char: is_a("number", char), "Isolated" if alone else "Contiguous")


def _delimiter(spec: Spec) -> PreTokenizer:
    return _each(field(spec, "delimiter", str).__eq__, "Removed")


def _fixed_length(spec: Spec) -> PreTokenizer:
    length = field(spec, "length", int)
    if length < 1:
        raise FileFormatError(explain("FixedLength", expected="a length of 1 or more", got=str(length)))
    return lambda text: [text.slice(i, min(i + length, len(text))) for i in range(0, len(text), length)]


def _chain(steps: list[PreTokenizer]) -> PreTokenizer:
    def split(text: Aligned) -> list[Aligned]:
        pieces = [text]
        for step in steps:
            pieces = [part for piece in pieces for part in step(piece) if part.text]
        return pieces

    return split


_TYPES: dict[str, Callable[[Spec], PreTokenizer]] = {
    "Sequence": lambda spec: _chain([pre_tokenizer(step) for step in field(spec, "pretokenizers", list)]),
    "BertPreTokenizer": _bert,
    "ByteLevel": _byte_level,
    "Metaspace": _metaspace,
    "Whitespace": lambda spec: _matching(words(), "Removed", invert=True),
    "WhitespaceSplit": lambda spec: _each(is_space, "Removed"),
    "Split": _split,
    "Punctuation": _punctuation,
    "Digits": _digits,
    "CharDelimiterSplit": _delimiter,
    "FixedLength": _fixed_length,
}


def pre_tokenizer(spec: Spec | None) -> PreTokenizer:
    """The pre-tokenizer that a JSON object describes; None leaves the text in one piece.

    >>> [piece.text for piece in pre_tokenizer({"type": "Whitespace"})(Aligned.of("Hello, world"))]
    ['Hello', ',', 'world']
    """
    return (lambda text: [text]) if spec is None else builder("pre-tokenizer", _TYPES, spec)
