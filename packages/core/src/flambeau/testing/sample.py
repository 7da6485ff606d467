"""Example calls of operations: what the arguments look like, without saying yet which dtype, device or memory layout they have.

`floats(2, 3)` stands for a tensor that checks make in many forms; whatever else stands in a `sample` is passed on as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from flambeau.base import tree


@dataclass(frozen=True)
class Spec:
    """A tensor to be made: its shape, the range of its values, its kind ("f", "c", "i" or "b"), and whether it has a gradient."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    kind: str = "f"
    grad: bool = True
    build: Callable[[np.ndarray], np.ndarray] | None = None

    def array(self, rng: np.random.Generator) -> np.ndarray:
        """Values in float64, complex128, int64 or bool."""
        if self.kind == "b":
            values: Any = rng.random(self.shape) < 0.5
        elif self.kind == "i":
            values = rng.integers(int(self.low), int(self.high), self.shape)
        elif self.kind == "c":
            values = rng.uniform(self.low, self.high, self.shape) + 1j * rng.uniform(self.low, self.high, self.shape)
        else:
            values = rng.uniform(self.low, self.high, self.shape)
        return np.asarray(values if self.build is None else self.build(values))


def floats(*shape: int, low: float = -2.0, high: float = 2.0, grad: bool = True, build: Any = None) -> Any:
    """Floating-point numbers in [low, high); `build` may turn the array of them into one with structure (a symmetric matrix, say)."""
    return Spec(shape, low, high, "f", grad, build)


def complexes(*shape: int, low: float = -2.0, high: float = 2.0, grad: bool = True, build: Any = None) -> Any:
    """Complex numbers whose parts lie in [low, high)."""
    return Spec(shape, low, high, "c", grad, build)


def ints(*shape: int, low: int = -5, high: int = 6, build: Any = None) -> Any:
    """int64 numbers in [low, high), such as indices."""
    return Spec(shape, low, high, "i", False, build)


def bools(*shape: int) -> Any:
    """Truth values, such as masks."""
    return Spec(shape, kind="b", grad=False)


@dataclass(frozen=True)
class Sample:
    """Arguments of one call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def specs(self) -> list[Spec]:
        """The tensors among the arguments, in order."""
        return [leaf for leaf in tree.leaves((self.args, self.kwargs)) if isinstance(leaf, Spec)]

    def arrays(self, seed: str) -> list[np.ndarray]:
        """Values for them, decided by the seed."""
        rng = np.random.default_rng(zlib.crc32(seed.encode()))
        return [spec.array(rng) for spec in self.specs]

    def filled(self, values: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with these values in place of the tensors to be made."""
        leaves, spec = tree.flatten((self.args, self.kwargs))
        given = iter(values)
        args, kwargs = tree.unflatten(spec, [next(given) if isinstance(leaf, Spec) else leaf for leaf in leaves])
        return args, kwargs


def sample(*args: Any, **kwargs: Any) -> Sample:
    """The arguments of one call.

    >>> s = sample(floats(2, 3), dim=1)
    >>> [a.shape for a in s.arrays("seed")], s.kwargs
    ([(2, 3)], {'dim': 1})
    """
    return Sample(args, kwargs)
