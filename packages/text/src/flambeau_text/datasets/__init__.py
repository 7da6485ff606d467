"""Datasets of texts, read from folders in the layout that their sources have."""

from __future__ import annotations

from flambeau_text.datasets.ag_news import AGNews
from flambeau_text.datasets.conll import CoNLL2000, CoNLL2003
from flambeau_text.datasets.imdb import IMDB
from flambeau_text.datasets.multi30k import Multi30k
from flambeau_text.datasets.squad import SQuAD
from flambeau_text.datasets.sst2 import SST2
from flambeau_text.datasets.wikitext import WikiText

__all__ = ["IMDB", "SST2", "AGNews", "CoNLL2000", "CoNLL2003", "Multi30k", "SQuAD", "WikiText"]
