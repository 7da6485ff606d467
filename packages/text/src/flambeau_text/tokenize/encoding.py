"""What a tokenizer makes of a text: ids, tokens, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

from flambeau.base.errors import ArgumentError, explain


@dataclass(slots=True)
class Encoding:
    """Lists of one length, an entry for each token.

    Attributes:
        ids: the numbers that models read.
        type_ids: 0 for the first text, 1 for the second (as the post-processor says).
        tokens: the tokens as they are in the vocabulary.
        offsets: start and stop of each token in the text, in characters; (0, 0) for tokens that were added.
        word_ids: which piece of the pre-tokenizer each belongs to; None for tokens that were added.
        sequence_ids: 0 or 1 for tokens of the first and the second text; None for tokens that were added.
        special_tokens_mask: 1 for tokens that were added by the post-processor or by padding.
        attention_mask: 0 for padding.
        overflowing: what truncation cut off, as encodings of their own.
    """

    ids: list[int] = field(default_factory=list)
    type_ids: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    offsets: list[tuple[int, int]] = field(default_factory=list)
    word_ids: list[int | None] = field(default_factory=list)
    sequence_ids: list[int | None] = field(default_factory=list)
    special_tokens_mask: list[int] = field(default_factory=list)
    attention_mask: list[int] = field(default_factory=list)
    overflowing: list[Encoding] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, id_: int, token: str, offsets: tuple[int, int], word: int | None, sequence: int | None) -> None:
        """Append a token; one without a sequence is special."""
        self.ids.append(id_)
        self.type_ids.append(sequence or 0)
        self.tokens.append(token)
        self.offsets.append(offsets)
        self.word_ids.append(word)
        self.sequence_ids.append(sequence)
        self.special_tokens_mask.append(int(sequence is None))
        self.attention_mask.append(1)

    def part(self, start: int, stop: int) -> Encoding:
        """The tokens `start:stop`."""
        return Encoding(*(getattr(self, name)[start:stop] for name in _LISTS))

    def extend(self, other: Encoding, type_id: int | None = None) -> None:
        """Append the tokens of another encoding, with this type id if one is given."""
        for name in _LISTS:
            getattr(self, name).extend(getattr(other, name))
        if type_id is not None and len(other):
            self.type_ids[-len(other) :] = [type_id] * len(other)

    def truncate(self, max_length: int, stride: int = 0, direction: str = "right") -> None:
        """Keep `max_length` tokens; the others become `overflowing`, in parts that overlap by `stride`."""
        size = len(self)
        if max_length >= size:
            return
        if max_length and not 0 <= stride < max_length:
            raise ArgumentError(explain("truncate", expected=f"a stride below the length {max_length}", got=str(stride)))
        parts = [self.part(start, stop) for start, stop in _windows(size, max_length, stride, direction)] if max_length else []
        rest = parts[1:] if parts else [self.part(0, size)]
        for name in _LISTS:
            setattr(self, name, getattr(parts[0], name) if parts else [])
        self.overflowing = rest

    def pad(self, length: int, *, id_: int = 0, type_id: int = 0, token: str = "[PAD]", direction: str = "right") -> None:
        """Append (or, with direction "left", put in front) padding up to a length; also to what overflowed."""
        missing = length - len(self)
        for other in self.overflowing:
            other.pad(length, id_=id_, type_id=type_id, token=token, direction=direction)
        if missing <= 0:
            return
        fill = (id_, type_id, token, (0, 0), None, None, 1, 0)
        for name, value in zip(_LISTS, fill, strict=True):
            old = getattr(self, name)
            setattr(self, name, [value] * missing + old if direction == "left" else old + [value] * missing)


_LISTS = tuple(f.name for f in fields(Encoding) if f.name != "overflowing")


def _windows(size: int, length: int, stride: int, direction: str) -> Iterator[tuple[int, int]]:
    """Windows over `size` tokens, each `length - stride` after the last one, until the end is reached."""
    step = length - stride
    if direction == "left":
        for stop in range(size, 0, -step):
            yield max(0, stop - length), stop
            if stop <= length:
                return
    for start in range(0, size, step) if direction != "left" else ():
        yield start, min(size, start + length)
        if start + length >= size:
            return


def truncate_pair(first: Encoding, second: Encoding | None, max_length: int, strategy: str, stride: int, direction: str) -> None:
    """Bring two encodings to `max_length` together: `longest_first`, `only_first` or `only_second`."""
    total = len(first) + (len(second) if second is not None else 0)
    if total <= max_length:
        return
    if strategy == "longest_first":
        sizes = sorted((len(first), len(second) if second is not None else 0))
        low, high = sizes if second is not None else (0, 0)
        high = low if low > max_length else max(low, max_length - low)
        if low + high > max_length:
            low, high = max_length // 2, max_length - max_length // 2
        if second is None:
            low, high = max_length, max_length
        n1, n2 = (high, low) if second is not None and len(first) > len(second) else (low, high)
        first.truncate(n1, stride, direction)
        if second is not None:
            second.truncate(n2, stride, direction)
        return
    target = first if strategy == "only_first" else second
    if strategy not in ("only_first", "only_second"):
        raise ArgumentError(explain("truncation", expected="longest_first, only_first or only_second", got=repr(strategy)))
    if target is None:
        raise ArgumentError(explain("truncation", expected="a pair of texts for only_second", got="one text"))
    keep = len(target) - (total - max_length)
    if keep <= 0:
        got = f"{len(target)} tokens, of {total} in all that should become {max_length}"
        raise ArgumentError(explain(f"truncation {strategy}", expected="a text that is long enough to be cut", got=got))
    target.truncate(keep, stride, direction)


def pad_all(
    encodings: Sequence[Encoding], *, length: int | None, multiple: int | None, id_: int, type_id: int, token: str, direction: str
) -> None:
    """Pad all to one length: the given one, or that of the longest, rounded up to a multiple."""
    size = max(map(len, encodings), default=0) if length is None else length
    if multiple and size % multiple:
        size += multiple - size % multiple
    for encoding in encodings:
        encoding.pad(size, id_=id_, type_id=type_id, token=token, direction=direction)
