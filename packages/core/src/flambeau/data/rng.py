"""Everything random that the data package does: draws, the seeding of workers, and snapshots of random state for exact resume."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from flambeau.data import seam


def draw_seed(generator: Any | None = None) -> int:
    g = generator or seam.default_generator
    return int(g.g.integers(0, 2**63))


def new_generator(seed: int) -> Any:
    return seam.Generator().manual_seed(seed)


def permutation(n: int, generator: Any | None = None) -> list[int]:
    return (generator or seam.default_generator).g.permutation(n).tolist()


def integers(high: int, count: int, generator: Any | None = None) -> list[int]:
    return (generator or seam.default_generator).g.integers(0, high, count).tolist()


def weights_of(w): return np.asarray(w, dtype=np.float64)


def multinomial(w, n, repl, generator=None):
    g = (generator or seam.default_generator).g
    return g.choice(len(w), n, replace=repl, p=w / w.sum()).tolist()


def default_generator(): return seam.default_generator
def seed_default(seed): seam.default_generator.manual_seed(seed)


def seed_worker(base_seed: int, worker_id: int) -> None:
    """Seed `random`, NumPy and Flambeau in a worker process: `base_seed + worker_id`, and for NumPy a mix of both, as PyTorch does."""
    seed = base_seed + worker_id
    random.seed(seed)
    seed_default(seed)
    words = np.random.SeedSequence([worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]).generate_state(4)
    np.random.seed(words)


def snapshot() -> dict[str, Any]:
    """The state of the three global generators: Python's, NumPy's legacy one and Flambeau's default one."""
    version, words, gauss = random.getstate()
    return {
        "python": [version, np.array(words, dtype=np.uint32), gauss],
        "numpy": list(np.random.get_state()),
        "flambeau": default_generator().get_state(),
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
    """Run the body with the global generators at `state`; afterwards they are where they were before."""
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
    if isinstance(a, seam.Tensor):
        return np.array_equal(a.numpy(), b.numpy())
    return bool(a == b)
