"""SentencePiece `.model` files (Kudo & Richardson 2018): a protobuf message with pieces, scores and a normalizer."""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flambeau.base.errors import FileFormatError, explain
from flambeau_text.tokenize.tokenizer import Tokenizer

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
_KINDS = {1: "Unigram", 2: "BPE", 3: "word", 4: "char"}


@dataclass
class SentencePieceModel:
    """What a `.model` file says.

    Attributes:
        pieces: (piece, score, kind) in the order of their ids.
        kind: "Unigram" or "BPE" (also "word" and "char", which are not used by models that people share).
        byte_fallback: unknown characters become bytes.
        charsmap: the precompiled normalization.
        add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces: what is done to spaces.
    """

    pieces: list[tuple[str, float, int]] = field(default_factory=list)
    kind: str = "Unigram"
    byte_fallback: bool = False
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True


def read_sentencepiece(path: str | os.PathLike[str]) -> SentencePieceModel:
    """Read a `.model` file. Raises FileFormatError when it is damaged or none."""
    model = SentencePieceModel()
    data = Path(path).read_bytes()
    for number, value in _fields(data):
        if number == 1:
            model.pieces.append(_piece(_bytes(value)))
        elif number == 2:
            for key, setting in _fields(_bytes(value)):
                if key == 3:
                    model.kind = _KINDS.get(setting, "?") if isinstance(setting, int) else "?"
                elif key == 35:
                    model.byte_fallback = bool(setting)
        elif number == 3:
            _read_normalizer(model, _bytes(value))
    if not model.pieces or model.kind not in ("Unigram", "BPE"):
        got = f"{len(model.pieces)} pieces of kind {model.kind}"
        raise FileFormatError(explain(f"SentencePiece {os.fspath(path)}", expected="pieces of a Unigram or BPE model", got=got))
    return model


def _read_normalizer(model: SentencePieceModel, data: bytes) -> None:
    names = {3: "add_dummy_prefix", 4: "remove_extra_whitespaces", 5: "escape_whitespaces"}
    for key, value in _fields(data):
        if key == 2:
            model.charsmap = _bytes(value)
        elif key in names:
            setattr(model, names[key], bool(value))


def _piece(data: bytes) -> tuple[str, float, int]:
    piece, score, kind = "", 0.0, NORMAL
    for key, value in _fields(data):
        if key == 1:
            piece = _bytes(value).decode("utf-8", "replace")
        elif key == 2:
            score = struct.unpack("<f", _bytes(value))[0]
        elif key == 3 and isinstance(value, int):
            kind = value
    return piece, score, kind


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field of a protobuf message: an int for varints, bytes for all else."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise FileFormatError(explain("SentencePiece model", expected="a protobuf message", got=f"wire type {wire} at byte {at}"))
        if at + size > len(data):
            raise FileFormatError(explain("SentencePiece model", expected=f"{size} bytes at {at}", got=f"the end at {len(data)}"))
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise FileFormatError(explain("SentencePiece model", expected="a protobuf number", got=f"none at byte {at}"))


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise FileFormatError(explain("SentencePiece model", expected="bytes in a field", got=str(value)))
    return value


def sentencepiece_spec(model: SentencePieceModel) -> dict[str, Any]:
    """The same tokenizer as the content of a `tokenizer.json`, without special tokens around texts."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": i, "content": piece, **flags, "special": kind != USER_DEFINED}
        for i, (piece, _, kind) in enumerate(model.pieces)
        if kind in (UNKNOWN, CONTROL, USER_DEFINED)
    ]
    steps: list[dict[str, Any]] = []
    if model.charsmap:
        steps.append({"type": "Precompiled", "precompiled_charsmap": base64.b64encode(model.charsmap).decode()})
    if model.remove_extra_whitespaces:
        steps.append({"type": "Replace", "pattern": {"Regex": "^ +| +$"}, "content": ""})
        steps.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
    if model.add_dummy_prefix:
        steps.append({"type": "Prepend", "prepend": "▁"})
    if model.escape_whitespaces:
        steps.append({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})
    back: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": int(model.add_dummy_prefix), "stop": 0},
    ]
    return {
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": steps} if steps else None,
        "model": _model_spec(model),
        "decoder": {"type": "Sequence", "decoders": back},
    }


def _model_spec(model: SentencePieceModel) -> dict[str, Any]:
    unknown = next((i for i, (_, _, kind) in enumerate(model.pieces) if kind == UNKNOWN), None)
    if model.kind == "Unigram":
        scores = [[piece, score] for piece, score, _ in model.pieces]
        return {"type": "Unigram", "vocab": scores, "unk_id": unknown, "byte_fallback": model.byte_fallback}
    vocab = {piece: i for i, (piece, _, _) in enumerate(model.pieces)}
    score_of = {piece: score for piece, score, kind in model.pieces if kind == NORMAL}
    merges = []
    for piece, score in score_of.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in score_of and right in score_of:
                merges.append((-score, vocab[left], vocab[right], left, right))
    ordered = sorted(merges)
    return {
        "type": "BPE", "vocab": vocab, "merges": [[left, right] for *_, left, right in ordered], "dropout": None,
        "unk_token": None if unknown is None else model.pieces[unknown][0], "fuse_unk": True, "byte_fallback": model.byte_fallback,
        "continuing_subword_prefix": None, "end_of_word_suffix": None, "ignore_merges": False,
    }  # fmt: skip


def sentencepiece_tokenizer(path: str | os.PathLike[str], *, backend: str = "auto") -> Tokenizer:
    """A tokenizer from a `.model` file."""
    model = read_sentencepiece(path)
    roles = {"<unk>": "unk_token", "<s>": "bos_token", "</s>": "eos_token", "<pad>": "pad_token"}
    special = {roles[piece]: piece for piece, _, kind in model.pieces if kind in (UNKNOWN, CONTROL) and piece in roles}
    return Tokenizer(sentencepiece_spec(model), special=special, backend=backend)
