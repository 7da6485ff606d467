"""What runs inside a worker, be it a process or a thread: take a task, fetch the batch, send it."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flambeau.data import rng
from flambeau.data.channel import Sender
from flambeau.data.failure import Failure
from flambeau.data.fetch import Exhausted, make_fetcher

_ORPHAN_CHECK_SECONDS = 2.0


@dataclass
class WorkerInfo:
    """What `get_worker_info()` gives: the worker's `id` in [0, num_workers), its `seed`, and its copy of the `dataset`."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_current = threading.local()


def get_worker_info() -> WorkerInfo | None:
    """Information about the worker this runs in, or None in the main process.

    >>> get_worker_info() is None
    True
    """
    return getattr(_current, "info", None)


@dataclass
class Recipe:
    """Everything a worker needs to make batches; it must pickle where processes do not fork."""

    dataset: Any
    collate_fn: Callable[[Any], Any]
    batched: bool
    drop_last: bool
    init_fn: Callable[[int], None] | None
    base_seed: int
    num_workers: int
    is_process: bool


@dataclass
class Begin:
    """Start an epoch; `state` is this worker's position to go on from (its reports put together), or None to start afresh."""

    state: dict[str, Any] | None


@dataclass
class Task:
    """Fetch one batch; `returned` are segments of shared memory that the parent no longer reads."""

    number: int
    index: Any
    returned: list[int]


@dataclass
class Report:
    """A worker's answer. `kind` is begun, batch, end or failure; `changes` (pickled) is what is new in its position afterwards.

    The changes are pickled apart so that the parent can keep them without keeping the shared memory of the batch.
    """

    kind: str
    number: int
    value: Any
    changes: bytes | None


class Worker:
    """The part that processes and threads have in common: state and seeds, without any channel."""

    def __init__(self, recipe: Recipe, worker_id: int) -> None:
        self.recipe = recipe
        self.id = worker_id
        self.where = f"DataLoader worker {'process' if recipe.is_process else 'thread'} {worker_id}"
        self.dataset = recipe.dataset if recipe.is_process else copy.copy(recipe.dataset)
        self.fetcher: Any = None
        self.init_failure: Failure | None = None
        self.failure: Failure | None = None
        self.last_rng: dict[str, Any] | None = None

    def start(self) -> None:
        """Seed the generators and call the user's `worker_init_fn`."""
        recipe = self.recipe
        if recipe.is_process:
            rng.seed_worker(recipe.base_seed, self.id)
        _current.info = WorkerInfo(self.id, recipe.num_workers, recipe.base_seed + self.id, self.dataset)
        if recipe.init_fn is not None:
            try:
                recipe.init_fn(self.id)
            except Exception as error:
                self.init_failure = Failure.of(error, self.where)

    def begin(self, state: dict[str, Any] | None) -> Report:
        """Start an epoch, at a reported position or at the beginning."""
        recipe, info = self.recipe, get_worker_info()
        self.failure = self.init_failure
        position = state["fetcher"] if state is not None else None
        try:
            if recipe.is_process and state is not None and state["epoch_rng"] is not None:
                rng.restore(state["epoch_rng"])
            epoch_rng = rng.snapshot() if recipe.is_process else None
            if self.failure is None:
                dataset = info.dataset if info is not None else self.dataset
                self.fetcher = make_fetcher(dataset, recipe.collate_fn, recipe.batched, recipe.drop_last, position)
                position = self.fetcher.state()
            if recipe.is_process and state is not None and state["rng"] is not None:
                rng.restore(state["rng"])
        except Exception as error:
            epoch_rng, self.failure = None, Failure.of(error, self.where)
        self.last_rng = rng.snapshot() if recipe.is_process else None
        return Report("begun", -1, None, pickle.dumps({"epoch_rng": epoch_rng, "rng": self.last_rng, "fetcher": position}))

    def do(self, task: Task) -> Report:
        """Fetch the batch of one task."""
        if self.failure is not None:
            return Report("failure", task.number, self.failure, None)
        try:
            value = self.fetcher.fetch(task.index)
            return Report("batch", task.number, value, self._changes())
        except Exhausted:
            return Report("end", task.number, None, self._changes())
        except Exception as error:
            return Report("failure", task.number, Failure.of(error, self.where), None)

    def _changes(self) -> bytes | None:
        """What changed in this worker's position; nothing in the usual case of a map-style dataset without randomness."""
        changes = {}
        position = self.fetcher.state()
        if position is not None:
            changes["fetcher"] = position
        if self.recipe.is_process:
            now = rng.snapshot()
            if not rng.same(now, self.last_rng):
                self.last_rng = changes["rng"] = now
        return pickle.dumps(changes) if changes else None


def run_process(connection: Any, not_ours: list[Any], recipe: Recipe, worker_id: int) -> None:
    """The main function of a worker process: until None comes, the connection closes, or the parent is gone.

    `not_ours` are ends of connections that a fork copied into this process and that must not stay open here.
    """
    for other in not_ours:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it tells the workers to stop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    sender = Sender(connection)
    worker = Worker(recipe, worker_id)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        worker.start()
        while (message := inbox.get()) is not None:
            if isinstance(message, Begin):
                sender.send(worker.begin(message.state))
            elif isinstance(message, Task):
                sender.pool.give_back(message.returned)
                _send(sender, worker.do(message), worker)
            else:
                raise message


def _listen(connection: Any, inbox: queue.SimpleQueue[Any]) -> None:
    """Read messages while the worker works, so that its parent never waits for room in the connection (and both could wait for ever)."""
    parent = os.getppid()
    try:
        message: Any = connection
        while message is not None:
            while not connection.poll(_ORPHAN_CHECK_SECONDS):
                if os.getppid() != parent:
                    raise EOFError
            message = connection.recv()
            inbox.put(message)
    except (EOFError, OSError):
        inbox.put(None)
    except Exception as error:  # a message that does not unpickle
        inbox.put(error)


def _send(sender: Sender, report: Report, worker: Worker) -> None:
    try:
        sender.send(report)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # the batch does not pickle, or memory ran out
        sender.send(Report("failure", report.number, Failure.of(error, worker.where), report.changes))


def run_thread(tasks: Any, reports: Any, recipe: Recipe, worker_id: int) -> None:
    """The main function of a worker thread: until None comes."""
    worker = Worker(recipe, worker_id)
    try:
        worker.start()
        while (message := tasks.get()) is not None:
            reports.put((worker_id, worker.begin(message.state) if isinstance(message, Begin) else worker.do(message)))
    except BaseException as error:  # a thread that dies must not leave its consumer waiting
        reports.put((worker_id, Report("failure", -1, Failure.of(error, worker.where), None)))
