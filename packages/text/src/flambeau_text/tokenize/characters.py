"""What each character is: letter, mark, number, space, ... The tables are fixed, so tokens are the same on every Python.

`unicode.json` holds what the Rust library `tokenizers` 0.23 takes each code point for; its parts use different versions of Unicode, hence
several tables of like names. `tools/unicode_tables.py` writes it.

Decompositions, compositions and the order of marks come from Python: Unicode promises that they never change for a character, so it is
enough to know which characters had some when the library's table was made ("normalized").
"""

from __future__ import annotations

import json
import unicodedata
from bisect import bisect_right
from functools import cache, lru_cache
from importlib.resources import files
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Any

_cached = lru_cache(maxsize=1 << 14)  # texts use few characters, many times


@cache
def _tables() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("flambeau_text.tokenize").joinpath("unicode.json").read_text(encoding="ascii"))
    return found


@cache
def _edges(name: str) -> list[int]:
    """Where runs of a set of characters begin and end, in turn."""
    return list(accumulate(map(int, _tables()[name].split())))


@_cached
def is_a(name: str, char: str) -> bool:
    """Whether a character is in the set called `name`:

    "mark" (what StripAccents drops), "nonspacing" (what BERT drops), "punctuation" (ASCII's with its symbols, and category P), "number"
    (category N), "word" (what regular expressions of the pre-tokenizer Whitespace and of added tokens call so), "dropped" (what BERT's
    cleaning drops), "normalized" (what has a decomposition or is a mark with an order), "joining" (what makes a grapheme cluster with the
    character before it).

    >>> is_a("number", "٣"), is_a("number", "x")
    (True, False)
    """
    return bisect_right(_edges(name), ord(char)) % 2 == 1


def ranges(name: str) -> list[tuple[int, int]]:
    """The code points, as (first, last) pairs, of a set that `is_a` knows, or of a general category ("L", "Lu") of regular expressions.

    >>> ranges("Zl")
    [(8232, 8232)]
    """
    if name in _tables():
        edges = _edges(name)
        return [(start, stop - 1) for start, stop in zip(edges[::2], edges[1::2], strict=False)]
    found: list[tuple[int, int]] = []
    for start, stop, category in _general():
        if category.startswith(name):
            if found and found[-1][1] == start - 1:
                found[-1] = (found[-1][0], stop - 1)
            else:
                found.append((start, stop - 1))
    return found


@_cached
def general(char: str) -> str:
    """The general category of a character, by the same table as `ranges`."""
    return _general()[bisect_right(_general(), ord(char), key=itemgetter(0)) - 1][2]


@cache
def _general() -> list[tuple[int, int, str]]:
    """(start, stop, category) of runs of code points."""
    runs = _tables()["general"].split()
    edges = list(accumulate((int(run[:-2]) for run in runs), initial=0))
    return [(start, stop, run[-2:]) for (start, stop), run in zip(pairwise(edges), runs, strict=True)]


@_cached
def decomposed(char: str, form: Any) -> str:
    """The decomposition of a character, in the form "NFD" or "NFKD"."""
    return unicodedata.normalize(form, char) if is_a("normalized", char) else char


@_cached
def order(char: str) -> int:
    """The canonical class of a mark, by which marks are ordered; 0 for other characters."""
    return unicodedata.combining(char) if is_a("normalized", char) else 0


@_cached
def composed(first: str, second: str) -> str | None:
    """The character that two make together, or None."""
    both = unicodedata.normalize("NFC", first + second)
    return both if len(both) == 1 and is_a("normalized", both) else None


@_cached
def lower(char: str) -> str:
    """The lower case of a character, which may be two."""
    return _lower().get(char, char)


@cache
def _lower() -> dict[str, str]:
    found: dict[str, str] = {}
    for first, *rest in _tables()["lower"]:
        if len(rest) == 1:
            found[chr(first)] = rest[0]
        else:
            count, step, far = rest
            found |= {chr(code): chr(code + far) for code in range(first, first + count * step, step)}
    return found
