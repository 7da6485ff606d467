"""Encodings as the tensors that models take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, ShapeError, explain
from flambeau_text.tokenize.encoding import Encoding


class Batch(dict[str, Any]):
    """A dict of inputs, for `model(**batch)`; entries are attributes too, and `encodings` has the rest."""

    encodings: list[Encoding]

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to(self, device: Any) -> Batch:
        """The same with its tensors on a device."""
        moved = Batch({name: value.to(device) if hasattr(value, "to") else value for name, value in self.items()})
        moved.encodings = self.encodings
        return moved


def collect(encodings: list[Encoding], names: Sequence[str], kind: str | None) -> Batch:
    """A batch with these lists of encodings as lists (None), NumPy arrays ("np") or tensors ("fb" or "pt")."""
    if kind not in (None, "fb", "pt", "np"):
        raise ArgumentError(explain("tokenizer", expected="return_tensors fb, np or None", got=repr(kind)))
    sizes = {len(encoding) for encoding in encodings}
    if kind is not None and len(sizes) > 1:
        got = f"lengths {min(sizes)} to {max(sizes)}"
        raise ShapeError(explain("tokenizer", expected="texts of one length for tensors", got=got, hint="padding=True"))
    batch = Batch()
    for name in names:
        rows: Any = [getattr(encoding, _FIELDS[name]) for encoding in encodings]
        if kind is not None:
            width = next(iter(sizes), 0)
            shape = (len(rows), width, 2) if name == "offset_mapping" else (len(rows), width)
            rows = np.array(rows, np.int64).reshape(shape)
        batch[name] = flambeau.from_numpy(rows) if kind in ("fb", "pt") else rows
    batch.encodings = encodings
    return batch


_FIELDS = {
    "input_ids": "ids",
    "token_type_ids": "type_ids",
    "attention_mask": "attention_mask",
    "special_tokens_mask": "special_tokens_mask",
    "offset_mapping": "offsets",
}
