"""Byte-pair encoding (Sennrich et al. 2016): a word's characters, joined pair by pair in the order in which the pairs were learnt."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Any

from flambeau.base.errors import ArgumentError, FileFormatError, explain
from flambeau_text.tokenize.components import field

Token = tuple[int, str, int, int]  # id, text, and the characters start:stop of the word
_CACHED_WORDS = 20_000
_LONGEST_CACHED = 64


class BPE:
    """The model of a JSON object {"type": "BPE", "vocab": {token: id}, "merges": [...], ...}.

    >>> model = BPE({"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]})
    >>> model.tokenize("aab")
    [(0, 'a', 0, 1), (2, 'ab', 1, 3)]
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        if spec.get("dropout"):
            raise ArgumentError(explain("BPE", expected="no dropout", got=str(spec["dropout"]), hint='"dropout": null'))
        self.vocab: dict[str, int] = checked_vocab(spec)
        self.tokens = {id_: token for token, id_ in self.vocab.items()}
        self.prefix = spec.get("continuing_subword_prefix") or ""
        self.suffix = spec.get("end_of_word_suffix") or ""
        self.unk = spec.get("unk_token")
        self.fuse_unk, self.byte_fallback = bool(spec.get("fuse_unk")), bool(spec.get("byte_fallback"))
        self.ignore_merges = bool(spec.get("ignore_merges"))
        self.merges = self._merges(field(spec, "merges", list))
        self._cache: dict[str, list[Token]] = {}

    def _merges(self, pairs: list[Any]) -> dict[tuple[int, int], tuple[int, int]]:
        """(left id, right id) -> (rank, id of both)."""
        table: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, pair in enumerate(pairs):
            left, right = _pair(pair)
            joined = left + right.removeprefix(self.prefix) if self.prefix else left + right
            absent = [token for token in (left, right, joined) if token not in self.vocab]
            if absent:
                raise FileFormatError(explain("BPE", expected=f"the tokens of merge {pair!r} in the vocabulary", got=f"no {absent[0]!r}"))
            table[self.vocab[left], self.vocab[right]] = (rank, self.vocab[joined])
        return table

    def tokenize(self, word: str) -> list[Token]:
        """The tokens of one piece of text. A character outside the vocabulary is its bytes, the unknown token, or nothing."""
        found = self._cache.get(word)
        if found is None:
            found = self._tokenize(word)
            if len(word) <= _LONGEST_CACHED and len(self._cache) < _CACHED_WORDS:
                self._cache[word] = found
        return found

    def _tokenize(self, word: str) -> list[Token]:
        if self.ignore_merges and word in self.vocab:
            return [(self.vocab[word], word, 0, len(word))]
        return [(id_, self.tokens[id_], start, stop) for id_, start, stop in self._merged(self._symbols(word))]

    def _symbols(self, word: str) -> list[tuple[int, int, int]]:
        """(id, start, stop) of each character."""
        symbols: list[tuple[int, int, int]] = []
        unknown: tuple[int, int, int] | None = None
        for i, char in enumerate(word):
            name = (self.prefix if i else "") + char + (self.suffix if i == len(word) - 1 else "")
            id_ = self.vocab.get(name)
            pieces = self._bytes(char) if id_ is None and self.byte_fallback else []
            if id_ is None and not pieces:
                unk = self._unknown(char)
                if unk is not None:
                    if unknown is not None and self.fuse_unk:
                        unknown = (unk, unknown[1], i + 1)
                    else:
                        symbols += [unknown] if unknown is not None else []
                        unknown = (unk, i, i + 1)
                continue
            if unknown is not None and id_ is not None:
                symbols.append(unknown)
                unknown = None
            symbols += [(piece, i, i + 1) for piece in pieces] if id_ is None else [(id_, i, i + 1)]
        return symbols if unknown is None else [*symbols, unknown]

    def _bytes(self, char: str) -> list[int]:
        ids = [self.vocab.get(f"<0x{byte:02X}>") for byte in char.encode()]
        return [id_ for id_ in ids if id_ is not None] if None not in ids else []

    def _unknown(self, char: str) -> int | None:
        if self.unk is None:
            return None
        if self.unk not in self.vocab:
            raise FileFormatError(explain("BPE", expected=f"the unknown token {self.unk!r} in the vocabulary", got=f"none, at {char!r}"))
        return self.vocab[self.unk]

    def _merged(self, symbols: list[tuple[int, int, int]]) -> Iterable[tuple[int, int, int]]:
        """Join pairs, the lowest rank first and of equal ones the leftmost, until none is left."""
        merges = self.merges
        ids: list[int] = [symbol[0] for symbol in symbols]
        after = list(range(1, len(ids) + 1))
        before = list(range(-1, len(ids) - 1))
        queue: list[tuple[int, int, int, int, int]] = []
        for i, pair in enumerate(zip(ids, ids[1:])):
            if pair in merges:
                rank, joined = merges[pair]
                queue.append((rank, i, joined, *pair))
        heapq.heapify(queue)
        while queue:
            _, i, joined, left, right = heapq.heappop(queue)
            j = after[i] if ids[i] == left else len(ids)
            if j >= len(ids) or ids[j] != right:
                continue  # one of the two has become part of another token
            ids[i], ids[j] = joined, -1
            after[i] = after[j]
            if after[j] < len(ids):
                before[after[j]] = i
            for start in (before[i], i):
                stop = after[start] if start >= 0 else len(ids)
                if stop < len(ids) and (ids[start], ids[stop]) in merges:
                    rank, both = merges[ids[start], ids[stop]]
                    heapq.heappush(queue, (rank, start, both, ids[start], ids[stop]))
        i = 0
        while i < len(ids):
            yield ids[i], symbols[i][1], symbols[after[i] - 1][2]
            i = after[i]


def _pair(entry: Any) -> tuple[str, str]:
    """A merge, written as "a b" or as ["a", "b"]."""
    parts = entry.split(" ") if isinstance(entry, str) else entry
    if not isinstance(parts, (list, tuple)) or len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        raise FileFormatError(explain("BPE", expected="merges of two tokens", got=repr(entry)[:100]))
    return parts[0], parts[1]


def checked_vocab(spec: dict[str, Any]) -> dict[str, int]:
    """The field `vocab`, {token: id}. Raises FileFormatError when it is something else."""
    vocab = field(spec, "vocab", dict)
    for token, id_ in vocab.items():
        if not isinstance(id_, int) or isinstance(id_, bool) or id_ < 0:
            raise FileFormatError(explain("tokenizer.json", expected="a vocabulary {token: id}", got=f"{token!r}: {id_!r}"[:100]))
    return vocab
