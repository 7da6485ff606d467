"""`torch.multiprocessing`: Python's multiprocessing. Tensors that are sent arrive as copies."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from multiprocessing import get_context as get_context
from typing import Any

from flambeau.base.errors import FlambeauError, explain


class ProcessRaisedException(FlambeauError, RuntimeError):
    """A process that `spawn` started raised an exception."""


class ProcessExitedException(FlambeauError, RuntimeError):
    """A process that `spawn` started ended by itself."""


def set_sharing_strategy(new_strategy: str) -> None:
    """Kept for programs that call it; tensors are copied."""


def get_sharing_strategy() -> str:
    """Tensors are copied."""
    return "copy"


def _call(fn: Callable[..., Any], index: int, args: tuple[Any, ...], errors: Any) -> None:
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        raise SystemExit(1) from None
    except Exception:
        errors.put(traceback.format_exc())
        raise SystemExit(1) from None


class ProcessContext:
    """The processes that `spawn(..., join=False)` started."""

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes, self._errors = processes, errors

    def pids(self) -> list[int]:
        """The numbers of the processes."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait; True once all have ended well. Where one failed, the others are ended and its error is raised."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            failed = [i for i, process in enumerate(self.processes) if process.exitcode not in (None, 0)]
            if failed:
                self._fail(failed[0])
            if all(process.exitcode == 0 for process in self.processes):
                return True
            if end is not None and time.monotonic() >= end:
                return False
            next(p for p in self.processes if p.exitcode is None).join(0.05)

    def _fail(self, index: int) -> None:
        for process in self.processes:
            if process.is_alive():
                process.terminate()
            process.join()
        if not self._errors[index].empty():
            raise ProcessRaisedException(f"torch.multiprocessing.spawn: process {index} raised\n\n{self._errors[index].get()}")
        got = f"exit code {self.processes[index].exitcode}"
        raise ProcessExitedException(explain(f"torch.multiprocessing.spawn: process {index}", expected="exit code 0", got=got))


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run `fn(i, *args)` in `nprocs` processes. Raises ProcessRaisedException, with its traceback, when one fails."""
    context: Any = get_context(start_method)
    errors = [context.SimpleQueue() for _ in range(nprocs)]
    processes = [context.Process(target=_call, args=(fn, i, args, errors[i]), daemon=daemon) for i in range(nprocs)]
    for process in processes:
        process.start()
    made = ProcessContext(processes, errors)
    if not join:
        return made
    made.join()
    return None


start_processes = spawn
