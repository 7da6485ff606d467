"""SST-2 (Socher et al. 2013), as GLUE has it: sentences of film reviews."""

from __future__ import annotations

from flambeau_text.datasets.files import Table, lines


class SST2(Table):
    """Files `SST-2/{train,dev,test}.tsv` with a header: "sentence, label", and "index, sentence" in the test.

    | name  | type | range                                        |
    |-------|------|----------------------------------------------|
    | text  | str  | a sentence or phrase                         |
    | label | int  | 0 negative, 1 positive; -1 in the split test |
    """

    name = "SST2"
    splits = ("train", "dev", "test")
    classes = ("negative", "positive")

    def load(self) -> list[tuple[str, int]]:
        head, *rest = lines(self.text(f"SST-2/{self.split}.tsv", f"{self.split}.tsv"))
        if head.split("\t") != (["index", "sentence"] if self.split == "test" else ["sentence", "label"]):
            raise self.broken(f"{self.split}.tsv", "GLUE's header", head)
        rows = []
        for number, line in enumerate(rest, 2):
            cells = line.split("\t")
            if len(cells) != 2 or (self.split != "test" and cells[1] not in ("0", "1")):
                raise self.broken(f"{self.split}.tsv, line {number}", "two columns, with a label of 0 or 1", line)
            rows.append((cells[1], -1) if self.split == "test" else (cells[0].strip(), int(cells[1])))
        return rows
