"""AG News (Zhang et al. 2015): 120,000 + 7,600 news items of four kinds."""

from __future__ import annotations

import csv
import io

from flambeau_text.datasets.files import Table


class AGNews(Table):
    """Rows of `train.csv` and `test.csv`: "class (1 to 4)","title","description", without a header.

    | name  | type | range                         |
    |-------|------|-------------------------------|
    | text  | str  | title, a space, description   |
    | label | int  | 0..3, the index in `classes`  |
    """

    name = "AG_NEWS"
    classes = ("World", "Sports", "Business", "Sci/Tech")

    def load(self) -> list[tuple[str, int]]:
        rows = []
        for number, row in enumerate(csv.reader(io.StringIO(self.text(f"{self.split}.csv"), newline="")), 1):
            if len(row) != 3 or row[0] not in ("1", "2", "3", "4"):
                raise self.broken(f"{self.split}.csv, row {number}", "a class of 1 to 4, a title and a description", row)
            rows.append((f"{row[1]} {row[2]}", int(row[0]) - 1))
        return rows
