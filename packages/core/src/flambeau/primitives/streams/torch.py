"""PyTorch's CPU random stream, bit for bit, so that a ported program can be compared with its original number by number.

Facts of PyTorch 2.13 on x86-64 with AVX2 (its usual case): uniform numbers take the low 24 (float32) or 53 (float64) bits; a normal tensor
of fewer than 16 elements is made pair by pair in float64 and keeps an odd one for later; a larger one is made in groups of 16, the last 16
afresh when the size is not a multiple. PyTorch on an Intel CPU fills `bernoulli_(p)` and `exponential_` from a generator of the MKL library
instead, which is not reproduced. gamma, poisson and binomial follow the right law here but not PyTorch's numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.primitives.streams.base import Array, Shape, Stream, cast, pick
from flambeau.primitives.streams.fused import fma32, fma64, normal32
from flambeau.primitives.streams.mersenne import Mersenne
from flambeau.primitives.streams.philox import largest

_GROUP = 16


def _each(f: Callable[[float], float], values: np.ndarray) -> np.ndarray:
    """The C library's f, element by element: NumPy's vector code may differ in the last bit."""
    return np.fromiter(map(f, values.reshape(-1).tolist()), dtype=np.float64, count=values.size).reshape(values.shape)


def _host(a: Array) -> np.ndarray:
    return a.get() if hasattr(a, "get") else np.asarray(a)


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


class TorchStream(Stream):
    """Draws that equal PyTorch's after `torch.manual_seed(seed)`.

    >>> TorchStream(0).uniform((2,), np.float32)
    array([0.4962566, 0.7682218], dtype=float32)
    """

    name = "torch"

    def seed(self, seed: int) -> None:
        self._engine = Mersenne(seed)

    def initial_seed(self) -> int:
        return self._engine.seed

    def get_state(self) -> np.ndarray:
        return self._engine.save()

    def set_state(self, state: np.ndarray) -> None:
        self._engine.load(state)

    def random_bits(self, n: int) -> Array:
        return self._place(self._engine.words64(n))

    def _place(self, values: np.ndarray) -> Array:
        return self.xp.asarray(values)

    def _unit(self, n: int, dtype: Any) -> np.ndarray:
        if dtype == np.float64:
            return (self._engine.words64(n) & np.uint64((1 << 53) - 1)).astype(np.float64) * 2.0**-53
        return (self._engine.words32(n) & np.uint32((1 << 24) - 1)).astype(np.float32) * np.float32(2.0**-24)

    def uniform(self, shape: Shape, dtype: Any, low: float = 0.0, high: float = 1.0) -> Array:
        dtype = np.dtype(dtype)
        values = self._unit(math.prod(shape), dtype)
        if (low, high) != (0.0, 1.0):
            if dtype == np.float64:
                values = fma64(values, high - low, low)
            else:
                values = fma32(values, np.float32(high) - np.float32(low), np.float32(low))
        values = values.astype(dtype, copy=False)
        ends = np.array([low, high]).astype(dtype)
        return self._place(np.where(values == ends[1], ends[0], values).reshape(shape))

    def normal(self, shape: Shape, dtype: Any, mean: float = 0.0, std: float = 1.0) -> Array:
        n, dtype = math.prod(shape), np.dtype(dtype)
        if n < _GROUP:
            return self._place(cast(self._scaled(self._pairs(n), mean, std).reshape(shape), dtype))
        fill = self._fill64 if dtype == np.float64 else normal32
        whole = n // _GROUP * _GROUP
        unit = self._unit(whole if dtype.itemsize == 2 else n, dtype)  # wider floats also draw for the last 16 that are made afresh
        out = np.empty(n, dtype=unit.dtype)
        out[:whole] = fill(unit[:whole].reshape(-1, _GROUP), mean, std).reshape(-1)
        if n != whole:
            out[n - _GROUP :] = fill(self._unit(_GROUP, dtype)[None], mean, std)[0]
        return self._place(cast(out.reshape(shape), dtype))

    @staticmethod
    def _scaled(values: np.ndarray, mean: float, std: float) -> np.ndarray:
        return values + 0.0 if (mean, std) == (0.0, 1.0) else fma64(values, std, mean)

    def _fill64(self, unit: np.ndarray, mean: float, std: float) -> np.ndarray:
        radius = np.sqrt(-2.0 * _each(math.log, 1.0 - unit[:, :8]))
        angle = 2.0 * math.pi * unit[:, 8:]
        return self._scaled(np.concatenate([radius * _each(math.cos, angle), radius * _each(math.sin, angle)], axis=1), mean, std)

    def _pairs(self, n: int) -> np.ndarray:
        """n normals made one pair after the other; the second of the last pair may wait for the next call."""
        out = np.empty(n, dtype=np.float64)
        start = 0
        if n and self._engine.waiting is not None:
            out[0], self._engine.waiting, start = self._engine.waiting, None, 1
        pairs = (n - start + 1) // 2
        unit = self._unit(2 * pairs, np.float64).reshape(pairs, 2)
        radius = np.sqrt(-2.0 * _each(math.log1p, -unit[:, 1]))
        angle = 2.0 * math.pi * unit[:, 0]
        made = np.stack([radius * _each(math.cos, angle), radius * _each(math.sin, angle)], axis=1).reshape(-1)
        out[start:] = made[: n - start]
        if len(made) > n - start:
            self._engine.waiting = float(made[-1])
        return out

    def randint(self, low: int, high: int, shape: Shape, dtype: Any) -> Array:
        n, span = math.prod(shape), high - low
        words = self._engine.words64(n) if span >= 1 << 28 else self._engine.words32(n).astype(np.uint64)
        if span < 1 << 64:
            words = words % np.uint64(span)
        return self._place(cast((words + np.uint64(low & ((1 << 64) - 1))).view(np.int64).reshape(shape), dtype))

    def integers(self, shape: Shape, dtype: Any) -> Array:
        n, dtype = math.prod(shape), np.dtype(dtype)
        words = self._engine.words64(n) if dtype in (np.float64, np.int64) else self._engine.words32(n).astype(np.uint64)
        return self._place((words % np.uint64(largest(dtype) + 1)).astype(np.int64).astype(dtype).reshape(shape))

    def permutation(self, n: int, dtype: Any) -> Array:
        """Fisher-Yates from the front: step i swaps positions i and i + word % (n - i)."""
        steps = max(n - 1, 0)
        other = np.arange(n, dtype=np.int64)
        words = self._engine.words32(steps) if n < 0xFFFFFFFF // 20 else self._engine.words64(steps)
        other[:steps] += (words % np.arange(n, 1, -1, dtype=words.dtype)).astype(np.int64)
        return self._place(_swapped(other).astype(dtype, copy=False))

    def bernoulli(self, p: Any, shape: Shape, dtype: Any) -> Array:
        if isinstance(p, (int, float)):
            return self._place((self._unit(math.prod(shape), np.float64) < p).reshape(shape).astype(dtype))
        p = _host(p)
        double = p.dtype == np.float64
        unit = self._unit(math.prod(shape), np.dtype(np.float64 if double else np.float32)).reshape(shape)
        return self._place((unit < p.astype(unit.dtype, copy=False)).astype(dtype))

    def exponential(self, shape: Shape, dtype: Any, rate: float = 1.0) -> Array:
        values = -1.0 / rate * _each(math.log1p, -self._unit(math.prod(shape), np.float64))
        return self._place(cast(values.reshape(shape), dtype))

    def cauchy(self, shape: Shape, dtype: Any, median: float = 0.0, sigma: float = 1.0) -> Array:
        tangent = _each(math.tan, math.pi * (self._unit(math.prod(shape), np.float64) - 0.5))
        return self._place(cast(fma64(tangent, sigma, median).reshape(shape), dtype))

    def geometric(self, p: float, shape: Shape, dtype: Any) -> Array:
        trials = np.ceil(_each(_log, self._unit(math.prod(shape), np.float64)) / math.log1p(-p))
        return self._place(cast(trials.reshape(shape), dtype))

    def log_normal(self, shape: Shape, dtype: Any, mean: float = 1.0, std: float = 2.0) -> Array:
        return self._place(cast(_each(math.exp, self._scaled(self._pairs(math.prod(shape)), mean, std)).reshape(shape), dtype))

    def multinomial(self, probabilities: Array, num_samples: int, replacement: bool) -> Array:
        weights = _host(probabilities)
        if not replacement or num_samples == 1:
            race = self._quotient(weights, _host(self.exponential(weights.shape, weights.dtype)))
            if num_samples == 1:
                return self._place(race.argmax(axis=1)[:, None])
            return self._place(np.argsort(-race, axis=1, kind="stable")[:, :num_samples])
        work = np.float64 if weights.dtype == np.float64 else np.float32
        cumulative: Array = np.cumsum(weights, axis=1, dtype=work)
        cumulative = (cumulative / cumulative[:, -1:]).astype(np.float64)
        cumulative[:, -1] = 1.0
        mass = self._unit(len(weights) * num_samples, np.float64).reshape(len(weights), num_samples)
        return self._place(pick(np, cumulative, mass, "left"))

    @staticmethod
    def _quotient(weights: np.ndarray, times: np.ndarray) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return weights / times


def _swapped(other: np.ndarray) -> np.ndarray:
    """The numbers 0 ... n - 1 after swapping i with other[i] >= i for i = 0, 1, ..., without a loop over i.

    Position i is final after step i and then holds what was at other[i]: the content that an earlier step with the same `other` put there,
    or other[i] itself. What step k put there is what stood at position k just before; and that was put there by the last earlier step that
    swapped with k, and so on. These chains are followed for all positions at once, doubling their length each time.
    """
    n = len(other)
    step = np.arange(n, dtype=np.int64)
    moved = np.flatnonzero(other != step)
    origin = step.copy()
    origin[other[moved]] = moved  # of repeated targets the last step wins
    while True:
        further = origin[origin]
        if np.array_equal(further, origin):
            break
        origin = further
    order = np.sort((other << 32) | step)  # grouped by target, in order of time
    target, when = order >> 32, order & 0xFFFFFFFF
    out = other.copy()
    again = np.flatnonzero(target[1:] == target[:-1]) + 1
    out[when[again]] = origin[when[again - 1]]
    return out
