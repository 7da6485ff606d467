"""What every random stream offers, and the draws that need nothing but its uniform and normal numbers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from flambeau.primitives.streams import rejection

Array = Any
Shape = tuple[int, ...]


def cast(values: Array, dtype: Any) -> Array:
    """To dtype; float64 reaches a 16-bit float by way of float32, as PyTorch's conversions do."""
    dtype = np.dtype(dtype)
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore"):  # a number too large for a short float is infinity
        if dtype.itemsize == 2 and values.dtype == np.float64:
            values = values.astype(np.float32)
        return values.astype(dtype)


class Stream(ABC):
    """A source of random arrays of the module `xp`. Everything it returns is decided by the seed and the draws made before."""

    name: str

    def __init__(self, seed: int, xp: Any = np) -> None:
        self.xp = xp
        self.seed(seed)

    @abstractmethod
    def seed(self, seed: int) -> None:
        """Start again from a 64-bit seed."""

    @abstractmethod
    def initial_seed(self) -> int:
        """The seed that the stream was started from."""

    @abstractmethod
    def get_state(self) -> np.ndarray:
        """The whole state as a uint8 array."""

    @abstractmethod
    def set_state(self, state: np.ndarray) -> None:
        """Continue from a state of `get_state`."""

    @abstractmethod
    def random_bits(self, n: int) -> Array:
        """n random uint64 words."""

    @abstractmethod
    def uniform(self, shape: Shape, dtype: Any, low: float = 0.0, high: float = 1.0) -> Array:
        """Floats in [low, high)."""

    @abstractmethod
    def normal(self, shape: Shape, dtype: Any, mean: float = 0.0, std: float = 1.0) -> Array:
        """Normally distributed floats."""

    @abstractmethod
    def randint(self, low: int, high: int, shape: Shape, dtype: Any) -> Array:
        """Integers in [low, high)."""

    @abstractmethod
    def integers(self, shape: Shape, dtype: Any) -> Array:
        """Integers in [0, largest], where largest is the dtype's maximum, or 2**(mantissa bits) for a float dtype."""

    @abstractmethod
    def permutation(self, n: int, dtype: Any) -> Array:
        """The numbers 0 ... n - 1 in random order."""

    @abstractmethod
    def bernoulli(self, p: Any, shape: Shape, dtype: Any) -> Array:
        """1 with probability p (a number, or an array that broadcasts to shape), else 0."""

    @abstractmethod
    def exponential(self, shape: Shape, dtype: Any, rate: float = 1.0) -> Array:
        """Exponentially distributed floats of the given rate."""

    def cauchy(self, shape: Shape, dtype: Any, median: float = 0.0, sigma: float = 1.0) -> Array:
        """Cauchy distributed floats: median + sigma tan(pi (u - 1/2)), from float64 uniforms."""
        return cast(median + sigma * self.xp.tan(math.pi * (self.uniform(shape, np.float64) - 0.5)), dtype)

    def geometric(self, p: float, shape: Shape, dtype: Any) -> Array:
        """Number of trials up to the first success (1, 2, ...): ceil(log(u) / log(1 - p)), u in (0, 1]."""
        trials = self.xp.ceil(self.xp.log1p(-self.uniform(shape, np.float64)) / math.log1p(-p))
        return cast(self.xp.maximum(trials, 1.0), dtype)

    def log_normal(self, shape: Shape, dtype: Any, mean: float = 1.0, std: float = 2.0) -> Array:
        """The exponential of a normal draw, from float64."""
        return cast(self.xp.exp(self.normal(shape, np.float64, mean, std)), dtype)

    def multinomial(self, probabilities: Array, num_samples: int, replacement: bool) -> Array:
        """Category numbers int64 (rows, num_samples) from weights (rows, categories)."""
        xp = self.xp
        rows, categories = probabilities.shape
        if replacement:
            total = xp.cumsum(probabilities.astype(np.float64), axis=1)
            mass = self.uniform((rows, num_samples), np.float64) * total[:, -1:]
            last = categories - 1 - xp.argmax(probabilities[:, ::-1] > 0, axis=1)  # rounding must not select a weight of 0
            return xp.minimum(pick(xp, total, mass, "right"), last[:, None])
        race = self.exponential((rows, categories), np.float64) / xp.where(probabilities > 0, probabilities, 1)
        race = xp.where(probabilities > 0, race, np.nan)  # NaN sorts last; Efraimidis and Spirakis 2006
        return xp.argsort(race, axis=1, kind="stable")[:, :num_samples].astype(np.int64)

    def gamma(self, alpha: Array, dtype: Any) -> Array:
        """Gamma distributed floats of shape parameter alpha and scale 1."""
        return cast(rejection.gamma(self, alpha), dtype)

    def poisson(self, rate: Array, dtype: Any) -> Array:
        """Poisson distributed counts."""
        return cast(rejection.poisson(self, rate), dtype)

    def binomial(self, count: Array, p: Array, dtype: Any) -> Array:
        """Binomially distributed counts."""
        return cast(rejection.binomial(self, count, p), dtype)


def pick(xp: Any, cumulative: Array, mass: Array, side: str) -> Array:
    """For each row, where the masses (rows, n) fall into the ascending cumulative weights (rows, categories): int64 (rows, n)."""
    rows, n = mass.shape
    found = xp.empty((rows, n), dtype=np.int64)
    if rows <= n:
        for i in range(rows):
            found[i] = xp.searchsorted(cumulative[i], mass[i], side=side)
    else:
        below = xp.less_equal if side == "right" else xp.less
        for j in range(n):
            found[:, j] = below(cumulative, mass[:, j : j + 1]).sum(axis=1)
    return found
