"""From a name to labelled predictions in three lines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import flambeau
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.io import open_image
from flambeau_vision.models.weights import find_weights, get_model, get_model_weights


class Guess(NamedTuple):
    """A class and its probability, 0..1."""

    label: str
    probability: float


class Classifier:
    """A model with its preprocessing and the names of its classes; made by `classifier`.

    Called with a path, a PIL image, a tensor (C, H, W), or a list of these, it returns the `top` guesses, best first, for each.
    """

    def __init__(self, model: Any, preprocess: Any, categories: Sequence[str], device: Any = "cpu") -> None:
        self.model, self.preprocess, self.categories, self.device = model.to(device).eval(), preprocess, list(categories), device

    def __call__(self, images: Any, top: int = 5) -> Any:
        if isinstance(images, (list, tuple)):
            return [self._guesses(row, top) for row in self._scores([self._read(image) for image in images])]
        return self._guesses(self._scores([self._read(images)])[0], top)

    def _read(self, image: Any) -> Any:
        return self.preprocess(open_image(image) if isinstance(image, (str, os.PathLike)) else image)

    def _scores(self, inputs: list[Any]) -> Any:
        if not inputs:
            return []
        with flambeau.no_grad():
            return self.model(flambeau.stack(inputs).to(self.device)).softmax(1).cpu()

    def _guesses(self, row: Any, top: int) -> list[Guess]:
        values, places = row.topk(min(top, len(self.categories)))
        return [Guess(self.categories[place], value) for value, place in zip(values.tolist(), places.tolist(), strict=True)]

    def __repr__(self) -> str:
        return f"Classifier({type(self.model).__name__}, {len(self.categories)} classes)"


def classifier(name: str, weights: Any = "DEFAULT", device: Any = "cpu") -> Classifier:
    """A pretrained classifier by name, ready for images.

    >>> from flambeau_vision.datasets import OpticalDigits
    >>> read = classifier("digits_cnn")
    >>> image, label = OpticalDigits("test")[0]
    >>> read(image)[0].label, label
    ('3', 3)
    """
    chosen = find_weights(get_model_weights(name), weights)
    if chosen is None or "categories" not in chosen.meta:
        raise ArgumentError(explain("classifier", expected="weights with the names of their classes", got=repr(weights)))
    return Classifier(get_model(name, weights=chosen), chosen.transforms(), chosen.meta["categories"], device)
