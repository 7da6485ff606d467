"""SentencePiece's precompiled normalization (Kudo & Richardson 2018): a double-array trie from strings to their replacements."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from flambeau.base.errors import FileFormatError, explain
from flambeau_text.tokenize.aligned import Aligned
from flambeau_text.tokenize.characters import general, is_a
from flambeau_text.tokenize.components import field


class CharsMap:
    """The trie and the replacements of one `precompiled_charsmap`: u32 size of the trie, its u32 units, then zero-ended strings."""

    def __init__(self, blob: bytes) -> None:
        size = struct.unpack_from("<I", blob)[0] if len(blob) >= 4 else 0
        if len(blob) < 4 or size % 4 or 4 + size > len(blob):
            got = f"{len(blob)} bytes that claim a trie of {size}"
            raise FileFormatError(explain("precompiled_charsmap", expected="a trie and its strings", got=got))
        self.units: list[int] = np.frombuffer(blob, "<u4", size // 4, 4).tolist()
        self.strings = blob[4 + size :]

    def prefixes(self, key: bytes) -> Iterator[tuple[int, str]]:
        """(length in bytes, replacement) of each entry that `key` begins with, the shortest first."""
        units, at = self.units, 0
        if not units:
            return
        at = _offset(units[0])
        for i, byte in enumerate(key):
            at ^= byte
            if not 0 <= at < len(units) or units[at] & 0x800000FF != byte:
                return
            unit = units[at]
            at ^= _offset(unit)
            if unit >> 8 & 1 and 0 <= at < len(units):
                yield i + 1, self._string(units[at] & 0x7FFFFFFF)

    def _string(self, start: int) -> str:
        stop = self.strings.find(b"\0", start)
        if not 0 <= start <= len(self.strings) or stop < 0:
            raise FileFormatError(explain("precompiled_charsmap", expected="a replacement within the strings", got=f"offset {start}"))
        return self.strings[start:stop].decode("utf-8", "replace")


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & 0x200) >> 6)


def precompiled(spec: dict[str, Any]) -> Callable[[Aligned], None]:
    """The normalizer `Precompiled` of `tokenizer.json`: grapheme clusters, else characters, are replaced by the shortest entry."""
    blob = spec.get("precompiled_charsmap")
    if not blob:
        return lambda text: None
    try:
        table = CharsMap(base64.b64decode(field(spec, "precompiled_charsmap", str), validate=True))
    except binascii.Error as error:
        raise FileFormatError(explain("precompiled_charsmap", expected="base64", got=str(error))) from None

    def replacement(part: str) -> str | None:
        return next((new for _, new in table.prefixes(part.encode())), None)

    def normalize(text: Aligned) -> None:
        changes: list[tuple[str, int]] = []
        for cluster in _clusters(text.text):
            whole = replacement(cluster) if len(cluster.encode()) < 6 else None
            if whole is not None:
                _put(changes, cluster, whole)
                continue
            for char in cluster:
                new = replacement(char)
                _put(changes, char, char if new is None else new)
        text.transform(changes)

    return normalize


def _put(changes: list[tuple[str, int]], old: str, new: str) -> None:
    """Write a replacement as changes: what `new` has beyond `old` is inserted, what it lacks is dropped at its last character."""
    extra = len(new) - len(old)
    changes += [(char, 1 if i >= len(new) - extra else 0) for i, char in enumerate(new)]
    if extra < 0 and changes:
        changes[-1] = (changes[-1][0], changes[-1][1] + extra)


def _clusters(text: str) -> Iterator[str]:
    """Grapheme clusters as far as they matter here: clusters of 6 bytes or more are cut into characters anyway, so only a character with
    marks after it (or a prefix before it), and CR LF, need to be kept together."""
    start = 0
    for i in range(1, len(text) + 1):
        if i == len(text) or not _joined(text[i - 1], text[i]):
            yield text[start:i]
            start = i


def _joined(before: str, char: str) -> bool:
    if before == "\r" and char == "\n":
        return True
    return is_a("joining", char) and (not _control(before) or before in "\u200c\u200d")


def _control(char: str) -> bool:
    return general(char) in ("Cc", "Cf", "Zl", "Zp")
