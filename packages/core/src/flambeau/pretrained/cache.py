"""Keys and values of earlier tokens, so that a decoder reads each token once."""

from __future__ import annotations

from typing import Any

from flambeau.base.dtypes import int64
from flambeau.base.errors import ArgumentError, explain
from flambeau.ops.joining import cat
from flambeau.tensor.creation import arange, zeros


class Cache:
    """Grows with each token. `cache[i]` is the (key, value) pair of layer i, each (N, heads, length, size).

    Attributes:
        keys, values: of self-attention, one a layer.
        cross: (key, value) of the encoder's output, one a layer, computed once.
    """

    static = False

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self.cross: dict[int, tuple[Any, Any]] = {}

    def get_seq_length(self) -> int:
        """How many tokens have been read."""
        return self.keys[0].shape[-2] if self.keys else 0

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, layer: int) -> tuple[Any, Any]:
        return self.keys[layer], self.values[layer]

    def update(self, key: Any, value: Any, layer: int) -> tuple[Any, Any]:
        """Append the keys and values of new tokens; returns those of all tokens."""
        if layer == len(self.keys):
            self.keys.append(key)
            self.values.append(value)
        else:
            self.keys[layer] = cat([self.keys[layer], key], dim=-2)
            self.values[layer] = cat([self.values[layer], value], dim=-2)
        return self[layer]

    def positions(self, length: int, device: Any) -> Any:
        """The positions of the next `length` tokens."""
        start = self.get_seq_length()
        return arange(start, start + length, device=device)

    def width(self, length: int) -> int:
        """How many keys attention sees once `length` more tokens are read."""
        return self.get_seq_length() + length

    def advance(self, length: int) -> None:
        """Called by the model when all layers have read `length` tokens."""

    def reorder(self, rows: Any) -> None:
        """Keep these rows of the batch, in this order (beam search)."""
        self.keys = [key.index_select(0, rows) for key in self.keys]
        self.values = [value.index_select(0, rows) for value in self.values]
        self.cross = {i: (key.index_select(0, rows), value.index_select(0, rows)) for i, (key, value) in self.cross.items()}


class StaticCache(Cache):
    """Has room for `max_length` tokens from the start and is written in place, so that one token is one program of fixed shapes.

    Args:
        layers, batch, heads, max_length, size: the shape; heads are those of keys and values.
    """

    static = True

    def __init__(self, layers: int, batch: int, heads: int, max_length: int, size: int, **where: Any) -> None:
        super().__init__()
        self.max_length = max_length
        self.read = 0
        self.keys = [zeros(batch, heads, max_length, size, **where) for _ in range(layers)]
        self.values = [zeros(batch, heads, max_length, size, **where) for _ in range(layers)]
        self.position = zeros(1, dtype=int64, device=where.get("device"))

    def get_seq_length(self) -> int:
        return self.read

    def claim(self, length: int) -> None:
        """Called outside a compiled step, before it reads `length` tokens. Raises ArgumentError when there is no room."""
        if self.read + length > self.max_length:
            got = f"{self.read} and {length} more"
            raise ArgumentError(explain("StaticCache", expected=f"at most {self.max_length} tokens", got=got, hint="a larger max_length"))
        self.read += length

    def update(self, key: Any, value: Any, layer: int) -> tuple[Any, Any]:
        positions = self.positions(key.shape[-2], key.device)
        self.keys[layer].index_copy_(2, positions, key)
        self.values[layer].index_copy_(2, positions, value)
        return self[layer]

    def positions(self, length: int, device: Any) -> Any:
        return self.position + arange(length, device=device)

    def width(self, length: int) -> int:
        return self.max_length

    def advance(self, length: int) -> None:
        self.position.add_(length)

    def reorder(self, rows: Any) -> None:
        for tensor in (*self.keys, *self.values):
            tensor.copy_(tensor.index_select(0, rows))
