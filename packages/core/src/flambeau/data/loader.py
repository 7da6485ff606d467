"""DataLoader: batches from a dataset, with samplers, workers, and exact resume in the middle of an epoch."""

from __future__ import annotations

import copy
import multiprocessing
import warnings
from collections.abc import Callable, Iterable
from multiprocessing.context import BaseContext
from typing import Any

from flambeau.base.errors import ArgumentError, ArgumentTypeError, explain
from flambeau.data.collate import default_collate, default_convert
from flambeau.data.dataset import IterableDataset
from flambeau.data.iterator import InProcessIterator, LoaderIterator, WorkerIterator
from flambeau.data.pin import gpu_is_usable
from flambeau.data.progress import Progress, own_generators, stateful_sampler
from flambeau.data.rng import state_of
from flambeau.data.sampler import BatchSampler, InfiniteSampler, RandomSampler, SequentialSampler

_STATE_VERSION = 1
_DEFAULT_PREFETCH = 2
_FROZEN = frozenset({"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"})


class DataLoader:
    """Iterates over a dataset in batches. Arguments, defaults and the order of samples are PyTorch's.

    `worker_type="process"` (default) loads in `num_workers` processes, which hand arrays over in shared memory; `"thread"` loads in
    threads, which start at once and copy nothing, but share Python's global generators: there a dataset should draw from a generator
    of its own, seeded with `get_worker_info().seed`. In worker processes `random`, NumPy and Flambeau are seeded.

    The same seed gives the same batches in the same order for any `num_workers`.

    `state_dict()` gives the position after the last batch handed out (not the last one prefetched), `load_state_dict()` makes the next
    `iter()` go on from there. Save the global random state along with it (a run checkpoint does) and call `set_epoch` on a
    DistributedSampler before resuming.

    >>> loader = DataLoader(list(range(5)), batch_size=2)
    >>> [batch.tolist() for batch in loader]
    [[0, 1], [2, 3], [4]]
    """

    _iterator: LoaderIterator | None = None
    _ready = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Any | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        in_order: bool = True,
        worker_type: str = "process",
    ) -> None:
        self.dataset = dataset
        self.num_workers = num_workers
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self.worker_type = worker_type
        self.prefetch_factor = _DEFAULT_PREFETCH if num_workers and prefetch_factor is None else prefetch_factor
        self.multiprocessing_context = multiprocessing_context
        self._check_workers()
        self._choose_samplers(batch_size, shuffle, sampler, batch_sampler, drop_last)
        self.collate_fn = collate_fn or (default_collate if self.batched else default_convert)
        self.pin_memory = pin_memory and self._can_pin()
        self.expected_batches: int | None = None
        self._progress: Progress | None = None
        self._resume: dict[str, Any] | None = None
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._ready and name in _FROZEN:
            raise ArgumentError(
                explain("DataLoader", expected=f"{name} to stay as it was made", got="an assignment", hint="make a new loader")
            )
        super().__setattr__(name, value)

    def _check_workers(self) -> None:
        def require(holds: bool, expected: str, got: Any, hint: str = "") -> None:
            if not holds:
                raise ArgumentError(explain("DataLoader", expected=expected, got=str(got), hint=hint))

        require(self.num_workers >= 0, "num_workers of 0 or more", self.num_workers, "0 loads in the main process")
        require(self.timeout >= 0, "a timeout of 0 or more seconds", self.timeout)
        require(self.worker_type in ("process", "thread"), 'worker_type "process" or "thread"', repr(self.worker_type))
        if self.num_workers == 0:
            require(self.prefetch_factor is None, "no prefetch_factor with num_workers=0", self.prefetch_factor)
            require(not self.persistent_workers, "num_workers above 0 with persistent_workers=True", 0)
            require(self.multiprocessing_context is None, "no multiprocessing_context with num_workers=0", self.multiprocessing_context)
            require(self.timeout == 0, "no timeout with num_workers=0", self.timeout)
        else:
            require(
                isinstance(self.prefetch_factor, int) and self.prefetch_factor > 0, "a prefetch_factor of 1 or more", self.prefetch_factor
            )
        context = self.multiprocessing_context
        if isinstance(context, str):
            methods = multiprocessing.get_all_start_methods()
            require(context in methods, f"a start method of {methods}", repr(context))
            self.multiprocessing_context = multiprocessing.get_context(context)
        elif context is not None and not isinstance(context, BaseContext):
            raise ArgumentTypeError(
                explain("DataLoader", expected="a multiprocessing context or the name of one", got=type(context).__name__)
            )

    def _choose_samplers(self, batch_size: Any, shuffle: bool | None, sampler: Any, batch_sampler: Any, drop_last: bool) -> None:
        def conflict(expected: str, got: str, hint: str = "") -> ArgumentError:
            return ArgumentError(explain("DataLoader", expected=expected, got=got, hint=hint))

        if isinstance(self.dataset, IterableDataset):
            given = [name for name, on in (("shuffle", shuffle), ("sampler", sampler), ("batch_sampler", batch_sampler)) if on]
            if given:
                raise conflict("no shuffle, sampler or batch_sampler with an IterableDataset", given[0], "shuffle inside the dataset")
            sampler = InfiniteSampler()
        if sampler is not None and shuffle:
            raise conflict("either a sampler or shuffle=True", "both")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise conflict("batch_sampler without batch_size, shuffle, sampler and drop_last", "both")
            batch_size = None
        elif batch_size is None and drop_last:
            raise conflict("no drop_last with batch_size=None (which turns batching off)", "drop_last=True")
        if sampler is None:
            sampler = RandomSampler(self.dataset, generator=self.generator) if shuffle else SequentialSampler(self.dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler

    def _can_pin(self) -> bool:
        if gpu_is_usable():
            return True
        warnings.warn("DataLoader: pin_memory=True has no effect here, because no GPU is usable", stacklevel=3)
        return False

    @property
    def batched(self) -> bool:
        """Whether samples are grouped into batches (False with `batch_size=None`)."""
        return self.batch_sampler is not None

    @property
    def index_sampler(self) -> Any:
        """The sampler that is iterated: of batches where there are batches, else of samples."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __len__(self) -> int:
        """The number of batches. For an iterable dataset it follows from the dataset's own length, where it has one."""
        if not isinstance(self.dataset, IterableDataset):
            return len(self.index_sampler)
        length = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is not None:
            length = length // self.batch_size if self.drop_last else -(-length // self.batch_size)
        self.expected_batches = length
        return length

    def __iter__(self) -> LoaderIterator:
        resume, self._resume = self._resume, None
        iterator = self._iterator
        if resume is None and isinstance(iterator, WorkerIterator) and iterator.usable:
            iterator.reset()
        else:
            if iterator is not None:
                iterator.close()
            self._restore_between_epochs(resume)
            iterator = WorkerIterator(self, resume) if self.num_workers else InProcessIterator(self, resume)
            self._iterator = iterator if self.persistent_workers else None
        self._progress = iterator.progress
        return iterator

    def _restore_between_epochs(self, resume: dict[str, Any] | None) -> None:
        if resume is None or resume["epoch"] is not None:
            return
        for generator, state in zip(own_generators(self), resume["generators"], strict=True):
            generator.set_state(state)
        sampler = stateful_sampler(self)
        if sampler is not None and resume["sampler"] is not None:
            sampler.load_state_dict(copy.deepcopy(resume["sampler"]))

    def _identity(self) -> dict[str, Any]:
        """What must be equal between the loader that saved a state and the one that loads it."""
        iterable = isinstance(self.dataset, IterableDataset)
        return {
            "dataset_length": None if iterable or not hasattr(self.dataset, "__len__") else len(self.dataset),
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "generators": len(own_generators(self)),
            "sampler": type(self.sampler if self.batch_size is not None else self.index_sampler).__name__,
        }

    def state_dict(self) -> dict[str, Any]:
        """The position after the last batch handed out, as plain values, arrays and tensors."""
        if self._resume is not None:
            return copy.deepcopy(self._resume)
        progress = self._progress
        state: dict[str, Any] = {"version": _STATE_VERSION, "identity": self._identity(), "epoch": None}
        state["base_seed"], state["workers"] = None, None
        if progress is not None and not progress.finished:
            state["epoch"] = progress.state()
        if progress is not None and (not progress.finished or self.persistent_workers):
            state["base_seed"], state["workers"] = progress.base_seed, copy.deepcopy(progress.workers)
        if state["epoch"] is None:
            sampler = stateful_sampler(self)
            state["generators"] = copy.deepcopy([state_of(generator) for generator in own_generators(self)])
            state["sampler"] = copy.deepcopy(sampler.state_dict()) if sampler is not None else None
            for worker in state["workers"] or []:
                if worker is not None:
                    worker["epoch_rng"], worker["fetcher"] = worker["rng"], None
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Make the next `iter()` go on where `state` was taken. Raises ArgumentError where the loader differs in what matters."""
        if not isinstance(state, dict) or state.get("version") != _STATE_VERSION:
            got = f"version {state.get('version')}" if isinstance(state, dict) else type(state).__name__
            raise ArgumentError(explain("DataLoader.load_state_dict", expected=f"a state of version {_STATE_VERSION}", got=got))
        mine = self._identity()
        for name, value in state["identity"].items():
            if value != mine.get(name):
                raise ArgumentError(
                    explain(
                        "DataLoader.load_state_dict", expected=f"{name} {value!r} as when the state was saved", got=repr(mine.get(name))
                    )
                )
        self._resume = copy.deepcopy(state)
