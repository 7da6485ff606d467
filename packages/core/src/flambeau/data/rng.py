"""Everything random that the data package does: draws, the seeding of workers, and snapshots of random state for exact resume.

The draws follow PyTorch's protocol, so with the "torch" stream a loader visits its dataset in PyTorch's order.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from flambeau.ops import random as flambeau_random
from flambeau.primitives.generator import Generator

_MASK32 = 0xFFFFFFFF


def default_generator() -> Generator:
    """The generator that draws where none is given."""
    return flambeau_random.default_generator


def draw_seed(generator: Generator | None = None) -> int:
    """A number in [0, 2**63), as `empty((), dtype=int64).random_()` draws it."""
    return int((generator or default_generator()).integers((), np.int64))


def new_generator(seed: int) -> Generator:
    """A generator of its own, started from a seed."""
    return flambeau_random.Generator().manual_seed(seed)


def permutation(size: int, generator: Generator | None = None) -> list[int]:
    """The numbers below `size` in random order."""
    order: list[int] = (generator or default_generator()).permutation(size).tolist()
    return order


def integers(high: int, count: int, generator: Generator) -> list[int]:
    """`count` numbers below `high`."""
    drawn: list[int] = generator.randint(0, high, (count,)).tolist()
    return drawn


def weights_of(weights: Sequence[float] | Any) -> np.ndarray[Any, Any]:
    """Weights as the float64 array that `multinomial` draws from."""
    plain = weights.tolist() if hasattr(weights, "tolist") else list(weights)
    return np.array(plain, dtype=np.float64)


def multinomial(weights: np.ndarray[Any, Any], count: int, replacement: bool, generator: Generator | None = None) -> list[int]:
    """`count` positions, drawn with probabilities proportional to the weights."""
    drawn: list[int] = (generator or default_generator()).multinomial(weights, count, replacement).tolist()
    return drawn


def seed_worker(base_seed: int, worker_id: int) -> None:
    """Seed `random`, NumPy and Flambeau in a worker process: `base_seed + worker_id`, and for NumPy a mix of both, as PyTorch does."""
    seed = base_seed + worker_id
    random.seed(seed)
    default_generator().manual_seed(seed)
    words = np.random.SeedSequence([worker_id, base_seed & _MASK32, base_seed >> 32, 0]).generate_state(4)
    np.random.seed(words)


def state_of(generator: Any) -> Any:
    """A copy of a generator's state as an array (or whatever a foreign generator calls its state)."""
    return Generator.get_state(generator).copy() if isinstance(generator, Generator) else generator.get_state()


def snapshot() -> dict[str, Any]:
    """The state of the three global generators: Python's, NumPy's legacy one and Flambeau's default one."""
    version, words, gauss = random.getstate()
    return {
        "python": [version, np.array(words, dtype=np.uint32), gauss],
        "numpy": list(np.random.get_state()),
        "flambeau": state_of(default_generator()),
    }


def restore(state: dict[str, Any]) -> None:
    """Put the global generators back to a `snapshot()`."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(int(word) for word in words), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.asarray(keys, dtype=np.uint32), position, has_gauss, cached))
    default_generator().set_state(state["flambeau"])


@contextmanager
def rewound(state: dict[str, Any] | None) -> Iterator[None]:
    """Run the body with the global generators at `state`; afterwards they are where they were before. None changes nothing."""
    if state is None:
        yield
        return
    before = snapshot()
    restore(state)
    try:
        yield
    finally:
        restore(before)


def same(a: Any, b: Any) -> bool:
    """Whether two snapshots are equal."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    return bool(a == b)
