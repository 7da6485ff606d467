"""The random numbers of Flambeau: seeds, states, and the choice of stream.

By default numbers come from Philox, a counter-based generator that gives the same ones on every device. `use_stream("torch")` switches to
PyTorch's CPU generator, bit for bit, so that a ported program can be compared with its original.

>>> import flambeau as fb
>>> before = fb.random.use_stream("torch")
>>> _ = fb.manual_seed(0)
>>> fb.rand(2)
tensor([0.4963, 0.7682])
>>> _ = fb.random.use_stream(before)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from flambeau.ops.random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from flambeau.primitives.generator import use_stream


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """Restore the state of the default generator after the block. All devices share it; `devices` is for PyTorch's signature.

    >>> import flambeau as fb
    >>> _ = fb.manual_seed(1)
    >>> with fb.random.fork_rng():
    ...     first = fb.rand(3)
    >>> bool((fb.rand(3) == first).all())
    True
    """
    state = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(state)


__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
    "use_stream",
]
