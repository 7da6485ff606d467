"""Exact resume: an interrupted epoch and all epochs after it equal the uninterrupted ones, wherever the interruption falls.

Every case runs a program of three epochs twice: in one go, and with a stop after batch `stop`, where the loader's state and the global
random state are saved, everything is made anew, disturbed, restored, and run to the end.
"""

import copy
import random

import numpy as np
import pytest

from flambeau.base.errors import ArgumentError
from flambeau.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    get_worker_info,
    rng,
)
from flambeau.serialization import load, save

EPOCHS = 3


class Items(Dataset):
    def __init__(self, size=11):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return index


class Augmented(Items):
    """Every sample draws from all three generators."""

    def __getitem__(self, index):
        return np.array([index, random.random(), np.random.rand(), rng.draw_seed() % 1000])


class Stream(IterableDataset):
    """A shuffled share of the numbers; without state of its own."""

    def __iter__(self):
        info = get_worker_info()
        first, step = (info.id, info.num_workers) if info else (0, 1)
        values = list(range(first, 11, step))
        random.Random(5).shuffle(values)
        yield from values


class NoisyStream(Stream):
    def __iter__(self):
        for value in super().__iter__():
            yield value * 1000 + random.randrange(1000)


class StatefulStream(IterableDataset):
    """Keeps its position in the dataset, and must never read a sample twice."""

    def __init__(self):
        self.position = 0
        self.read = []

    def __iter__(self):
        info = get_worker_info()
        first, step = (info.id, info.num_workers) if info else (0, 1)
        while self.position * step + first < 11:
            value = self.position * step + first
            self.position += 1
            self.read.append(value)
            yield value
        self.position = 0

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


class IteratorWithState(IterableDataset):
    """Keeps its position in the iterator."""

    class Iterator:
        def __init__(self, first, step):
            self.first, self.step, self.position = first, step, 0

        def __iter__(self):
            return self

        def __next__(self):
            value = self.first + self.step * self.position
            if value >= 11:
                raise StopIteration
            self.position += 1
            return value

        def state_dict(self):
            return {"position": self.position}

        def load_state_dict(self, state):
            self.position = state["position"]

    def __iter__(self):
        info = get_worker_info()
        return self.Iterator(*((info.id, info.num_workers) if info else (0, 1)))


class PythonShuffle(Sampler):
    """A user's sampler that shuffles with the random module, lazily or at once."""

    def __init__(self, size, lazy):
        self.size, self.lazy = size, lazy

    def _lazy(self):
        yield from random.sample(range(self.size), self.size)

    def __iter__(self):
        return self._lazy() if self.lazy else iter(random.sample(range(self.size), self.size))

    def __len__(self):
        return self.size


class StatefulSampler(Sampler):
    def __init__(self, size):
        self.size, self.position, self.epoch = size, 0, 0

    def __iter__(self):
        order = np.random.RandomState(self.epoch).permutation(self.size).tolist()
        while self.position < self.size:
            self.position += 1
            yield order[self.position - 1]
        self.position = 0
        self.epoch += 1

    def __len__(self):
        return self.size

    def state_dict(self):
        return {"position": self.position, "epoch": self.epoch}

    def load_state_dict(self, state):
        self.position, self.epoch = state["position"], state["epoch"]


LOADERS = {
    "shuffle": lambda **kw: DataLoader(Items(), batch_size=2, shuffle=True, **kw),
    "shuffle own generator": lambda **kw: DataLoader(Items(), batch_size=2, shuffle=True, generator=rng.new_generator(9), **kw),
    "unbatched": lambda **kw: DataLoader(Items(), batch_size=None, shuffle=True, **kw),
    "augmented": lambda **kw: DataLoader(Augmented(), batch_size=2, shuffle=True, **kw),
    "weighted": lambda **kw: DataLoader(Items(), batch_size=3, sampler=WeightedRandomSampler([1.0 + i for i in range(11)], 11), **kw),
    "subset, sampler's generator": lambda **kw: DataLoader(
        Items(), batch_size=2, sampler=SubsetRandomSampler(range(11), generator=rng.new_generator(4)), **kw
    ),
    "python shuffle": lambda **kw: DataLoader(Items(), batch_size=2, sampler=PythonShuffle(11, lazy=True), **kw),
    "python shuffle at once": lambda **kw: DataLoader(Items(), batch_size=None, sampler=PythonShuffle(11, lazy=False), **kw),
    "stateful sampler": lambda **kw: DataLoader(Items(), batch_size=2, sampler=StatefulSampler(11), **kw),
    "stateful sampler, unbatched": lambda **kw: DataLoader(Items(), batch_size=None, sampler=StatefulSampler(11), **kw),
    "distributed": lambda **kw: DataLoader(Items(), batch_size=2, sampler=DistributedSampler(range(22), 2, 1, seed=3), **kw),
    "stream": lambda **kw: DataLoader(Stream(), batch_size=2, **kw),
    "stateful stream": lambda **kw: DataLoader(StatefulStream(), batch_size=2, **kw),
    "stateful iterator": lambda **kw: DataLoader(IteratorWithState(), batch_size=2, drop_last=True, **kw),
}
WORKERS = {
    "here": {},
    "processes": {"num_workers": 2},
    "three processes": {"num_workers": 3, "prefetch_factor": 1},
    "threads": {"num_workers": 2, "worker_type": "thread"},
    "persistent": {"num_workers": 2, "persistent_workers": True},
    "persistent threads": {"num_workers": 2, "persistent_workers": True, "worker_type": "thread"},
}


def plain(batch):
    return batch.tolist() if hasattr(batch, "tolist") else batch


def step():
    """A training step that draws random numbers, as dropout does."""
    return rng.draw_seed(), random.random(), np.random.rand()


def run(loader, log, *, stop=None, epochs=EPOCHS, epoch=0):
    """Log batches and steps; return the epoch in which batch number `stop` was the last one."""
    while epoch < epochs:
        for batch in loader:
            log.append((plain(batch), step()))
            if stop is not None and len(log) == stop:
                return epoch
        epoch += 1
    return epoch


def seed_everything():
    rng.default_generator().manual_seed(21)
    random.seed(22)
    np.random.seed(23)


def close(loader):
    if loader._iterator is not None:
        loader._iterator.close()


def interrupted(make, stop, through_file=None):
    seed_everything()
    log = []
    loader = make()
    epoch = run(loader, log, stop=stop)
    saved = {"loader": loader.state_dict(), "random": rng.snapshot()}
    if through_file:
        save(saved, through_file)
        saved = load(through_file)
    else:
        saved = copy.deepcopy(saved)
    close(loader)
    rng.default_generator().manual_seed(999)
    random.seed(999)
    np.random.seed(999)
    loader = make()
    loader.load_state_dict(saved["loader"])
    rng.restore(saved["random"])
    run(loader, log, epoch=epoch)
    close(loader)
    return log


# Threads share the global generators, so random samples from them have no fixed order.
CASES = [(kind, workers) for kind in LOADERS for workers in WORKERS if not (kind == "augmented" and "threads" in workers)]


@pytest.mark.parametrize("kind, workers", CASES)
def test_interrupted_equals_uninterrupted(kind, workers, tmp_path):
    def make():
        return LOADERS[kind](**WORKERS[workers])

    seed_everything()
    whole = []
    loader = make()
    run(loader, whole)
    close(loader)
    batches = len(whole) // EPOCHS
    quick = {1, 2, batches // 2, batches - 1, batches + 2, 2 * batches - 1} if workers in ("here", "threads") else set()
    for stop in {2, batches, batches + 1} | quick:
        assert interrupted(make, stop, tmp_path / "state") == whole, f"stopped after batch {stop}"


def test_state_is_what_was_delivered_not_what_was_prefetched():
    loader = DataLoader(Items(), num_workers=2, prefetch_factor=4)
    iterator = iter(loader)
    next(iterator)
    assert loader.state_dict()["epoch"]["delivered"] == 1


def test_noisy_stream_in_worker_processes():
    """Read-again replays the worker's own random draws too."""

    def make():
        return DataLoader(NoisyStream(), batch_size=1, num_workers=2)

    seed_everything()
    whole = []
    run(make(), whole)
    assert interrupted(make, 3) == interrupted(make, 5) == interrupted(make, 14) == whole


def test_map_style_may_change_the_number_of_workers():
    seed_everything()
    whole = [plain(batch) for batch in DataLoader(Items(), batch_size=2, shuffle=True)]
    seed_everything()
    loader = DataLoader(Items(), batch_size=2, shuffle=True, num_workers=3)
    iterator = iter(loader)
    assert [plain(next(iterator)) for _ in range(3)] == whole[:3]
    for workers in (0, 1, 4):
        other = DataLoader(Items(), batch_size=2, shuffle=True, num_workers=workers)
        other.load_state_dict(loader.state_dict())
        assert [plain(batch) for batch in other] == whole[3:]


def test_without_the_global_state_the_epoch_is_still_exact():
    seed_everything()
    whole = [plain(batch) for batch in DataLoader(Items(), batch_size=2, shuffle=True)]
    seed_everything()
    loader = DataLoader(Items(), batch_size=2, shuffle=True)
    iterator = iter(loader)
    for _ in range(2):
        next(iterator)
    other = DataLoader(Items(), batch_size=2, shuffle=True)
    other.load_state_dict(loader.state_dict())
    rng.default_generator().manual_seed(77)
    before = rng.snapshot()
    assert [plain(batch) for batch in other] == whole[2:]
    assert rng.same(before, rng.snapshot())


def test_draws_between_iter_and_next():
    """PyTorch draws the loader's seed at iter() and the sampler's at the first next(); both moments are kept."""
    seed_everything()
    loader = DataLoader(Items(), batch_size=2, shuffle=True)
    iterator = iter(loader)
    step()
    whole = [plain(next(iterator)) for _ in range(3)]
    state = loader.state_dict()
    rest = [plain(batch) for batch in iterator]
    other = DataLoader(Items(), batch_size=2, shuffle=True)
    other.load_state_dict(state)
    assert [plain(batch) for batch in other] == rest and len(whole + rest) == 6


def test_state_before_the_first_batch_and_right_after_loading():
    seed_everything()
    loader = DataLoader(Items(), batch_size=2, shuffle=True)
    unused = loader.state_dict()
    assert unused["epoch"] is None
    iterator = iter(loader)
    started, random_state = loader.state_dict(), rng.snapshot()
    whole = [plain(batch) for batch in iterator]
    loader.load_state_dict(started)
    assert loader.state_dict()["epoch"]["delivered"] == 0
    rng.restore(random_state)
    assert [plain(batch) for batch in loader] == whole


def test_out_of_order_delivers_the_rest_exactly_once():
    import time

    class Slow(Items):
        def __getitem__(self, index):
            time.sleep(0.2 if index == 1 else 0)
            return index

    loader = DataLoader(Slow(), batch_size=None, num_workers=2, in_order=False)
    iterator = iter(loader)
    first = [next(iterator) for _ in range(4)]
    state = loader.state_dict()
    assert state["epoch"]["ahead"]
    other = DataLoader(Slow(), batch_size=None, num_workers=2, in_order=False)
    other.load_state_dict(state)
    assert sorted(first + list(other)) == list(range(11))


def test_stateful_streams_are_not_read_again():
    loader = DataLoader(StatefulStream(), batch_size=2)
    iterator = iter(loader)
    next(iterator)
    other = DataLoader(StatefulStream(), batch_size=2)
    other.load_state_dict(loader.state_dict())
    other.dataset.read.clear()
    assert plain(next(iter(other))) == [2, 3] == other.dataset.read


def test_mismatches_are_refused():
    loader = DataLoader(Items(), batch_size=2, shuffle=True)
    next(iter(loader))
    state = loader.state_dict()
    for other, message in [
        (DataLoader(Items(), batch_size=3, shuffle=True), "batch_size 2 as when the state was saved, got 3"),
        (DataLoader(Items(9), batch_size=2, shuffle=True), "dataset_length 11 .* got 9"),
        (DataLoader(Items(), batch_size=2), "sampler 'RandomSampler' .* got 'SequentialSampler'"),
        (DataLoader(Items(), batch_size=2, shuffle=True, generator=rng.new_generator(0)), "generators 0 .* got 1"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            other.load_state_dict(state)
    for wrong in ({}, {"version": 99}, None):
        with pytest.raises(ArgumentError, match="a state of version 1"):
            loader.load_state_dict(wrong)
    stream = DataLoader(Stream(), batch_size=2, num_workers=2)
    next(iter(stream))
    fewer = DataLoader(Stream(), batch_size=2, num_workers=1)
    fewer.load_state_dict(stream.state_dict())
    with pytest.raises(ArgumentError, match="num_workers=2 as when the state was saved, got num_workers=1"):
        iter(fewer)


def test_a_stream_that_became_shorter_is_refused():
    class Short(IterableDataset):
        stop = 8

        def __iter__(self):
            return iter(range(self.stop))

    loader = DataLoader(Short(), batch_size=3)
    iterator = iter(loader)
    next(iterator), next(iterator)
    other = DataLoader(Short(), batch_size=3)
    other.dataset.stop = 4
    other.load_state_dict(loader.state_dict())
    with pytest.raises(ArgumentError, match="at least 6 samples, got one that ended after 4"):
        iter(other)
