"""Ctrl-C between two batches instead of in the middle of one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, held back until the loop was at a place from which it can be resumed exactly."""


@contextlib.contextmanager
def deferred_interrupt(note: Callable[[], None]) -> Iterator[None]:
    """While the block runs the first Ctrl-C only calls `note`, and a second one raises KeyboardInterrupt at once.

    Does nothing outside the main thread, where Python delivers no signals, and where the program handles Ctrl-C itself.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        note()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
