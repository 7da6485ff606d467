"""Added tokens: texts that are tokens of their own, found before the model sees the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flambeau_text.tokenize.aligned import Aligned
from flambeau_text.tokenize.characters import is_a
from flambeau_text.tokenize.components import field
from flambeau_text.tokenize.patterns import is_space

Piece = tuple[Aligned, "AddedToken | None"]


@dataclass(frozen=True)
class AddedToken:
    """A token that is cut out of texts.

    Attributes:
        content: its text.
        id: its number.
        single_word: only where no word character is next to it.
        lstrip, rstrip: it takes the white space on that side with it.
        normalized: it is looked for in the normalized text, else in the original one.
        special: it is left out of decoded texts.
    """

    content: str
    id: int
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = True
    special: bool = False

    @classmethod
    def of(cls, spec: dict[str, Any]) -> AddedToken:
        """From an entry of `added_tokens`."""
        flags = {name: field(spec, name, bool, False) for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
        return cls(field(spec, "content", str), field(spec, "id", int), **flags)


class Finder:
    """Looks for tokens in a text: the leftmost, and of those the longest."""

    def __init__(self, tokens: Iterable[tuple[str, AddedToken]]) -> None:
        self.tokens = {content: token for content, token in tokens if content}
        longest_first = sorted(self.tokens, key=len, reverse=True)
        self.pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def split(self, text: Aligned) -> list[Piece]:
        """The text in pieces; those that are tokens come with them."""
        if self.pattern is None:
            return [(text, None)] if text.text else []
        pieces: list[Piece] = []
        at, whole = 0, text.text
        for match in self.pattern.finditer(whole):
            token = self.tokens[match[0]]
            start, stop = match.span()
            if token.single_word and (_is_word(whole[start - 1 : start]) or _is_word(whole[stop : stop + 1])):
                continue
            if token.lstrip:
                while start > at and is_space(whole[start - 1]):
                    start -= 1
            start = max(start, at)
            while token.rstrip and stop < len(whole) and is_space(whole[stop]):
                stop += 1
            if at < start:
                pieces.append((text.slice(at, start), None))
            pieces.append((text.slice(start, stop), token))
            at = stop
        if at < len(whole):
            pieces.append((text.slice(at, len(whole)), None))
        return pieces


def _is_word(char: str) -> bool:
    return bool(char) and is_a("word", char)


class AddedTokens:
    """All added tokens of a tokenizer, in two passes: over the original text, then over the normalized rest."""

    def __init__(self, tokens: Iterable[AddedToken], normalize: Callable[[Aligned], None]) -> None:
        self.tokens = list(tokens)
        self.normalize = normalize
        self._original = Finder((token.content, token) for token in self.tokens if not token.normalized)
        self._normalized = Finder((self._norm(token.content), token) for token in self.tokens if token.normalized)

    def _norm(self, content: str) -> str:
        text = Aligned.of(content)
        self.normalize(text)
        return text.text

    def split(self, text: str) -> list[Piece]:
        """The pieces of a text, normalized where they are not tokens of the original text."""
        pieces: list[Piece] = []
        for piece, token in self._original.split(Aligned.of(text)):
            if token is not None:
                pieces.append((piece, token))
                continue
            self.normalize(piece)
            pieces += self._normalized.split(piece)
        return pieces
