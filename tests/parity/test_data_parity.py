"""Data loading against PyTorch: the same seed visits the same samples in the same order, and collation gives the same dtypes."""

import collections

import numpy as np
import pytest

import flambeau
from flambeau import data as ours
from flambeau.data import rng
from flambeau.primitives.generator import use_stream

torch = pytest.importorskip("torch")
theirs = torch.utils.data


@pytest.fixture(autouse=True)
def torch_stream():
    before = use_stream("torch")
    yield
    use_stream(before)


def seed(number):
    torch.manual_seed(number)
    flambeau.manual_seed(number)


def both(make):
    """`make(module, generator factory)` for both libraries from one seed, as nested lists."""
    seed(42)
    ours_out = make(ours, lambda s: flambeau.Generator().manual_seed(s))
    after_ours = flambeau.rand(3).tolist()
    theirs_out = make(theirs, lambda s: torch.Generator().manual_seed(s))
    assert torch.rand(3).tolist() == after_ours, "the default generators are at different places afterwards"
    assert ours_out == theirs_out
    return ours_out


@pytest.mark.parametrize(
    "sampler",
    [
        lambda m, g: m.RandomSampler(range(37)),
        lambda m, g: m.RandomSampler(range(37), generator=g(5)),
        lambda m, g: m.RandomSampler(range(7), num_samples=40),
        lambda m, g: m.RandomSampler(range(50), replacement=True, num_samples=75),
        lambda m, g: m.RandomSampler(range(50), replacement=True, num_samples=64, generator=g(1)),
        lambda m, g: m.SubsetRandomSampler(list(range(3, 60, 7))),
        lambda m, g: m.WeightedRandomSampler([0.1, 3.0, 0.0, 2.5, 1.0], 20),
        lambda m, g: m.WeightedRandomSampler([0.1, 3.0, 0.5, 2.5, 1.0], 4, replacement=False, generator=g(8)),
        lambda m, g: m.BatchSampler(m.RandomSampler(range(23)), 4, True),
    ],
)
def test_samplers(sampler):
    both(lambda module, generator: [list(s) for s in [sampler(module, generator)] for _ in range(3)])


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("size", [5, 12, 23])
def test_distributed_sampler(size, drop_last):
    for rank in range(4):
        mine = ours.DistributedSampler(range(size), 4, rank, seed=3, drop_last=drop_last)
        other = theirs.DistributedSampler(range(size), 4, rank, seed=3, drop_last=drop_last)
        for epoch in range(3):
            mine.set_epoch(epoch)
            other.set_epoch(epoch)
            assert list(mine) == list(other) and len(mine) == len(other)


@pytest.mark.parametrize("lengths", [[3, 7], [0.3, 0.3, 0.4], [0.5, 0.25, 0.25], [10]])
def test_random_split(lengths):
    both(lambda module, generator: [list(part.indices) for part in module.random_split(range(10), lengths, generator=generator(42))])


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 4, "shuffle": True},
        {"batch_size": 4, "shuffle": True, "drop_last": True, "num_workers": 2},
        {"batch_size": 3, "shuffle": True, "num_workers": 2, "persistent_workers": True},
        {"batch_size": None, "shuffle": True},
        {"batch_size": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("own", [False, True])
def test_loader_order_over_epochs(arguments, own):
    """Also that every epoch draws as many numbers as PyTorch's, so that programs stay in step."""

    def make(module, generator):
        loader = module.DataLoader(list(range(22)), generator=generator(7) if own else None, **arguments)
        drawn = flambeau.rand if module is ours else torch.rand
        return [([b if isinstance(b, int) else b.tolist() for b in loader], drawn(2).tolist()) for _ in range(3)]

    both(make)


def test_worker_seeds():
    class Seeds(ours.Dataset):
        def __init__(self, module, draw):
            self.module, self.draw = module, draw

        def __len__(self):
            return 4

        def __getitem__(self, index):
            import random

            return self.module.get_worker_info().seed, random.random(), np.random.rand(), self.draw(1).tolist()

    def make(module, generator):
        draw = flambeau.rand if module is ours else torch.rand
        loader = module.DataLoader(Seeds(module, draw), batch_size=None, num_workers=2, collate_fn=lambda sample: sample)
        return list(loader)

    both(make)


Point = collections.namedtuple("Point", "x y")


def described(value):
    if hasattr(value, "numpy"):
        array = value.numpy()
        return str(array.dtype), array.tolist()
    if isinstance(value, dict):
        return {key: described(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [described(item) for item in value]
    return type(value).__name__, value


@pytest.mark.parametrize(
    "samples",
    [
        [1, 2],
        [1.5, 2.5],
        [1, 2.5],
        [1.5, 2],
        [True, False],
        [True, 2],
        ["a", "b"],
        [b"a", b"b"],
        [np.float32(1), np.float32(2)],
        [np.float64(1), np.float64(2)],
        [np.int8(1), np.int8(2)],
        [np.bool_(True), np.bool_(False)],
        [np.zeros((2, 3), np.float16), np.ones((2, 3), np.float16)],
        [np.arange(3), np.arange(3)],
        [np.array(3), np.array(4)],
        [{"a": 1, "b": [np.zeros(2), "x"]}, {"a": 2, "b": [np.ones(2), "y"]}],
        [Point(1, (2.0, "s")), Point(3, (4.0, "t"))],
        [(1, 2), (3, 4)],
        [[1, (2,)], [3, (4,)]],
        [collections.OrderedDict(b=1, a=2.0)],
    ],
    ids=str,
)
def test_collate(samples):
    assert described(ours.default_collate(samples)) == described(theirs.default_collate(samples))
    for sample in samples:
        assert described(ours.default_convert(sample)) == described(theirs.default_convert(sample))


def test_numpy_seed_words_are_pytorchs():
    state = torch.utils.data._utils.worker._generate_state
    for base, worker in [(0, 0), (123456789012345678, 3), (2**63 - 1, 7)]:
        words = np.random.SeedSequence([worker, base & 0xFFFFFFFF, base >> 32, 0]).generate_state(4)
        assert words.tolist() == state(base, worker)


def test_draw_seed_is_random_():
    seed(4)
    assert rng.draw_seed() == torch.empty((), dtype=torch.int64).random_().item()
