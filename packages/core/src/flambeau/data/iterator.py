"""The iterators behind a loader: in the process itself, or over a pool of workers."""

from __future__ import annotations

import pickle
import warnings
from collections import deque
from typing import Any

from flambeau.base.errors import ArgumentError, explain
from flambeau.data import rng
from flambeau.data.dataset import IterableDataset
from flambeau.data.failure import WorkerError
from flambeau.data.fetch import Exhausted, make_fetcher
from flambeau.data.pin import pin_memory
from flambeau.data.pool import ProcessPool, ThreadPool
from flambeau.data.progress import IndexStream, Progress
from flambeau.data.worker import Recipe, Report


class LoaderIterator:
    """What both kinds share: counting, the warning about a wrong length, pinned memory."""

    progress: Progress

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._pin = loader.pin_memory
        self._expected = loader.expected_batches

    def __iter__(self) -> LoaderIterator:
        return self

    def __len__(self) -> int:
        return len(self._loader)

    def __next__(self) -> Any:
        batch = self._next()
        if self._expected is not None and self.progress.delivered > self._expected:
            warnings.warn(
                f"{type(self._loader.dataset).__name__} reported {self._expected} batches by its length, but gave more. "
                "With workers each one must take its own share of the stream (see get_worker_info).",
                stacklevel=2,
            )
            self._expected = None
        return pin_memory(batch) if self._pin else batch

    def _next(self) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        """Stop the workers, if any."""


class InProcessIterator(LoaderIterator):
    """Fetches every batch when it is asked for."""

    def __init__(self, loader: Any, resume: dict[str, Any] | None) -> None:
        super().__init__(loader)
        epoch = resume["epoch"] if resume else None
        with rng.rewound(epoch["rng"] if epoch else None):
            self._indices = IndexStream(loader, epoch, resume["base_seed"] if epoch and resume else None)
            position = epoch["fetcher"] if epoch else None
            self._fetcher = make_fetcher(loader.dataset, loader.collate_fn, loader.batched, loader.drop_last, position)
            if epoch:
                self._indices.replay(epoch)
        self.progress = self._indices.progress
        self.progress.fetcher = self._fetcher

    def _next(self) -> Any:
        try:
            indices = next(self._indices)
        except StopIteration:
            self.progress.finished = True
            raise
        try:
            return self._fetcher.fetch(indices)
        except Exhausted:
            self.progress.finished = True
            raise StopIteration from None
        finally:  # a batch that failed counts too: the next one asked for is the one after it
            self.progress.sampler = self._indices.sampler_state
            self.progress.deliver(self.progress.delivered)


class WorkerIterator(LoaderIterator):
    """Keeps workers busy with up to `prefetch_factor` batches each, and hands the batches out in order.

    Tasks go to the workers in turn and every worker answers in order, so waiting for batch i means waiting for one known worker, and
    the order never depends on timing. (With `in_order=False` whatever is ready comes first.)
    """

    def __init__(self, loader: Any, resume: dict[str, Any] | None) -> None:
        super().__init__(loader)
        self._count = loader.num_workers
        self._iterable = isinstance(loader.dataset, IterableDataset)
        self._broken: WorkerError | None = None
        self._pool: ProcessPool | ThreadPool | None = None
        self._begun = [0] * self._count
        self._open(resume, resume["base_seed"] if resume else None)

    def reset(self) -> None:
        """Start the next epoch with the same workers."""
        self._open(None, self.progress.base_seed)
        for worker in range(self._count):  # what is left of an abandoned epoch is thrown away
            while self._begun[worker]:
                self._receive(worker)

    @property
    def usable(self) -> bool:
        """Whether the workers can serve another epoch."""
        return self._broken is None and self._pool is not None

    def _open(self, resume: dict[str, Any] | None, base_seed: int | None) -> None:
        loader = self._loader
        epoch = resume["epoch"] if resume else None
        self._pending: deque[tuple[int, int, Any]] = deque()  # (batch number, worker, sampler state)
        self._outstanding = [0] * self._count
        self._ended: set[int] = set()
        self._dry = False
        with rng.rewound(epoch["rng"] if epoch else None):
            self._indices = IndexStream(loader, epoch, base_seed)
            self.progress = self._indices.progress
            if epoch:
                self._indices.replay(epoch)
            states = self._states_of(resume)
            self.progress.workers = states
            self._number = self.progress.delivered
            self._cursor = self.progress.turn % self._count
            if self._pool is None:
                self._pool = self._start(loader)
            for worker in range(self._count):
                self._begun[worker] += 1
                self._pool.begin(worker, states[worker])
            self._fill()

    def _states_of(self, resume: dict[str, Any] | None) -> list[dict[str, Any] | None]:
        """Where each worker goes on; nothing is known for a map-style dataset that was read by another number of workers."""
        saved = resume["workers"] if resume else None
        if saved is not None and len(saved) == self._count:
            return list(saved)
        if self._iterable and resume and resume["epoch"]:
            raise ArgumentError(
                explain(
                    "DataLoader.load_state_dict",
                    expected=f"num_workers={len(saved or [])} as when the state was saved",
                    got=f"num_workers={self._count}",
                    hint="the shares of an iterable dataset depend on the number of workers",
                )
            )
        return [None] * self._count

    def _start(self, loader: Any) -> ProcessPool | ThreadPool:
        processes = loader.worker_type == "process"
        recipe = Recipe(
            dataset=loader.dataset,
            collate_fn=loader.collate_fn,
            batched=loader.batched,
            drop_last=loader.drop_last,
            init_fn=loader.worker_init_fn,
            base_seed=self.progress.base_seed,
            num_workers=self._count,
            is_process=processes,
        )
        return ProcessPool(recipe, loader.multiprocessing_context) if processes else ThreadPool(recipe)

    def _fill(self) -> None:
        """Give out tasks until every worker has enough or there are no more indices."""
        assert self._pool is not None
        while not self._dry and (worker := self._free_worker()) is not None:
            try:
                indices = next(self._indices)
            except StopIteration:
                self._dry = True
                return
            number, self._number = self._number, self._number + 1
            if number in self.progress.ahead:
                continue
            self._cursor = (worker + 1) % self._count
            self._outstanding[worker] += 1
            self._pending.append((number, worker, self._indices.sampler_state))
            self._pool.submit(worker, number, indices)

    def _free_worker(self) -> int | None:
        for step in range(self._count):
            worker = (self._cursor + step) % self._count
            if worker in self._ended:
                continue
            if self._outstanding[worker] < self._loader.prefetch_factor:
                return worker
            if self._loader.in_order:
                return None
        return None

    def _next(self) -> Any:
        if self._broken is not None:
            raise self._broken
        while not self.progress.finished:
            self._fill()
            if not self._pending:
                break
            worker = self._pending[0][1] if self._loader.in_order else None
            worker, report = self._receive(worker)
            if report is None:
                continue
            if report.kind == "end":
                self._ended.add(worker)
                self._pending = deque(task for task in self._pending if task[1] != worker)
                continue
            self._delivered(worker, report)
            self._fill()
            if report.kind == "failure":
                raise report.value.exception()
            return report.value
        self._finish()
        raise StopIteration

    def _receive(self, worker: int | None) -> tuple[int, Report | None]:
        """The next report of a worker; None in its place when it has nothing to do with the current epoch."""
        assert self._pool is not None
        try:
            received = self._pool.receive(worker, self._loader.timeout or None)
        except WorkerError as error:
            self._broken = error
            raise
        if received is None:
            raise WorkerError(f"DataLoader timed out: no batch within {self._loader.timeout} seconds. Workers: {self._pool.waiting_for()}.")
        sender, report = received
        if report.kind == "failure" and report.number < 0:
            self._broken = WorkerError(f"DataLoader worker thread {sender} ended: {report.value.text}")
            raise report.value.exception()
        if report.kind == "begun":
            self._begun[sender] -= 1
        if self._begun[sender]:
            return sender, None
        self._note(sender, report)
        return sender, None if report.kind == "begun" else report

    def _note(self, worker: int, report: Report) -> None:
        if report.changes is not None and self.progress.workers is not None:
            known = self.progress.workers[worker] or {}
            self.progress.workers[worker] = {**known, **pickle.loads(report.changes)}

    def _delivered(self, worker: int, report: Report) -> None:
        task = next(task for task in self._pending if task[0] == report.number)
        self._pending.remove(task)
        self._outstanding[worker] -= 1
        progress = self.progress
        progress.turn = (worker + 1) % self._count
        if self._iterable:
            progress.delivered += 1
            return
        progress.deliver(report.number)
        if report.number < progress.delivered:
            progress.sampler = task[2]

    def _finish(self) -> None:
        self.progress.finished = True
        if not self._loader.persistent_workers:
            self.close()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __del__(self) -> None:
        self.close()
