"""Made reviews of films, hotels and phones, whose sentiment depends on words, negations and contrasts."""

from __future__ import annotations

import numpy as np

THINGS = {
    "film": ("story", "acting", "music", "ending", "camera", "dialogue", "cast", "humour"),
    "hotel": ("room", "breakfast", "staff", "view", "bed", "pool", "location", "service"),
    "phone": ("screen", "battery", "camera", "sound", "case", "speed", "price", "manual"),
}
GOOD = (
    "wonderful", "superb", "delightful", "excellent", "charming", "brilliant", "lovely", "impressive", "perfect", "pleasant", "clever",
    "outstanding", "fresh", "great",
)  # fmt: skip
BAD = (
    "terrible", "awful", "dull", "poor", "annoying", "dreadful", "weak", "disappointing", "boring", "horrible", "clumsy", "broken", "cheap",
    "bland",
)  # fmt: skip
FILLERS = (
    "I went there with my sister on a Tuesday.", "We had read about it before.", "It was raining that day.", "My neighbour had told me.",
    "I paid with my card.", "This is my second review.", "We took a taxi home.", "I wrote this on the train.",
)  # fmt: skip
DEGREES = ("very ", "really ", "quite ", "rather ", "", "")


class MadeReviews:
    """Draws reviews and their labels, 0 for negative and 1 for positive.

    A review has two to four opinions. Each is plain ("the story was very dull"), negated ("was not dull at all"), or a contrast
    ("although the story was dull, the acting was superb"), of which the second half counts. The majority decides the label, so single words
    mislead: about four opinions in ten are negated or contrasted.

    >>> reviews = MadeReviews()
    >>> text, label = reviews.draw(np.random.default_rng(0))
    >>> label in (0, 1) and len(text.split()) > 8
    True
    """

    labels = ("negative", "positive")

    def draw(self, rng: np.random.Generator) -> tuple[str, int]:
        """A review and its label."""
        thing = list(THINGS)[rng.integers(len(THINGS))]
        label = int(rng.integers(2))
        count = int(rng.choice([1, 3]))
        minority = count // 2 if rng.random() < 0.5 else 0
        signs = [label] * (count - minority) + [1 - label] * minority
        parts = [self._opinion(rng, thing, signs[i]) for i in rng.permutation(count)]
        fillers = [FILLERS[i] for i in rng.choice(len(FILLERS), rng.integers(0, 3), replace=False)]
        for filler in fillers:
            parts.insert(int(rng.integers(len(parts) + 1)), filler)
        return " ".join(parts), label

    def many(self, rng: np.random.Generator, count: int) -> list[tuple[str, int]]:
        """Several reviews."""
        return [self.draw(rng) for _ in range(count)]

    def _opinion(self, rng: np.random.Generator, thing: str, sign: int) -> str:
        one, other = (THINGS[thing][i] for i in rng.choice(len(THINGS[thing]), 2, replace=False))
        kind = rng.random()
        if kind < 0.6:
            return f"The {one} was {self._word(rng, sign)}."
        if kind < 0.8:
            return f"The {one} was not {self._word(rng, 1 - sign, degree=False)} at all."
        return f"Although the {one} was {self._word(rng, 1 - sign)}, the {other} was {self._word(rng, sign)}."

    @staticmethod
    def _word(rng: np.random.Generator, sign: int, degree: bool = True) -> str:
        words = GOOD if sign else BAD
        return (DEGREES[rng.integers(len(DEGREES))] if degree else "") + words[rng.integers(len(words))]
