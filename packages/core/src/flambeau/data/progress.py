"""How far an epoch has come, and how to be there again.

A sampler is resumed in one of two ways. One with `state_dict()` is asked for its state after every batch of indices. Any other is
*replayed*: the generators it may draw from are put back to where they were when the epoch began, and it is asked for as many batches of
indices as before. Indices are cheap, so no sample is loaded for it.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flambeau.data import rng
from flambeau.data.fetch import has_state
from flambeau.data.sampler import BatchSampler


def own_generators(loader: Any) -> list[Any]:
    """The explicit generators that a loader draws from (not the default one), each once."""
    index_sampler = loader.index_sampler
    holders = [loader, index_sampler, getattr(index_sampler, "sampler", None)]
    found: list[Any] = []
    for holder in holders:
        generator = getattr(holder, "generator", None)
        if generator is not None and generator is not rng.default_generator() and all(generator is not other for other in found):
            found.append(generator)
    return [generator for generator in found if hasattr(generator, "get_state")]


def stateful_sampler(loader: Any) -> Any | None:
    """The sampler of a loader that saves its own position, if there is one."""
    sampler = loader.index_sampler
    for candidate in (sampler, sampler.sampler if isinstance(sampler, BatchSampler) else None):
        if has_state(candidate):
            return candidate
    return None


@dataclass
class Progress:
    """The position in one epoch, kept by the loader after the iterator is gone. Batches are numbered from the start of the epoch."""

    base_seed: int
    drew_seed: bool
    rng: dict[str, Any] | None = None  # the global generators when the epoch began
    first_rng: dict[str, Any] | None = None  # and just before the sampler's first draw, which may come later
    generators: list[Any] = field(default_factory=list)  # the loader's own generators when the epoch began
    pulls: int = 0  # how often the sampler was asked for indices
    delivered: int = 0  # all batches below this number were handed out
    ahead: set[int] = field(default_factory=set)  # and these above it (only with in_order=False)
    turn: int = 0  # the worker that delivers next
    finished: bool = False
    sampler: Any = None
    workers: list[dict[str, Any] | None] | None = None
    fetcher: Any = None  # without workers: the fetcher itself, which knows its position

    def deliver(self, number: int) -> None:
        """Note that batch `number` was handed out."""
        self.ahead.add(number)
        while self.delivered in self.ahead:
            self.ahead.remove(self.delivered)
            self.delivered += 1

    def state(self) -> dict[str, Any]:
        """What `resume` needs, free of references to live objects."""
        names = ("drew_seed", "rng", "first_rng", "generators", "pulls", "delivered", "turn", "sampler")
        state = {name: getattr(self, name) for name in names}
        state["ahead"] = sorted(self.ahead)
        state["fetcher"] = self.fetcher.state() if self.fetcher is not None else None
        return copy.deepcopy(state)


class IndexStream:
    """The batches of indices of one epoch. After each one `sampler_state` is the state of a stateful sampler, else None."""

    def __init__(self, loader: Any, resume: dict[str, Any] | None, base_seed: int | None) -> None:
        """`resume` is `Progress.state()`; `base_seed` is given when it is known and must not be drawn."""
        self._stateful = stateful_sampler(loader)
        self._looked_ahead: deque[Any] = deque()
        generators = own_generators(loader)
        if resume is None:
            start, own = rng.snapshot(), [rng.state_of(generator) for generator in generators]
            self.sampler_state = self._state_now(ended=False)
        else:
            start, own = resume["rng"], resume["generators"]
            self.sampler_state = resume["sampler"]
            for generator, state in zip(generators, own, strict=True):
                generator.set_state(state)
            if self._stateful is not None:
                self._stateful.load_state_dict(copy.deepcopy(resume["sampler"]["state"]))
        over = self.sampler_state is not None and self.sampler_state["ended"]
        self._indices: Iterator[Any] = iter(()) if over else iter(loader.index_sampler)
        self._full = loader.batch_size
        drew = base_seed is None if resume is None else resume["drew_seed"]
        drawn = rng.draw_seed(loader.generator) if drew else None
        seed = base_seed if base_seed is not None else drawn
        assert seed is not None
        self.progress = Progress(seed, drew, start, generators=own, sampler=self.sampler_state)

    def replay(self, resume: dict[str, Any]) -> None:
        """Go to where `resume` was taken."""
        progress = self.progress
        progress.delivered, progress.turn, progress.ahead = resume["delivered"], resume["turn"], set(resume["ahead"])
        if self._stateful is not None:
            progress.pulls = resume["delivered"]
            progress.first_rng = resume["first_rng"]
            return
        if resume["first_rng"] is not None:
            rng.restore(resume["first_rng"])
        for number in range(resume["pulls"]):
            indices = next(self, None)
            if number >= resume["delivered"] and indices is not None:
                self._looked_ahead.append(indices)
        progress.first_rng = resume["first_rng"]
        progress.pulls = resume["pulls"]

    def __iter__(self) -> IndexStream:
        return self

    def __next__(self) -> Any:
        if self._looked_ahead:
            return self._looked_ahead.popleft()
        if not self.progress.pulls and self.progress.first_rng is None:
            self.progress.first_rng = rng.snapshot()
        self.progress.pulls += 1
        indices = next(self._indices)
        self.sampler_state = self._state_now(ended=self._full is not None and len(indices) < self._full)
        return indices

    def _state_now(self, ended: bool) -> dict[str, Any] | None:
        """The sampler's state; `ended` when it has told already that nothing follows (a short last batch), and so is back at its start."""
        return {"state": copy.deepcopy(self._stateful.state_dict()), "ended": ended} if self._stateful is not None else None
