"""Texts from files too large for memory, line by line, with a position that can be saved."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flambeau.base.errors import ArgumentError, FileFormatError, explain


class TextStream:
    """The lines of text files (or the field `field` of the JSON on each line of `.jsonl` files), one after the other.

    Args:
        files: the files, in order.
        field: of JSON lines.
        shard, shards: take every `shards`-th line, beginning with number `shard`: for workers and ranks.
        repeat: begin again after the last line.

    `state_dict` and `load_state_dict` save and restore the position, byte for byte, so that a run goes on with the next line.
    """

    def __init__(
        self, files: Sequence[str | os.PathLike[str]], *, field: str = "text", shard: int = 0, shards: int = 1, repeat: bool = False
    ) -> None:
        if not 0 <= shard < shards:
            raise ArgumentError(explain("TextStream", expected=f"a shard below {shards}", got=str(shard)))
        self.files = [Path(file) for file in files]
        absent = [str(file) for file in self.files if not file.is_file()]
        if absent or not self.files:
            raise ArgumentError(explain("TextStream", expected="files that exist", got=str(absent or "none")))
        self.field, self.shard, self.shards, self.repeat = field, shard, shards, repeat
        self.file = self.offset = self.line = self.epoch = 0

    def __iter__(self) -> Iterator[str]:
        while True:
            while self.file < len(self.files):
                yield from self._lines(self.files[self.file])
                self.file, self.offset = self.file + 1, 0
            self.file = self.offset = self.line = 0
            self.epoch += 1
            if not self.repeat:
                return

    def _lines(self, path: Path) -> Iterator[str]:
        with open(path, "rb") as file:
            file.seek(self.offset)
            while data := file.readline():
                mine = self.line % self.shards == self.shard
                self.line += 1
                start, self.offset = self.offset, file.tell()
                if mine:
                    yield self._text(path, start, data)

    def _text(self, path: Path, start: int, data: bytes) -> str:
        try:
            line = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
            if path.suffix != ".jsonl":
                return line
            found = json.loads(line)[self.field]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            wanted = f"JSON with a field {self.field!r}" if path.suffix == ".jsonl" else "UTF-8"
            raise FileFormatError(explain(f"{path}, byte {start}", expected=wanted, got=f"{type(error).__name__}: {error}"[:100])) from None
        if not isinstance(found, str):
            raise FileFormatError(explain(f"{path}, byte {start}", expected=f"text in the field {self.field!r}", got=repr(found)[:60]))
        return found

    def state_dict(self) -> dict[str, Any]:
        """The position after the last line that was given."""
        return {"file": self.file, "offset": self.offset, "line": self.line, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.file, self.offset, self.line, self.epoch = (int(state[name]) for name in ("file", "offset", "line", "epoch"))
