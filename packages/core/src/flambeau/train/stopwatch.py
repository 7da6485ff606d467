"""Where the time of a loop goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable


class Stopwatch:
    """Adds up seconds by name: `lap(name)` counts the time since the lap before for `name`.

    Work that is queued on a device belongs to the lap that waits for it, unless `synchronize` is set to a function that waits.

    >>> watch = Stopwatch()
    >>> watch.start()
    >>> watch.lap("data")
    >>> watch.lap("forward")
    >>> list(watch.seconds), sum(watch.shares().values())
    (['data', 'forward'], 1.0)
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.synchronize: Callable[[], object] | None = None
        self._last = time.perf_counter()

    def start(self) -> None:
        """Begin here: the time since the last lap belongs to nobody."""
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Count the time since the lap before for `name`."""
        if self.synchronize is not None:
            self.synchronize()
        now = time.perf_counter()
        self.seconds[name] += now - self._last
        self._last = now

    def shares(self) -> dict[str, float]:
        """The part of the time that each name took, 0..1, in the order of their first lap."""
        total = sum(self.seconds.values()) or 1.0
        return {name: seconds / total for name, seconds in self.seconds.items()}
