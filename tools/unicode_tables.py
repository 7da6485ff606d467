"""Writes `flambeau_text/tokenize/unicode.json`: what the Rust library `tokenizers` takes each character for.

That library has the tables of several versions of Unicode, each from another crate, and Python has one that grows with Python. Tokens must
not depend on either, so its answers for all code points are kept: run this with the library installed, `python -m tools.unicode_tables`.
"""

from __future__ import annotations

import json
import struct
import unicodedata
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "packages" / "text" / "src" / "flambeau_text" / "tokenize" / "unicode.json"
CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]  # surrogates are no characters
GENERAL = (
    "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn".split()
)  # of the library's regular expressions


def runs(values: Iterable[Any]) -> list[tuple[int, Any]]:
    """(length, value) of equal neighbours."""
    return [(len(list(group)), value) for value, group in groupby(values)]


def members(test: Callable[[str], bool]) -> str:
    """The characters for which `test` holds: lengths of runs outside and inside, in turn, from code point 0."""
    inside = [False] * 0x110000
    for code in CODES:
        inside[code] = test(chr(code))
    lengths = [length for length, _ in runs(inside)]
    return " ".join(map(str, [0, *lengths] if inside[0] else lengths))


def categories(rust: Any) -> str:
    """The general category of each code point, as runs: "32Cc 1Zs 3Po"."""
    whole, found = "".join(map(chr, CODES)), ["Cs"] * 0x110000
    for name in GENERAL:
        split = rust.pre_tokenizers.Split(rust.Regex(rf"\p{{{name}}}+"), "removed", invert=True)
        for _, (start, stop) in split.pre_tokenize_str(whole):
            for code in CODES[start:stop]:
                found[code] = name
    return " ".join(f"{length}{name}" for length, name in runs(found))


def lower_case(normalize: Callable[[str], str]) -> list[list[Any]]:
    """[first code point, count, step, difference] of letters whose lower case is as far away; [code point, text] of others."""
    rows: list[list[Any]] = []
    for code in CODES:
        lower = normalize(chr(code))
        if len(lower) != 1:
            rows.append([code, lower])
        elif (far := ord(lower) - code) != 0:
            last = rows[-1] if rows else []
            step = code - last[0] if len(last) == 4 and last[1] == 1 else last[2] if len(last) == 4 else 0
            if len(last) == 4 and last[3] == far and code == last[0] + last[1] * step and step <= 2:
                last[1:3] = [last[1] + 1, step]
            else:
                rows.append([code, 1, 1, far])
    return rows


def replacing(key: bytes, text: bytes) -> bytes:
    """A `precompiled_charsmap` that puts one text for another: a double-array trie, 256 units for each byte, then the text."""
    units = [0] * 256 * (len(key) + 2)
    at = 0
    for i, byte in enumerate(key):
        block = 256 * (i + 1)
        units[at] |= (at ^ block) << 10
        at = block ^ byte
        units[at] = byte
    units[at] |= 1 << 8 | (at ^ 256 * (len(key) + 1)) << 10  # the key ends here, and its value is a leaf with label 0
    units[256 * (len(key) + 1)] = 1 << 31
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + text + b"\0"


def tables(rust: Any) -> dict[str, Any]:
    """All of them; see `flambeau_text.tokenize.characters` for what each is used for."""
    norm, pre = rust.normalizers, rust.pre_tokenizers
    nfd, nfkd, accents = norm.NFD().normalize_str, norm.NFKD().normalize_str, norm.StripAccents().normalize_str
    bert = {"handle_chinese_chars": False, "lowercase": False}
    clean = norm.BertNormalizer(clean_text=True, strip_accents=False, **bert).normalize_str
    bare = norm.BertNormalizer(clean_text=False, strip_accents=True, **bert).normalize_str
    clusters = norm.Precompiled(replacing(b"a", b"b")).normalize_str
    punctuation, digits, words = pre.Punctuation("removed"), pre.Digits(True), pre.Whitespace()

    def moves(char: str) -> bool:  # beside marks that Unicode orders first and last
        return nfd(char + "\u0334") != char + "\u0334" or nfd("\u0345" + char) != "\u0345" + char

    def cut(how: Any, char: str) -> int:
        return len(how.pre_tokenize_str("a" + char + "a"))

    return {
        "source": f"tokenizers {rust.__version__}",
        "general": categories(rust),
        "word": members(lambda char: cut(words, char) == 1),
        "number": members(lambda char: cut(digits, char) == 3),
        "punctuation": members(lambda char: not any(char in piece for piece, _ in punctuation.pre_tokenize_str("a" + char))),
        "mark": members(lambda char: accents(char) == ""),
        "nonspacing": members(lambda char: bare(char) == ""),
        "dropped": members(lambda char: clean(char) == ""),
        "normalized": members(lambda char: nfkd(char) != char or moves(char)),
        "joining": members(lambda char: clusters("a" + char) == "b"),
        "lower": lower_case(norm.Lowercase().normalize_str),
    }


if __name__ == "__main__":
    import tokenizers

    found = tables(tokenizers)
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in found.items()]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="ascii")
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes, {found['source']}; Python has Unicode {unicodedata.unidata_version}")
