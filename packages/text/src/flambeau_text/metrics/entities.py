"""F1 of entities, whole ones, as CoNLL's evaluation and seqeval count them (Tjong Kim Sang & De Meulder 2003)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flambeau.base.errors import ArgumentError, explain

Span = tuple[str, int, int]


def entity_spans(tags: Sequence[str]) -> list[Span]:
    """(type, start, stop) of each entity in tags such as B-PER, I-PER, O (also E- and S- of IOBES).

    >>> entity_spans(["B-PER", "I-PER", "O", "I-LOC"])
    [('PER', 0, 2), ('LOC', 3, 4)]
    """
    spans: list[Span] = []
    kind, start, before = "", 0, "O"
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        inside = before in ("B", "I") and prefix in ("I", "E") and name == kind
        if kind and not inside:
            spans.append((kind, start, i))
            kind = ""
        if prefix != "O" and not inside:
            kind, start = name or "_", i
        before = prefix
    return spans


def entity_f1(predictions: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 of entities over all texts, 0..1, and the accuracy of single tags.

    >>> entity_f1([["B-PER", "O"]], [["B-PER", "B-LOC"]])
    {'precision': 1.0, 'recall': 0.5, 'f1': 0.666..., 'accuracy': 0.5}
    """
    if len(predictions) != len(targets) or any(len(a) != len(b) for a, b in zip(predictions, targets)):
        raise ArgumentError(explain("entity_f1", expected="as many tags as targets", got="other lengths"))
    counts: Counter[str] = Counter()
    for found, right in zip(predictions, targets, strict=True):
        one, other = set(entity_spans(found)), set(entity_spans(right))
        counts += Counter(found=len(one), wanted=len(other), right=len(one & other))
        counts += Counter(tags=len(right), same=sum(a == b for a, b in zip(found, right, strict=True)))
    precision = counts["right"] / counts["found"] if counts["found"] else 0.0
    recall = counts["right"] / counts["wanted"] if counts["wanted"] else 0.0
    both = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": both, "accuracy": counts["same"] / max(1, counts["tags"])}
