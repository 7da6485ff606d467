"""Text that remembers, for each of its characters, the part of the original that it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain

Span = tuple[int, int]
Found = list[tuple[Span, bool]]  # parts of a text one after the other, and whether each is a match


@dataclass(slots=True)
class Aligned:
    """A text, and where each of its characters comes from: character i covers `starts[i]:ends[i]` of the original.

    Attributes:
        text: the characters as they are now.
        starts, ends: positions in the original, in characters; `range` objects as long as nothing has changed.
        begin: where in the original this piece begins.

    >>> word = Aligned.of("Ab")
    >>> word.map_each(lambda c: c.lower() * 2)
    >>> word.text, word.span(2, 4)
    ('aabb', (1, 2))
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    begin: int = 0

    @classmethod
    def of(cls, text: str) -> Aligned:
        """A text that is its own original."""
        return cls(text, range(len(text)), range(1, len(text) + 1))

    def __len__(self) -> int:
        return len(self.text)

    def span(self, start: int, stop: int) -> Span:
        """What the characters `start:stop` cover in the original."""
        if start >= stop:
            at = self.ends[start - 1] if 0 < start <= len(self.text) else self.begin
            return at, at
        return self.starts[start], self.ends[stop - 1]

    def slice(self, start: int, stop: int) -> Aligned:
        """The piece `start:stop`."""
        return Aligned(self.text[start:stop], self.starts[start:stop], self.ends[start:stop], self.span(start, stop)[0])

    def transform(self, changes: Iterable[tuple[str, int]]) -> None:
        """Replace all characters. Each new one comes with a change: 0 stands for the next old one, 1 is an insertion (aligned with the
        old character before it), -n stands for the next old one and the n after that."""
        text, starts, ends = [], [], []
        at = 0
        for char, change in changes:
            source = at - 1 if change > 0 else at
            text.append(char)
            starts.append(self.starts[source] if source >= 0 else self.begin)
            ends.append(self.ends[source] if source >= 0 else self.begin)
            if change <= 0:
                at += 1 - change
        self.text, self.starts, self.ends = "".join(text), starts, ends

    def map_each(self, fn: Callable[[str], str]) -> None:
        """Replace each character by `fn(character)`, which may be several or none; each is aligned with what it replaces."""
        parts = [fn(char) for char in self.text]
        if all(len(part) == 1 for part in parts):
            self.text = "".join(parts)
            return
        self.starts = [start for start, part in zip(self.starts, parts, strict=True) for _ in part]
        self.ends = [end for end, part in zip(self.ends, parts, strict=True) for _ in part]
        self.text = "".join(parts)

    def keep(self, start: int, stop: int) -> None:
        """Drop what is outside `start:stop`."""
        self.text, self.starts, self.ends = self.text[start:stop], self.starts[start:stop], self.ends[start:stop]

    def prepend(self, prefix: str) -> None:
        """Put text in front, aligned with the first character. An empty text stays empty."""
        if self.text and prefix:
            n = len(prefix)
            self.starts = [self.starts[0]] * n + list(self.starts)
            self.ends = [self.ends[0]] * n + list(self.ends)
            self.text = prefix + self.text

    def replace(self, found: Found, content: str) -> None:
        """Put `content` for each match; it is aligned with the last character of what it replaces."""
        if not any(match for _, match in found):
            return
        text: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for (start, stop), match in found:
            if match:
                text.append(content)
                starts += [self.starts[stop - 1] if stop else self.begin] * len(content)
                ends += [self.ends[stop - 1] if stop else self.begin] * len(content)
            else:
                text.append(self.text[start:stop])
                starts += self.starts[start:stop]
                ends += self.ends[start:stop]
        self.text, self.starts, self.ends = "".join(text), starts, ends

    def split(self, found: Found, behavior: str) -> list[Aligned]:
        """Cut at the matches. `behavior` says what becomes of the matches themselves: Removed, Isolated, MergedWithPrevious,
        MergedWithNext or Contiguous (neighbouring matches are one)."""
        return [self.slice(*span) for span in _cuts(found, behavior) if span[0] < span[1]]


def _cuts(found: Found, behavior: str) -> list[Span]:
    if behavior == "Isolated":
        return [span for span, _ in found]
    if behavior == "Removed":
        return [span for span, match in found if not match]
    cuts: list[Span] = []
    if behavior == "Contiguous":
        before = False
        for span, match in found:
            if cuts and match == before:
                cuts[-1] = (cuts[-1][0], span[1])
            else:
                cuts.append(span)
            before = match
        return cuts
    if behavior == "MergedWithPrevious":
        before = False
        for span, match in found:
            if match and not before and cuts:
                cuts[-1] = (cuts[-1][0], span[1])
            else:
                cuts.append(span)
            before = match
        return cuts
    if behavior == "MergedWithNext":
        mirrored = [((-stop, -start), match) for (start, stop), match in reversed(found)]
        return [(-stop, -start) for start, stop in reversed(_cuts(mirrored, "MergedWithPrevious"))]
    raise ArgumentError(
        explain("split", expected="Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous", got=repr(behavior))
    )


def checked(text: object) -> str:
    """The text, after a check that it is one that UTF-8 can hold. Raises ArgumentTypeError, or ArgumentError for lone surrogates."""
    if not isinstance(text, str):
        raise ArgumentTypeError(explain("tokenizer", expected="a str", got=type(text).__name__))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        got = f"a lone surrogate {text[error.start]!r} at position {error.start}"
        hint = "text.encode('utf-8', 'replace').decode(), or read the file with errors='replace'"
        raise ArgumentError(explain("tokenizer", expected="text that UTF-8 can hold", got=got, hint=hint)) from None
    return str(text)
