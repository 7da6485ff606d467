"""How byte-level BPE splits texts; its characters for bytes are those of `flambeau.pretrained.byte_level`."""

from __future__ import annotations

# Contractions, words, numbers and the rest, each with the space in front of it.
SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
