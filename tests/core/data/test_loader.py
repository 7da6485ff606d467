"""The loader: batches, order, arguments."""

import itertools

import numpy as np
import pytest

from flambeau.base.errors import ArgumentError, ArgumentTypeError
from flambeau.data import BatchSampler, DataLoader, Dataset, IterableDataset, SequentialSampler, TensorDataset, get_worker_info, rng

WORKERS = [{}, {"num_workers": 1}, {"num_workers": 3, "prefetch_factor": 1}, {"num_workers": 2, "worker_type": "thread"}]


class Shares(IterableDataset):
    """Numbers below `stop`; every worker takes each num_workers-th."""

    def __init__(self, stop):
        self.stop = stop

    def __iter__(self):
        info = get_worker_info()
        first, step = (info.id, info.num_workers) if info else (0, 1)
        return iter(range(first, self.stop, step))


def values(loader):
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize("workers", WORKERS, ids=str)
@pytest.mark.parametrize(("size", "batch", "drop"), [(7, 3, False), (7, 3, True), (6, 3, False), (1, 4, False), (2, 4, True)])
def test_sequential_batches(workers, size, batch, drop):
    loader = DataLoader(list(range(size)), batch_size=batch, drop_last=drop, **workers)
    expected = list(BatchSampler(range(size), batch, drop))
    assert values(loader) == expected and len(loader) == len(expected)


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_every_start_method(context):
    data = TensorDataset(np.arange(20), np.ones((20, 50, 50), np.float32))
    loader = DataLoader(data, batch_size=4, num_workers=2, multiprocessing_context=context)
    batches = list(loader)
    assert [batch[0].tolist() for batch in batches] == np.arange(20).reshape(5, 4).tolist()
    assert all(float(batch[1].numpy().sum()) == 4 * 2500 for batch in batches)


def test_same_seed_same_order_for_any_workers():
    orders = []
    for workers in WORKERS:
        rng.default_generator().manual_seed(11)
        loader = DataLoader(list(range(23)), batch_size=4, shuffle=True, **workers)
        orders.append([values(loader), values(loader)])
    assert all(order == orders[0] for order in orders)
    assert orders[0][0] != orders[0][1]
    assert sorted(itertools.chain(*orders[0][0])) == list(range(23))


def test_own_generator_leaves_the_default_one_alone():
    rng.default_generator().manual_seed(1)
    before = rng.snapshot()
    orders = [values(DataLoader(list(range(9)), shuffle=True, generator=rng.new_generator(5))) for _ in range(2)]
    assert orders[0] == orders[1] and rng.same(before, rng.snapshot())


@pytest.mark.parametrize("workers", WORKERS, ids=str)
def test_iterable_shares(workers):
    loader = DataLoader(Shares(17), batch_size=3, **workers)
    batches = values(loader)
    assert sorted(itertools.chain(*batches)) == list(range(17))
    if workers.get("num_workers", 1) == 3:  # workers in turn, those that ended are skipped
        assert batches == [[0, 3, 6], [1, 4, 7], [2, 5, 8], [9, 12, 15], [10, 13, 16], [11, 14]]
    assert values(loader) == batches


def test_uneven_shares_keep_their_order():
    class Uneven(IterableDataset):
        def __iter__(self):
            info = get_worker_info()
            return iter([info.id * 100 + i for i in range([1, 5, 3][info.id])])

    loader = DataLoader(Uneven(), batch_size=None, num_workers=3)
    assert [int(x) for x in loader] == [0, 100, 200, 101, 201, 102, 202, 103, 104]


def test_no_batching_and_samplers():
    assert [int(x.tolist()) for x in DataLoader(np.arange(3), batch_size=None)] == [0, 1, 2]
    assert values(DataLoader([10, 20, 30], batch_sampler=[[2, 0], [1]], num_workers=1)) == [[30, 10], [20]]
    assert values(DataLoader([10, 20, 30], sampler=[2, 1], batch_size=2)) == [[30, 20]]
    assert values(DataLoader([1, 2, 3], batch_size=2, collate_fn=np.array)) == [[1, 2], [3]]


def test_getitems_is_used():
    class Many(Dataset):
        def __len__(self):
            return 4

        def __getitems__(self, indices):
            return [100 * i for i in indices]

    assert values(DataLoader(Many(), batch_size=2)) == [[0, 100], [200, 300]]


def test_persistent_workers_and_abandoned_epochs():
    for kind in ("process", "thread"):
        loader = DataLoader(list(range(12)), batch_size=2, num_workers=2, persistent_workers=True, worker_type=kind)
        first = iter(loader)
        assert next(first).tolist() == [0, 1]
        second = iter(loader)
        assert second is first
        assert values(second) == values(loader) == [[i, i + 1] for i in range(0, 12, 2)]
        assert loader._iterator is first
        loader._iterator.close()


def test_out_of_order_gives_every_batch_once():
    import time

    class Slow(Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            time.sleep(0.3 if index == 0 else 0)
            return index

    batches = [int(x) for x in DataLoader(Slow(), batch_size=None, num_workers=2, in_order=False)]
    assert sorted(batches) == list(range(8)) and batches[0] != 0


def test_iterable_length_and_its_warning():
    class Liar(Shares):
        def __len__(self):
            return 4

    loader = DataLoader(Liar(6), batch_size=2)
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="reported 2 batches"):
        assert len(values(loader)) == 3
    with pytest.raises(TypeError):
        len(DataLoader(Shares(6)))


@pytest.mark.parametrize("stop_in", ["dataset", "collate"])
def test_stop_iteration_does_not_end_the_epoch_silently(stop_in):
    class Stops(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            if stop_in == "dataset":
                raise StopIteration
            return index

    def stop(batch):
        raise StopIteration

    for workers in (0, 1):
        with pytest.raises(RuntimeError, match="raised StopIteration"):
            list(DataLoader(Stops(), num_workers=workers, collate_fn=stop if stop_in == "collate" else None))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_workers": -1}, "num_workers of 0 or more, got -1"),
        ({"timeout": -1, "num_workers": 1}, "timeout of 0 or more"),
        ({"worker_type": "fibre"}, 'worker_type "process" or "thread"'),
        ({"prefetch_factor": 2}, "no prefetch_factor with num_workers=0"),
        ({"prefetch_factor": 0, "num_workers": 1}, "prefetch_factor of 1 or more"),
        ({"persistent_workers": True}, "num_workers above 0"),
        ({"multiprocessing_context": "spawn"}, "no multiprocessing_context with num_workers=0"),
        ({"multiprocessing_context": "psychic", "num_workers": 1}, "a start method of"),
        ({"sampler": [0], "shuffle": True}, "either a sampler or shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler without batch_size"),
        ({"batch_size": None, "drop_last": True}, "no drop_last"),
        ({"batch_size": 0}, "batch_size to be a positive integer"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        DataLoader([1, 2, 3], **arguments)


def test_bad_arguments_with_streams_and_later():
    for arguments in ({"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        with pytest.raises(ArgumentError, match="with an IterableDataset"):
            DataLoader(Shares(3), **arguments)
    with pytest.raises(ArgumentTypeError, match="a multiprocessing context"):
        DataLoader([1], num_workers=1, multiprocessing_context=3)
    loader = DataLoader([1, 2])
    with pytest.raises(ArgumentError, match="batch_size to stay"):
        loader.batch_size = 3
    assert isinstance(loader.sampler, SequentialSampler)
