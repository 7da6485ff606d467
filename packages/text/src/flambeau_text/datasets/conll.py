"""CoNLL's shared tasks: chunks of 2000 (Tjong Kim Sang & Buchholz), names of 2003 (Tjong Kim Sang & De Meulder)."""

from __future__ import annotations

from typing import ClassVar

from flambeau_text.datasets.files import Table, lines


class _Columns(Table):
    """Words, one a line with tags in columns; an empty line ends a sentence."""

    columns: ClassVar[int]
    files: ClassVar[dict[str, tuple[str, ...]]]

    def load(self) -> list[tuple[list[str], ...]]:
        sentences: list[list[list[str]]] = [[]]
        for number, line in enumerate(lines(self.text(*self.files[self.split])), 1):
            cells = line.split()
            if not cells or cells[0] == "-DOCSTART-":
                sentences.append([])
                continue
            if len(cells) != self.columns:
                raise self.broken(f"{self.split}, line {number}", f"{self.columns} columns", line)
            sentences[-1].append(cells)
        return [tuple(map(list, zip(*sentence, strict=True))) for sentence in sentences if sentence]


class CoNLL2000(_Columns):
    """Files `train.txt` and `test.txt`: word, part of speech, chunk.

    | name   | type        | example             |
    |--------|-------------|---------------------|
    | words  | list of str | ["Confidence", ...] |
    | pos    | list of str | ["NN", ...]         |
    | chunks | list of str | ["B-NP", ...]       |
    """

    name = "CoNLL2000"
    columns = 3
    files = {"train": ("train.txt",), "test": ("test.txt",)}


class CoNLL2003(_Columns):
    """Files `eng.train`, `eng.testa`, `eng.testb` (or `train.txt`, `valid.txt`, `test.txt`): word, part of speech, chunk, entity.

    | name     | type        | example          |
    |----------|-------------|------------------|
    | words    | list of str | ["EU", ...]      |
    | pos      | list of str | ["NNP", ...]     |
    | chunks   | list of str | ["I-NP", ...]    |
    | entities | list of str | ["I-ORG", ...]   |
    """

    name = "CoNLL2003"
    splits = ("train", "valid", "test")
    columns = 4
    files = {"train": ("eng.train", "train.txt"), "valid": ("eng.testa", "valid.txt"), "test": ("eng.testb", "test.txt")}
