"""Unigram language model (Kudo 2018): of all ways to cut a text, the one whose tokens have the highest sum of log probabilities."""

from __future__ import annotations

import math
from typing import Any

from flambeau.base.errors import FileFormatError, explain
from flambeau_text.tokenize.bpe import Token
from flambeau_text.tokenize.components import field

UNKNOWN_PENALTY = 10.0  # how far an unknown character lies below the worst token


class Unigram:
    """The model of a JSON object {"type": "Unigram", "vocab": [[token, log probability], ...], "unk_id": 0, "byte_fallback": false}.

    >>> model = Unigram({"vocab": [["<unk>", 0.0], ["a", -2.0], ["b", -2.0], ["ab", -3.0]], "unk_id": 0})
    >>> model.tokenize("abac")
    [(3, 'ab', 0, 2), (1, 'a', 2, 3), (0, 'c', 3, 4)]
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        pieces = field(spec, "vocab", list)
        if not all(isinstance(p, list) and len(p) == 2 and isinstance(p[0], str) and isinstance(p[1], (int, float)) for p in pieces):
            raise FileFormatError(explain("Unigram", expected="a vocab of [token, score] pairs", got="something else"))
        self.vocab = {token: i for i, (token, _) in enumerate(pieces)}
        self.scores = [float(score) for _, score in pieces]
        self.unk_id: int | None = spec.get("unk_id")
        if self.unk_id is not None and not 0 <= self.unk_id < len(pieces):
            raise FileFormatError(explain("Unigram", expected=f"an unk_id below {len(pieces)}", got=str(self.unk_id)))
        self.fuse_unk, self.byte_fallback = bool(spec.get("fuse_unk", True)), bool(spec.get("byte_fallback"))
        self.bytes = [self.vocab.get(f"<0x{byte:02X}>") for byte in range(256)]
        self.unk_score = min(self.scores, default=0.0) - UNKNOWN_PENALTY
        self._longest: dict[str, int] = {}
        for token in self.vocab:
            self._longest[token[:1]] = max(len(token), self._longest.get(token[:1], 0))

    def tokenize(self, text: str) -> list[Token]:
        """The best tokens of a text; neighbouring unknown characters are one token, or their bytes."""
        tokens: list[Token] = []
        for start, stop in self._best(text):
            part = text[start:stop]
            id_ = self.vocab.get(part)
            if id_ is None and self.byte_fallback:
                ids = [self.bytes[byte] for byte in part.encode()]
                if None not in ids:
                    tokens += [(i, f"<0x{byte:02X}>", start, stop) for i, byte in zip(ids, part.encode(), strict=True) if i is not None]
                    continue
            if id_ is None and self.unk_id is None:
                raise FileFormatError(explain("Unigram", expected="an unk_id, for a text with unknown characters", got=repr(part)))
            tokens.append((self.unk_id or 0 if id_ is None else id_, part, start, stop))
        return tokens

    def _best(self, text: str) -> list[tuple[int, int]]:
        """Viterbi's algorithm over positions; the (start, stop) of each token of the best path."""
        size = len(text)
        best = [-math.inf] * (size + 1)
        start_of = [-1] * (size + 1)
        known = [True] * (size + 1)
        best[0] = 0.0
        for start in range(size):
            here, single = best[start], False
            for stop in range(start + 1, min(size, start + self._longest.get(text[start], 0)) + 1):
                id_ = self.vocab.get(text[start:stop])
                if id_ is None:
                    continue
                single = single or stop == start + 1
                score = here + self.scores[id_]
                if start_of[stop] < 0 or score > best[stop]:
                    best[stop], start_of[stop], known[stop] = score, start, id_ != self.unk_id
            if not single and (start_of[start + 1] < 0 or here + self.unk_score > best[start + 1]):
                best[start + 1], start_of[start + 1], known[start + 1] = here + self.unk_score, start, False
        spans: list[tuple[int, int]] = []
        stop, fusing = size, False
        while stop > 0:
            start = start_of[stop]
            if fusing and not known[stop] and self.fuse_unk:
                spans[-1] = (start, spans[-1][1])
            else:
                spans.append((start, stop))
            fusing = not known[stop]
            stop = start
        return spans[::-1]
