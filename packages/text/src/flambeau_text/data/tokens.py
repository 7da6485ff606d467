"""Files of tokens that are read by memory map, as nanoGPT's `train.bin` is: little-endian uint16 (or uint32) without a header."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, FileFormatError, IndexingError, explain
from flambeau.base.files import atomic_write
from flambeau.data import Dataset


def write_tokens(path: str | os.PathLike[str], texts: Iterable[Iterable[int]], *, dtype: str = "uint16") -> int:
    """Write the ids of texts, one after the other, atomically; returns how many. Raises ArgumentError for ids that do not fit the dtype."""
    kind = _dtype(dtype)
    count = 0
    with atomic_write(path) as file:
        for ids in texts:
            row = np.array(list(ids), np.int64)
            if row.size and not 0 <= row.min() <= row.max() <= np.iinfo(kind).max:
                got = f"{row.min()} to {row.max()}"
                raise ArgumentError(explain("write_tokens", expected=f"ids that {dtype} holds", got=got, hint="dtype='uint32'"))
            file.write(row.astype(kind).tobytes())
            count += len(row)
    return count


def _dtype(name: str) -> np.dtype[Any]:
    if name not in ("uint16", "uint32"):
        raise ArgumentError(explain("tokens", expected="dtype uint16 or uint32", got=repr(name)))
    return np.dtype(name).newbyteorder("<")


class TokenFile:
    """The ids in a file, read as they are needed: `tokens[10:20]` is an int64 array."""

    def __init__(self, path: str | os.PathLike[str], *, dtype: str = "uint16") -> None:
        self.path, self.dtype = Path(path), dtype
        size, item = self.path.stat().st_size, _dtype(dtype).itemsize
        if size % item:
            raise FileFormatError(explain(f"tokens {path}", expected=f"a multiple of {item} bytes", got=str(size)))
        self._map: Any = np.memmap(self.path, _dtype(dtype), "r") if size else np.zeros(0, _dtype(dtype))

    def __len__(self) -> int:
        return len(self._map)

    def __getitem__(self, index: Any) -> Any:
        return self._map[index].astype(np.int64)

    def __reduce__(self) -> Any:
        return _reopened, (str(self.path), self.dtype)  # a worker process opens the file itself


def _reopened(path: str, dtype: str) -> TokenFile:
    return TokenFile(path, dtype=dtype)


class TokenBlocks(Dataset[dict[str, Any]]):
    """Blocks of a long row of tokens for a language model: {"input_ids": (block,), "labels": (block,)}, both the same.

    Args:
        tokens: a `TokenFile`, or an array of ids.
        block: tokens an example.
        stride: how far the next block begins; `block` when absent.
    """

    def __init__(self, tokens: Any, block: int, *, stride: int | None = None) -> None:
        self.tokens, self.block, self.stride = tokens, block, stride or block
        if block < 1 or self.stride < 1:
            raise ArgumentError(explain("TokenBlocks", expected="a block and a stride of 1 or more", got=f"{block} and {stride}"))

    def __len__(self) -> int:
        return max(0, (len(self.tokens) - self.block) // self.stride + 1)

    def __getitem__(self, index: Any) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexingError(explain("TokenBlocks", expected=f"an index below {len(self)}", got=str(index)))
        start = (index % len(self)) * self.stride
        ids = flambeau.from_numpy(np.asarray(self.tokens[start : start + self.block], np.int64))
        return {"input_ids": ids, "labels": ids}
