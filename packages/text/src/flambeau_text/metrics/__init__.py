"""Metrics of texts."""

from __future__ import annotations

from flambeau_text.metrics.answers import exact_match, f1, normalize_answer, squad_scores
from flambeau_text.metrics.bleu import BLEU, bleu, sentence_bleu
from flambeau_text.metrics.entities import entity_f1, entity_spans
from flambeau_text.metrics.perplexity import Perplexity, perplexity
from flambeau_text.metrics.rouge import rouge

__all__ = [
    "BLEU",
    "Perplexity",
    "bleu",
    "entity_f1",
    "entity_spans",
    "exact_match",
    "f1",
    "normalize_answer",
    "perplexity",
    "rouge",
    "sentence_bleu",
    "squad_scores",
]
