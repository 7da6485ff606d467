"""The generators: words against published vectors, numbers against their written mapping, laws against SciPy."""

from __future__ import annotations

import pickle
import runpy
import threading
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from flambeau.base.errors import ArgumentError, NameNotFound
from flambeau.primitives import generator as module
from flambeau.primitives.generator import Generator, use_stream
from flambeau.primitives.kernels.philox import philox, philox_blocks

golden = runpy.run_path(str(Path(__file__).parents[1] / "golden" / "torch_stream.py"))
ALL = (1 << 64) - 1


@pytest.mark.parametrize("counter,key,expected", [     # Random123's kat_vectors, philox4x64 with 10 rounds
    ("0 0 0 0", "0 0", "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
    (" ".join(["ffffffffffffffff"] * 4), "ffffffffffffffff ffffffffffffffff",
     "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0"),
    ("243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89", "452821e638d01377 be5466cf34e90c6c",
     "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6"),
])
def test_philox_known_answers(counter, key, expected):
    words = tuple(np.array([int(w, 16)], dtype=np.uint64) for w in counter.split())
    got = philox(np, words, tuple(int(w, 16) for w in key.split()))
    assert [int(w[0]) for w in got] == [int(w, 16) for w in expected.split()]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, ALL), st.lists(st.integers(0, 23), max_size=8), st.one_of(st.integers(0, 1000), st.integers(ALL - 8, ALL)))
def test_draws_take_whole_blocks_of_the_reference(seed, sizes, offset):
    g = Generator(seed, stream="philox")
    g.set_state(np.array([seed, offset], dtype="<u8").view(np.uint8))
    for n in sizes:
        blocks = -(-n // 4)
        np.testing.assert_array_equal(g.random_bits(n), philox_blocks(np, seed, offset & ALL, blocks).reshape(-1)[:n])
        # past 2**64 the offset starts again, within one draw the counter goes on
        offset = (offset + blocks) & ALL
    assert g.get_state().view("<u8").tolist() == [seed, offset]


def words(seed, n):
    return philox_blocks(np, seed, 0, -(-n // 4)).reshape(-1)[:n]


def halves(seed, n):
    w = words(seed, -(-n // 2))
    return np.stack([w & np.uint64(0xFFFFFFFF), w >> np.uint64(32)], axis=1).reshape(-1)[:n].astype(np.uint32)


@pytest.mark.parametrize("n", [0, 1, 7, 64, 1001])
def test_the_mapping_from_words_to_numbers(n):
    def g():
        return Generator(42, stream="philox")

    h, w = halves(42, n), words(42, n)
    unit32 = np.array([(int(v) >> 8) / 2**24 for v in h], dtype=np.float32)
    np.testing.assert_array_equal(g().uniform(n), unit32)
    np.testing.assert_array_equal(g().uniform(n, np.float64), np.array([(int(v) >> 11) / 2**53 for v in w]))
    np.testing.assert_array_equal(g().uniform(n, np.float16).astype(float), np.floor(unit32.astype(float) * 2**11) / 2**11)
    np.testing.assert_array_equal(g().uniform(n, ml_dtypes.bfloat16).astype(float), np.floor(unit32.astype(float) * 2**8) / 2**8)
    np.testing.assert_array_equal(g().randint(-3, 14, n), np.array([int(v) % 17 - 3 for v in w], dtype=np.int64))
    np.testing.assert_array_equal(g().permutation(n), np.argsort(w, kind="stable"))
    np.testing.assert_array_equal(g().bernoulli(0.37, n), (unit32 < np.float32(0.37)).astype(np.float32))
    np.testing.assert_array_equal(g().bernoulli(np.full(n, 0.37)), np.array([(int(v) >> 11) / 2**53 < 0.37 for v in w], dtype=np.float32))
    np.testing.assert_array_equal(g().integers(n, np.uint8), np.array([int(v) % 256 for v in w], dtype=np.uint8))
    np.testing.assert_allclose(g().exponential(n), [-np.log(((int(v) >> 9) + 0.5) / 2**23) for v in h], rtol=3e-7)
    np.testing.assert_allclose(g().exponential(n, np.float64, 2.0), [-np.log(((int(v) >> 12) + 0.5) / 2**52) / 2 for v in w], rtol=1e-15)


@pytest.mark.parametrize("n", [0, 1, 8, 1001])
def test_normal_is_box_muller_on_pairs(n):
    pairs = -(-n // 2)
    for dtype, bits, tolerance in ((np.float32, halves(3, 2 * pairs).astype(np.uint64) >> np.uint64(8), 2e-6),
                                   (np.float64, words(3, 2 * pairs) >> np.uint64(11), 1e-14)):
        scale = 2.0**-24 if dtype is np.float32 else 2.0**-53
        u, v = (bits[0::2] + np.uint64(1)).astype(float) * scale, bits[1::2].astype(float) * scale
        radius, angle = np.sqrt(-2 * np.log(u)), 2 * np.pi * v
        expected = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:n]
        got = Generator(3, stream="philox").normal(n, dtype)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(Generator(3).normal(n, np.float16), Generator(3).normal(n).astype(np.float16))


def test_integers_over_the_whole_range():
    w = words(1, 50)
    np.testing.assert_array_equal(Generator(1).randint(-(2**63), 2**63, 50), (w ^ np.uint64(1 << 63)).view(np.int64))
    np.testing.assert_array_equal(Generator(1).randint(0, 2**64, 50, np.uint64), w)
    np.testing.assert_array_equal(Generator(1).randint(2**40, 2**40 + 1, 50), np.full(50, 2**40))


@pytest.mark.parametrize("stream", ["philox", "torch"])
@pytest.mark.parametrize("draw,law", [
    (lambda g, n: g.uniform(n, np.float64, -1, 3), stats.uniform(-1, 4)),
    (lambda g, n: g.uniform(n), stats.uniform),
    (lambda g, n: g.normal(n), stats.norm),
    (lambda g, n: g.normal(n, np.float64, 2, 0.5), stats.norm(2, 0.5)),
    (lambda g, n: g.exponential(n, rate=0.5), stats.expon(scale=2)),
    (lambda g, n: g.cauchy(n, np.float64, 1, 2), stats.cauchy(1, 2)),
    (lambda g, n: g.log_normal(n, np.float64, 0.3, 0.7), stats.lognorm(0.7, scale=np.exp(0.3))),
    *((lambda g, n, a=a: g.gamma(np.full(n, a)), stats.gamma(a)) for a in (0.05, 0.7, 1.0, 2.5, 300.0)),
])
def test_continuous_laws(stream, draw, law):
    assert stats.kstest(draw(Generator(11, stream), 20_000), law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("stream", ["philox", "torch"])
@pytest.mark.parametrize("draw,law", [
    (lambda g, n: g.geometric(0.3, n), stats.geom(0.3)),
    *((lambda g, n, m=m: g.poisson(np.full(n, m)), stats.poisson(m)) for m in (0.2, 3.0, 9.9, 10.0, 45.0, 4000.0)),
    *((lambda g, n, c=c, p=p: g.binomial(np.full(n, float(c)), np.full(n, p)), stats.binom(c, p))
      for c, p in ((1, 0.5), (12, 0.3), (12, 0.9), (100, 0.1), (100, 0.5), (1000, 0.93), (100_000, 0.004))),
])
def test_discrete_laws(stream, draw, law):
    n = 20_000
    drawn = draw(Generator(12, stream), n)
    assert (drawn == np.floor(drawn)).all()
    edges = np.unique(law.ppf(np.linspace(0.0, 1.0, 21)[1:-1]))
    if len(edges) < 2:
        edges = np.arange(0.0, 3.0)
    bins = np.concatenate([[-np.inf], edges, [np.inf]])
    expected = n * np.diff(np.concatenate([[0.0], law.cdf(edges), [1.0]]))
    seen = np.histogram(np.searchsorted(edges, drawn, side="left"), bins=np.arange(len(bins)))[0]
    keep = expected > 5
    observed, wanted = (np.append(v[keep], v[~keep].sum() + 1e-9) for v in (seen, expected))
    assert stats.chisquare(observed, wanted).pvalue > 1e-3


def test_edges_of_gamma_poisson_binomial():
    g = Generator(0)
    np.testing.assert_array_equal(g.gamma(np.array([0.0, -1.0, np.nan])), [0.0, np.nan, np.nan])
    np.testing.assert_array_equal(g.poisson(np.array([0.0, -1.0, np.nan])), [0.0, np.nan, np.nan])
    got = g.binomial(np.array([0.0, 5.0, 5.0, 1e6, -1.0, 5.0, 5.0]), np.array([0.5, 0.0, 1.0, 1.0, 0.5, 1.5, np.nan]))
    np.testing.assert_array_equal(got, [0.0, 0.0, 5.0, 1e6, np.nan, np.nan, np.nan])
    assert g.gamma(np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert g.binomial(np.full((2, 1), 5.0), np.full(3, 0.5, np.float32)).shape == (2, 3)
    assert g.poisson(np.full(3, 2.0, np.float16)).dtype == np.float16


@pytest.mark.parametrize("stream", ["philox", "torch"])
def test_multinomial(stream):
    g = Generator(8, stream)
    weights = np.array([[0.0, 1.0, 3.0, 0.0, 6.0, 0.0]])
    counts = np.bincount(g.multinomial(weights, 20_000, replacement=True)[0], minlength=6)
    assert counts[[0, 3, 5]].sum() == 0 and stats.chisquare(counts[[1, 2, 4]], 2000 * np.array([1, 3, 6])).pvalue > 1e-3
    rows = np.repeat(weights, 20_000, axis=0)
    first = g.multinomial(rows, 2)
    assert (first[:, 0] != first[:, 1]).all()
    counts = np.bincount(first[:, 0], minlength=6)
    assert counts[[0, 3, 5]].sum() == 0 and stats.chisquare(counts[[1, 2, 4]], 2000 * np.array([1, 3, 6])).pvalue > 1e-3
    assert g.multinomial(rows, 1, replacement=True).shape == (20_000, 1)
    assert sorted(g.multinomial(weights[0].astype(np.float32), 3).tolist()) == [1, 2, 4]


@pytest.mark.parametrize("stream", ["philox", "torch"])
def test_state_reseeding_pickling_and_threads(stream):
    g = Generator(5, stream)
    first = g.normal(5)
    state = g.get_state()
    rest = [g.uniform(3), g.permutation(9), g.normal(7, np.float64)]
    copy = pickle.loads(pickle.dumps(g))
    np.testing.assert_array_equal(copy.uniform(10), g.uniform(10))
    g.set_state(state)
    for again, before in zip([g.uniform(3), g.permutation(9), g.normal(7, np.float64)], rest):
        np.testing.assert_array_equal(again, before)
    np.testing.assert_array_equal(g.manual_seed(5).normal(5), first)
    assert g.manual_seed(-1).initial_seed() == 2**64 - 1
    assert g.seed() == g.initial_seed() != g.seed()
    drawn: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: drawn.extend(g.random_bits(4) for _ in range(200))) for _ in range(4)]
    g.manual_seed(1)
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(np.concatenate(drawn).tolist()) == sorted(Generator(1, stream).random_bits(3200).tolist())


def test_following_the_module_default():
    follows, fixed = Generator(0), Generator(0, "philox")
    philox_numbers = follows.uniform(4)
    assert use_stream("torch") == "philox"
    try:
        np.testing.assert_array_equal(follows.uniform(4), Generator(0, "torch").uniform(4))
        assert fixed.stream.name == "philox" and Generator().stream.name == "torch"
    finally:
        use_stream("philox")
    np.testing.assert_array_equal(follows.uniform(4), philox_numbers)
    with pytest.raises(NameNotFound, match="torch"):
        use_stream("torhc")
    assert module._choice == "philox"


def test_a_value_of_uniform_never_reaches_the_upper_end():
    for dtype in (np.float16, ml_dtypes.bfloat16, np.float32):
        for stream in ("philox", "torch"):
            assert float(Generator(0, stream).uniform(50_000, dtype).max()) < 1.0
            assert float(Generator(0, stream).uniform(50_000, dtype, 1.0, 1.5).max()) < 1.5


def test_torch_stream_equals_the_stored_draws():
    stored = np.load(golden["FILE"])
    for seed in (0, 12345678901234):
        g, data, position = Generator(seed, stream="torch"), stored[str(seed)].tobytes(), 0
        for step in golden["program"]():
            got = golden["our_draw"](g, step)
            expected = np.frombuffer(data, dtype=got.dtype, count=got.size, offset=position).reshape(got.shape)
            np.testing.assert_array_equal(got, expected, err_msg=str(step))
            position += got.nbytes
        assert data[position:] == g.get_state().tobytes()


@pytest.mark.parametrize("call", [
    lambda g: g.manual_seed(2**64), lambda g: g.uniform(3, low=2, high=1), lambda g: g.normal(3, std=-1), lambda g: g.randint(3, 3, 1),
    lambda g: g.bernoulli(1.5, 3), lambda g: g.bernoulli(np.array([-0.1])), lambda g: g.exponential(3, rate=0), lambda g: g.permutation(-1),
    lambda g: g.geometric(0.0, 3), lambda g: g.multinomial(np.array([1.0, -1.0]), 1), lambda g: g.multinomial(np.array([1.0, 0.0]), 2),
    lambda g: g.multinomial(np.array([np.inf, 1.0]), 1), lambda g: g.multinomial(np.array([1, 2]), 1),
    lambda g: g.set_state(np.zeros(3, np.uint8)),
    lambda g: Generator(0, "torch").set_state(np.zeros(5056, np.uint8)),
])
def test_refusals(call):
    with pytest.raises(ArgumentError):
        call(Generator(0))
