"""Transforms made of transforms. In a batch, whether and which is decided for each image by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.base.errors import ArgumentError, explain
from flambeau_vision.transforms.base import Transform, check_chance, coins, frame_of, uniform
from flambeau_vision.types import wrap


class Compose:
    """One after the other.

    >>> import flambeau
    >>> from flambeau_vision.transforms import CenterCrop, Resize
    >>> Compose([Resize(8), CenterCrop(6)])(flambeau.zeros(1, 16, 20)).shape
    flambeau.Size([1, 6, 6])
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        if not transforms:
            raise ArgumentError(explain("Compose", expected="at least one transform", got="none"))
        self.transforms = list(transforms)

    def __call__(self, *inputs: Any) -> Any:
        for transform in self.transforms:
            out = transform(*inputs)
            inputs = out if len(inputs) > 1 else (out,)
        return inputs if len(inputs) > 1 else inputs[0]

    def __repr__(self) -> str:
        return f"Compose({self.transforms!r})"


class EachImage(Transform):
    """The base of transforms that treat the images of a batch one by one; a subclass defines `one`."""

    def one(self, things: list[Any]) -> list[Any]:
        """The parts of one sample, none of them a batch."""
        raise NotImplementedError

    def transform(self, things: list[Any]) -> list[Any]:
        frame = frame_of(type(self).__name__, things)
        if frame.batch is None:
            return self.one(things)
        singles = [self.one([wrap(thing.plain()[i], thing) for thing in things]) for i in range(frame.batch)]
        shapes = [{tuple(single[j].shape) for single in singles} for j in range(len(things))]
        if any(len(found) > 1 for found in shapes):
            raise ArgumentError(explain(type(self).__name__, expected="results of one size in a batch", got=str(shapes[0])))
        return [wrap(flambeau.stack([s.plain() for s in parts]), parts[0]) for parts in zip(*singles, strict=True)] if singles else things


def run(transform: Callable[..., Any], things: list[Any]) -> list[Any]:
    """A transform on the parts of one sample."""
    if isinstance(transform, Transform):
        return transform.transform(things)
    out = transform(*things)
    return list(out) if len(things) > 1 else [out]


class RandomApply(EachImage):
    """All of them with chance p, or none."""

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: float = 0.5) -> None:
        self.transforms, self.p = list(transforms), check_chance("RandomApply", p)

    def one(self, things: list[Any]) -> list[Any]:
        if coins(self.p, 1)[0]:
            for transform in self.transforms:
                things = run(transform, things)
        return things


class RandomChoice(EachImage):
    """One of them, with chances `p` (equal by default)."""

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: Sequence[float] | None = None) -> None:
        self.transforms = list(transforms)
        chances = np.ones(len(self.transforms)) if p is None else np.asarray(p, np.float64)
        if not self.transforms or len(chances) != len(self.transforms) or chances.min() < 0 or chances.sum() <= 0:
            raise ArgumentError(explain("RandomChoice", expected="transforms, and a chance for each", got=repr(p)))
        self.p = (chances / chances.sum()).tolist()

    def one(self, things: list[Any]) -> list[Any]:
        which = int(np.searchsorted(np.cumsum(self.p), uniform(0.0, 1.0, 1)[0], side="right"))
        return run(self.transforms[min(which, len(self.transforms) - 1)], things)


class RandomOrder(EachImage):
    """All of them, in a random order."""

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        self.transforms = list(transforms)

    def one(self, things: list[Any]) -> list[Any]:
        for i in flambeau.randperm(len(self.transforms)).tolist():
            things = run(self.transforms[i], things)
        return things
