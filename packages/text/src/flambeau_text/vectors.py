"""Word vectors in text files, as GloVe (Pennington et al. 2014) and fastText (Bojanowski et al. 2016) publish them."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, FileFormatError, explain


class Vectors:
    """Vectors of words.

    Attributes:
        itos: the words; stoi: {word: row}.
        vectors: (n, dim) float32 tensor.

    >>> words = Vectors(["cat", "dog"], np.array([[1.0, 0.0], [0.0, 1.0]]))
    >>> words["dog"].tolist(), words["bird"].tolist()
    ([0.0, 1.0], [0.0, 0.0])
    """

    def __init__(self, words: Sequence[str], vectors: Any) -> None:
        table = np.asarray(vectors, np.float32)
        if table.ndim != 2 or len(table) != len(words):
            raise ArgumentError(explain("Vectors", expected=f"a vector for each of {len(words)} words", got=str(table.shape)))
        self.itos = list(words)
        self.stoi = {word: i for i, word in reversed(list(enumerate(words)))}  # the first of equal words counts
        self.vectors = flambeau.from_numpy(table)
        self.dim = table.shape[1]

    def __len__(self) -> int:
        return len(self.itos)

    def __contains__(self, word: str) -> bool:
        return word in self.stoi

    def __getitem__(self, word: str) -> Any:
        """The vector of a word; zeros for one that is not there."""
        row = self.stoi.get(word)
        return flambeau.zeros(self.dim) if row is None else self.vectors[row]

    def get_vecs_by_tokens(self, tokens: Sequence[str], lower_case_backup: bool = False) -> Any:
        """(n, dim) vectors of words; with `lower_case_backup`, of a word in lower case where the word itself is not there."""
        rows = [self[t.lower() if lower_case_backup and t not in self and t.lower() in self else t] for t in tokens]
        return flambeau.stack(rows) if rows else flambeau.zeros(0, self.dim)

    def table(self, tokens: Iterable[str]) -> Any:
        """(n, dim) vectors for a vocabulary's tokens, for `nn.Embedding.from_pretrained`."""
        return self.get_vecs_by_tokens(list(tokens))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], max_vectors: int | None = None) -> Vectors:
        """Read a text file of lines "word number number ...": `glove.*.txt` (or in its zip), or `.vec` with its first line "count size".

        Raises FileFormatError for lines of another length, or numbers that are none.
        """
        words: list[str] = []
        rows: list[np.ndarray[Any, Any]] = []
        with _opened(Path(path)) as file:
            for number, line in enumerate(file, 1):
                cells = line.rstrip("\n").rstrip(" ").split(" ")
                if number == 1 and len(cells) == 2 and all(cell.isdigit() for cell in cells):
                    continue
                if max_vectors is not None and len(words) >= max_vectors:
                    break
                size = len(rows[0]) if rows else len(cells) - 1
                try:
                    row = np.array(cells[-size:], np.float32)
                except ValueError:
                    row = np.zeros(0, np.float32)
                if not size or len(row) != size or len(cells) <= size:
                    got = line[:60]
                    raise FileFormatError(explain(f"Vectors {path}, line {number}", expected=f"a word and {size} numbers", got=repr(got)))
                words.append(" ".join(cells[:-size]))  # a few words of GloVe have spaces
                rows.append(row)
        if not rows:
            raise FileFormatError(explain(f"Vectors {path}", expected="lines of a word and numbers", got="none"))
        return cls(words, np.stack(rows))


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith((".txt", ".vec"))]
            if len(names) != 1:
                raise ArgumentError(explain(f"Vectors {path}", expected="an archive with one .txt", got=str(names), hint="unpack one"))
            with archive.open(names[0]) as file, io.TextIOWrapper(file, "utf-8", newline="\n") as text:
                yield text
        return
    with open(path, encoding="utf-8", newline="\n") as text:
        yield text
