"""Regular expressions as `tokenizer.json` writes them (Oniguruma's syntax), for Python's `re`."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import Any

from flambeau.base.errors import FileFormatError, explain
from flambeau_text.tokenize.aligned import Found
from flambeau_text.tokenize.characters import ranges

# Unicode's White_Space; Python's \s has U+001C..U+001F too.
SPACES = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACE_SET = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


@lru_cache(maxsize=64)
def category_set(category: str) -> str:
    r"""The inside of a character class with all characters of a general category, such as "L" or "Lu", or of a set of `characters`.

    >>> bool(re.fullmatch(f"[{category_set('Nd')}]", "٣"))
    True
    """
    found = ranges(category)
    if not found:
        raise FileFormatError(explain("pattern", expected="a general category of Unicode", got=f"\\p{{{category}}}"))
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in found)


@lru_cache(maxsize=1)
def _word_set() -> str:
    """The inside of a class with what Oniguruma's `\\w` is: letters, marks, most numbers, connectors."""
    named = "".join(category_set(category) for category in ("L", "M", "Nd", "Nl", "Pc"))
    circled = "\\u24b6-\\u24e9\\U0001f130-\\U0001f149\\U0001f150-\\U0001f169\\U0001f170-\\U0001f189"
    return f"{named}{circled}\\xb2\\xb3\\xb9\\xbc-\\xbe"


@lru_cache(maxsize=1)
def words() -> re.Pattern[str]:
    r"""`\w+|[^\w\s]+` as the pre-tokenizer Whitespace has it, by a library with other words than Oniguruma."""
    return re.compile(f"[{category_set('word')}]+|[^{category_set('word')}{_SPACE_SET}]+")


def translate(pattern: str) -> str:
    r"""The pattern with `\p{..}`, `\s`, `\w`, `\d`, `\h` and `\z` put in terms that Python's `re` knows.

    >>> bool(re.fullmatch(translate(r"\p{L}+(?!\S)"), "Übermaß"))
    True
    """
    out, i, depth = [], 0, 0
    while i < len(pattern):
        char = pattern[i]
        if char == "\\":
            piece, i = _escape(pattern, i, depth > 0)
            out.append(piece)
            continue
        if char == "[":
            if depth:
                raise FileFormatError(explain("pattern", expected="no character class inside another", got=pattern))
            depth += 1
        elif char == "]" and depth:
            depth -= 1
        out.append(char)
        i += 1
    return "".join(out)


def _escape(pattern: str, i: int, inside: bool) -> tuple[str, int]:
    """The escape that begins at i, and where it ends."""
    code = pattern[i + 1 : i + 2]
    if code in ("p", "P"):
        match = re.compile(r"\\[pP](?:\{(\^?)(\w+)\}|(\w))").match(pattern, i)
        if match is None:
            raise FileFormatError(explain("pattern", expected=r"\p{category}", got=pattern[i : i + 10]))
        negated = (code == "P") != bool(match[1])
        return _class(category_set(match[2] or match[3]), negated, inside), match.end()
    if code in ("s", "S"):
        return _class(_SPACE_SET, code == "S", inside), i + 2
    if code == "h":
        return _class("0-9a-fA-F", False, inside), i + 2
    if code == "z":
        return r"\Z", i + 2
    if code in ("d", "D"):
        return _class(category_set("Nd"), code == "D", inside), i + 2
    if code in ("w", "W"):
        return _class(_word_set(), code == "W", inside), i + 2
    return pattern[i : i + 2], i + 2


def _class(members: str, negated: bool, inside: bool) -> str:
    if not inside:
        return f"[{'^' if negated else ''}{members}]"
    if not negated:
        return members
    return _complement(members)


@lru_cache(maxsize=16)
def _complement(members: str) -> str:
    outside = re.compile(f"[^{members}]")
    ranges, start = [], -1
    for code in range(sys.maxunicode + 2):
        hit = code <= sys.maxunicode and outside.match(chr(code)) is not None
        if hit and start < 0:
            start = code
        elif not hit and start >= 0:
            ranges.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = -1
    return "".join(ranges)


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """The compiled pattern. Raises FileFormatError for one that Python cannot run."""
    try:
        return re.compile(translate(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise FileFormatError(explain("pattern", expected="a regular expression", got=f"{pattern!r} ({error})")) from None


def pattern_of(spec: Any) -> re.Pattern[str]:
    """The pattern of a component: {"String": text}, {"Regex": pattern}, or plain text."""
    if isinstance(spec, str):
        return re.compile(re.escape(spec))
    if isinstance(spec, dict) and isinstance(spec.get("String"), str):
        return re.compile(re.escape(spec["String"]))
    if isinstance(spec, dict) and isinstance(spec.get("Regex"), str):
        return compiled(spec["Regex"])
    raise FileFormatError(explain("tokenizer.json", expected='a pattern {"String": ...} or {"Regex": ...}', got=repr(spec)[:100]))


def find(pattern: re.Pattern[str], text: str, invert: bool = False) -> Found:
    """All of the text in parts: matches, and what lies between them."""
    found: Found = []
    at = 0
    for match in pattern.finditer(text):
        start, stop = match.span()
        if start == stop:
            continue
        if at < start:
            found.append(((at, start), invert))
        found.append(((start, stop), not invert))
        at = stop
    if at < len(text):
        found.append(((at, len(text)), invert))
    return found


def find_each(test: Any, text: str) -> Found:
    """The text in parts: each character for which `test` holds is a match."""
    found: Found = []
    at = 0
    for i, char in enumerate(text):
        if test(char):
            if at < i:
                found.append(((at, i), False))
            found.append(((i, i + 1), True))
            at = i + 1
    if at < len(text):
        found.append(((at, len(text)), False))
    return found


def is_space(char: str) -> bool:
    """Whether Unicode counts the character as white space."""
    return char in SPACES
