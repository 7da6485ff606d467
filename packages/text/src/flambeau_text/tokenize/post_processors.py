"""Post-processors of `tokenizer.json`: they put special tokens around encodings and join two into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from flambeau.base.errors import FileFormatError, explain
from flambeau_text.tokenize.byte_level import BYTE_TO_CHAR
from flambeau_text.tokenize.components import builder, field
from flambeau_text.tokenize.encoding import Encoding
from flambeau_text.tokenize.patterns import is_space

Spec = dict[str, Any]


class PostProcessor(Protocol):
    """Joins the encodings of one or two texts."""

    def added(self, pair: bool) -> int:
        """How many special tokens are added to one text, or to a pair."""

    def process(self, parts: list[Encoding], special: bool) -> list[Encoding]:
        """The encodings, changed; with `special` the special tokens are among them."""


class Template:
    """Special tokens and texts in a fixed order, with type ids; for one text and for a pair.

    A template is a list of ("A", None, type id) for a text and (token, ids and tokens, type id) for a special token.
    """

    def __init__(self, single: Sequence[Any], pair: Sequence[Any]) -> None:
        self.single, self.pair = list(single), list(pair)

    def added(self, pair: bool) -> int:
        return sum(len(tokens[0]) for _, tokens, _ in (self.pair if pair else self.single) if tokens is not None)

    def process(self, parts: list[Encoding], special: bool) -> list[Encoding]:
        template = self.pair if len(parts) > 1 else self.single
        out = []
        texts = iter(parts)
        chosen = {name: next(texts) for name in ("A", "B")[: len(parts)]}
        for name, tokens, type_id in template:
            if tokens is None:
                piece = chosen[name]
                piece.type_ids = [type_id] * len(piece)
                for other in piece.overflowing:
                    other.type_ids = [type_id] * len(other)
                out.append(piece)
            elif special:
                piece = Encoding()
                for id_, token in zip(*tokens, strict=True):
                    piece.add(id_, token, (0, 0), None, None)
                piece.type_ids = [type_id] * len(piece)
                out.append(piece)
        return out


class _ByteLevel:
    """Takes the spaces at both ends of byte-level tokens out of the offsets."""

    def __init__(self, trim: bool, space: bool) -> None:
        self.trim, self.space = trim, space

    def added(self, pair: bool) -> int:
        return 0

    def process(self, parts: list[Encoding], special: bool) -> list[Encoding]:
        for part in parts if self.trim else ():
            _trim(part, self.space)
            for other in part.overflowing:
                _trim(other, self.space)
        return parts


def _trim(encoding: Encoding, space: bool) -> None:
    for i, token in enumerate(encoding.tokens):
        start, stop = encoding.offsets[i]
        leading = len(token) - len(token.lstrip(_BLANKS))
        trailing = len(token) - len(token.rstrip(_BLANKS))
        if leading:
            if space and leading == 1 and (i == 0 or start == 0):
                leading = 0  # it is the one that the pre-tokenizer added
            start = min(start + leading, stop)
        if trailing and stop >= trailing:
            stop = max(stop - trailing, start)
        encoding.offsets[i] = (start, stop)


_BLANKS = BYTE_TO_CHAR[0x20] + "".join(chr(code) for code in range(0x3001) if is_space(chr(code)))


class _Chain:
    def __init__(self, steps: list[PostProcessor]) -> None:
        self.steps = steps

    def added(self, pair: bool) -> int:
        return sum(step.added(pair) for step in self.steps)

    def process(self, parts: list[Encoding], special: bool) -> list[Encoding]:
        for step in self.steps:
            parts = step.process(parts, special)
        return parts


def _bert(spec: Spec) -> PostProcessor:
    """[CLS] A [SEP] B [SEP], with type ids 0 and 1."""
    start, end = _special(spec, "cls"), _special(spec, "sep")
    a, b = ("A", None, 0), ("B", None, 1)
    return Template([(*start, 0), a, (*end, 0)], [(*start, 0), a, (*end, 0), b, (*end, 1)])


def _roberta(spec: Spec) -> PostProcessor:
    """<s> A </s></s> B </s>, all type ids 0; offsets without spaces."""
    start, end = (*_special(spec, "cls"), 0), (*_special(spec, "sep"), 0)
    a, b = ("A", None, 0), ("B", None, 0)
    trim = _ByteLevel(field(spec, "trim_offsets", bool, True), field(spec, "add_prefix_space", bool, True))
    return _Chain([trim, Template([start, a, end], [start, a, end, end, b, end])])


def _special(spec: Spec, name: str) -> tuple[str, tuple[list[int], list[str]]]:
    token, id_ = field(spec, name, list)
    return token, ([id_], [token])


def _template(spec: Spec) -> PostProcessor:
    tokens = field(spec, "special_tokens", dict)
    if isinstance(tokens, list):  # pragma: no cover - older files
        tokens = {entry["id"]: entry for entry in tokens}

    def entry(piece: Any) -> tuple[str, Any, int]:
        if isinstance(piece, dict) and isinstance(piece.get("Sequence"), dict):
            return field(piece["Sequence"], "id", str), None, field(piece["Sequence"], "type_id", int)
        if isinstance(piece, dict) and isinstance(piece.get("SpecialToken"), dict):
            name = field(piece["SpecialToken"], "id", str)
            if name not in tokens:
                raise FileFormatError(explain("TemplateProcessing", expected=f"{name!r} among its special_tokens", got=f"{sorted(tokens)}"))
            known = tokens[name]
            return name, (field(known, "ids", list), field(known, "tokens", list)), field(piece["SpecialToken"], "type_id", int)
        raise FileFormatError(explain("TemplateProcessing", expected="Sequence or SpecialToken", got=repr(piece)[:100]))

    return Template([entry(p) for p in field(spec, "single", list)], [entry(p) for p in field(spec, "pair", list)])


_TYPES = {
    "TemplateProcessing": _template,
    "BertProcessing": _bert,
    "RobertaProcessing": _roberta,
    "ByteLevel": lambda spec: _ByteLevel(field(spec, "trim_offsets", bool, True), field(spec, "add_prefix_space", bool, True)),
    "Sequence": lambda spec: _Chain([post_processor(step) for step in field(spec, "processors", list)]),
}


def post_processor(spec: Spec | None) -> PostProcessor:
    """The post-processor that a JSON object describes; None joins texts as they are."""
    return _Chain([]) if spec is None else builder("post-processor", _TYPES, spec)


def joined(parts: list[Encoding]) -> Encoding:
    """The pieces as one encoding. What overflowed from a text becomes encodings with the same special tokens around them, in the order
    of the Rust library: what is there already meets each part of the next piece, then the main part meets its overflow."""
    main: list[Encoding] = []
    rest: list[list[Encoding]] = []
    for part in parts:
        options = [part, *part.overflowing]
        rest = [[*before, option] for before in rest for option in options] + [[*main, option] for option in part.overflowing]
        main = [*main, part]
    whole = _concatenated(main)
    whole.overflowing = [_concatenated(chosen) for chosen in rest]
    return whole


def _concatenated(parts: list[Encoding]) -> Encoding:
    whole = Encoding()
    for part in parts:
        whole.extend(part)
    return whole
