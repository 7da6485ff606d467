"""`torch.profiler`: wall time of a block and of its named regions. Single operations are not timed.

`cProfile` sees each operation, as they are Python.
"""

from __future__ import annotations

import contextlib
import enum
import time
from collections.abc import Callable, Iterable
from typing import Any

_open: list[profile] = []


class ProfilerActivity(enum.Enum):
    """What PyTorch can be asked to record."""

    CPU = "cpu"
    CUDA = "cuda"


class ProfilerAction(enum.Enum):
    """What a schedule says of a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


class Event:
    """The time that was spent in regions of one name."""

    def __init__(self, key: str) -> None:
        self.key, self.count, self.cpu_time_total = key, 0, 0.0  # microseconds, as in PyTorch

    @property
    def cpu_time(self) -> float:
        """Microseconds a call."""
        return self.cpu_time_total / max(1, self.count)

    self_cpu_time_total = property(lambda self: self.cpu_time_total)
    cuda_time_total = device_time_total = 0.0


class Averages(list[Event]):
    """Events, with PyTorch's `table`."""

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """The events as text, longest first."""
        rows = sorted(self, key=lambda event: -event.cpu_time_total)[:row_limit]
        width = max([len(event.key) for event in rows] + [4])
        lines = [f"{'Name':{width}}  {'Calls':>7}  {'CPU total':>12}  {'CPU mean':>12}"]
        lines += [f"{e.key:{width}}  {e.count:7d}  {e.cpu_time_total / 1e3:9.3f} ms  {e.cpu_time / 1e3:9.3f} ms" for e in rows]
        return "\n".join(lines)


class profile:
    """Times a block, its steps and its `record_function` regions.

    >>> with profile() as prof:
    ...     with record_function("work"):
    ...         _ = sum(range(10))
    >>> [event.key for event in prof.key_averages()]
    ['work', 'ProfilerBlock']
    """

    def __init__(
        self,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        **options: Any,
    ) -> None:
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self._events: dict[str, Event] = {}
        self._start = 0.0

    def start(self) -> None:
        """Begin."""
        _open.append(self)
        self._start = time.perf_counter()

    def stop(self) -> None:
        """End; calls `on_trace_ready`."""
        self.add("ProfilerBlock", time.perf_counter() - self._start)
        _open.remove(self)
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self) -> None:
        """Count a step."""
        self.step_num += 1

    def add(self, key: str, seconds: float) -> None:
        """Count time under a name."""
        event = self._events.setdefault(key, Event(key))
        event.count += 1
        event.cpu_time_total += 1e6 * seconds

    def key_averages(self, *args: Any, **kwargs: Any) -> Averages:
        """The events by name."""
        return Averages(self._events.values())

    events = key_averages

    def export_chrome_trace(self, path: str) -> None:
        """Write the totals in the format of Chrome's trace viewer."""
        import json

        from flambeau.base.files import atomic_write

        rows = [{"name": e.key, "ph": "X", "ts": 0, "dur": e.cpu_time_total, "pid": 0, "tid": 0} for e in self._events.values()]
        with atomic_write(path) as file:
            file.write(json.dumps({"traceEvents": rows}).encode())

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class record_function(contextlib.ContextDecorator):
    """A named region; counts in every profile that is open."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        for each in _open:
            each.add(self.name, time.perf_counter() - self._start)


def schedule(*, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0) -> Callable[[int], ProfilerAction]:
    """PyTorch's schedule of steps, as a function from the step's number to what is done."""
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if repeat and step >= repeat * cycle:
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if place == cycle - 1 else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None, use_gzip: bool = False) -> Callable[[profile], None]:
    """A handler that writes the totals into a folder."""
    import os

    def write(prof: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        prof.export_chrome_trace(os.path.join(dir_name, f"{worker_name or os.getpid()}.{prof.step_num}.pt.trace.json"))

    return write
