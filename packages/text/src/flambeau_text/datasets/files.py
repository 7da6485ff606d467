"""Files of datasets: where they are, and a clear error where they are not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flambeau.base.errors import ArgumentError, FileFormatError, IndexingError, explain
from flambeau.data import Dataset


class Table(Dataset[Any]):
    """A dataset whose examples are in memory, as a list; subclasses fill `rows`.

    Args:
        root: the folder with the dataset's files, in the layout that its source has.
        split: which part.
    """

    name = "dataset"
    splits: tuple[str, ...] = ("train", "test")

    def __init__(self, root: str | os.PathLike[str], split: str = "train") -> None:
        if split not in self.splits:
            raise ArgumentError(explain(self.name, expected=f"a split of {', '.join(self.splits)}", got=repr(split)))
        self.root, self.split = Path(root), split
        self.rows: list[Any] = self.load()

    def load(self) -> list[Any]:
        """Read all examples."""
        raise NotImplementedError

    def path(self, *names: str) -> Path:
        """The first of these files that exists below the root. Raises ArgumentError when none does."""
        for name in names:
            if (self.root / name).exists():
                return self.root / name
        raise ArgumentError(explain(self.name, expected=f"{' or '.join(names)} in {self.root}", got="none", hint="unpack the source there"))

    def text(self, *names: str) -> str:
        """The text of the first of these files that exists. Raises FileFormatError when it is no UTF-8."""
        path = self.path(*names)
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise FileFormatError(explain(f"{self.name} {path}", expected="UTF-8", got=str(error))) from None

    def broken(self, where: str, expected: str, got: object) -> FileFormatError:
        """The error for a line that is not what the format says."""
        return FileFormatError(explain(f"{self.name} {where}", expected=expected, got=repr(got)[:100]))

    def __getitem__(self, index: Any) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexingError(explain(self.name, expected=f"an index below {len(self)}", got=str(index)))
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.split!r}, {len(self)} examples)"


def lines(text: str) -> Sequence[str]:
    """The lines of a text, cut at line feeds only: other separators of Unicode may be inside an example."""
    found = text.split("\n")
    return [line.removesuffix("\r") for line in (found[:-1] if found and not found[-1] else found)]
