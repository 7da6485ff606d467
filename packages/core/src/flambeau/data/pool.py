"""Workers as seen from the consumer: start, submit, receive, close. Processes and threads offer the same four calls."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import threading
import time
import weakref
from collections import deque
from multiprocessing import connection as mp_connection
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.data.channel import Receiver
from flambeau.data.failure import WorkerError, describe_exit
from flambeau.data.worker import Begin, Recipe, Report, Task, run_process, run_thread

_CLOSE_SECONDS = 5.0


class ProcessPool:
    """Worker processes, each with one two-way connection; no queue, lock or helper thread that a killed worker could leave blocked."""

    def __init__(self, recipe: Recipe, context: Any | None) -> None:
        self._context = context or multiprocessing.get_context()
        self._processes: list[Any] = []
        self._connections: list[Any] = []
        self._receivers: list[Receiver] = []
        self._heard = False
        self.close = weakref.finalize(self, _stop_processes, self._processes, self._connections, os.getpid())
        try:
            for worker_id in range(recipe.num_workers):
                self._start(recipe, worker_id)
        except Exception as error:
            self.close()
            raise ArgumentError(
                explain(
                    "DataLoader",
                    expected="a dataset, collate_fn and worker_init_fn that can be sent to a worker process",
                    got=f"{type(error).__name__}: {error}",
                    hint='define them at the top level of a module, or use worker_type="thread"',
                )
            ) from error

    def _start(self, recipe: Recipe, worker_id: int) -> None:
        ours, theirs = self._context.Pipe(duplex=True)
        forks = self._context.get_start_method() == "fork"
        name = f"flambeau-data-worker-{worker_id}"
        arguments = (theirs, [*self._connections, ours] if forks else [], recipe, worker_id)
        process = self._context.Process(target=run_process, args=arguments, name=name, daemon=True)
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._processes.append(process)
        self._connections.append(ours)
        self._receivers.append(Receiver(ours))

    def begin(self, worker: int, state: dict[str, Any] | None) -> None:
        """Start an epoch in a worker."""
        self._send(worker, Begin(state))

    def submit(self, worker: int, number: int, index: Any) -> None:
        """Ask a worker for a batch."""
        self._send(worker, Task(number, index, self._receivers[worker].take_returned()))

    def _send(self, worker: int, message: Any) -> None:
        try:
            self._connections[worker].send(message)
        except OSError:
            raise self._death(worker) from None

    def receive(self, worker: int | None, timeout: float | None) -> tuple[int, Report] | None:
        """The next report of one worker, or of any (None); None when the timeout passes. A dead worker raises WorkerError."""
        wanted = range(len(self._processes)) if worker is None else (worker,)
        if worker is not None and self._connections[worker].poll(0):
            return worker, self._read(worker)
        by_connection = {self._connections[candidate]: candidate for candidate in wanted}
        by_sentinel = {process.sentinel: number for number, process in enumerate(self._processes)}
        ready = mp_connection.wait([*by_connection, *by_sentinel], timeout)
        for item in ready:
            if item in by_connection:
                return by_connection[item], self._read(by_connection[item])
        if ready:
            raise self._death(by_sentinel[ready[0]])
        return None

    def _read(self, worker: int) -> Report:
        try:
            report: Report = self._receivers[worker].receive()
        except (EOFError, OSError):
            raise self._death(worker) from None
        self._heard = True
        return report

    def _death(self, worker: int) -> WorkerError:
        process = self._processes[worker]
        process.join(1.0)
        code = process.exitcode
        text = f"DataLoader worker {worker} ({process.name}, pid {process.pid}) {describe_exit(code)}."
        if code == -9:
            text += " The system may have run out of memory: try fewer workers or smaller batches."
        elif not self._heard and self._context.get_start_method() != "fork":
            text += ' Its error output is above. A script that starts workers needs `if __name__ == "__main__":` around its main part.'
        for other in self._processes:  # their work is lost anyway: do not wait for them
            other.terminate()
        self.close()
        return WorkerError(text)

    def waiting_for(self) -> str:
        """The state of the workers, for a message about a timeout."""
        return ", ".join(f"{p.name} (pid {p.pid}) {'alive' if p.is_alive() else describe_exit(p.exitcode)}" for p in self._processes)


def _stop_processes(processes: list[Any], connections: list[Any], owner: int) -> None:
    if os.getpid() != owner:  # a fork inherited the pool; its workers are not ours to stop
        return
    for connection in connections:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.set_blocking(connection.fileno(), False)  # a worker that hangs must not make us hang
        with contextlib.suppress(OSError, ValueError):
            connection.send(None)
        connection.close()
    deadline = time.monotonic() + _CLOSE_SECONDS
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for stop in ("terminate", "kill"):
        for process in processes:
            if process.is_alive():
                getattr(process, stop)()
                process.join(1.0)
    for process in processes:
        with contextlib.suppress(ValueError):
            process.close()
    processes.clear()
    connections.clear()


class ThreadPool:
    """Worker threads. They share the process: quick to start, nothing is pickled, and useful where a sample's work releases the GIL."""

    def __init__(self, recipe: Recipe) -> None:
        self._tasks: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(recipe.num_workers)]
        self._reports: queue.SimpleQueue[tuple[int, Report]] = queue.SimpleQueue()
        self._early: list[deque[Report]] = [deque() for _ in range(recipe.num_workers)]
        self._threads = [
            threading.Thread(
                target=run_thread, args=(tasks, self._reports, recipe, number), name=f"flambeau-data-worker-{number}", daemon=True
            )
            for number, tasks in enumerate(self._tasks)
        ]
        for thread in self._threads:
            thread.start()
        self.close = weakref.finalize(self, _stop_threads, self._tasks, self._threads)

    def begin(self, worker: int, state: dict[str, Any] | None) -> None:
        """Start an epoch in a worker."""
        self._tasks[worker].put(Begin(state))

    def submit(self, worker: int, number: int, index: Any) -> None:
        """Ask a worker for a batch."""
        self._tasks[worker].put(Task(number, index, []))

    def receive(self, worker: int | None, timeout: float | None) -> tuple[int, Report] | None:
        """The next report of one worker, or of any (None); None when the timeout passes."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            for candidate in range(len(self._threads)) if worker is None else (worker,):
                if self._early[candidate]:
                    return candidate, self._early[candidate].popleft()
            try:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                sender, report = self._reports.get(timeout=left)
            except queue.Empty:
                return None
            self._early[sender].append(report)

    def waiting_for(self) -> str:
        """The state of the workers, for a message about a timeout."""
        return ", ".join(f"{thread.name} {'alive' if thread.is_alive() else 'ended'}" for thread in self._threads)


def _stop_threads(tasks: list[queue.SimpleQueue[Any]], threads: list[threading.Thread]) -> None:
    for queue_ in tasks:
        while True:  # drop what is waiting, so that a thread ends after the batch it is on
            try:
                queue_.get_nowait()
            except queue.Empty:
                break
        queue_.put(None)
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(_CLOSE_SECONDS)
