"""Datasets, read from small copies in the layouts of their sources; what is broken is named."""

from __future__ import annotations

import json

import pytest

from flambeau.base.errors import ArgumentError, FileFormatError
from flambeau.testing import DatasetCase, check
from flambeau_text.datasets import IMDB, SST2, AGNews, CoNLL2000, CoNLL2003, Multi30k, SQuAD, WikiText


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def test_ag_news(tmp_path):
    (tmp_path / "train.csv").write_text(
        '"3","Oil ""up""","Prices, again\\ higher"\n"1","Talks","Line one\nline two"\n', encoding="utf-8", newline=""
    )
    data = AGNews(tmp_path)
    assert data[0] == ('Oil "up" Prices, again\\ higher', 2) and data[1] == ("Talks Line one\nline two", 0)
    check(DatasetCase("ag_news", lambda: AGNews(tmp_path), length=2, types=(str, int)))
    (tmp_path / "test.csv").write_text('"5","a","b"\n')
    with pytest.raises(FileFormatError, match="row 1: expected a class of 1 to 4"):
        AGNews(tmp_path, "test")
    with pytest.raises(ArgumentError, match="a split of train, test"):
        AGNews(tmp_path, "valid")
    with pytest.raises(ArgumentError, match="train.csv in"):
        AGNews(tmp_path / "nowhere")


def test_imdb(tmp_path):
    for name, text in (
        ("train/pos/2_9.txt", "Fine.<br />"),
        ("train/pos/10_8.txt", "Zürich"),
        ("train/neg/0_1.txt", "Bad"),
        ("train/unsup/0_0.txt", "?"),
    ):
        path = tmp_path / "aclImdb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert IMDB(tmp_path).rows == [("Bad", 0), ("Fine.<br />", 1), ("Zürich", 1)]
    assert IMDB(tmp_path, "unsup").rows == [("?", -1)]
    check(DatasetCase("imdb", lambda: IMDB(tmp_path), length=3, types=(str, int)))


def test_sst2(tmp_path):
    (tmp_path / "train.tsv").write_text('sentence\tlabel\nhide new secretions \t0\na "gem"\t1\n')
    (tmp_path / "test.tsv").write_text("index\tsentence\n0\tuneasy mishmash\n")
    assert SST2(tmp_path).rows == [("hide new secretions", 0), ('a "gem"', 1)]
    assert SST2(tmp_path, "test").rows == [("uneasy mishmash", -1)]
    check(DatasetCase("sst2", lambda: SST2(tmp_path), length=2, types=(str, int)))
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\nno label\n")
    with pytest.raises(FileFormatError, match=r"dev\.tsv, line 2: expected two columns"):
        SST2(tmp_path, "dev")


def test_wikitext(tmp_path):
    folder = tmp_path / "wikitext-2"
    folder.mkdir()
    text = " \n = One = \n \n A paragraph , <unk> . \n = = Part = = \n = Two = \n B \x0b c \n"
    (folder / "wiki.train.tokens").write_text(text, newline="")
    data = WikiText(tmp_path)
    assert len(data) == 7 and data[3] == " A paragraph , <unk> . " and data[6] == " B \x0b c "
    assert [article.split("\n")[0] for article in data.articles()] == [" = One = ", " = Two = "]


def test_multi30k(tmp_path):
    (tmp_path / "train.de").write_text("Ein Hund.\nZwei\u2028 Katzen.\n", encoding="utf-8")
    (tmp_path / "train.en").write_text("A dog.\nTwo cats.\n")
    assert Multi30k(tmp_path).rows == [("Ein Hund.", "A dog."), ("Zwei\u2028 Katzen.", "Two cats.")]
    assert Multi30k(tmp_path, pair=("en", "de"))[0] == ("A dog.", "Ein Hund.")
    (tmp_path / "val.de").write_text("Eins.\n")
    (tmp_path / "val.en").write_text("One.\nTwo.\n")
    with pytest.raises(FileFormatError, match="1 lines in both languages, got 2"):
        Multi30k(tmp_path, "valid")
    with pytest.raises(ArgumentError, match="a pair of"):
        Multi30k(tmp_path, pair=("de", "xx"))


def squad(answer_start=8, text="1889"):
    qas = [
        {"id": "q1", "question": "When?", "answers": [{"text": text, "answer_start": answer_start}]},
        {"id": "q2", "question": "Why?", "answers": [], "is_impossible": True},
    ]
    return {"version": "v2.0", "data": [{"title": "Tower", "paragraphs": [{"context": "Made in 1889.", "qas": qas}]}]}


def test_squad(tmp_path):
    (tmp_path / "train-v2.0.json").write_text(json.dumps(squad()))
    data = SQuAD(tmp_path, version="2.0")
    assert data[0] == {
        "id": "q1",
        "title": "Tower",
        "context": "Made in 1889.",
        "question": "When?",
        "answers": {"text": ["1889"], "answer_start": [8]},
    }
    assert data[1]["answers"] == {"text": [], "answer_start": []}
    (tmp_path / "dev-v2.0.json").write_text(json.dumps(squad(answer_start=7)))
    with pytest.raises(FileFormatError, match="question q1: expected the answer '1889' at 7"):
        SQuAD(tmp_path, "dev", "2.0")
    (tmp_path / "train-v1.1.json").write_text('{"data": [{}]}')
    with pytest.raises(FileFormatError, match="SQuAD's JSON"):
        SQuAD(tmp_path)


def test_conll(tmp_path):
    (tmp_path / "train.txt").write_text("Confidence NN B-NP\nin IN B-PP\n\n\nHe PRP B-NP\n")
    data = CoNLL2000(tmp_path)
    assert data.rows == [(["Confidence", "in"], ["NN", "IN"], ["B-NP", "B-PP"]), (["He"], ["PRP"], ["B-NP"])]
    check(DatasetCase("conll2000", lambda: CoNLL2000(tmp_path), length=2, collates=False))
    (tmp_path / "eng.testa").write_text("-DOCSTART- -X- -X- O\n\nEU NNP I-NP I-ORG\nsays VBZ I-VP O\n")
    assert CoNLL2003(tmp_path, "valid").rows == [(["EU", "says"], ["NNP", "VBZ"], ["I-NP", "I-VP"], ["I-ORG", "O"])]
    (tmp_path / "test.txt").write_text("one two\n")
    with pytest.raises(FileFormatError, match="line 1: expected 3 columns"):
        CoNLL2000(tmp_path, "test")
