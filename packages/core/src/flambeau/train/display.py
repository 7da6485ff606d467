"""Live progress of a run: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from flambeau.train.recipe import Progress

LIVE_SECONDS, LINE_SECONDS = 0.1, 5.0


def format_metrics(progress: Progress) -> str:
    """The latest numbers in few characters.

    >>> format_metrics(Progress(1, 10, {"loss": 0.123456, "mean_return": 200.0}))
    'loss 0.1235  mean_return 200'
    """
    return "  ".join(f"{name} {value:.4g}" for name, value in progress.metrics.items())


def format_speed(count: float, seconds: float, unit: str) -> str:
    """How much is done in a second, empty when nothing was.

    >>> format_speed(25_600, 2.0, "samples"), format_speed(3, 2.0, ""), format_speed(0, 2.0, "")
    ('12.8k samples/s', '1.5/s', '')
    """
    speed = count / max(seconds, 1e-9)
    if not speed:
        return ""
    number = f"{speed / 1e6:.3g}M" if speed >= 1e6 else f"{speed / 1e3:.3g}k" if speed >= 1e3 else f"{speed:.3g}"
    return f"{number} {unit}".rstrip() + "/s"


class LiveProgress:
    """Shows each `Progress` it is called with, on stderr, so that standard output stays clean for results.

    On a terminal: a bar with the steps done, the speed, the time that it took and will take, and the latest numbers. Elsewhere: a line now
    and then. `note` prints a line that stays.
    """

    def __init__(self, title: str, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._title = title
        self._start = self._shown = time.monotonic()
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._first: Progress | None = None

    def __enter__(self) -> LiveProgress:
        if self._console.is_terminal:
            self._bar = Bar(
                TextColumn("[bold]{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
                TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[metrics]}"), console=self._console,
            )  # fmt: skip
            self._bar.start()
            self._task = self._bar.add_task(escape(self._title), total=None, metrics="", speed="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = progress  # a resumed run does not begin at 0, and its speed must not count what was done before
        last = progress.step == progress.total
        if not last and now - self._shown < (LINE_SECONDS if self._bar is None else LIVE_SECONDS):
            return
        self._shown = now
        speed = self._speed(self._first, progress, now - self._start)
        if self._bar is not None and self._task is not None:
            metrics = escape(format_metrics(progress))
            self._bar.update(self._task, completed=progress.step, total=progress.total, metrics=metrics, speed=speed)
            return
        of = f"/{progress.total}" if progress.total else ""
        self.note(f"{self._title} {progress.step}{of}  {speed}  {format_metrics(progress)}")

    def note(self, line: str) -> None:
        """Print a line, above the bar where there is one."""
        self._console.print(escape(line), soft_wrap=True)

    @staticmethod
    def _speed(first: Progress, progress: Progress, seconds: float) -> str:
        if first.samples is not None and progress.samples is not None:
            return format_speed(progress.samples - first.samples, seconds, "samples")
        return format_speed(progress.step - first.step, seconds, "")
