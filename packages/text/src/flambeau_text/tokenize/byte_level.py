"""How byte-level BPE splits texts, and its characters for bytes, which are those of `flambeau.pretrained.byte_level`."""

from __future__ import annotations

from flambeau.pretrained.byte_level import BYTE_TO_CHAR, CHAR_TO_BYTE, to_chars, to_text

# Contractions, words, numbers and the rest, each with the space in front of it.
SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

__all__ = ["BYTE_TO_CHAR", "CHAR_TO_BYTE", "SPLIT", "to_chars", "to_text"]
