"""WikiText-2 and WikiText-103 (Merity et al. 2016): articles of Wikipedia, for language models."""

from __future__ import annotations

from flambeau_text.datasets.files import Table, lines


class WikiText(Table):
    """Files `wiki.{train,valid,test}.{tokens,raw}`, of either size; the raw ones have no `<unk>`.

    An example is a line, str: a paragraph, a heading such as " = Title = ", or "".
    """

    name = "WikiText"
    splits = ("train", "valid", "test")
    folders = ("", "wikitext-2/", "wikitext-2-raw/", "wikitext-103/", "wikitext-103-raw/")

    def load(self) -> list[str]:
        names = [f"{folder}wiki.{self.split}.{kind}" for folder in self.folders for kind in ("tokens", "raw")]
        return list(lines(self.text(*names)))

    def articles(self) -> list[str]:
        """The lines of each article as one text."""
        found: list[list[str]] = []
        for line in self.rows:
            title = line.strip()
            if title.startswith("= ") and not title.startswith("= =") and title.endswith(" ="):
                found.append([])
            if found:
                found[-1].append(line)
        return ["\n".join(part) for part in found]
