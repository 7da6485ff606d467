"""Learning a unigram vocabulary (Kudo 2018): many candidates, expectation maximisation, and the least useful fifth dropped each round."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

LONGEST_PIECE = 16  # characters
SEED_FACTOR = 10  # candidates for each token of the final vocabulary
KEPT_EACH_ROUND = 0.75
EM_STEPS = 2
_NEVER = -math.inf


def learn_unigram(words: Mapping[str, int], vocab_size: int, first: Sequence[str]) -> list[list[object]]:
    """[token, log probability] pairs; the tokens of `first` come first, with probability 1 (they are not cut from texts).

    All characters that occur are tokens, so vocab_size may be passed when there are many.

    >>> pieces = learn_unigram({"abab": 5, "ab": 5, "c": 1}, 5, ["<unk>"])
    >>> sorted(token for token, _ in pieces)
    ['<unk>', 'a', 'ab', 'b', 'c']
    """
    target = max(1, vocab_size - len(first))
    chars = Counter[str]()
    for word, count in words.items():
        for char in word:
            chars[char] += count
    scores = _seed(words, chars, max(target * SEED_FACTOR, len(chars)), set(first))
    while True:
        for _ in range(EM_STEPS):
            scores = _maximise(_expectations(words, scores), chars)
        if len(scores) <= max(target, len(chars)):
            break
        scores = _prune(words, scores, chars, max(target, int(KEPT_EACH_ROUND * len(scores))))
    ranked = sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))
    return [[token, 0.0] for token in first] + [[token, score] for token, score in ranked]


def _seed(words: Mapping[str, int], chars: Counter[str], size: int, banned: set[str]) -> dict[str, float]:
    """All characters, and the substrings that cover most of the text."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for start in range(len(word)):
            for stop in range(start + 2, min(len(word), start + LONGEST_PIECE) + 1):
                counts[word[start:stop]] += count
    often = ((count * len(part), part) for part, count in counts.items() if count > 1 and part not in banned)
    chosen = sorted(often, key=lambda entry: (-entry[0], entry[1]))[: max(0, size - len(chars))]
    weights = {**dict(chars), **{part: weight for weight, part in chosen}}
    total = math.log(sum(weights.values()) or 1)
    return {part: math.log(weight) - total for part, weight in weights.items()}


def _spans(word: str, scores: Mapping[str, float]) -> list[tuple[int, int, float]]:
    """(start, stop, score) of every token that occurs in the word."""
    found = []
    for start in range(len(word)):
        for stop in range(start + 1, min(len(word), start + LONGEST_PIECE) + 1):
            score = scores.get(word[start:stop])
            if score is not None:
                found.append((start, stop, score))
    return found


def _add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))"""
    if a < b:
        a, b = b, a
    return a if b == _NEVER else a + math.log1p(math.exp(b - a))


def _expectations(words: Mapping[str, int], scores: Mapping[str, float]) -> dict[str, float]:
    """How often each token is expected over all ways to cut each word: the forward-backward algorithm."""
    expected = dict.fromkeys(scores, 0.0)
    for word, count in words.items():
        spans = _spans(word, scores)
        ahead = [0.0] + [_NEVER] * len(word)
        behind = [_NEVER] * len(word) + [0.0]
        for start, stop, score in spans:
            ahead[stop] = _add(ahead[stop], ahead[start] + score)
        for start, stop, score in reversed(spans):
            behind[start] = _add(behind[start], behind[stop] + score)
        for start, stop, score in spans:
            expected[word[start:stop]] += count * math.exp(ahead[start] + score + behind[stop] - ahead[-1])
    return expected


def _maximise(expected: Mapping[str, float], chars: Mapping[str, int]) -> dict[str, float]:
    """New log probabilities; tokens that are hardly expected go, but characters stay."""
    kept = {token: count for token, count in expected.items() if count >= 0.5 or token in chars}
    floor = 1e-3
    total = math.log(sum(max(count, floor) for count in kept.values()) or 1)
    return {token: math.log(max(count, floor)) - total for token, count in kept.items()}


def _prune(words: Mapping[str, int], scores: Mapping[str, float], chars: Mapping[str, int], size: int) -> dict[str, float]:
    """Keep the tokens whose loss would cost most: use times what the second best way to write them is worse."""
    use: Counter[str] = Counter()
    for word, count in words.items():
        for part in _best(word, scores):
            use[part] += count
    losses = []
    for token, score in scores.items():
        if token in chars:
            continue
        instead = _best(token, dict(_within(token, scores)))
        worse = score - sum(scores[part] for part in instead) if instead else math.inf
        losses.append((-(use[token] * worse if use[token] else 0.0), token))
    kept = {token for _, token in sorted(losses)[: max(0, size - len(chars))]}
    return {token: score for token, score in scores.items() if token in chars or token in kept}


def _within(token: str, scores: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(token[start:stop], score) for start, stop, score in _spans(token, scores) if token[start:stop] != token]


def _best(word: str, scores: Mapping[str, float]) -> list[str]:
    """The most probable way to write a word, by Viterbi's algorithm; empty where there is none."""
    best: list[tuple[float, int]] = [(0.0, 0)] + [(_NEVER, 0)] * len(word)
    for start, stop, score in _spans(word, scores):
        if best[start][0] + score > best[stop][0]:
            best[stop] = (best[start][0] + score, start)
    if best[-1][0] == _NEVER:
        return []
    parts: list[str] = []
    stop = len(word)
    while stop:
        parts.append(word[best[stop][1] : stop])
        stop = best[stop][1]
    return parts[::-1]
