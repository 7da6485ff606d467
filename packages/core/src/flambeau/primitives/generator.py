"""Random generators: a seed, a stream behind it, a lock around it.

Two streams stand behind one interface. `"philox"` (the default) is counter-based and gives the same words on every device; `"torch"` is
bit for bit PyTorch's CPU generator, for comparing a ported program with its original. `use_stream` sets the module default; a generator may
name its own. Draws return arrays of the generator's array module; the tensor layer wraps them.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.base.errors import ArgumentError, NameNotFound, did_you_mean, explain
from flambeau.primitives.streams import STREAMS, PhiloxStream, Stream

Array = Any
ShapeLike = int | Sequence[int]

DEFAULT_SEED = 67280421310721  # PyTorch's, so that an unseeded program has the same stream there and here
_choice = "philox"


def use_stream(name: str) -> str:
    """Choose the stream of generators that do not name their own, `"philox"` or `"torch"`; returns the previous choice.

    A generator that follows the default starts again from its initial seed when the choice changes.

    >>> before = use_stream("torch")
    >>> Generator(0).uniform((2,))
    array([0.4962566, 0.7682218], dtype=float32)
    >>> use_stream(before)
    'torch'
    """
    global _choice
    previous, _choice = _choice, _known(name)
    return previous


def _known(name: str) -> str:
    if name not in STREAMS:
        known = ", ".join(map(repr, STREAMS))
        raise NameNotFound(explain("use_stream", expected=f"one of {known}", got=repr(name), hint=did_you_mean(name, STREAMS)))
    return name


class Generator:
    """A source of random arrays, decided by its seed and the draws made before.

    `stream` is `"philox"`, `"torch"` or None to follow `use_stream`; `xp` is the array module that draws are made with. Shapes are ints or
    tuples. Safe to share between threads (which of them gets which numbers then depends on their order).

    >>> g = Generator(7)
    >>> a = g.normal((2, 3))
    >>> state = g.get_state()
    >>> b = g.permutation(4)
    >>> g.set_state(state)
    >>> bool((g.permutation(4) == b).all())
    True
    """

    def __init__(self, seed: int = DEFAULT_SEED, stream: str | None = None, xp: Any = np) -> None:
        self._own = None if stream is None else _known(stream)
        self._xp = xp
        self._lock = threading.Lock()
        self._stream: Stream = STREAMS[self._own or _choice](_checked_seed(seed), xp)

    def __repr__(self) -> str:
        return f"Generator(seed={self.initial_seed()}, stream={self.stream.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._own, self.stream.name, self.get_state())

    @property
    def stream(self) -> Stream:
        """The stream in use."""
        wanted = self._own or _choice
        if self._stream.name != wanted:
            self._stream = STREAMS[wanted](self._stream.initial_seed(), self._xp)
        return self._stream

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed in [-2**63, 2**64); a negative one counts from 2**64."""
        with self._lock:
            self.stream.seed(_checked_seed(seed))
        return self

    def seed(self) -> int:
        """Start again from a fresh seed of the operating system; returns it."""
        value = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(value)
        return value

    def initial_seed(self) -> int:
        """The seed of the last (re)start."""
        return self.stream.initial_seed()

    def get_state(self) -> np.ndarray:
        """The state as a uint8 array: 16 bytes (seed, offset) for philox, PyTorch's own 5056 bytes for torch."""
        with self._lock:
            return self.stream.get_state()

    def set_state(self, state: np.ndarray) -> None:
        """Continue from a state of `get_state` of the same kind of stream."""
        with self._lock:
            self.stream.set_state(state)

    def reserve(self, blocks: int) -> tuple[int, int]:
        """Skip blocks of four words of the philox stream, which somebody else makes: the seed, and the number of the first block."""
        with self._lock:
            stream = self.stream
            if not isinstance(stream, PhiloxStream):
                raise ArgumentError(explain("reserve", expected="the philox stream", got=stream.name))
            return stream.initial_seed(), stream.advance(blocks)

    def random_bits(self, n: int) -> Array:
        """n uniform uint64 words."""
        with self._lock:
            return self.stream.random_bits(operator.index(n))

    def uniform(self, shape: ShapeLike, dtype: Any = np.float32, low: float = 0.0, high: float = 1.0) -> Array:
        """Floats uniform in [low, high)."""
        if not low <= high:
            raise ArgumentError(explain("uniform", expected="low <= high", got=f"{low} and {high}"))
        with self._lock:
            return self.stream.uniform(_shape(shape), dtype, float(low), float(high))

    def normal(self, shape: ShapeLike, dtype: Any = np.float32, mean: float = 0.0, std: float = 1.0) -> Array:
        """Floats of the normal distribution."""
        if not std >= 0.0:
            raise ArgumentError(explain("normal", expected="std >= 0", got=f"{std}"))
        with self._lock:
            return self.stream.normal(_shape(shape), dtype, float(mean), float(std))

    def randint(self, low: int, high: int, shape: ShapeLike, dtype: Any = np.int64) -> Array:
        """Integers uniform in [low, high), as any dtype."""
        low, high = operator.index(low), operator.index(high)
        if not low < high or low < -(1 << 63) or high > 1 << 64 or high - low > 1 << 64:
            raise ArgumentError(explain("randint", expected="low < high within 64 bits", got=f"{low} and {high}"))
        with self._lock:
            return self.stream.randint(low, high, _shape(shape), dtype)

    def integers(self, shape: ShapeLike, dtype: Any) -> Array:
        """Integers uniform in [0, the dtype's maximum], or up to 2**(mantissa bits) for a float dtype (`Tensor.random_`)."""
        with self._lock:
            return self.stream.integers(_shape(shape), dtype)

    def permutation(self, n: int, dtype: Any = np.int64) -> Array:
        """The numbers 0 ... n - 1 in random order."""
        if n < 0:
            raise ArgumentError(explain("permutation", expected="n >= 0", got=f"{n}"))
        with self._lock:
            return self.stream.permutation(operator.index(n), dtype)

    def bernoulli(self, p: float | Array, shape: ShapeLike | None = None, dtype: Any = np.float32) -> Array:
        """1 with probability p, else 0; p is a number, or an array that broadcasts to `shape` (its own shape by default)."""
        if isinstance(p, (int, float)):
            valid, own = 0.0 <= p <= 1.0, ()
        else:
            valid, own = bool(((p >= 0) & (p <= 1)).all()), p.shape
        if not valid:
            raise ArgumentError(explain("bernoulli", expected="probabilities in [0, 1]", got="others" if own else f"{p}"))
        with self._lock:
            return self.stream.bernoulli(p, own if shape is None else _shape(shape), dtype)

    def exponential(self, shape: ShapeLike, dtype: Any = np.float32, rate: float = 1.0) -> Array:
        """Floats of the exponential distribution with the given rate."""
        if not rate > 0.0:
            raise ArgumentError(explain("exponential", expected="a rate above 0", got=f"{rate}"))
        with self._lock:
            return self.stream.exponential(_shape(shape), dtype, float(rate))

    def cauchy(self, shape: ShapeLike, dtype: Any = np.float32, median: float = 0.0, sigma: float = 1.0) -> Array:
        """Floats of the Cauchy distribution."""
        if not sigma > 0.0:
            raise ArgumentError(explain("cauchy", expected="sigma above 0", got=f"{sigma}"))
        with self._lock:
            return self.stream.cauchy(_shape(shape), dtype, float(median), float(sigma))

    def geometric(self, p: float, shape: ShapeLike, dtype: Any = np.float32) -> Array:
        """The number of trials up to and with the first success, each succeeding with probability p."""
        if not 0.0 < p < 1.0:
            raise ArgumentError(explain("geometric", expected="p in (0, 1)", got=f"{p}"))
        with self._lock:
            return self.stream.geometric(float(p), _shape(shape), dtype)

    def log_normal(self, shape: ShapeLike, dtype: Any = np.float32, mean: float = 1.0, std: float = 2.0) -> Array:
        """exp of a normal number of the given mean and standard deviation."""
        if not std > 0.0:
            raise ArgumentError(explain("log_normal", expected="std above 0", got=f"{std}"))
        with self._lock:
            return self.stream.log_normal(_shape(shape), dtype, float(mean), float(std))

    def multinomial(self, probabilities: Array, num_samples: int, replacement: bool = False) -> Array:
        """Category numbers int64 (..., num_samples), drawn by the weights probabilities (categories,) or (rows, categories)."""
        weights = probabilities.reshape(-1, probabilities.shape[-1]) if probabilities.ndim in (1, 2) else None
        if weights is None or weights.dtype.kind not in "fV":
            raise ArgumentError(
                explain("multinomial", expected="floating weights of 1 or 2 dimensions", got=f"{probabilities.dtype} {probabilities.shape}")
            )
        if not bool(((weights >= 0) & (weights < np.inf)).all()):
            raise ArgumentError(explain("multinomial", expected="weights that are finite and not negative", got="others"))
        wanted = 1 if replacement else num_samples
        if num_samples < 1 or bool(((weights > 0).sum(axis=-1) < wanted).any()):
            raise ArgumentError(
                explain(
                    "multinomial",
                    expected=f"at least 1 sample and {wanted} positive weights in every row",
                    got=f"{num_samples} samples",
                    hint="replacement=True" if wanted > 1 else "",
                )
            )
        with self._lock:
            drawn = self.stream.multinomial(weights, operator.index(num_samples), replacement)
        return drawn.reshape(*probabilities.shape[:-1], num_samples)

    def gamma(self, alpha: Array, dtype: Any = None) -> Array:
        """Floats of the gamma distribution of shape parameter alpha (an array; NaN where it is negative) and scale 1."""
        with self._lock:
            return self.stream.gamma(alpha, alpha.dtype if dtype is None else dtype)

    def poisson(self, rate: Array, dtype: Any = None) -> Array:
        """Counts of the Poisson distribution (NaN where the rate is negative)."""
        with self._lock:
            return self.stream.poisson(rate, rate.dtype if dtype is None else dtype)

    def binomial(self, count: Array, p: Array, dtype: Any = None) -> Array:
        """Counts of the binomial distribution, count and p broadcast together (NaN where they make no sense)."""
        with self._lock:
            return self.stream.binomial(count, p, p.dtype if dtype is None else dtype)


def _checked_seed(seed: int) -> int:
    seed = operator.index(seed)
    if not -(1 << 63) <= seed < 1 << 64:
        raise ArgumentError(explain("manual_seed", expected="a seed in [-2**63, 2**64)", got=f"{seed}"))
    return seed & ((1 << 64) - 1)


def _shape(shape: ShapeLike) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _restore(own: str | None, name: str, state: np.ndarray) -> Generator:
    made = Generator(stream=name)
    made.set_state(state)
    made._own = own
    return made
