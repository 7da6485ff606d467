"""SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018): questions on articles of Wikipedia, whose answers are parts of the text."""

from __future__ import annotations

import json
import os
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau_text.datasets.files import Table


class SQuAD(Table):
    """Files `train-v1.1.json`, `dev-v1.1.json`, and `-v2.0`.

    | name     | type      | meaning                                                          |
    |----------|-----------|------------------------------------------------------------------|
    | id       | str       | of the question                                                  |
    | title    | str       | of the article                                                   |
    | context  | str       | the paragraph                                                    |
    | question | str       |                                                                  |
    | answers  | dict      | "text": list of str, "answer_start": list of int (characters); empty where there is no answer |
    """

    name = "SQuAD"
    splits = ("train", "dev")

    def __init__(self, root: str | os.PathLike[str], split: str = "train", version: str = "1.1") -> None:
        if version not in ("1.1", "2.0"):
            raise ArgumentError(explain(self.name, expected="version 1.1 or 2.0", got=repr(version)))
        self.version = version
        super().__init__(root, split)

    def load(self) -> list[dict[str, Any]]:
        file = f"{self.split}-v{self.version}.json"
        try:
            articles = json.loads(self.text(file))["data"]
            return [
                self._example(article["title"], paragraph["context"], entry)
                for article in articles
                for paragraph in article["paragraphs"]
                for entry in paragraph["qas"]
            ]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self.broken(file, "SQuAD's JSON", error) from None

    def _example(self, title: str, context: str, entry: dict[str, Any]) -> dict[str, Any]:
        answers = entry["answers"]
        for answer in answers:
            start, text = answer["answer_start"], answer["text"]
            if context[start : start + len(text)] != text:
                raise self.broken(f"question {entry['id']}", f"the answer {text!r} at {start}", context[start : start + len(text)])
        places = {"text": [a["text"] for a in answers], "answer_start": [a["answer_start"] for a in answers]}
        return {"id": entry["id"], "title": title, "context": context, "question": entry["question"], "answers": places}
