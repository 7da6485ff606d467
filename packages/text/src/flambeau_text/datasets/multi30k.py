"""Multi30k (Elliott et al. 2016): descriptions of pictures in English, German, French and Czech, line by line."""

from __future__ import annotations

import os

from flambeau.base.errors import ArgumentError, explain
from flambeau_text.datasets.files import Table, lines

_FILES = {"train": ("train",), "valid": ("val",), "test": ("test2016", "test_2016_flickr", "test")}


class Multi30k(Table):
    """Pairs of lines of `train.en` and `train.de`, `val.*`, `test2016.*` (or `test_2016_flickr.*`).

    | name   | type | range                    |
    |--------|------|--------------------------|
    | source | str  | a sentence               |
    | target | str  | the same in the other language |
    """

    name = "Multi30k"
    splits = ("train", "valid", "test")
    languages = ("en", "de", "fr", "cs")

    def __init__(self, root: str | os.PathLike[str], split: str = "train", pair: tuple[str, str] = ("de", "en")) -> None:
        if len(pair) != 2 or not set(pair) <= set(self.languages):
            raise ArgumentError(explain(self.name, expected=f"a pair of {', '.join(self.languages)}", got=repr(pair)))
        self.pair = pair
        super().__init__(root, split)

    def load(self) -> list[tuple[str, str]]:
        source, target = (lines(self.text(*(f"{stem}.{language}" for stem in _FILES[self.split]))) for language in self.pair)
        if len(source) != len(target):
            raise self.broken(self.split, f"{len(source)} lines in both languages", len(target))
        return list(zip(source, target, strict=True))
