"""ROUGE (Lin 2004): n-grams, and longest common subsequences, that a summary shares with a reference."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from flambeau.base.errors import ArgumentTypeError, explain

_WORD = re.compile(r"[a-z0-9]+")


def rouge(text: str, reference: str) -> dict[str, float]:
    """F1 of single words ("rouge1"), pairs ("rouge2"), the longest common subsequence ("rougeL"), and that of lines ("rougeLsum"), 0..1.

    Words are runs of a-z and 0-9 in lower case, as in Google's `rouge_score` without stemming.

    >>> {name: round(value, 3) for name, value in rouge("the cat sat", "the cat is sitting").items()}
    {'rouge1': 0.571, 'rouge2': 0.4, 'rougeL': 0.571, 'rougeLsum': 0.571}
    """
    for each in (text, reference):
        if not isinstance(each, str):
            hint = "the mean over pairs of texts"
            raise ArgumentTypeError(explain("rouge", expected="a text and a reference", got=type(each).__name__, hint=hint))
    words, right = _words(text), _words(reference)
    found = {f"rouge{n}": _ngram_f1(words, right, n) for n in (1, 2)}
    found["rougeL"] = _f1(_longest(words, right), len(words), len(right))
    found["rougeLsum"] = _lines_f1(text, reference)
    return found


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _f1(matches: int, found: int, wanted: int) -> float:
    return 2 * matches / (found + wanted) if matches else 0.0


def _ngram_f1(words: Sequence[str], right: Sequence[str], n: int) -> float:
    one, other = (Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1)) for text in (words, right))
    return _f1((one & other).total(), one.total(), other.total())


def _table(one: Sequence[str], other: Sequence[str]) -> list[list[int]]:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, word in enumerate(one, 1):
        for j, another in enumerate(other, 1):
            table[i][j] = table[i - 1][j - 1] + 1 if word == another else max(table[i - 1][j], table[i][j - 1])
    return table


def _longest(one: Sequence[str], other: Sequence[str]) -> int:
    return _table(one, other)[-1][-1]


def _places(reference: Sequence[str], text: Sequence[str]) -> set[int]:
    """The places in the reference of one longest common subsequence."""
    table, i, j, found = _table(reference, text), len(reference), len(text), set[int]()
    while i and j:
        if reference[i - 1] == text[j - 1]:
            found.add(i - 1)
            i, j = i - 1, j - 1
        elif table[i][j - 1] > table[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return found


def _lines_f1(text: str, reference: str) -> float:
    """The union of subsequences of each line of the reference with all lines of the text; each word counts as often as both have it."""
    lines, right = ([_words(line) for line in part.split("\n") if _words(line)] for part in (text, reference))
    left = Counter(word for line in lines for word in line)
    wanted = Counter(word for line in right for word in line)
    total, wanted_total, hits = left.total(), wanted.total(), 0
    for line in right:
        for place in sorted(set().union(*(_places(line, other) for other in lines))):
            word = line[place]
            if left[word] > 0 and wanted[word] > 0:
                hits += 1
                left[word] -= 1
                wanted[word] -= 1
    return _f1(hits, total, wanted_total)
