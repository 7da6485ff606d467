"""Normalizers of `tokenizer.json`: each is made from its JSON object and changes an `Aligned` text."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from flambeau_text.tokenize.aligned import Aligned
from flambeau_text.tokenize.byte_level import BYTE_TO_CHAR
from flambeau_text.tokenize.characters import composed, decomposed, is_a, lower, order
from flambeau_text.tokenize.components import builder, field
from flambeau_text.tokenize.patterns import find, is_space, pattern_of
from flambeau_text.tokenize.precompiled import precompiled

Normalizer = Callable[[Aligned], None]
Spec = dict[str, Any]


def _unicode_form(form: Any) -> Callable[[Spec], Normalizer]:
    compatible, compose = "K" in form, form.endswith("C")

    def normalize(text: Aligned) -> None:
        if not unicodedata.is_normalized(form, text.text):  # by Python's table, which changes no less than ours
            changes = _decomposed(text.text, compatible)
            text.transform(_recomposed(changes) if compose else changes)

    return lambda spec: normalize


def _decomposed(text: str, compatible: bool) -> Iterator[tuple[str, int]]:
    """Decomposed characters in canonical order, with their changes."""
    form = "NFKD" if compatible else "NFD"
    pending: list[tuple[str, int]] = []
    for char in text:
        for i, part in enumerate(decomposed(char, form)):
            if not order(part):
                yield from sorted(pending, key=lambda entry: order(entry[0]))
                pending = []
                yield part, int(i > 0)
            else:
                pending.append((part, int(i > 0)))
    yield from sorted(pending, key=lambda entry: order(entry[0]))


def _recomposed(changes: Iterator[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Canonical composition: a mark joins the last starter unless a mark of its class or a higher one lies between."""
    starter: tuple[str, int] | None = None
    marks: list[tuple[str, int]] = []
    last = 0
    for char, change in changes:
        rank = order(char)
        if starter is None:
            if rank:
                yield char, change
            else:
                starter = (char, change)
            continue
        blocked = bool(marks) and last >= rank
        both = None if blocked else composed(starter[0], char)
        if both is not None:
            starter = (both, starter[1] + change - 1)
        elif rank:
            marks.append((char, change))
            last = rank
        else:
            yield starter
            yield from marks
            starter, marks, last = (char, change), [], 0
    if starter is not None:
        yield starter
    yield from marks


def _lowercase(spec: Spec) -> Normalizer:
    return lambda text: text.map_each(lower)


def _strip(spec: Spec) -> Normalizer:
    left, right = field(spec, "strip_left", bool, True), field(spec, "strip_right", bool, True)

    def normalize(text: Aligned) -> None:
        start, stop = 0, len(text)
        while left and start < stop and is_space(text.text[start]):
            start += 1
        while right and stop > start and is_space(text.text[stop - 1]):
            stop -= 1
        if (start, stop) != (0, len(text)):
            text.keep(start, stop)

    return normalize


def _without_marks(text: Aligned) -> None:
    text.map_each(lambda char: "" if is_a("nonspacing", char) else char)


def _strip_accents(spec: Spec) -> Normalizer:
    return lambda text: text.map_each(lambda char: "" if is_a("mark", char) else char)


def _replace(spec: Spec) -> Normalizer:
    pattern, content = pattern_of(spec.get("pattern")), field(spec, "content", str)
    return lambda text: text.replace(find(pattern, text.text), content)


def _prepend(spec: Spec) -> Normalizer:
    prefix = field(spec, "prepend", str)
    return lambda text: text.prepend(prefix)


def _byte_level(spec: Spec) -> Normalizer:
    return lambda text: text.map_each(lambda char: "".join(BYTE_TO_CHAR[byte] for byte in char.encode()))


def _nmt(spec: Spec) -> Normalizer:
    removed = {*range(0x01, 0x09), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F}
    spaces = {0x09, 0x0A, 0x0C, 0x0D, 0x1680, *range(0x200B, 0x2010), 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD}

    def clean(char: str) -> str:
        code = ord(char)
        return "" if code in removed else " " if code in spaces else char

    return lambda text: text.map_each(clean)


# The blocks that BERT's tokenizer counts as Chinese characters.
_CHINESE = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


def _bert(spec: Spec) -> Normalizer:
    """Devlin et al. 2018: control characters out, spaces around Chinese characters, then accents off and lower case."""
    clean, chinese = field(spec, "clean_text", bool, True), field(spec, "handle_chinese_chars", bool, True)
    small = field(spec, "lowercase", bool, True)
    accents = small if spec.get("strip_accents") is None else field(spec, "strip_accents", bool)
    decompose: Normalizer = _unicode_form("NFD")({})

    def normalize(text: Aligned) -> None:
        if clean:
            text.map_each(_clean)
        if chinese:
            _space_out(text)
        if accents:
            decompose(text)
            _without_marks(text)
        if small:
            text.map_each(lower)

    return normalize


def _clean(char: str) -> str:
    if char in "\t\n\r":
        return " "
    if is_a("dropped", char):
        return ""
    return " " if is_space(char) else char


def _space_out(text: Aligned) -> None:
    """Put spaces around Chinese characters; the one in front takes the character's place, as in the Rust library."""
    if not any(ord(char) > 0x33FF for char in text.text):
        return
    changes: list[tuple[str, int]] = []
    for char in text.text:
        if any(low <= ord(char) <= high for low, high in _CHINESE):
            changes += [(" ", 0), (char, 1), (" ", 1)]
        else:
            changes.append((char, 0))
    text.transform(changes)


def _sequence(spec: Spec) -> Normalizer:
    steps = [normalizer(step) for step in field(spec, "normalizers", list)]

    def normalize(text: Aligned) -> None:
        for step in steps:
            step(text)

    return normalize


_TYPES: dict[str, Callable[[Spec], Normalizer]] = {
    "Sequence": _sequence,
    "BertNormalizer": _bert,
    "NFC": _unicode_form("NFC"),
    "NFD": _unicode_form("NFD"),
    "NFKC": _unicode_form("NFKC"),
    "NFKD": _unicode_form("NFKD"),
    "Lowercase": _lowercase,
    "Strip": _strip,
    "StripAccents": _strip_accents,
    "Replace": _replace,
    "Prepend": _prepend,
    "ByteLevel": _byte_level,
    "Nmt": _nmt,
    "Precompiled": precompiled,
}


def normalizer(spec: Spec | None) -> Normalizer:
    """The normalizer that a JSON object describes; None changes nothing.

    >>> text = Aligned.of("Café")
    >>> normalizer({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]})(text)
    >>> text.text, text.span(3, 4)
    ('cafe', (3, 4))
    """
    return (lambda text: None) if spec is None else builder("normalizer", _TYPES, spec)
