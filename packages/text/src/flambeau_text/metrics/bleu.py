"""BLEU (Papineni et al. 2002), with the tokens, the smoothing and the result of sacreBLEU (Post 2018)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from flambeau.base.errors import ArgumentError, explain

ORDER = 4  # the longest n-gram


@dataclass(frozen=True)
class BLEU:
    """A result.

    Attributes:
        score: 0 to 100.
        precisions: of n-grams of 1 to 4 tokens, 0 to 100.
        bp: the brevity penalty, 0 to 1.
        sys_len, ref_len: tokens of the texts, and of the references that are nearest in length.
    """

    score: float
    precisions: tuple[float, ...]
    bp: float
    sys_len: int
    ref_len: int


_ENTITIES = (("<skipped>", ""), ("-\n", ""), ("\n", " "), ("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_RULES_13A = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def tokenize_13a(text: str) -> list[str]:
    """The tokens of the WMT evaluations (mteval-v13a).

    >>> tokenize_13a("It's 3.5, isn't it?")
    ["It's", '3.5', ',', "isn't", 'it', '?']
    """
    for old, new in _ENTITIES:
        text = text.replace(old, new)
    text = f" {text} "
    for pattern, new in _RULES_13A:
        text = pattern.sub(new, text)
    return text.split()


@lru_cache(maxsize=1)
def _international() -> tuple[tuple[re.Pattern[str], str], ...]:
    from flambeau_text.tokenize.patterns import category_set

    punctuation, symbols, numbers = (category_set(name) for name in ("P", "S", "N"))
    return (
        (re.compile(f"([^{numbers}])([{punctuation}])"), r"\1 \2 "),
        (re.compile(f"([{punctuation}])([^{numbers}])"), r" \1 \2"),
        (re.compile(f"([{symbols}])"), r" \1 "),
    )


def tokenize_international(text: str) -> list[str]:
    """Punctuation apart except within numbers, symbols apart, by Unicode (mteval-v14)."""
    for pattern, new in _international():
        text = pattern.sub(new, text)
    return text.split()


_TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "13a": tokenize_13a,
    "intl": tokenize_international,
    "none": str.split,
    "char": lambda text: list("".join(text.split()) if not text.isspace() else ""),
}


def bleu(
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    smooth: str = "exp",
    effective_order: bool = False,
) -> BLEU:
    """The BLEU of a corpus.

    Args:
        texts: what was translated.
        references: for each text, one or more right translations.
        tokenize: "13a" (sacreBLEU's default), "intl", "char" or "none" (split at spaces).
        lowercase: compare without case.
        smooth: "exp", "floor", "add-k" or "none": what stands for n-grams that never match.
        effective_order: leave out n-grams longer than the texts, as for single sentences.

    >>> round(bleu(["the cat sat on the mat"], [["the cat sat on a mat"]]).score, 2)
    53.73
    """
    if tokenize not in _TOKENIZERS:
        raise ArgumentError(explain("bleu", expected=f"tokenize of {', '.join(_TOKENIZERS)}", got=repr(tokenize)))
    if len(texts) != len(references):
        raise ArgumentError(explain("bleu", expected=f"references for {len(texts)} texts", got=str(len(references))))
    cut = _TOKENIZERS[tokenize]
    matches, totals, sys_len, ref_len = [0] * ORDER, [0] * ORDER, 0, 0
    for text, right in zip(texts, references, strict=True):
        if isinstance(right, str) or not right:
            raise ArgumentError(explain("bleu", expected="a list of references for each text", got=repr(right)[:60]))
        tokens, *others = (cut(unify(part, lowercase)) for part in (text, *right))
        sys_len += len(tokens)
        ref_len += min((abs(len(other) - len(tokens)), len(other)) for other in others)[1]
        allowed: Counter[tuple[str, ...]] = Counter()
        for other in others:
            allowed |= _ngrams(other)
        found = _ngrams(tokens)
        for ngram, count in found.items():
            totals[len(ngram) - 1] += count
            matches[len(ngram) - 1] += min(count, allowed[ngram])
    return _result(matches, totals, sys_len, ref_len, smooth, effective_order)


def unify(text: str, lowercase: bool) -> str:
    """A line without its end, in lower case if that is asked for."""
    text = text.rstrip()
    return text.lower() if lowercase else text


def sentence_bleu(text: str, references: Sequence[str], **options: str | bool) -> float:
    """The BLEU of one sentence, 0 to 100, by the orders that it has."""
    return bleu([text], [references], **{"effective_order": True, **options}).score  # type: ignore[arg-type]


def _ngrams(tokens: Sequence[str]) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for n in range(1, ORDER + 1) for i in range(len(tokens) - n + 1))


def _result(matches: list[int], totals: list[int], sys_len: int, ref_len: int, smooth: str, effective: bool) -> BLEU:
    bp = 1.0 if sys_len >= ref_len else math.exp(1 - ref_len / sys_len) if sys_len else 0.0
    precisions, order, smallest = [0.0] * ORDER, ORDER, 1.0
    if not any(matches):
        return BLEU(0.0, tuple(precisions), bp, sys_len, ref_len)
    for n in range(ORDER):
        count, total = float(matches[n]), totals[n]
        if smooth == "add-k" and n:
            count, total = count + 1, total + 1
        if not total:
            break
        if effective:
            order = n + 1
        if not count:
            smallest *= 2
            count = {"exp": 1 / smallest, "floor": 0.1}.get(smooth, 0.0)
        precisions[n] = 100.0 * count / total
    logs = [math.log(p) if p else -9999999999 for p in precisions[:order]]
    return BLEU(bp * math.exp(sum(logs) / order), tuple(precisions), bp, sys_len, ref_len)
