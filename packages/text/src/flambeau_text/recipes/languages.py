"""A made pair of languages: every word has a translation, and a sentence's order is turned round part by part."""

from __future__ import annotations

import numpy as np

ONSETS, VOWELS = "bdfgklmnprstvz", "aeiou"
NOUNS, ADJECTIVES, VERBS = 40, 24, 24


class MadeLanguages:
    """Sentences of one language, "adjective* noun verb adjective* noun", and their translations.

    In the other language the verb comes last, adjectives follow their noun in reverse order, and a noun that has adjectives is marked by a
    particle before it. So words, order and agreement have to be learnt.

    Args:
        seed: decides the words.

    Attributes:
        lexicon: {word: translation}.

    >>> languages = MadeLanguages()
    >>> source, target = languages.pairs(np.random.default_rng(0), 1)[0]
    >>> languages.translate(source) == target
    True
    """

    PARTICLE = "ul"

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        words = self._words(rng, 2 * (NOUNS + ADJECTIVES + VERBS))
        own, other = words[::2], words[1::2]
        self.lexicon = dict(zip(own, other, strict=True))
        self.nouns, self.adjectives, self.verbs = own[:NOUNS], own[NOUNS : NOUNS + ADJECTIVES], own[NOUNS + ADJECTIVES :]

    @staticmethod
    def _words(rng: np.random.Generator, count: int) -> list[str]:
        found: dict[str, None] = {}
        while len(found) < count:
            syllables = rng.integers(2, 4)
            found["".join(rng.choice(list(ONSETS)) + rng.choice(list(VOWELS)) for _ in range(syllables))] = None
        return list(found)

    def pairs(self, rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
        """Sentences and their translations."""
        sentences = [self._sentence(rng) for _ in range(count)]
        return [(sentence, self.translate(sentence)) for sentence in sentences]

    def _sentence(self, rng: np.random.Generator) -> str:
        def phrase() -> list[str]:
            adjectives = rng.choice(self.adjectives, rng.integers(0, 4), replace=False).tolist()
            return [*adjectives, self.nouns[rng.integers(NOUNS)]]

        return " ".join([*phrase(), self.verbs[rng.integers(VERBS)], *phrase()])

    def translate(self, sentence: str) -> str:
        """The right translation of a sentence."""
        words = sentence.split()
        at = next(i for i, word in enumerate(words) if word in self.verbs)
        parts = [self._phrase(words[:at]), self._phrase(words[at + 1 :]), [self.lexicon[words[at]]]]
        return " ".join(word for part in parts for word in part)

    def _phrase(self, words: list[str]) -> list[str]:
        turned = [self.lexicon[word] for word in reversed(words)]
        return [self.PARTICLE, *turned] if len(turned) > 1 else turned
