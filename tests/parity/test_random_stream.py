"""The `torch` stream against PyTorch itself: random programs of draws, every number bit for bit, and the saved states."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.primitives.generator import Generator

torch = pytest.importorskip("torch")
golden = runpy.run_path(str(Path(__file__).parents[1] / "golden" / "torch_stream.py"))

sizes = st.one_of(st.integers(0, 70), st.sampled_from([255, 256, 257, 1000, 5000]))
number = st.floats(-10, 10).map(lambda v: round(v, 3))
positive = st.floats(0.01, 10).map(lambda v: round(v, 3))
floating = st.sampled_from(golden["FLOATS"])
pair = st.tuples(st.integers(-(2**62), 2**62), st.integers(1, 2**62)).map(lambda v: (v[0], v[0] + v[1]))
spans = st.sampled_from([(0, 10), (0, 2**28), (0, 2**28 - 1), (-3, 2**31)])
steps = st.one_of(
    st.tuples(st.just("uniform"), floating, sizes, st.one_of(st.just(()), st.tuples(number, positive).map(lambda v: (v[0], v[0] + v[1])))),
    st.tuples(st.just("normal"), floating, sizes, st.one_of(st.just(()), st.tuples(number, positive))),
    st.tuples(st.sampled_from(["exponential"]), floating, sizes, st.tuples(positive)),
    st.tuples(st.sampled_from(["cauchy", "log_normal"]), floating, sizes, st.tuples(number, positive)),
    st.tuples(st.sampled_from(["bernoulli", "geometric", "dropout"]), floating, sizes, st.tuples(st.floats(0.01, 0.99))),
    st.tuples(st.just("bernoulli"), floating, sizes, st.just(())),
    st.tuples(st.just("integers"), st.sampled_from(golden["FLOATS"] + golden["INTEGERS"]), sizes, st.just(())),
    st.tuples(st.just("randint"), st.just("int64"), sizes, st.one_of(pair, spans)),
    st.tuples(st.just("permutation"), st.sampled_from(["int64", "int32"]), sizes, st.just(())),
    st.tuples(st.just("multinomial"), st.sampled_from(["float32", "float64"]), st.integers(1, 40),
              st.sampled_from([(1, False), (1, True), (7, True), (2, False)])),
)


def from_mkl(step):
    """Steps that PyTorch on an Intel processor takes from MKL, whose numbers the stream does not reproduce."""
    return step[0] in ("dropout", "exponential", "multinomial") or step[0] == "bernoulli" and step[3]


def uses_mkl():
    torch.manual_seed(0)
    torch.empty(100).bernoulli_(0.5)                # 200 words from the generator, or one to seed MKL
    return int(torch.get_rng_state()[8:12].view(torch.int32)) == 624


MKL = uses_mkl()


@settings(max_examples=150, deadline=None)
@given(st.integers(-(2**63), 2**64 - 1), st.lists(steps, min_size=1, max_size=12))
def test_programs_of_draws_are_bit_equal(seed, program):
    torch.manual_seed(seed)
    ours = Generator(seed, stream="torch")
    assert ours.initial_seed() == torch.initial_seed()
    for step in program:
        if MKL and from_mkl(step):
            continue
        expected, got = golden["torch_draw"](torch, step), golden["our_draw"](ours, step)
        assert got.dtype == expected.dtype, step
        np.testing.assert_array_equal(got, expected, err_msg=str(step))
    np.testing.assert_array_equal(ours.get_state(), torch.get_rng_state().numpy())


def test_large_tensors():
    torch.manual_seed(5)
    ours = Generator(5, stream="torch")
    for step in (("normal", "float32", 1_000_003, ()), ("normal", "float64", 100_003, (0.5, 3.0)), ("permutation", "int64", 100_000, ()),
                 ("normal", "float32", 500_000, (-1.0, 0.02))):
        np.testing.assert_array_equal(golden["our_draw"](ours, step), golden["torch_draw"](torch, step))


@pytest.mark.parametrize("drawn", [0, 1, 3, 623, 624, 625, 1248])
def test_states_move_both_ways(drawn):
    torch.manual_seed(9)
    if drawn:
        torch.randint(0, 5, (drawn,))
    torch.randn(3)
    theirs = torch.get_rng_state()
    ours = Generator(0, stream="torch")
    ours.set_state(theirs.numpy())
    np.testing.assert_array_equal(ours.normal(5), torch.randn(5).numpy())
    torch.set_rng_state(torch.from_numpy(ours.get_state()))
    np.testing.assert_array_equal(ours.uniform(7), torch.rand(7).numpy())


def test_default_seed_is_pytorchs():
    assert Generator(stream="torch").initial_seed() == torch.Generator().initial_seed()
