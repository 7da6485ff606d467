"""IMDB (Maas et al. 2011): 25,000 + 25,000 reviews of films, and 50,000 without labels."""

from __future__ import annotations

from flambeau_text.datasets.files import Table


class IMDB(Table):
    """Files `aclImdb/{train,test}/{neg,pos}/<id>_<stars>.txt`, and `train/unsup`.

    | name  | type | range                                          |
    |-------|------|------------------------------------------------|
    | text  | str  | the review, with its HTML line breaks          |
    | label | int  | 0 negative, 1 positive; -1 in the split unsup  |
    """

    name = "IMDB"
    splits = ("train", "test", "unsup")
    classes = ("neg", "pos")

    def load(self) -> list[tuple[str, int]]:
        if self.split == "unsup":
            return self._folder("train/unsup", -1)
        return [row for label, kind in enumerate(self.classes) for row in self._folder(f"{self.split}/{kind}", label)]

    def _folder(self, name: str, label: int) -> list[tuple[str, int]]:
        folder = self.path(f"aclImdb/{name}", name)
        files = sorted(folder.glob("*.txt"), key=lambda path: (path.stem.partition("_")[0].zfill(9), path.name))
        return [(path.read_text(encoding="utf-8"), label) for path in files]
