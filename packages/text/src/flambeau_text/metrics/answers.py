"""Exact match and F1 of answers, as SQuAD's evaluation computes them (Rajpurkar et al. 2016)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Lower case, without punctuation, articles and superfluous spaces.

    >>> normalize_answer("The  Eiffel-Tower!")
    'eiffeltower'
    """
    bare = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(answer: str, right: str) -> float:
    """1.0 if both are the same after `normalize_answer`, else 0.0."""
    return float(normalize_answer(answer) == normalize_answer(right))


def f1(answer: str, right: str) -> float:
    """The F1 of the words of both, 0..1.

    >>> f1("the big tower", "a tower")
    0.666...
    """
    words, others = normalize_answer(answer).split(), normalize_answer(right).split()
    if not words or not others:
        return float(words == others)
    same = (Counter(words) & Counter(others)).total()
    return 2 * same / (len(words) + len(others))


def squad_scores(answers: Mapping[str, str], right: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The means over questions of the best score against each right answer, 0..1.

    Args:
        answers: {question id: answer}; an absent one counts as "".
        right: {question id: right answers}; none means that there is no answer.
    """

    def best(score: Callable[[str, str], float], name: str) -> float:
        return max(score(answers.get(name, ""), one) for one in (right[name] or [""]))

    count = max(1, len(right))
    return {
        "exact_match": sum(best(exact_match, name) for name in right) / count,
        "f1": sum(best(f1, name) for name in right) / count,
    }
