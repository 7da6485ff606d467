"""Learning byte-pair merges (Sennrich et al. 2016): join the most frequent pair, over and over."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping


def learn_bpe(
    words: Mapping[str, int], vocab_size: int, min_frequency: int, first: Iterable[str], *, alphabet: Iterable[str] = (), prefix: str = ""
) -> tuple[dict[str, int], list[list[str]]]:
    """The vocabulary {token: id} and the merges in order, as the Rust library learns them.

    Args:
        words: how often each occurs.
        vocab_size: where to stop.
        min_frequency: the least count of a pair that is joined.
        first: tokens with the first ids.
        alphabet: characters that are tokens whether they occur or not.
        prefix: what begins a token inside a word ("##" for WordPiece).

    >>> vocab, merges = learn_bpe({"aab": 3, "ab": 2}, 4, 0, [])
    >>> merges
    [['a', 'b'], ['a', 'ab']]
    """
    tokens: list[str] = list(dict.fromkeys(first))
    ids = {token: i for i, token in enumerate(tokens)}

    def enter(token: str) -> int:
        if token not in ids:
            ids[token] = len(tokens)
            tokens.append(token)
        return ids[token]

    for char in sorted({*alphabet, *(char for word in words for char in word)}):
        enter(char)
    split = [[enter(prefix + char if prefix and i else char) for i, char in enumerate(word)] for word in words]
    counts = list(words.values())
    pairs = _Pairs(split, counts)
    merges: list[list[str]] = []
    while len(tokens) < vocab_size:
        best = pairs.pop()
        if best is None or best[0] < max(1, min_frequency):
            break
        left, right = tokens[best[1]], tokens[best[2]]
        joined = enter(left + (right.removeprefix(prefix) if prefix else right))
        merges.append([left, right])
        pairs.join(best[1], best[2], joined)
    return ids, merges


class _Pairs:
    """Counts of neighbouring tokens, kept up to date while pairs are joined."""

    def __init__(self, words: list[list[int]], counts: list[int]) -> None:
        self.words, self.counts = words, counts
        self.count: dict[tuple[int, int], int] = defaultdict(int)
        self.where: dict[tuple[int, int], set[int]] = defaultdict(set)
        for index, word in enumerate(words):
            for pair in zip(word, word[1:]):
                self.count[pair] += counts[index]
                self.where[pair].add(index)
        self.queue = [(-count, *pair) for pair, count in self.count.items()]
        heapq.heapify(self.queue)

    def pop(self) -> tuple[int, int, int] | None:
        """(count, left, right) of the most frequent pair, the smallest ids first among equals."""
        while self.queue:
            negative, left, right = heapq.heappop(self.queue)
            now = self.count[left, right]
            if now == -negative:
                return now, left, right
            if now > 0:
                heapq.heappush(self.queue, (-now, left, right))
        return None

    def join(self, left: int, right: int, joined: int) -> None:
        """Put `joined` for each occurrence of the pair."""
        changed: set[tuple[int, int]] = set()
        for index in self.where.pop((left, right)):
            word, count = self.words[index], self.counts[index]
            i = 0
            while i < len(word) - 1:
                if word[i] != left or word[i + 1] != right:
                    i += 1
                    continue
                for at, sign in ((i - 1, -1), (i + 1, -1)):
                    if 0 <= at < len(word) - 1:
                        self.count[word[at], word[at + 1]] += sign * count
                word[i : i + 2] = [joined]
                for at in (i - 1, i):
                    if 0 <= at < len(word) - 1:
                        pair = (word[at], word[at + 1])
                        self.count[pair] += count
                        self.where[pair].add(index)
                        changed.add(pair)
                i += 1
        self.count[left, right] = 0
        for pair in changed:
            if self.count[pair] > 0:
                heapq.heappush(self.queue, (-self.count[pair], *pair))
