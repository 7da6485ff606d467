"""Decoders of `tokenizer.json`: each is made from its JSON object and turns tokens into the pieces of a text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flambeau.pretrained.byte_level import to_bytes
from flambeau_text.tokenize.components import builder, field
from flambeau_text.tokenize.patterns import pattern_of

Decoder = Callable[[list[str]], list[str]]
Spec = dict[str, Any]


def _byte_level(spec: Spec) -> Decoder:
    return lambda tokens: [b"".join(map(to_bytes, tokens)).decode("utf-8", "replace")]


def _cleaned(text: str) -> str:
    """The spaces before punctuation and in contractions taken out."""
    for old, new in (
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
        (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ):  # fmt: skip
        text = text.replace(old, new)
    return text


def _wordpiece(spec: Spec) -> Decoder:
    prefix, cleanup = field(spec, "prefix", str, "##"), field(spec, "cleanup", bool, True)

    def decode(tokens: list[str]) -> list[str]:
        out = []
        for i, token in enumerate(tokens):
            part = token.removeprefix(prefix) if token.startswith(prefix) and i else (" " + token if i else token)
            out.append(_cleaned(part) if cleanup else part)
        return out

    return decode


def _metaspace(spec: Spec) -> Decoder:
    mark = field(spec, "replacement", str, "▁")
    default = "always" if spec.get("add_prefix_space", True) else "never"
    prepended = field(spec, "prepend_scheme", str, default) != "never"

    def decode(tokens: list[str]) -> list[str]:
        out = [token.replace(mark, " ") for token in tokens]
        if prepended and out and tokens[0].startswith(mark):
            out[0] = out[0][1:]
        return out

    return decode


def _bpe(spec: Spec) -> Decoder:
    suffix = field(spec, "suffix", str, "</w>")
    return lambda tokens: [t.replace(suffix, "" if i == len(tokens) - 1 else " ") for i, t in enumerate(tokens)]


def _byte_fallback(spec: Spec) -> Decoder:
    """Tokens such as <0xE2> are bytes; a run of them is their text, or U+FFFD for each when it is no UTF-8."""
    byte = re.compile(r"<0x([0-9A-Fa-f]{2})>")

    def decode(tokens: list[str]) -> list[str]:
        out: list[str] = []
        run = bytearray()

        def flush() -> None:
            if run:
                try:
                    out.append(run.decode())
                except UnicodeDecodeError:
                    out.extend("\ufffd" * len(run))
                run.clear()

        for token in tokens:
            match = byte.fullmatch(token)
            if match:
                run.append(int(match[1], 16))
            else:
                flush()
                out.append(token)
        flush()
        return out

    return decode


def _strip(spec: Spec) -> Decoder:
    content, start, stop = field(spec, "content", str), field(spec, "start", int, 0), field(spec, "stop", int, 0)

    def one(token: str) -> str:
        left = right = 0
        while left < min(start, len(token)) and token[left] == content:
            left += 1
        while right < min(stop, len(token) - left) and token[len(token) - 1 - right] == content:
            right += 1
        return token[left : len(token) - right]

    return lambda tokens: [one(token) for token in tokens]


def _replace(spec: Spec) -> Decoder:
    pattern, content = pattern_of(spec.get("pattern")), field(spec, "content", str)
    return lambda tokens: [pattern.sub(lambda _: content, token) for token in tokens]


def _ctc(spec: Spec) -> Decoder:
    """Connectionist temporal classification: repetitions and pads out, word delimiters to spaces."""
    pad, delimiter = field(spec, "pad_token", str, "<pad>"), field(spec, "word_delimiter_token", str, "|")
    cleanup = field(spec, "cleanup", bool, True)

    def decode(tokens: list[str]) -> list[str]:
        distinct = [token for i, token in enumerate(tokens) if i == 0 or token != tokens[i - 1]]
        parts = [token.replace(pad, "") for token in distinct]
        return [part for part in ((_cleaned(p).replace(delimiter, " ") if cleanup else p) for p in parts) if part]

    return decode


def _sequence(spec: Spec) -> Decoder:
    steps = [decoder(step) for step in field(spec, "decoders", list)]

    def decode(tokens: list[str]) -> list[str]:
        for step in steps:
            tokens = step(tokens)
        return tokens

    return decode


_TYPES: dict[str, Callable[[Spec], Decoder]] = {
    "Sequence": _sequence,
    "ByteLevel": _byte_level,
    "WordPiece": _wordpiece,
    "Metaspace": _metaspace,
    "BPEDecoder": _bpe,
    "ByteFallback": _byte_fallback,
    "Fuse": lambda spec: lambda tokens: ["".join(tokens)],
    "Strip": _strip,
    "Replace": _replace,
    "CTC": _ctc,
}


def decoder(spec: Spec | None) -> Decoder:
    """The decoder that a JSON object describes; None puts spaces between tokens.

    >>> decoder({"type": "WordPiece"})(["un", "##do", "it", "."])
    ['un', 'do', ' it', '.']
    """
    if spec is None:
        return lambda tokens: [" ".join(tokens)]
    return builder("decoder", _TYPES, spec)
