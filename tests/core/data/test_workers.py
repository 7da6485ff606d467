"""Worker processes: seeds, failures, deaths, shared memory, clean ends."""

import gc
import multiprocessing
import os
import pathlib
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from flambeau.base.errors import ArgumentError, ShapeError
from flambeau.data import DataLoader, Dataset, IterableDataset, Subset, WorkerError, get_worker_info, rng
from flambeau.data.failure import Failure

needs_proc = pytest.mark.skipif(not pathlib.Path("/proc/self/fd").exists(), reason="counts files in /proc")


class Draws(Dataset):
    """What the three generators and the worker information say in a worker."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        info = get_worker_info()
        return info.id, info.num_workers, info.seed, random.random(), float(np.random.rand()), rng.draw_seed()


class Big(Dataset):
    def __init__(self, count, size=50_000):
        self.count, self.size = count, size

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return np.full(self.size, index, np.float32)


def children():
    return [process for process in multiprocessing.active_children() if process.name.startswith("flambeau-data")]


def memory_files():
    """The shared memory that this process has mapped through open files."""
    gc.collect()
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        path = f"/proc/self/fd/{descriptor}"
        if os.path.lexists(path) and "flambeau-data" in os.readlink(path):
            found.add(os.stat(path).st_ino)
    return found


def test_seeds_follow_the_protocol():
    rng.default_generator().manual_seed(3)
    base = rng.draw_seed()
    rng.default_generator().manual_seed(3)
    rows = list(DataLoader(Draws(), batch_size=None, num_workers=2))
    assert rows[0][:3] == [0, 2, base] and rows[1][:3] == [1, 2, base + 1]
    for worker in (0, 1):
        words = np.random.SeedSequence([worker, base & 0xFFFFFFFF, base >> 32, 0]).generate_state(4)
        expected = (
            random.Random(base + worker).random(),
            np.random.RandomState(words).rand(),
            rng.draw_seed(rng.new_generator(base + worker)),
        )
        assert tuple(rows[worker][3:]) == expected
    assert rows[2][3] != rows[0][3]


def test_worker_init_shares_out_a_stream():
    class Range(IterableDataset):
        start, stop = 0, 10

        def __iter__(self):
            return iter(range(self.start, self.stop))

    def share(worker_id):
        dataset = get_worker_info().dataset
        dataset.start, dataset.stop = (0, 5) if worker_id == 0 else (5, 10)

    for kind in ("process", "thread"):
        loader = DataLoader(Range(), batch_size=5, num_workers=2, worker_init_fn=share, worker_type=kind)
        assert [batch.tolist() for batch in loader] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


class Strange(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.first = first


class Fails(Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == 2:
            raise self.error
        return index


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_exceptions_keep_their_type_and_traceback(kind):
    iterator = iter(DataLoader(Fails(OSError(28, "disk full")), batch_size=1, num_workers=2, worker_type=kind))
    assert [next(iterator).tolist(), next(iterator).tolist()] == [[0], [1]]
    with pytest.raises(OSError, match="disk full") as caught:
        next(iterator)
    assert caught.value.errno == 28
    note = "\n".join(caught.value.__notes__)
    assert f"DataLoader worker {kind} 0" in note and "in __getitem__" in note and "raise self.error" in note
    assert [batch.tolist() for batch in iterator] == [[3], [4], [5]]


def test_exceptions_that_cannot_be_rebuilt_become_worker_errors():
    with pytest.raises(WorkerError, match=r"Caught Strange in DataLoader worker process 0(.|\n)*Strange: a and b"):
        list(DataLoader(Fails(Strange("a", "b")), num_workers=1))

    class Unpicklable(Exception):
        pass

    assert Failure.of(Unpicklable("x"), "here").pickled is None


def test_collate_errors_come_through():
    class Ragged(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return {"x": np.zeros(index + 1)}

    with pytest.raises(ShapeError, match=r"batch\['x'\]: .* sample 1 has shape \(2,\) but sample 0 has shape \(1,\)"):
        list(DataLoader(Ragged(), batch_size=2, num_workers=1))


def test_failing_init_is_reported():
    def init(worker_id):
        raise KeyError("no such file")

    for kind in ("process", "thread"):
        with pytest.raises(KeyError, match="no such file"):
            list(DataLoader([1, 2], num_workers=1, worker_init_fn=init, worker_type=kind))


def test_batches_that_do_not_pickle_are_reported():
    with pytest.raises(Exception, match="pickle|local"):
        list(DataLoader([1, 2], num_workers=1, collate_fn=lambda batch: lambda: batch))


def test_datasets_that_do_not_pickle_are_reported():
    with pytest.raises(ArgumentError, match='can be sent to a worker process(.|\n)*worker_type="thread"'):
        iter(DataLoader([1, 2], num_workers=1, collate_fn=lambda batch: batch, multiprocessing_context="spawn"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("in_order", [True, False])
def test_a_killed_worker_is_reported_at_once(in_order):
    class Hangs(Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, index):
            if index >= 2:
                time.sleep(60)
            return os.getpid()

    iterator = iter(DataLoader(Hangs(), batch_size=None, num_workers=2, in_order=in_order))
    pids = [int(next(iterator)), int(next(iterator))]
    os.kill(pids[1], signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(WorkerError, match=rf"flambeau-data-worker-\d, pid {pids[1]}\) was killed by SIGKILL \(exit code -9\)"):
        next(iterator)
    assert time.monotonic() - start < 4  # and the one that hangs is not waited for
    with pytest.raises(WorkerError, match="killed"):
        next(iterator)


def test_a_worker_that_exits_is_reported():
    class Quits(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            os._exit(3)

    with pytest.raises(WorkerError, match="ended with exit code 3"):
        list(DataLoader(Quits(), num_workers=1))


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_timeout(kind):
    class Slow(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            time.sleep(1.0)
            return index

    iterator = iter(DataLoader(Slow(), num_workers=1, timeout=0.1, worker_type=kind))
    with pytest.raises(WorkerError, match="no batch within 0.1 seconds. Workers: flambeau-data-worker-0.* alive"):
        next(iterator)


@needs_proc
def test_shared_memory_is_reused_and_nothing_stays_behind():
    loader = DataLoader(Big(60), batch_size=2, num_workers=2)
    before, most = memory_files(), 0
    for number, batch in enumerate(loader):
        array = batch.numpy()
        assert (array == np.array([[2 * number], [2 * number + 1]])).all()
        most = max(most, len(memory_files() - before))
    assert 0 < most <= 2 * 5  # a few segments a worker for 30 batches
    del batch, array
    assert memory_files() == before and not children()


@needs_proc
def test_kept_batches_stay_right_and_cost_few_descriptors():
    before = memory_files()
    iterator = iter(DataLoader(Big(80, 20_000), batch_size=1, num_workers=2))
    kept = list(iterator)
    assert len(memory_files() - before) <= 2 * (4 + 2)
    del iterator
    gc.collect()
    assert not children()
    for number, batch in enumerate(kept):
        assert (batch.numpy() == number).all()
        batch.numpy()[...] = -1  # memory of a batch is the consumer's own
    assert all((batch.numpy() == -1).all() for batch in kept)


@needs_proc
@pytest.mark.parametrize("kind", ["process", "thread"])
def test_stopping_early_stops_the_workers(kind):
    import threading

    memory, threads = memory_files(), threading.active_count()
    next(iter(DataLoader(Big(1000), num_workers=2, worker_type=kind)))
    assert memory_files() == memory and not children() and threading.active_count() == threads


def test_growing_and_odd_batches():
    shapes = [(0,), (3,), (100_000,), (10,), (50_000, 3), (7, 0), ()]

    class Odd(Dataset):
        def __len__(self):
            return len(shapes)

        def __getitem__(self, index):
            array = np.arange(np.prod(shapes[index], dtype=int), dtype=np.float64).reshape(shapes[index])
            return {"a": array, "f": np.asfortranarray(array), "s": array[..., ::2] if array.ndim else array, "text": "x" * 100_000}

    for index, batch in enumerate(DataLoader(Odd(), batch_size=None, num_workers=1, collate_fn=lambda sample: sample)):
        expected = Odd()[index]
        for name in "afs":
            np.testing.assert_array_equal(batch[name], expected[name])
            assert batch[name].flags.writeable
        assert batch["text"] == expected["text"]


def test_many_batches_ahead_do_not_block():
    loader = DataLoader(list(range(3000)), batch_size=None, num_workers=1, prefetch_factor=1000, collate_fn=lambda x: "x" * 3000 + str(x))
    iterator = iter(loader)
    time.sleep(0.3)
    assert [int(text.lstrip("x")) for text in iterator] == list(range(3000))


def test_subset_of_arrays_keeps_order_under_load():
    data = Subset([np.full(3, i) for i in range(50)], list(range(49, -1, -1)))
    out = [int(batch.numpy()[0, 0]) for batch in DataLoader(data, num_workers=3, prefetch_factor=4)]
    assert out == list(range(49, -1, -1))


def run_script(body, *, timeout=60):
    script = "import numpy as np, os, sys, time\nfrom flambeau.data import DataLoader, Dataset\n" + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=timeout, env=child_environment()
    )


def child_environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@pytest.mark.parametrize(
    "ending",
    [
        "",  # falls off the end with a live iterator
        "del iterator",
        "raise SystemExit(0)",
        "loader2 = DataLoader(D(), num_workers=1, persistent_workers=True); [0 for _ in loader2]; it2 = iter(loader2)",
    ],
)
def test_exit_is_quick_and_silent(ending):
    result = run_script(
        f"""
        class D(Dataset):
            def __len__(self): return 100
            def __getitem__(self, i): return np.zeros(100_000)
        iterator = iter(DataLoader(D(), num_workers=2))
        kept = next(iterator)
        {ending}
        """
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@needs_proc
def test_workers_end_when_the_parent_is_killed():
    script = textwrap.dedent(
        """
        import os, time
        from flambeau.data import DataLoader
        class D(list):
            def __getitem__(self, i): return os.getpid()
        iterator = iter(DataLoader(D(range(50)), batch_size=None, num_workers=2))
        print(int(next(iterator)), int(next(iterator)), flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=child_environment()) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
        process.wait()
    deadline = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{pid}") and "Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] for pid in pids):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.1)


def test_missing_main_guard_is_explained(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(
        "from flambeau.data import DataLoader\nfor batch in DataLoader([1, 2], num_workers=1, multiprocessing_context='spawn'):\n    pass\n"
    )
    result = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60, env=child_environment())
    assert result.returncode == 1 and 'needs `if __name__ == "__main__":`' in result.stderr
