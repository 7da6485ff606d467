"""Packing: short texts side by side in rows of one length, so that little is padding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, explain


def pack(texts: Iterable[list[int]], length: int, *, pad: int = 0) -> dict[str, np.ndarray[Any, Any]]:
    """Put the ids of texts into rows of `length`, each text whole, into the fullest row that has room (best fit, longest first).

    Returns arrays (rows, length): "input_ids"; "segments", 1, 2, ... for the texts of a row and 0 for padding; "position_ids", which begin
    anew with each text; "labels", -100 for padding and for the first token of each text. Longer texts are cut into pieces.

    >>> packed = pack([[1, 2, 3], [4], [5, 6]], 4)
    >>> packed["input_ids"].tolist(), packed["segments"].tolist()
    ([[1, 2, 3, 4], [5, 6, 0, 0]], [[1, 1, 1, 2], [1, 1, 0, 0]])
    """
    if length < 1:
        raise ArgumentError(explain("pack", expected="a length of 1 or more", got=str(length)))
    pieces = [text[i : i + length] for text in texts for i in range(0, len(text), length)]
    rows: list[list[list[int]]] = []
    room: dict[int, list[int]] = {}  # free places -> rows with so many
    for piece in sorted(pieces, key=len, reverse=True):
        fits = next((free for free in range(len(piece), length) if room.get(free)), None)
        row = room[fits].pop() if fits is not None else len(rows)
        if fits is None:
            rows.append([])
        rows[row].append(piece)
        room.setdefault((length if fits is None else fits) - len(piece), []).append(row)
    return _arrays(rows, length, pad)


def _arrays(rows: list[list[list[int]]], length: int, pad: int) -> dict[str, np.ndarray[Any, Any]]:
    shape = (len(rows), length)
    ids, segments, positions = np.full(shape, pad, np.int64), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    labels = np.full(shape, -100, np.int64)
    for number, row in enumerate(rows):
        at = 0
        for segment, piece in enumerate(row, 1):
            where = slice(at, at + len(piece))
            ids[number, where], segments[number, where], positions[number, where] = piece, segment, np.arange(len(piece))
            labels[number, at + 1 : at + len(piece)] = piece[1:]
            at += len(piece)
    return {"input_ids": ids, "segments": segments, "position_ids": positions, "labels": labels}


def segment_mask(segments: Any) -> Any:
    """(N, L) segments -> (N, 1, L, L) bools: a token sees those before it in its own text."""
    rows = segments[:, :, None] == segments[:, None, :]
    rows = rows & (segments[:, :, None] > 0)
    length = segments.shape[1]
    places = np.arange(length)
    return (rows & (places[None, :] <= places[:, None]))[:, None]
